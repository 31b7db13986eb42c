import ClearingParticipant
public import Coordinator
import NIOCore
import Payments
import PostgresParticipant
import Runtime
import Telemetry
import WAL

/// Looking at the world, planning, and acting on the plan.
extension Node {
    /// The plan for everything that is unfinished now.
    ///
    /// - Parameter isServing: whether payments are taken meanwhile; what began in this epoch is then left alone.
    public func plan(isServing: Bool) async throws -> RecoveryPlan {
        try await Observation.plan(
            databases, loop: anyLoop, isLive: { isServing }, snapshot: log.snapshot,
            ended: { [log] in try log.ended($0) },
            lookUp: { [log] in try log.lookUp($0) }, askNetwork: askNetwork)
    }

    /// What the network says of a transaction.
    @Sendable func askNetwork(_ transaction: TransactionID) async -> ClearingStatus {
        if faults.fails(ParticipantPoint.statusSend) { return .unreachable("injected") }
        let status = await withCheckedContinuation { continuation in
            clearing.status(transaction) { continuation.resume(returning: $0) }
        }
        return faults.fails(ParticipantPoint.statusReply) ? .unreachable("injected") : status
    }

    /// Declares the log whole again if the plan, which has been carried out, left nothing of the lost tail open.
    ///
    /// - Parameter refused: how many of its decisions the log did not take, for want of room for instance.
    /// - Returns: whether the log is whole.
    @discardableResult
    public func settleContinuity(after plan: RecoveryPlan, refused: Int) async -> Bool {
        guard isReconciling else { return true }
        guard plan.settlesContinuity, refused == 0 else {
            events.emit(
                .warning, .recovery,
                .message(
                    "this log has lost its tail and is being reconciled; no payments are taken before every database and the "
                        + "network have told what was in it: see recover --dry-run"))
            return false
        }
        let adopted = plan.adoptions.count
        let decided = plan.transactions.count { $0.verdict == .commitOnEvidence || $0.verdict == .abortOnEvidence }
        let words =
            "every database and the network were asked; \(adopted) transactions without a record, \(decided) decided"
        let warrant = Warrant(.evidence, actor: "recovery", reason: words)
        let result = await withCheckedContinuation { continuation in
            coordinator.order(.reconcile(warrant)) { continuation.resume(returning: $0) }
        }
        guard case .success = result else {
            events.emit(.error, .recovery, .message("the log could not be declared whole: \(result)"))
            return false
        }
        faults.hit(.reconciled)
        endReconciling()
        events.emit(.info, .recovery, .message("the log is reconciled: \(words)"))
        return true
    }

    /// Returns when everything written so far is durable.
    public func flushLog() async {
        await withCheckedContinuation { continuation in log.flush { continuation.resume() } }
    }

    /// Hands the plan to the coordinator; returns when every decision is in the log.
    ///
    /// - Returns: how many decisions by evidence the log did not take; the next look finds those again.
    @discardableResult
    public func carryOut(_ plan: RecoveryPlan) async -> Int {
        faults.hit(.planMade)
        return await withCheckedContinuation { continuation in
            coordinator.carryOut(plan) { continuation.resume(returning: $0) }
        }
    }

    /// Waits until nothing is left to deliver, at most as long as given.
    ///
    /// - Returns: whether that is so.
    public func waitUntilIdle(atMost limit: Milliseconds, includingReversals: Bool) async -> Bool {
        await withTimeout(limit, on: anyLoop, otherwise: false) { done in
            coordinator.whenIdle(includingReversals: includingReversals) { done(true) }
        }
    }

    /// The periodic pass of a running server: branches that nobody explains are reported, those of ended transactions are carried out
    /// again, and what is unfinished is told.
    public func periodicPass() async {
        await passes.enter()
        defer { passes.leave() }
        faults.hit(.passBegun)
        await verifyCommits(atMost: Self.verificationWait)
        await recordPositions()
        let clocks = await clockConcerns()
        do {
            // Whatever was away at the start is looked at when it is there.
            try await refuseOlderCopy()
            if isReconciling {
                let plan = try await plan(isServing: false)
                let refused = await carryOut(plan)
                await settleContinuity(after: plan, refused: refused)
                return note(plan, clocks)
            }
            let plan = try await plan(isServing: true)
            await carryOut(plan.onlyStrays)
            note(plan, clocks)
        } catch let refusal as StartRefusal {
            // What was decided since this copy was taken is not in it: nothing more may be decided by it.
            onUnusable(refusal.message)
        } catch {
            events.emit(.error, .recovery, .message("the periodic pass failed: \(error)"))
        }
    }

