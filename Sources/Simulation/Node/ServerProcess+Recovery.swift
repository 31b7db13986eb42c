import Coordinator
import Payments
import Runtime

/// Looking at the world, planning, and acting on the plan: the same looks in the same order as the real server's, as events.
extension ServerProcess {
    /// - Parameter isServing: whether payments are taken meanwhile.
    func plan(isServing: Bool, _ completion: @escaping (RecoveryPlan) -> Void) {
        let survey = Survey()
        take(survey.begin(), survey, isServing: isServing, completion)
    }

    private func take(
        _ step: Survey.Step, _ survey: Survey, isServing: Bool, _ completion: @escaping (RecoveryPlan) -> Void
    ) {
        var survey = survey
        switch step {
        case .readLog:
            let next = survey.logRead(node.disk.image.snapshot)
            after(0) { [self, survey] in take(next, survey, isServing: isServing, completion) }
        case .lookAtDatabases(let transactions):
            gather(witnessesOf: transactions) { [self] seen in
                let next = survey.databasesSeen(seen, isServing: isServing)
                take(next, survey, isServing: isServing, completion)
            }
        case .readHistory(let transactions):
            take(
                survey.historyRead(node.disk.image.ended(transactions)), survey, isServing: isServing, completion)
        case .judge(let input):
            guard case .broken(let loss) = input.snapshot.continuity else { return completion(RecoveryPlan(input)) }
            gatherEvidence(input, loss, completion)
        }
    }

    /// Looks at all databases at the same time; one that is silent counts as unreachable.
    func gather(
        witnessesOf transactions: [TransactionID],
        _ completion: @escaping ([DatabaseIndex: DatabaseObservation.State]) -> Void
    ) {
        var seen: [DatabaseIndex: DatabaseObservation.State] = [:]
        let count = databases.count
        for database in databases {
            var isOver = false
            let take = { (state: DatabaseObservation.State) in
                guard !isOver else { return }
                isOver = true
                seen[database.index] = state
                if seen.count == count { completion(seen) }
            }
            after(Self.lookTime) { take(.unreachable("no answer in time")) }
            database.observe(witnessesOf: transactions, completion: take)
        }
    }

    // MARK: - A lost tail

    private func gatherEvidence(
        _ input: RecoveryPlan.Input, _ loss: LogBreak, _ completion: @escaping (RecoveryPlan) -> Void
    ) {
        readRows(databases[...], TailEvidence(input, loss)) { [self] evidence in
            let lookAgain = { [self] (next: @escaping (TailEvidence) -> Void) in
                guard !evidence.listed.isEmpty else { return next(evidence) }
                gather(witnessesOf: evidence.listed) { seen in
                    var evidence = evidence
                    evidence.seen(seen)
                    next(evidence)
                }
            }
            lookAgain { [self] evidence in
                ask(evidence.questions[...], [:]) { statuses in
                    var evidence = evidence
                    evidence.told(statuses)
                    completion(RecoveryPlan(evidence.completing(input)))
                }
            }
        }
    }

    private func readRows(
        _ rest: ArraySlice<SimulatedDatabase>, _ evidence: TailEvidence,
        _ completion: @escaping (TailEvidence) -> Void
    ) {
        guard let database = rest.first else { return completion(evidence) }
        let epoch = evidence.firstLostEpoch
        database.runControl { [log] server, _, reply in
            reply(.payments(server.paymentRows(of: log.log, since: epoch)))
        } completion: { [self] end in
            var evidence = evidence
            if case .replied(.payments(let rows)) = end {
                for row in rows {
                    evidence.found(
                        row, in: database.index, entry: node.disk.image.requests[row.intent.requestID])
                }
            } else {
                evidence.cannotRead(database.index, "no answer")
            }
            readRows(rest.dropFirst(), evidence, completion)
        }
    }

