import Coordinator

/// What the database's thread makes of its connections as they come and go.
extension DatabaseCore: LinkOwner {
    func connectionParameters(of link: DatabaseLink) -> [ConnectionParameter] {
        // An observer must not look like a backend that a server terminates.
        let name = owner.map { SessionStatements.applicationName(of: logID, $0.epoch) } ?? "holdfast-observer"
        return configuration.connectionParameters(applicationName: name)
    }

    func setupStatements(of link: DatabaseLink, serverVersion: Int) -> [Statement] {
        let settings = SessionStatements.settings(configuration, serverVersion: serverVersion)
        baselines[ObjectIdentifier(link)] = PositionBaseline(position: position, regressions: regressions)
        let isControl = link === control
        let fence = isControl ? [] : [SessionStatements.fenceRow(of: logID)]
        return [settings, SessionStatements.facts] + fence + [.query("SELECT 1", endsSegment: true)]
    }

    func judge(
        _ link: DatabaseLink, backendPID: Int32, serverVersion: Int, _ report: JobReport
    ) -> SetupVerdict {
        guard !isOver else { return .stop }
        switch Setup.judge(
            report, isControl: link === control, backendPID: backendPID, serverVersion: serverVersion,
            identity: fence.takesOver ? nil : fence.identity, fence: owner,
            preparedAdvised: configuration.preparedTransactionsAdvised)
        {
        case .sound(let facts):
            if link === control {
                self.facts = facts
            } else if !isSoundPosition(facts, since: baselines[ObjectIdentifier(link)]) {
                return .retry("the database may have gone back in time", after: PostgresLimits.regressionRetry)
            }
            return .use(facts.backend)
        case .notNow(let reason): return .retry(reason, after: nil)
        case .refused(let reason):
            if link === control {
                refuse(reason)
            } else if lastFatal != reason {
                // Every connection of the pool meets the same.
                lastFatal = reason
                events.note(.error, "\(index) \(link.name): \(reason)")
            }
            return .retry(reason, after: PostgresLimits.refusedRetry)
        case .fencedOut(let reason):
            fencedOut(reason)
            return .stop
        }
    }

    func linkIsIdle(_ link: DatabaseLink) {
        guard link === control else {
            offer(link)
            return updateAvailability()
        }
        switch controlPhase {
        case .away:
            controlPhase = .returning
            beginReturn()
        case .returning: break
        case .ready: nextControlJob()
        }
    }

    func linkIsLost(_ link: DatabaseLink, wasReady: Bool, _ reason: String) {
        guard !isOver else { return }
        if wasReady { events.note(.warning, "\(index) \(link.name) lost: \(reason)") }
        guard link === control else {
            forget(link)
            return updateAvailability(reason)
        }
        controlPhase = .away
        returnNumber += 1
        refuseControlJobs(reason)
        // Payments go on without control as long as the pool is sound.
        guard !isAvailable else { return }
        if state != .refused(reason) { setState(.away(reason)) }
        finishFirstAttempt(.failed(reason))
    }
}
