import Coordinator

/// Looking at the fence without changing it.
extension DatabaseCore {
    // MARK: A server's own fence

    /// Looks at the fence at regular intervals: a server that has nothing to do, or whose connections nobody ended, is to notice that
    /// it was fenced out as well.
    func watchFence() {
        guard isFenced, fenceTimer == nil, !isOver else { return }
        fenceTimer = loop.schedule(after: PostgresLimits.fenceWatchInterval) { [weak self] in
            guard let self else { return }
            fenceTimer = nil
            guard !isOver else { return }
            // Without a control connection nothing is read; its return reads the fence before anything else.
            runControl([SessionStatements.fenceRow(of: logID, endsSegment: true)]) { [unowned self] report in
                if isStillFenced(report.results.first) { watchFence() }
            }
        }
    }

    /// Whether the fence, as it was just read, may still be ours. If it is not, this process is told so.
    ///
    /// - Parameter result: of ``SessionStatements/fenceRow(of:endsSegment:)``; an error proves nothing.
    func isStillFenced(_ result: StatementResult?) -> Bool {
        guard let result, case .fencedOut(let reason)? = Setup.judgeFence(result, owner) else { return true }
        fencedOut(reason)
        return false
    }

    // MARK: An observer's look

    /// What an observer sees is of use only if its log is the one that the database knows: a copy would explain the other's work
    /// away.
    func lookAtFence() {
        // Whoever takes over, or only tells what is there, does not mind whose it is.
        guard !fence.takesOver else { return observerIsReady() }
        step([SessionStatements.fenceRow(of: logID, endsSegment: true)]) { [unowned self] report in
            let undefinedTable = "42P01"
            switch report.results.first {
            case .ok(let rows):
                let row = rows.first.flatMap(SessionStatements.readFence)
                guard row != nil || rows.isEmpty else { return giveUp("the row in holdfast_fence cannot be read") }
                judgeObserved(row)
            case .failed(let error) where error.code == undefinedTable: judgeObserved(nil)
            case .failed, .unexpectedTag, .skipped, nil:
                fail("the fence could not be read: \(report.failure ?? "no answer")")
            }
        }
    }

    private func judgeObserved(_ row: FenceJudgement.Row?) {
        switch FenceJudgement.of(row, fence: fence, owner: nil, log: logID) {
        case .ours, .replace: observerIsReady()
        case .wentBack(let pair): noteRegression(.formerFence(pair)) { [unowned self] in observerIsReady() }
        case .refused(let message): giveUp(message)
        }
    }
}
