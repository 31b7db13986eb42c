import Coordinator
import Glibc

/// A preflight's steps on the control connection, one after the other.
extension DatabaseCore {
    func diagnose(
        _ probeAge: Milliseconds,
        _ completion: @escaping @Sendable (Result<PostgresDiagnosis, PostgresDiagnosisError>) -> Void
    ) {
        guard case .ready = controlPhase, let facts else { return completion(.failure(whyNotReady)) }
        runControl(DiagnosisStatements.questions(of: logID)) { [unowned self] report in
            guard report.end == .complete else {
                return completion(.failure(PostgresDiagnosisError(.unreachable, report.failure ?? "no answer")))
            }
            var diagnosis = PostgresDiagnosis(identity: facts.identity, timeline: facts.position?.timeline)
            diagnosis.read(report.results)
            measureClock(diagnosis, samplesLeft: PostgresLimits.clockSamples) { [self] in
                removeLeftovers($0, olderThan: probeAge) { [self] in
                    probe($0) { completion(.success($0)) }
                }
            }
        }
    }

    private var whyNotReady: PostgresDiagnosisError {
        switch state {
        case .refused(let reason), .fencedOut(let reason): PostgresDiagnosisError(.refused, reason)
        case .away(Setup.standby): PostgresDiagnosisError(.standby, Setup.standby)
        case .away(let reason): PostgresDiagnosisError(.unreachable, reason)
        case .idle, .connecting, .available, .closed: PostgresDiagnosisError(.unreachable, whyControlIsAway)
        }
    }

    // MARK: The clock

    /// The sample with the shortest round trip says most.
    private func measureClock(
        _ diagnosis: PostgresDiagnosis, samplesLeft: Int, _ next: @escaping (PostgresDiagnosis) -> Void
    ) {
        guard samplesLeft > 0 else { return next(diagnosis) }
        clockOffset { [unowned self] offset in
            guard let offset else { return next(diagnosis) }
            var diagnosis = diagnosis
            if offset.boundMicroseconds < diagnosis.clock?.boundMicroseconds ?? .max { diagnosis.clock = offset }
            measureClock(diagnosis, samplesLeft: samplesLeft - 1, next)
        }
    }

    /// One look at the clock; `nil` if it could not be read.
    func clockOffset(_ completion: @escaping (PostgresDiagnosis.ClockOffset?) -> Void) {
        let (wall, start) = (Self.wallMicroseconds(), Self.monotonicMicroseconds())
        runControl([DiagnosisStatements.clock]) { report in
            let roundTrip = max(0, Self.monotonicMicroseconds() - start)
            guard report.failure == nil, let there = report.results[0].rows?.first?.first.flatMap({ $0 }),
                let there = Int64(there)
            else { return completion(nil) }
            completion(
                PostgresDiagnosis.ClockOffset(
                    microseconds: there - wall - roundTrip / 2, boundMicroseconds: (roundTrip + 1) / 2))
        }
    }

    private static func wallMicroseconds() -> Int64 { microseconds(CLOCK_REALTIME) }
    private static func monotonicMicroseconds() -> Int64 { microseconds(CLOCK_MONOTONIC) }

    private static func microseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    // MARK: What an earlier preflight left

    /// Those that this role can remove and that are older than any preflight runs.
    private func removeLeftovers(
        _ diagnosis: PostgresDiagnosis, olderThan age: Milliseconds, _ next: @escaping (PostgresDiagnosis) -> Void
    ) {
        let listed = diagnosis.prepared.compactMap { prepared in
            ProbeName(prepared.gid).map { (name: $0, prepared: prepared) }
        }
        var diagnosis = diagnosis
        var removable: [ProbeName] = []
        for (name, prepared) in listed where prepared.age >= age {
            if prepared.databaseName != diagnosis.role?.databaseName {
                let reason = "it is in database \(prepared.databaseName)"
                diagnosis.leftovers.append(.init(gid: prepared.gid, keptBecause: reason))
            } else if prepared.owner != diagnosis.role?.name, diagnosis.role?.isSuperuser != true {
                let reason = "it belongs to role \(prepared.owner)"
                diagnosis.leftovers.append(.init(gid: prepared.gid, keptBecause: reason))
            } else {
                removable.append(name)
            }
        }
        remove(removable[...], diagnosis, next)
    }

    private func remove(
        _ names: ArraySlice<ProbeName>, _ diagnosis: PostgresDiagnosis, _ next: @escaping (PostgresDiagnosis) -> Void
    ) {
        guard let name = names.first else { return next(diagnosis) }
        let deadline = EventLoop.now() + PostgresLimits.probeCleanupMax
        removeProbe(name, until: deadline) { [unowned self] failure in
            var diagnosis = diagnosis
            diagnosis.leftovers.append(.init(gid: name.description, keptBecause: failure))
            remove(names.dropFirst(), diagnosis, next)
        }
    }

    // MARK: The probe

    private func probe(_ diagnosis: PostgresDiagnosis, _ next: @escaping (PostgresDiagnosis) -> Void) {
        let name = ProbeName.random()
        let start = Self.monotonicMicroseconds()
        runControl(DiagnosisStatements.probe(name), within: PostgresLimits.probeTimeout) { [unowned self] report in
            let outcome = Self.outcome(of: report, microseconds: Self.monotonicMicroseconds() - start)
            func end(isLeft: Bool) {
                var diagnosis = diagnosis
                diagnosis.probe = .init(gid: name.description, outcome: outcome, isLeft: isLeft)
                next(diagnosis)
            }
            if case .passed = outcome { return end(isLeft: false) }
            // Whatever the answer was, or if there was none: it must not stay.
            removeProbe(name, until: EventLoop.now() + PostgresLimits.probeCleanupMax) { end(isLeft: $0 != nil) }
        }
    }

    static func outcome(of report: JobReport, microseconds: Int64) -> PostgresDiagnosis.Probe.Outcome {
        switch report.end {
        case .broken(let reason): return .unclear(reason)
        case .notSent(let reason): return .unclear("it could not be sent: \(reason)")
        case .complete: break
        }
        if report.hasStandbyWarning { return .unclear("the wait for a synchronous standby was given up") }
        guard let failure = report.failure else { return .passed(microseconds: microseconds) }
        guard let error = report.firstError else { return .refused(failure) }
        return SQLState(error.code) == .connectionLost ? .unclear(error.description) : .refused(error.description)
    }

    /// Rolls a probe back until it is not listed, across lost connections.
    ///
    /// - Parameter completion: gets why it is left; `nil` if it is gone.
    private func removeProbe(
        _ name: ProbeName, until deadline: MonotonicTime, _ completion: @escaping (String?) -> Void
    ) {
        runControl(DiagnosisStatements.isListed(name), within: PostgresLimits.probeTimeout) { [unowned self] report in
            if report.failure == nil, report.results[0].rows?.isEmpty == true { return completion(nil) }
            func again(_ reason: String) {
                guard EventLoop.now() < deadline, !isOver else { return completion(reason) }
                _ = loop.schedule(after: PostgresLimits.probeCleanupPause) { [self] in
                    removeProbe(name, until: deadline, completion)
                }
            }
            if let failure = report.failure { return again(failure) }
            runControl(DiagnosisStatements.rollBack(name), within: PostgresLimits.probeTimeout) { report in
                // A success is believed only when the list does not show it any more.
                again(report.failure ?? "it is listed after its rollback")
            }
        }
    }
}
