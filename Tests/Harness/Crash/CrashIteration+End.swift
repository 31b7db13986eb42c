import Foundation

/// What must hold when everything has come to its end, seen from the outside.
extension CrashIteration {
    func end() throws {
        if let server = try? world.server(), server.process.isRunning {
            try server.waitUntilReady()
        } else {
            try world.start()
        }
        try world.simulator.set(.none)
        // Where no client came in time, the one that serves in the end is tried.
        if requests.isEmpty { try take(startLoad(at: world.server(), payments: 4)) }
        try askAgain()
        try waitUntilSettled()
        let status = try world.server().drain()
        if status != .code(0) { object("the server ended with \(status) although all was settled") }
        let recover = try world.recover()
        try expectNothingLeft(recover)
        try compare(recover)
    }

    private func object(_ what: String) { outcome.violations.append(what) }

    /// Whether answers are promised to be known still. After a trim and after the loss of the log only the approved ones are.
    private var knowsRefusals: Bool { plan.scene != .trim && plan.scene != .lostLog }

    // MARK: - Asking again

    /// Asks for every payment again, twice: the first time until the answer is final, the second time to see that it stays so.
    private func askAgain() throws {
        let before = try Dictionary(grouping: world.ledger.evidence(), by: \.payment.requestID)
        let client = try world.server().client()
        var finals: [String: Answer] = [:]
        for (request, payment) in requests.sorted(by: { $0.key < $1.key }) {
            let earlier = before[request, default: []].flatMap(\.answers)
            if !knowsRefusals, earlier.contains(where: { $0.isFinalRefusal }) { continue }
            let answer = try finalAnswer(to: payment, over: client)
            finals[request] = answer
            for known in earlier where known.status != .pending && known.transactionID != nil {
                if !answer.isSame(as: known) { object("\(request) was answered \(known), and now \(answer)") }
            }
        }
        for (request, first) in finals.sorted(by: { $0.key < $1.key }).prefix(8) {
            guard let payment = requests[request], first.transactionID != nil else { continue }
            let again = try world.pay(payment, over: client)
            if !again.isSame(as: first) { object("\(request) was answered \(first), and asked once more \(again)") }
            let shown = try client.ask("GET /tx?request_id=\(request)")
            if !shown.contains(#""status":"\#(first.status.rawValue)""#) {
                object("\(request) was answered \(first), and GET /tx shows \(shown)")
            }
        }
    }

    private func finalAnswer(to payment: Payment, over client: LineClient) throws -> Answer {
        var answer = try world.pay(payment, over: client)
        try Wait.until(
            "\(payment.requestID ?? "") is final: \(answer)", within: Limits.pending, every: .milliseconds(50)
        ) {
            if answer.status == .pending { answer = try world.pay(payment, over: client) }
            return answer.status != .pending
        }
        return answer
    }

    // MARK: - Rest

    func waitUntilSettled() throws {
        var open: [String] = []
        let isSettled = try Wait.holds(within: settleLimit) {
            open = []
            let metrics = try world.server().metrics()
            let unfinished = metrics["unfinished", default: -1] - metrics["parked", default: 0]
            if unfinished != 0 { open.append("\(unfinished) unfinished transactions") }
            if metrics["reversals_open"] != 0 { open.append("\(metrics["reversals_open"] ?? -1) open reversals") }
            guard open.isEmpty else { return false }
            open += try world.preparedBranches().map { "prepared transaction \($0)" }
            open += heldForNothing(in: try world.simulator.book()).map { "\($0) is held" }
            return open.isEmpty
        }
        if !isSettled { object("after \(settleLimit) without a fault: \(open.prefix(5).joined(separator: ", "))") }
    }

    /// What the network holds for transactions that are to be none. After the loss of the log, a hold that never reached a database is
    /// known to the network alone, and ends when it expires.
    private func heldForNothing(in book: [BookEntry]) -> [String] {
        plan.scene == .lostLog ? [] : book.filter { $0.state == .held }.map(\.transactionID)
    }

    private func expectNothingLeft(_ recover: RecoverTool) throws {
        let dryRun = try recover.run("--dry-run")
        if dryRun.status != RecoverTool.nothingLeft, excused.isEmpty {
            object("recover --dry-run finds something to do: \(dryRun)")
        }
        let verified = try recover.run("verify")
        if verified.status != .code(0) { object("recover verify: \(verified)") }
    }

    // MARK: - Comparing

    private func compare(_ recover: RecoverTool) throws {
        for database in world.databases {
            let gids = try database.query("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
            if gids != [["other_\(database.name)"]] { object("prepared in \(database.name) in the end: \(gids)") }
        }
        var evidence = try world.evidence()
        evidence.book.removeAll {
            excused.contains($0.transactionID) || plan.scene == .lostLog && $0.state == .held
        }
        outcome.violations += Checker.violations(in: evidence)
        let dump = try recover.run("dump")
        guard dump.status == .code(0) else { return object("recover dump: \(dump)") }
        let check = try LogCheck(dump.output, isWhole: knowsRefusals, excused: excused)
        outcome.violations += check.violations(against: evidence)
        let cards = Set(requests.values.map(\.pan))
        outcome.violations += try CardScan.filesHolding(cards, in: [world.directory]).map {
            "a card number is in \($0)"
        }
    }
}

extension Answer {
    /// Whether both say the same of a payment; that a repeat is marked as one is no difference.
    func isSame(as other: Answer) -> Bool {
        status == other.status && transactionID == other.transactionID && reason == other.reason
    }
}