    private func ask(
        _ rest: ArraySlice<TransactionID>, _ statuses: [TransactionID: ClearingStatus],
        _ completion: @escaping ([TransactionID: ClearingStatus]) -> Void
    ) {
        guard let transaction = rest.first else { return completion(statuses) }
        clearing.status(transaction) { [self] status in
            var statuses = statuses
            statuses[transaction] = status
            ask(rest.dropFirst(), statuses, completion)
        }
    }

    /// Declares the log whole again if the plan left nothing of the lost tail open.
    func settleContinuity(after plan: RecoveryPlan, refused: Int, _ completion: @escaping () -> Void) {
        guard isReconciling, plan.settlesContinuity, refused == 0 else { return completion() }
        let warrant = Warrant(.evidence, actor: "recovery", reason: "everybody was asked")
        let done = Passed(completion)
        coordinator.order(.reconcile(warrant)) { [self] result in
            if case .success = result {
                isReconciling = false
                world.note(nil, 270, "the log is reconciled")
            }
            done.call(())
        }
    }

    // MARK: - Acting

    /// Hands a plan to the coordinator.
    func carryOut(_ plan: RecoveryPlan, _ completion: @escaping (Int) -> Void) {
        let done = Passed(completion)
        coordinator.carryOut(plan) { done.call($0) }
    }

    /// The periodic pass of a running server. One at a time.
    func periodicPass(_ completion: @escaping () -> Void) {
        guard !passIsRunning else { return completion() }
        passIsRunning = true
        let done = { [self] in
            passIsRunning = false
            completion()
        }
        verifyCommits { [self] in
            recordPositions(databases[...]) { [self] in
                checkTails { [self] in
                    guard isReconciling else {
                        return plan(isServing: true) { [self] plan in
                            world.checker.planned(plan, by: self, isServing: true)
                            carryOut(plan.onlyStrays) { _ in done() }
                        }
                    }
                    plan(isServing: false) { [self] plan in
                        world.checker.planned(plan, by: self, isServing: false)
                        carryOut(plan) { [self] refused in
                            settleContinuity(after: plan, refused: refused) { done() }
                        }
                    }
                }
            }
        }
    }

    private func recordPositions(_ rest: ArraySlice<SimulatedDatabase>, _ completion: @escaping () -> Void) {
        guard let database = rest.first else { return completion() }
        database.recordPosition { [self] in recordPositions(rest.dropFirst(), completion) }
    }

    // MARK: - Tails

    /// Whether the log may have forgotten the transaction, so that its row says nothing.
    private static func mayHaveBeenTrimmed(_ transaction: TransactionID, until trimmed: WallTime?) -> Bool {
        guard let trimmed else { return false }
        return Int64(transaction.high >> 16) * 1000 <= trimmed.microseconds
    }

    /// Looks at every database once, when it is there for the first time, for payments of this log that the log does not know.
    func checkTails(_ completion: @escaping () -> Void) {
        let due = databases.filter { $0.isAvailable && !tailsChecked.contains($0.index) }
        guard !isReconciling, let database = due.first else { return completion() }
        let window = Milliseconds(min(3_600_000, world.scenario.settings.retention.count / 2))
        database.runControl { [log] server, _, reply in
            reply(.payments(server.newestRows(of: log.log, within: window)))
        } completion: { [self] end in
            guard case .replied(.payments(let rows)) = end else { return completion() }
            let image = node.disk.image
            for row in rows
            where row.epoch < pair.epoch && row.epoch >= image.wholeSince ?? row.epoch
                && image.active[row.transaction] == nil
                && !Self.mayHaveBeenTrimmed(row.transaction, until: image.age.trimmedUntil)
            {
                let isKnown =
                    image.requests[row.intent.requestID]?.transaction == row.transaction
                    || image.ended([row.transaction])[row.transaction] != nil
                guard isKnown else { return node.refuseStart("\(row.transaction) is committed and not in the log") }
            }
            tailsChecked.insert(database.index)
            checkTails(completion)
        }
    }
}