    /// How long one pass waits for the commits of a database that went back in time; the verification goes on beside the next ones.
    private static let verificationWait = Milliseconds.seconds(2)

    /// Drops what is older than the retention, and what dead readers kept from being used again.
    public func tidyLog() async {
        do {
            try log.clearStaleReaders()
        } catch {
            events.emit(.warning, .log, .message("\(error)"))
        }
        var trimmed = 0
        while !Task.isCancelled {
            let dropped = await withCheckedContinuation { continuation in
                log.trim(retention: settings.coordinator.retention, stepsMax: Self.trimStepsMax) {
                    continuation.resume(returning: $0)
                }
            }
            trimmed += dropped
            if dropped == 0 { break }
        }
        if trimmed > 0 { events.emit(.info, .log, .count("trimmed", trimmed)) }
    }

    /// Records that one trim looks at.
    private static let trimStepsMax = 50_000
}

/// How the databases are looked at, by owners and by those who only look.
enum Observation {
    /// How long one look may take.
    static let timeMax = Milliseconds.seconds(3)

    /// Looks at the databases and the log in the order of a ``Survey``, and judges.
    ///
    /// - Parameters:
    ///   - isLive: whether a server works on the log now; asked after each look at the databases.
    ///   - ended: ended transactions from the history.
    ///   - lookUp: what the log knows of a request_id.
    ///   - askNetwork: asked where the log cannot tell.
    static func plan(
        _ databases: [PostgresDatabase], loop: any EventLoop, isLive: () -> Bool,
        snapshot read: () throws -> LogSnapshot,
        ended: (Set<TransactionID>) throws -> [TransactionID: ActiveTransaction],
        lookUp: @escaping @Sendable (RequestID) throws -> RequestEntry?,
        askNetwork: @escaping @Sendable (TransactionID) async -> ClearingStatus
    ) async throws -> RecoveryPlan {
        var survey = Survey()
        var step = survey.begin()
        while true {
            switch step {
            case .readLog: step = survey.logRead(try read())
            case .lookAtDatabases(let transactions):
                let seen = await gather(databases, witnessesOf: transactions, loop: loop)
                step = survey.databasesSeen(seen, isServing: isLive())
            // All at once: what one search costs may depend on the history, so there is never more than one.
            case .readHistory(let transactions): step = survey.historyRead(try ended(transactions))
            case .judge(let input):
                guard case .broken(let loss) = input.snapshot.continuity else { return RecoveryPlan(input) }
                // No payment is taken meanwhile, so nothing of it is in flight.
                let gatherer = EvidenceGatherer(
                    databases: databases, loop: loop, askNetwork: askNetwork, lookUp: lookUp)
                let evidence = await gatherer.gather(input, loss)
                return RecoveryPlan(evidence.completing(input))
            }
        }
    }

    /// Waits until every database is available or has failed for the first time.
    static func awaitFirstAttempts(
        _ databases: [PostgresDatabase], atMost limit: Milliseconds, loop: any EventLoop
    ) async {
        await withTaskGroup(of: Void.self) { group in
            for database in databases {
                group.addTask {
                    await withTimeout(limit, on: loop, otherwise: ()) { done in
                        database.firstAttempt { _ in done(()) }
                    }
                }
            }
        }
    }

    /// Looks at all databases at the same time; one that is silent for ``timeMax`` counts as unreachable.
    static func gather(
        _ databases: [PostgresDatabase], witnessesOf transactions: [TransactionID], loop: any EventLoop
    ) async -> [DatabaseIndex: DatabaseObservation.State] {
        await withTaskGroup(of: DatabaseObservation.self) { group in
            for database in databases {
                group.addTask {
                    let silent = DatabaseObservation(
                        database: database.index, state: .unreachable("no answer within \(timeMax)"))
                    return await withTimeout(timeMax, on: loop, otherwise: silent) { done in
                        database.observe(witnessesOf: transactions) { done($0) }
                    }
                }
            }
            var states: [DatabaseIndex: DatabaseObservation.State] = [:]
            for await observation in group { states[observation.database] = observation.state }
            return states
        }
    }
}
