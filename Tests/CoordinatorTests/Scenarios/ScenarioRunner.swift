import Coordinator
import Payments

/// Plays a scenario's events to a machine, with a durable log beside it.
///
/// Events:
/// - `new [AUTH|CAPTURE|REFUND|REVERSAL] [databases=1|2]`: a new transaction, number 1.
/// - `durable [STEP]`: the log takes the first step on its way (or the one named) as its rules say.
/// - `refused full|claimed [STEP]`: it does not.
/// - `vote P yes [CODE] | no declined|unavailable|contended|conflict | no made-by N | unknown`
/// - `looked-up nothing | made-by N | conflict | unknown`: the payment's database has been asked for the request_id.
/// - `deadline`
/// - `resolved P done|witness|absence|heuristic|open`
/// - `retry P` or `retry STEP`: a wait is over.
/// - `crash`: the process is gone, with what was on its way to the log. `restart`: another takes up what the log holds.
/// - `beside commit|abort`: the log holds a decision that this process did not make. `forget`: the transaction is gone from
///   the log. `park P`: the log holds a parking that this process did not make.
/// - `state`: what people see.
struct ScenarioRunner {
    struct Nonsense: Error, CustomStringConvertible {
        let event: String
        let why: String
        var description: String { "'\(event)': \(why)" }
    }

    private var machine: TransactionMachine?
    private var log = ModelLog()
    private var begin = Samples.begin()
    private var pending: [(write: LogWrite, urgency: LogUrgency)] = []
    private var retries: [RetrySubject] = []
    private var asked: Set<Participant> = []
    private var told: Set<Participant> = []

    /// - Returns: what the machine wants done, a line each.
    mutating func play(_ event: String) throws -> [String] {
        let words = event.split(separator: " ").map(String.init)
        let rest = Array(words.dropFirst())
        let effects: [Effect]
        switch words.first {
        case "new": effects = try begin(rest, event)
        case "durable": effects = try takeStep(rest, event)
        case "refused": effects = try refuseStep(rest, event)
        case "vote": effects = try vote(rest, event)
        case "looked-up": effects = try lookUp(rest, event)
        case "deadline": effects = try onMachine(event) { $0.deadlinePassed(now: WallTime(microseconds: 0)) }
        case "resolved": effects = try resolve(rest, event)
        case "retry": effects = try retry(rest, event)
        case "crash":
            machine = nil
            pending = []
            retries = []
            return ["down"]
        case "restart": return try restart(event)
        case "beside", "forget", "park":
            try changeLog(words, event)
            return ["nothing"]
        case "state": return [try state(event)]
        default: throw Nonsense(event: event, why: "no such event")
        }
        return take(effects)
    }

    private mutating func take(_ effects: [Effect]) -> [String] {
        for effect in effects {
            switch effect {
            case .append(let write, let urgency): pending.append((write, urgency))
            case .prepare(let order): asked.insert(order.branch.participant)
            case .resolve(let order, _): told.insert(order.branch.participant)
            case .scheduleRetry(let subject, _): retries.append(subject)
            case .lookUp, .enqueueReversal, .answer, .releaseClaim, .finished: break
            }
        }
        return effects.isEmpty ? ["nothing"] : effects.map(EffectText.line)
    }

    // MARK: - Beginning and restarting

    private mutating func begin(_ words: [String], _ event: String) throws -> [Effect] {
        var kind = OperationKind.authorization
        var databases = 1
        for word in words {
            if let named = OperationKind(wireName: word) {
                kind = named
            } else if word == "databases=2" {
                databases = 2
            } else if word != "databases=1" {
                throw Nonsense(event: event, why: "no such operation")
            }
        }
        begin = Samples.begin(kind: kind, databases: databases)
        let new = TransactionMachine(begin: begin, decideBy: MonotonicTime(nanoseconds: 1), timing: Samples.timing)
        machine = new
        return new.start()
    }

    private mutating func restart(_ event: String) throws -> [String] {
        guard machine == nil else { throw Nonsense(event: event, why: "the process is not down") }
        var lines: [String] = []
        if let task = log.reversal, task.parkedReason == nil { lines.append("the log has an open reversal") }
        guard let active = log.active else { return lines + ["the log has nothing unfinished"] }
        let (resumed, effects) = TransactionMachine.resume(
            active, timing: Samples.timing, now: WallTime(microseconds: 0))
        machine = resumed
        return lines + take(effects)
    }

    // MARK: - The log

    private mutating func takeStep(_ words: [String], _ event: String) throws -> [Effect] {
        let step = try nextStep(words, event)
        let result = log.take(step.write)
        return try onMachine(event) { machine in
            switch result {
            case .success(let receipt): machine.logged(step.write, receipt)
            case .failure(let refusal): machine.refused(step.write, urgency: step.urgency, refusal)
            }
        }
    }

    private mutating func refuseStep(_ words: [String], _ event: String) throws -> [Effect] {
        let refusal: LogRefusal
        switch words.first {
        case "full": refusal = .full
        case "claimed":
            refusal = .requestClaimed(
                RequestEntry(
                    transaction: Samples.transactionID(7), intent: begin.intent, status: .preparing))
        default: throw Nonsense(event: event, why: "no such refusal")
        }
        let step = try nextStep(Array(words.dropFirst()), event)
        return try onMachine(event) { $0.refused(step.write, urgency: step.urgency, refusal) }
    }

