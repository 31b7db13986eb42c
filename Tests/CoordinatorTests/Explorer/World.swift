import Coordinator

/// One payment, its coordinator and everything around it, at one moment. A value: every choice gives another world.
///
/// It is small on purpose, and hostile within the budgets of ``ExplorerSettings``: messages linger after their sender's death, replies
/// get lost, the process dies between any two events with any part of what was on its way to the log durable or not.
struct World {
    enum NetworkState: UInt8 { case none, held, confirmed, released, declined }
    enum DatabaseState: UInt8 { case none, prepared, committed, rolledBack }

    struct Network {
        var state = NetworkState.none
        /// Hold requests on their way.
        var holds = 0
        /// Attempts of the order that is being carried out; 0 if the coordinator waits for no vote.
        var attempts = 0
        var isConfirming = false
        var isReversing = false
    }

    struct Database {
        var state = DatabaseState.none
        /// A living backend that may execute PREPARE.
        var isPreparing = false
        /// The coordinator waits for the vote.
        var owesVote = false
        /// It was asked for the request_id.
        var owesLookUp = false
        /// The decision that is on its way to it.
        var telling: Outcome?
    }

    struct Step: Hashable {
        let write: LogWrite
        let urgency: LogUrgency
    }

    let settings: ExplorerSettings
    var isUp = true
    /// `nil` before the start, after the end, and while the process is down.
    var machine: TransactionMachine?
    var log = ModelLog()
    /// On their way to the log, in order.
    var pending: [Step] = []
    var retries: Set<RetrySubject> = []
    var network = Network()
    var databases: [Database]
    var isDeadlineDue = true
    /// For a driver that reports steps before they are durable: what is found after a crash.
    var logBeforeLastStep: ModelLog?

    var crashes = 0
    var losses = 0
    var fulls = 0
    var interferences = 0

    // What was ever true, for the judgement.
    var hasBegun = false
    var hasCommitted = false
    var hasAborted = false
    var hasApproved = false
    var hasDeclined = false
    var hasAnswered = false
    var isFinished = false
    /// It waits for an operator, whom this world does not have.
    var isParked = false
    /// A start saw the payment's row committed, and no decision in the log.
    var isContradicted = false

    /// The first thing that went wrong.
    private(set) var violation: String?

    init(_ settings: ExplorerSettings) {
        self.settings = settings
        databases = Array(repeating: Database(), count: settings.databases)
        let begin = Samples.begin(kind: settings.kind, databases: settings.databases)
        let new = TransactionMachine(begin: begin, decideBy: MonotonicTime(nanoseconds: 1), timing: Samples.timing)
        machine = new
        apply(new.start())
    }

    mutating func fail(_ what: String) {
        if violation == nil { violation = what }
    }

    static func participant(_ database: Int) -> Participant { .database(Samples.database(UInt8(database + 1))) }

    static func number(_ participant: Participant) -> Int? {
        switch participant {
        case .clearing: nil
        case .database(let index): Int(index.rawValue) - 1
        }
    }

    // MARK: - Effects

    mutating func apply(_ effects: [Effect]) {
        for effect in effects {
            switch effect {
            case .append(let write, let urgency): pending.append(Step(write: write, urgency: urgency))
            case .prepare(let order): ask(order)
            case .lookUp:
                if databases[0].owesLookUp { fail("a database is asked twice for the request_id") }
                databases[0].owesLookUp = true
            case .resolve(let order, _): tell(order)
            case .enqueueReversal:
                if log.reversal == nil { fail("a reversal is sent that is not in the log") }
                if settings.flaw != .dropsReversal { network.isReversing = true }
            case .scheduleRetry(let subject, _):
                if settings.flaw == .dropsRetries { continue }
                if !retries.insert(subject).inserted { fail("two retries wait for \(EffectText.name(subject))") }
            case .answer(let answer): hear(answer)
            case .releaseClaim:
                if hasBegun, !log.isClaimReleased { fail("the request_id is given up, and the log holds on to it") }
            case .finished:
                if isFinished { fail("it finished twice") }
                isFinished = true
            }
        }
        if isFinished { machine = nil }
    }

