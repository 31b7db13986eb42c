import Coordinator

/// What the first replies on a new connection mean.
enum Setup: Equatable {
    case sound(ServerFacts)
    /// May be otherwise the next time.
    case notNow(String)
    /// An operator has to do something.
    case refused(String)
    /// Another server took the log over.
    case fencedOut(String)

    /// Why a server in recovery is not used.
    static let standby = "the server is a standby (in recovery)"

    /// - Parameters:
    ///   - report: of the settings, the facts and, for the pool, the fence.
    ///   - identity: the database that is expected; `nil` if this is the first time.
    ///   - fence: the pair that has to be there; `nil` for an observer, who prepares nothing.
    ///   - preparedAdvised: what `max_prepared_transactions` is advised to be where it is 0.
    static func judge(
        _ report: JobReport, isControl: Bool, backendPID: Int32, serverVersion: Int, identity: DatabaseIdentity?,
        fence: FencePair?, preparedAdvised: Int
    ) -> Setup {
        guard serverVersion >= PostgresLimits.serverVersionMin else {
            return .refused(
                "the server is PostgreSQL \(serverVersion / 10_000), and 12 or newer is needed: upgrade it")
        }
        // The facts come before anything that fails because of them.
        guard report.results.count > 1, let row = report.results[1].rows?.first else {
            return .notNow(report.failure ?? "no answer about the server")
        }
        guard let facts = ServerFacts(row) else {
            return .refused("the server's answer about itself cannot be read: is it PostgreSQL?")
        }
        guard facts.backend.pid == backendPID else {
            return .refused(
                "a connection pooler or proxy stands between (the server's process is \(facts.backend.pid), the connection "
                    + "was told \(backendPID)); two-phase commit needs the server itself: give its own address")
        }
        guard !facts.isInRecovery else { return .notNow(standby) }
        if let identity, identity != facts.identity {
            return .refused(
                "this is another database than before (system identifier/oid \(facts.identity), and the log knows "
                    + "\(identity)): point the setting at the former one again; if the database was moved by dump and "
                    + "restore, finish all payments on the former one first and start a new state directory")
        }
        if fence != nil, facts.preparedTransactionsMax < 1 {
            return .refused(
                "two-phase commit is switched off there: set `max_prepared_transactions = \(preparedAdvised)` in "
                    + "postgresql.conf and restart PostgreSQL")
        }
        if !isControl, report.results.count > 2, let refusal = judgeFence(report.results[2], fence) { return refusal }
        if let failure = report.failure { return .notNow(failure) }
        return .sound(facts)
    }

    /// - Returns: `nil` if the fence is `owner`'s.
    static func judgeFence(_ result: StatementResult, _ owner: FencePair?) -> Setup? {
        let undefinedTable = "42P01"
        switch result {
        case .ok(let rows):
            guard let row = rows.first.flatMap(SessionStatements.readFence) else {
                return .fencedOut(
                    "the fence of this log is gone from the database: it was restored, or the row was deleted")
            }
            guard row.pair != owner else { return nil }
            return .fencedOut(
                "the database is fenced by \(row.pair), and this server is \(owner.map { "\($0)" } ?? "none"): another server "
                    + "took this log over, or the database was restored")
        case .failed(let error) where error.code == undefinedTable:
            return .fencedOut(
                "the fence of this log is gone from the database: it was restored, or the table was dropped")
        case .failed(let error): return .notNow(error.description)
        case .unexpectedTag, .skipped: return .notNow("the fence could not be read")
        }
    }
}