    private mutating func nextStep(
        _ words: [String], _ event: String
    ) throws -> (write: LogWrite, urgency: LogUrgency) {
        let name = words.joined(separator: " ")
        guard let index = pending.firstIndex(where: { name.isEmpty || EffectText.name($0.write) == name }) else {
            throw Nonsense(event: event, why: "no such step is on its way to the log")
        }
        return pending.remove(at: index)
    }

    private mutating func changeLog(_ words: [String], _ event: String) throws {
        switch words {
        case ["beside", "commit"]:
            _ = log.take(.commit(CommitRecord(transaction: begin.transaction, authorizationCode: "")))
        case ["beside", "abort"]:
            _ = log.take(
                .abort(
                    AbortRecord(
                        transaction: begin.transaction, reason: .commitFailed, claim: .declined,
                        reversal: Samples.reversal())))
        case ["forget"]: log.forget()
        default:
            guard words.count == 2, words[0] == "park" else { throw Nonsense(event: event, why: "no such change") }
            let record = ParkedRecord(
                transaction: begin.transaction, participant: try participant(words[1], event), evidence: "seen")
            guard case .success = log.take(.park(record)) else {
                throw Nonsense(event: event, why: "the log has no such transaction")
            }
        }
    }

    // MARK: - Participants

    private mutating func vote(_ words: [String], _ event: String) throws -> [Effect] {
        guard words.count >= 2 else { throw Nonsense(event: event, why: "whose vote, and which?") }
        let voter = try participant(words[0], event)
        guard asked.contains(voter) else { throw Nonsense(event: event, why: "it was not asked") }
        let vote: Vote
        switch Array(words.dropFirst()) {
        case ["yes"]: vote = .yes(authorizationCode: "")
        case ["unknown"]: vote = .unknown("no answer")
        case ["no", "declined"]: vote = .no(.declined("insufficient funds"))
        case ["no", "unavailable"]: vote = .no(.unavailable("no connection"))
        case ["no", "contended"]: vote = .no(.contended)
        case ["no", "conflict"]: vote = .no(.conflict)
        case let more where more.count == 2 && more[0] == "yes": vote = .yes(authorizationCode: more[1])
        case let more where more.count == 3 && more[..<2] == ["no", "made-by"]:
            guard let number = UInt64(more[2]) else { throw Nonsense(event: event, why: "which transaction?") }
            vote = .no(.madeBy(Samples.transactionID(number)))
        default: throw Nonsense(event: event, why: "no such vote")
        }
        return try onMachine(event) { $0.voted(voter, vote, now: WallTime(microseconds: 0)) }
    }

    private mutating func lookUp(_ words: [String], _ event: String) throws -> [Effect] {
        let prior: PriorPayment
        switch words {
        case ["nothing"]: prior = .none
        case ["conflict"]: prior = .conflict
        case ["unknown"]: prior = .unknown("no answer")
        case let more where more.count == 2 && more[0] == "made-by":
            guard let number = UInt64(more[1]) else { throw Nonsense(event: event, why: "which transaction?") }
            prior = .madeBy(Samples.transactionID(number))
        default: throw Nonsense(event: event, why: "no such answer")
        }
        return try onMachine(event) { $0.lookedUp(prior, now: WallTime(microseconds: 0)) }
    }

    private mutating func resolve(_ words: [String], _ event: String) throws -> [Effect] {
        guard words.count == 2 else { throw Nonsense(event: event, why: "who, and how?") }
        let participant = try participant(words[0], event)
        guard told.contains(participant) else { throw Nonsense(event: event, why: "it was not told") }
        let resolution: Resolution
        switch words[1] {
        case "done": resolution = .done(.acknowledgement)
        case "witness": resolution = .done(.witness)
        case "absence": resolution = .done(.absence)
        case "heuristic": resolution = .heuristic("it did otherwise")
        case "open": resolution = .open("no answer")
        default: throw Nonsense(event: event, why: "no such resolution")
        }
        return try onMachine(event) { $0.resolved(participant, resolution) }
    }

    private mutating func retry(_ words: [String], _ event: String) throws -> [Effect] {
        let name = words.joined(separator: " ")
        guard let index = retries.firstIndex(where: { EffectText.name($0) == name }) else {
            throw Nonsense(event: event, why: "no such retry was scheduled")
        }
        let subject = retries.remove(at: index)
        return try onMachine(event) { $0.retryDue(subject) }
    }

    private func participant(_ name: String, _ event: String) throws -> Participant {
        guard let branch = begin.branches.first(where: { $0.participant.description == name }) else {
            throw Nonsense(event: event, why: "no such participant")
        }
        return branch.participant
    }

    // MARK: - The machine

    private func state(_ event: String) throws -> String {
        guard let machine else { throw Nonsense(event: event, why: "the process is down") }
        return (machine.isUndecided ? "undecided" : "decided")
            + (machine.waitsForOperator ? ", waits for an operator" : "")
    }

    private mutating func onMachine(
        _ event: String, _ body: (inout TransactionMachine) -> [Effect]
    ) throws -> [Effect] {
        guard var running = machine else { throw Nonsense(event: event, why: "the process is down") }
        let effects = body(&running)
        machine = running
        return effects
    }
}
