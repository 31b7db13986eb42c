package import Coordinator
package import Payments

/// What a log must hold after a number of steps of a workload: a second, simpler reckoning of the log's own rules.
package struct Ledger: Sendable {
    /// A transaction that has not ended.
    package struct Open: Sendable, Hashable {
        package enum Decision: Sendable, Hashable { case undecided, commit(CommitRecord), abort(AbortRecord) }
        package let number: UInt64
        package let begin: BeginRecord
        package var decision = Decision.undecided
        package var acknowledged: [Participant: Proof] = [:]
        package var parkings: [ParkedRecord] = []
    }

    /// What a step comes to.
    package enum Answer: String, Sendable, Hashable {
        case taken
        case requestClaimed = "request_claimed"
        case alreadyDecided = "already_decided"
        case notActive = "not_active"
        case noReversal = "no_reversal"
        case notResolvable = "not_resolvable"
        /// Any step may be refused for lack of space.
        case full
        case other
    }

    /// A record and when it was written; `nil` while nobody was told.
    package struct Entry: Sendable {
        package let record: LogRecord
        package let writtenAt: WallTime?
    }

    package let content: Content
    /// The record of LSN N + 1 is entry N of both together; the later ones apart, so that a copy is cheap.
    private var folded: [Entry] = []
    private var tail: [Entry] = []
    private static let tailMax = 256
    package private(set) var open: [TransactionID: Open] = [:]
    package private(set) var reversals: [TransactionID: ReversalTask] = [:]
    package private(set) var requests: [RequestID: RequestEntry] = [:]
    package private(set) var fences: [DatabaseIndex: DatabaseFence] = [:]
    package private(set) var owner: FencePair?
    /// Where the END of a finished transaction is, by its request_id.
    private(set) var ends: [RequestID: Int] = [:]
    /// Trims were asked for up to here.
    package private(set) var trimmedBefore = WallTime(microseconds: .min)

    package init(_ content: Content) { self.content = content }

    package var recordCount: Int { folded.count + tail.count }
    package func entry(_ index: Int) -> Entry { index < folded.count ? folded[index] : tail[index - folded.count] }

    /// To be called now and then.
    mutating func fold() {
        guard tail.count >= Self.tailMax else { return }
        folded += tail
        tail = []
    }

    package var epoch: Epoch { owner?.epoch ?? Epoch(rawValue: 0) }

    /// What the step comes to in this state.
    package func answer(to step: Step, of number: UInt64) -> Answer {
        let transaction = content.transaction(number)
        switch step {
        case .start, .fenceAttempted, .fenceConfirmed, .databaseSeen, .trim: return .taken
        case .begin:
            return requests[content.request(number)] == nil && open[transaction] == nil ? .taken : .requestClaimed
        case .commit, .abort:
            guard let state = open[transaction] else { return .notActive }
            return state.decision == .undecided ? .taken : .alreadyDecided
        case .park: return open[transaction] == nil ? .notActive : .taken
        case .acknowledged, .end: return (open[transaction]?.decision ?? .undecided) == .undecided ? .notActive : .taken
        case .resolve:
            guard let state = open[transaction] else { return .notActive }
            return state.parkings.isEmpty || state.decision == .undecided ? .notResolvable : .taken
        case .refuseReversal, .closeReversal, .parkReversal, .releaseReversal:
            return reversals[transaction] == nil ? .noReversal : .taken
        }
    }

    /// Whether a BEGIN may find its request_id free because trimming has dropped the claim.
    func isClaimTrimmed(_ asked: Transcript.Asked) -> Bool {
        asked.step == .begin && mayBeFree(content.request(asked.payment))
    }

    /// Why the answer is not that of the log's rules; `nil` if it may be.
    func fault(of answer: Answer, to asked: Transcript.Asked) -> String? {
        let expected = self.answer(to: asked.step, of: asked.payment)
        if answer == expected || answer == .full || (answer == .taken && isClaimTrimmed(asked)) { return nil }
        return "step \(asked.sequence) (\(asked.step.token) of payment \(asked.payment)) was answered "
            + "\(answer.rawValue), by the rules it is \(expected.rawValue)"
    }

    private func mayBeFree(_ request: RequestID) -> Bool {
        guard let end = ends[request], let writtenAt = entry(end).writtenAt else { return false }
        return writtenAt < trimmedBefore
    }

    /// The record that a taken step adds; `nil` for those that add none.
    package func record(of step: Step, of number: UInt64) -> LogRecord? {
        let transaction = content.transaction(number)
        switch step {
        case .start(let incarnation):
            return .serverStarted(FencePair(epoch: Epoch(rawValue: epoch.rawValue + 1), incarnation: incarnation))
        case .begin: return .begin(content.begin(number, epoch: epoch))
        case .commit: return .commit(content.commit(number))
        case .abort(let shape): return .abort(content.abort(number, shape))
        case .acknowledged(let participant): return .acknowledged(content.acknowledged(number, participant))
        case .end(let outcome): return .end(content.end(number, outcome))
        case .park(let participant): return .parked(content.park(number, participant))
        case .resolve:
            return .resolved(content.resolution(number, open[transaction]?.outcome ?? .committed))
        case .refuseReversal(let count): return .reversalRefused(content.refusal(number, count))
        case .closeReversal: return .reversalClosed(ReversalClosedRecord(transaction: transaction))
        case .parkReversal: return .reversalParked(content.parkedReversal(number))
        case .releaseReversal:
            return .reversalReleased(
                ReversalReleasedRecord(transaction: transaction, warrant: content.warrant(number)))
        case .fenceAttempted, .fenceConfirmed, .databaseSeen, .trim: return nil
        }
    }

    /// What is given to the log for a step; `nil` for a start and a trim.
    package func write(of step: Step, of number: UInt64) -> LogWrite? {
        switch step {
        case .start, .trim: return nil
        case .begin: return .begin(content.begin(number, epoch: epoch))
        case .commit: return .commit(content.commit(number))
        case .abort(let shape): return .abort(content.abort(number, shape))
        case .acknowledged(let participant): return .acknowledged(content.acknowledged(number, participant))
        case .end(let outcome): return .end(content.end(number, outcome))
        case .park(let participant): return .park(content.park(number, participant))
        case .resolve:
            let outcome = open[content.transaction(number)]?.outcome ?? .committed
            return .resolve(content.resolution(number, outcome), needsTwoPersons: false)
        case .refuseReversal(let count): return .reversalRefused(content.refusal(number, count))
        case .closeReversal: return .closeReversal(ReversalClosedRecord(transaction: content.transaction(number)))
        case .parkReversal: return .parkReversal(content.parkedReversal(number))
        case .releaseReversal:
            return .releaseReversal(
                ReversalReleasedRecord(transaction: content.transaction(number), warrant: content.warrant(number)))
        case .fenceAttempted(let database): return .fenceAttempted(database, pair(number))
        case .fenceConfirmed(let database):
            return .fenceConfirmed(database, content.identity(database), pair(number))
        case .databaseSeen(let database): return .databaseSeen(database, content.position(number))
        }
    }

    private func pair(_ number: UInt64) -> FencePair {
        FencePair(epoch: epoch, incarnation: Incarnation(rawValue: number))
    }

    /// Takes a step that the log has taken.
    package mutating func take(_ step: Step, of number: UInt64, writtenAt: WallTime?) {
        let transaction = content.transaction(number)
        if let record = record(of: step, of: number) { tail.append(Entry(record: record, writtenAt: writtenAt)) }
        switch step {
        case .start(let incarnation):
            owner = FencePair(epoch: Epoch(rawValue: epoch.rawValue + 1), incarnation: incarnation)
        case .begin:
            open[transaction] = Open(number: number, begin: content.begin(number, epoch: epoch))
            ends[content.request(number)] = nil
            requests[content.request(number)] = RequestEntry(
                transaction: transaction, intent: content.intent(number), status: .preparing)
        case .commit:
            open[transaction]?.decision = .commit(content.commit(number))
            claim(number, .committing)
        case .abort(let shape):
            let record = content.abort(number, shape)
            open[transaction]?.decision = .abort(record)
            reversals[transaction] = record.reversal
            settle(number, record)
        case .acknowledged(let participant):
            open[transaction]?.acknowledged[participant] = content.acknowledged(number, participant).proof
        case .end(let outcome):
            if case .abort(let record) = open[transaction]?.decision, open[transaction]?.parkings.isEmpty == false {
                settle(number, record)
            }
            if outcome == .committed { claim(number, .approved) }
            open[transaction] = nil
            if requests[content.request(number)]?.transaction == transaction {
                ends[content.request(number)] = recordCount - 1
            }
        case .park(let participant):
            open[transaction]?.parkings.removeAll { $0.participant == participant }
            open[transaction]?.parkings.append(content.park(number, participant))
            claim(number, .heuristic)
        case .resolve: resolve(number)
        case .refuseReversal(let count): reversals[transaction]?.refusals = count
        case .closeReversal: reversals[transaction] = nil
        case .parkReversal: reversals[transaction]?.parkedReason = content.parkedReversal(number).reason
        case .releaseReversal:
            reversals[transaction]?.parkedReason = nil
            reversals[transaction]?.refusals = 0
        case .fenceAttempted(let database):
            var fence = fences[database] ?? DatabaseFence(database: database)
            if !fence.attempted.contains(pair(number)) { fence.attempted.append(pair(number)) }
            fences[database] = fence
        case .fenceConfirmed(let database):
            let fence = fences[database] ?? DatabaseFence(database: database)
            fences[database] = fence.confirming(pair(number), at: content.identity(database), formerMax: 256)
        case .databaseSeen(let database):
            fences[database, default: DatabaseFence(database: database)].position = content.position(number)
        case .trim(let cutoff): trimmedBefore = max(trimmedBefore, cutoff)
        }
    }

    private mutating func resolve(_ number: UInt64) {
        let transaction = content.transaction(number)
        for participant in open[transaction]?.parkings.map(\.participant) ?? []
        where open[transaction]?.acknowledged[participant] != nil {
            open[transaction]?.acknowledged[participant] = .lost
        }
        open[transaction]?.parkings = []
        switch open[transaction]?.decision {
        case .commit: claim(number, .committing)
        case .abort(let record): settle(number, record)
        case .undecided, nil: break
        }
    }

    /// The request's entry is changed by its own transaction only.
    private mutating func claim(_ number: UInt64, _ status: RequestEntry.Status) {
        let (transaction, request) = (content.transaction(number), content.request(number))
        guard requests[request]?.transaction == transaction else { return }
        requests[request] = RequestEntry(transaction: transaction, intent: content.intent(number), status: status)
    }

    private mutating func settle(_ number: UInt64, _ abort: AbortRecord) {
        switch abort.claim {
        case .declined: claim(number, .declined(abort.reason))
        case .madeBy(let other): claim(number, .madeBy(other))
        case .released:
            let request = content.request(number)
            if requests[request]?.transaction == abort.transaction { requests[request] = nil }
        }
    }

    /// What a server does with an unfinished transaction after a start.
    package func continuation(of state: Open) -> [PaymentPlan.Planned] {
        var steps: [Step] = []
        let done = Set(state.acknowledged.filter { $0.value != .lost }.keys)
        let left = Content.participants.filter { !done.contains($0) }
        switch state.decision {
        case .undecided:
            return PaymentPlan.forced(.abort(.reversed))
                + PaymentPlan.lazy(left.filter { $0 != .clearing }.map { .acknowledged($0) } + [.end(.aborted)])
                + PaymentPlan.forced(.closeReversal)
        case .commit: steps = left.map { .acknowledged($0) } + [.end(.committed)]
        case .abort: steps = left.filter { $0 != .clearing }.map { .acknowledged($0) } + [.end(.aborted)]
        }
        return (state.parkings.isEmpty ? [] : PaymentPlan.forced(.resolve)) + PaymentPlan.lazy(steps)
            + (reversals[state.begin.transaction] == nil ? [] : PaymentPlan.forced(.closeReversal))
    }
}

extension Ledger.Open {
    package var outcome: Outcome {
        if case .abort = decision { .aborted } else { .committed }
    }
}
