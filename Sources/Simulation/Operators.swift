import Coordinator
import Payments
import Runtime

/// Those who look after what waits for a person, beside the live server.
final class Operators {
    unowned let world: World
    private var random: Randomness
    /// How long a server's refusal stands before somebody reads it.
    private static let messageReadAfter: UInt64 = .seconds(60)

    init(_ world: World) {
        self.world = world
        random = Randomness(seed: world.scenario.seed, stream: 30)
    }

    func begin() {
        guard world.scenario.has(.orders) else { return }
        workLater()
    }

    private func workLater() {
        world.after(.milliseconds(random.between(100, 5000))) { [self] in
            guard world.faultsAreOn else { return }
            for node in world.nodes { work(node) }
            workLater()
        }
    }

    private func work(_ node: Node) {
        guard let process = node.process, process.isServing else { return }
        let image = node.disk.image
        let parked = image.active.values.filter { $0.isParked }.sorted { $0.transaction < $1.transaction }
        if let transaction = parked.randomElement(using: &random) {
            resolve(
                transaction.transaction, random.chance(0.5) ? .committed : .aborted, isForced: random.chance(0.4),
                process)
        }
        let open = image.reversals.values.sorted { $0.transaction < $1.transaction }
        if let task = open.randomElement(using: &random) {
            // An order to send the reversal of a payment that waits itself is refused before it reaches the coordinator.
            if task.parkedReason != nil, image.active[task.transaction]?.isParked != true {
                order(
                    .releaseReversal(ReversalReleasedRecord(transaction: task.transaction, warrant: warrant())), process
                )
            } else if random.chance(0.1) {
                order(
                    .parkReversal(
                        ReversalParkedRecord(transaction: task.transaction, reason: "an operator wants it so")),
                    process)
            }
        }
        if random.chance(0.1) { process.periodicPass {} }
        // Orders that are none, or of nothing.
        if random.chance(0.05), let any = image.active.keys.sorted().first {
            resolve(any, .committed, isForced: false, process)
            order(
                .releaseQuarantined(QuarantineReleasedRecord(number: 1, wasRestored: true, warrant: warrant())), process
            )
            order(.releaseReversal(ReversalReleasedRecord(transaction: any, warrant: warrant())), process)
            order(.databaseSeen(DatabaseIndex(rawValue: 1), .unverified), process)
        }
        // Where history is trimmed, what has ended may be forgotten before the order arrives; the real server looks for that first.
        if random.chance(0.1), !world.scenario.has(.trimming) { orderAboutTheEnded(image, process) }
    }

    /// Somebody mistakes what has ended for something that waits.
    private func orderAboutTheEnded(_ image: LogImage, _ process: ServerProcess) {
        let ended = image.requests.values.filter { image.active[$0.transaction] == nil }
        guard let entry = ended.min(by: { $0.transaction < $1.transaction }) else { return }
        resolve(entry.transaction, .aborted, isForced: true, process)
        let begin = BeginRecord(
            transaction: entry.transaction, epoch: image.owner.epoch, intent: entry.intent,
            branches: Placement.branches(of: entry.intent, databases: world.scenario.databases),
            deadline: WallTime(microseconds: 0))
        order(.adopt(AdoptionRecord(begin: begin, outcome: .aborted, warrant: warrant())), process)
    }

    private func warrant() -> Warrant {
        Warrant(.order, actor: random.pick(["Ada", "Grace", "Edsger"]), reason: "the simulation wants it so")
    }

    private func resolve(
        _ transaction: TransactionID, _ outcome: Outcome, isForced: Bool, _ process: ServerProcess
    ) {
        let record = ResolutionRecord(
            transaction: transaction, outcome: outcome, isForced: isForced, warrant: warrant())
        order(.resolve(record, needsTwoPersons: world.scenario.needsTwoPersons), process)
    }

    private func order(_ write: LogWrite, _ process: ServerProcess) {
        world.note(write.subject, 600, "an operator orders: \(write.label)")
        process.coordinator.order(write) { [world] result in
            switch result {
            case .success: world.coverage.hit(.outcome, "order taken")
            case .failure(.busy): world.coverage.hit(.outcome, "order refused: busy")
            case .failure(.notAnOrder): world.coverage.hit(.outcome, "order refused: not an order")
            case .failure(.log(let refusal)): world.coverage.hit(.outcome, "order refused: \(refusal.label)")
            }
        }
    }

    /// A database was restored to a time before the log's first start there: after a while somebody does what the refusal says, puts the
    /// row back that it names and starts the server again.
    func putFenceBack(_ fence: DatabaseFence, of log: LogID, in server: DatabaseServer) {
        guard let node = world.nodes.first(where: { $0.disk.image.log == log }), !node.awaitsOperator,
            let pair = fence.former.last ?? fence.confirmed
        else { return }
        node.awaitsOperator = true
        let row = FenceJudgement.Row(pair: pair, database: fence.database)
        world.after(Self.messageReadAfter) { [self] in insert(row, of: log, in: server, node) }
    }

    private func insert(_ row: FenceJudgement.Row, of log: LogID, in server: DatabaseServer, _ node: Node) {
        guard server.isUp else {
            return world.after(.seconds(1)) { [self] in insert(row, of: log, in: server, node) }
        }
        world.note(nil, 610, "an operator puts the fence \(row.pair) back into \(row.database)")
        world.coverage.hit(.outcome, "fence put back")
        server.insertFence(row, of: log)
        node.isMended()
    }

    /// At the end everything that waits for a person is decided, so that nothing is left.
    func settleEverything() {
        for node in world.nodes {
            guard let process = node.process, process.isServing, !process.isReconciling else { continue }
            let image = node.disk.image
            for active in image.active.values.sorted(by: { $0.transaction < $1.transaction }) where active.isParked {
                let outcome: Outcome = if case .commit = active.decision { .committed } else { .aborted }
                let record = ResolutionRecord(
                    transaction: active.transaction, outcome: outcome, isForced: true, warrant: warrant())
                order(.resolve(record, needsTwoPersons: false), process)
            }
            for task in image.reversals.values.sorted(by: { $0.transaction < $1.transaction })
            where task.parkedReason != nil && image.active[task.transaction]?.isParked != true {
                order(
                    .releaseReversal(ReversalReleasedRecord(transaction: task.transaction, warrant: warrant())), process
                )
            }
        }
    }
}