    private mutating func ask(_ order: PrepareOrder) {
        if log.active?.decision != .undecided { fail("\(order.branch.participant) is asked without a durable BEGIN") }
        guard let index = Self.number(order.branch.participant) else {
            if network.attempts > 0 { fail("the network is asked twice") }
            network.attempts = 1
            network.holds += 1
            return
        }
        if databases[index].owesVote { fail("a database is asked twice") }
        databases[index].owesVote = true
        databases[index].isPreparing = true
    }

    private mutating func tell(_ order: ResolveOrder) {
        let participant = order.branch.participant
        switch (order.decision, log.active?.decision) {
        case (.committed, .commit), (.aborted, .abort): break
        default: fail("\(participant) is told '\(order.decision)', which is not the decision in the log")
        }
        if retries.contains(.participant(participant)) { fail("\(participant) is told while a retry waits") }
        guard let index = Self.number(participant) else {
            if order.decision == .aborted { fail("the network is told to abort by an order and not by its reversal") }
            return confirm()
        }
        if databases[index].telling != nil { fail("two orders are on their way to \(participant)") }
        if databases[index].owesVote { fail("\(participant) is told before it has voted") }
        databases[index].telling = order.decision
    }

    mutating func confirm() {
        if network.isConfirming { fail("two confirmations are on their way to the network") }
        if databases[0].state != .committed { fail("the network is told before the payment's database has committed") }
        network.isConfirming = true
    }

    private mutating func hear(_ answer: Answer) {
        switch answer {
        case .approved:
            if !hasCommitted { fail("APPROVED without a durable COMMIT") }
            if databases[0].state != .committed { fail("APPROVED before the payment's database has committed") }
            hasApproved = true
        case .declined:
            if !hasAborted { fail("DECLINED without a durable ABORT") }
            hasDeclined = true
        case .refused, .pending, .madeBy: break
        }
        if hasApproved, hasDeclined { fail("the client is told APPROVED and DECLINED") }
        hasAnswered = true
    }

    /// What the log's own events are for: the history that nothing may contradict.
    mutating func noteDurable(_ write: LogWrite) {
        switch write {
        case .begin: hasBegun = true
        case .commit: hasCommitted = true
        case .abort:
            if isContradicted { fail("a payment that a database shows as committed is aborted by presumption") }
            hasAborted = true
        case .park: isParked = true
        case .end:
            if isParked { fail("END of what waits for an operator") }
            let isDone = databases.allSatisfy { $0.state != .prepared }
            if !isDone, interferences == 0 { fail("END while a branch is prepared") }
            if hasCommitted, network.state != .confirmed, interferences == 0 {
                fail("END of a commit that the network has not confirmed")
            }
        case .acknowledged, .reversalRefused, .closeReversal, .parkReversal, .fenceAttempted, .fenceConfirmed,
            .databaseSeen, .resolve, .adopt, .reopen, .releaseReversal, .releaseQuarantined, .reconcile:
            break
        }
        if hasCommitted, hasAborted { fail("the decision changed") }
    }

    // MARK: - Judgement

    /// Checks a world in which nothing moves any more unless something else goes wrong.
    mutating func judgeAtRest() {
        if let machine, !machine.waitsForOperator { fail("it never ends: it waits for nothing") }
        if interferences > 0 { return judgeInterfered() }
        if log.active != nil { fail("the log has it unfinished, and nobody works on it") }
        if log.reversal != nil { fail("a reversal is open, and nobody sends it") }
        let committed = databases.count { $0.state == .committed }
        if databases.contains(where: { $0.state == .prepared }) { fail("a prepared branch is left behind") }
        if committed != 0, committed != databases.count { fail("committed in some databases and not in others") }
        if network.state == .held { fail("a hold is left behind") }
        if (committed > 0) != (network.state == .confirmed) { fail("payment and money do not agree") }
        if hasApproved != (committed > 0) { fail("APPROVED and the databases do not agree") }
        if hasCommitted != (committed > 0) { fail("the decision and the databases do not agree") }
        if hasBegun, !hasAnswered { fail("the client was told nothing") }
    }

    /// Somebody resolved a branch by hand: what is left may only be what waits for an operator.
    private mutating func judgeInterfered() {
        if let active = log.active {
            if !active.isParked { fail("the log has it unfinished and not parked, and nobody works on it") }
            if active.decision == .undecided, network.state == .released {
                fail("the money of a committed payment was given back without a decision")
            }
        } else if databases.contains(where: { $0.state == .prepared }) {
            fail("a prepared branch is left behind")
        }
    }
}
