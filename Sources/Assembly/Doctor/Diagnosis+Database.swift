import Coordinator
import PostgresParticipant

/// One database: the server, the session and what the log remembers of it.
extension Diagnosis {
    func database(_ index: DatabaseIndex, _ seen: PostgresDiagnosis) -> [DoctorFinding] {
        let view = DatabaseView(facts: facts, index: index, seen: seen)
        return view.server + view.capacity + view.role + view.prepared + view.probing
    }

    func notSeen(_ index: DatabaseIndex, _ error: PostgresDiagnosisError) -> DoctorFinding {
        let target = facts.configuration.databases[Int(index.rawValue) - 1]
        let found = "\(target): \(error.reason)".printable
        switch error.kind {
        case .unreachable:
            return DoctorFinding(
                "\(index)", "database.connection", .problem, found,
                advice:
                    "check DB_URI, that PostgreSQL runs and the way to it; its payments fail until it is back, and the rest "
                    + "was checked", isUnreachable: true)
        case .standby:
            return DoctorFinding(
                "\(index)", "database.connection", .problem, found,
                advice:
                    "point DB_URI at the primary: nothing can be prepared on a standby, and what it shows proves nothing"
            )
        case .refused:
            return DoctorFinding(
                "\(index)", "database.connection", .problem, found,
                advice: "do what the message says; the server refuses this database too")
        }
    }
}

/// The judgement of one database.
struct DatabaseView {
    let facts: DoctorFacts
    let index: DatabaseIndex
    let seen: PostgresDiagnosis

    var configuration: DoctorFacts.Configuration { facts.configuration }

    /// What the log remembers of this database.
    var memory: DatabaseFence? {
        guard case .seen(let log) = facts.log else { return nil }
        return log.fences.first { $0.database == index }
    }

    var logID: LogID? {
        guard case .seen(let log) = facts.log else { return nil }
        return log.log
    }

    /// How many of the configured databases are in this one's cluster: they share its limits.
    var databasesInCluster: Int {
        facts.databases.count { result in
            guard case .success(let other) = result else { return false }
            return other.identity.systemIdentifier == seen.identity.systemIdentifier
        }
    }

    func finding(
        _ id: String, _ level: DoctorFinding.Level, _ found: String, _ advice: String? = nil
    ) -> DoctorFinding {
        DoctorFinding("\(index)", "database.\(id)", level, found.printable, advice: advice?.printable)
    }

    func number(_ setting: String) -> Int? { seen.settings[setting].flatMap { Int($0) } }

    // MARK: The server

    var server: [DoctorFinding] {
        [connection, identity, version] + readable + [fsync, fullPages, commit, standbys, clock, session]
    }

    private var connection: DoctorFinding {
        let target = configuration.databases[Int(index.rawValue) - 1]
        return finding("connection", .ok, "\(target), no pooler in between, not in recovery")
    }

    private var identity: DoctorFinding {
        let timeline = seen.timeline.map { ", timeline \($0)" } ?? ""
        let found = "system identifier/oid \(seen.identity)" + timeline
        guard let known = memory?.identity else {
            return finding("identity", .ok, found + "; the log has not met it yet")
        }
        guard known != seen.identity else { return finding("identity", .ok, found + ", as the log knows it") }
        return finding(
            "identity", .problem, found + "; the log knows \(known)",
            "point DB_URI at the former database again; one that was moved by dump and restore needs a new state directory, "
                + "after all payments on the former are finished")
    }

    private var version: DoctorFinding {
        let found = "PostgreSQL \(seen.settings["server_version"] ?? "?")"
        guard let number = number("server_version_num"), number < PostgresLimits.serverVersionClientCheck else {
            return finding("version", .ok, found)
        }
        return finding(
            "version", .note, found,
            "upgrade to 14 or newer when you can: older servers notice late that a client is gone")
    }

    private var readable: [DoctorFinding] {
        guard !seen.unreadable.isEmpty else { return [] }
        let texts = seen.unreadable.map { "\($0.what): \($0.reason)" }
        return [
            finding(
                "readable", .problem, "cannot be read: " + texts.joined(separator: "; "),
                "grant the role SELECT on these; what they would show was not checked, and recovery needs pg_prepared_xacts, "
                    + "pg_stat_activity and our tables")
        ]
    }

    private var fsync: DoctorFinding {
        let value = seen.settings["fsync"] ?? "?"
        guard value != "on" else { return finding("fsync", .ok, "fsync on") }
        return finding(
            "fsync", .problem, "fsync \(value): a power cut loses committed and prepared payments",
            "set fsync = on in postgresql.conf and reload; what was written meanwhile is only safe after a checkpoint and a sync "
                + "of the disk")
    }

    private var fullPages: DoctorFinding {
        let value = seen.settings["full_page_writes"] ?? "?"
        guard value != "on" else { return finding("full_page_writes", .ok, "full_page_writes on") }
        return finding(
            "full_page_writes", .warning, "full_page_writes \(value): a power cut may leave torn pages",
            "set full_page_writes = on, unless the file system writes whole pages or none (ZFS)")
    }

    private var commit: DoctorFinding {
        let value = seen.settings["synchronous_commit"] ?? "?"
        let found = "synchronous_commit \(value)"
        guard value == "off" else { return finding("synchronous_commit", .ok, found) }
        return finding(
            "synchronous_commit", .note, found,
            "nothing for payments: PREPARE and COMMIT PREPARED are flushed whatever it says")
    }

    private var standbys: DoctorFinding {
        let names = seen.settings["synchronous_standby_names"] ?? ""
        let id = "synchronous_standby_names"
        guard !names.isEmpty else { return finding(id, .ok, "no synchronous standby is asked for") }
        let found = "synchronous_standby_names '\(names)'"
        switch seen.synchronousStandbys {
        case 0:
            return finding(
                id, .problem, found + ", and none is connected: every PREPARE waits",
                "bring a standby back or take it out of synchronous_standby_names; until then payments end PENDING or declined"
            )
        case let count?:
            return finding(
                id, .note, found + ", \(count) connected",
                "watch them: every PREPARE and COMMIT PREPARED waits for them, and no statement_timeout bounds that")
        case nil:
            return finding(
                id, .note, found + "; whether one is connected is not shown to this role",
                "grant pg_monitor to the role, or look at pg_stat_replication: without a standby every PREPARE waits")
        }
    }

    private var clock: DoctorFinding {
        guard let clock = seen.clock else {
            return finding("clock", .note, "the clock could not be read", "run doctor again")
        }
        let size = clock.microseconds.magnitude
        // Rounded up, so that it stays a bound.
        let bound = Diagnosis.milliseconds(clock.boundMicroseconds + 50)
        guard size > clock.boundMicroseconds.magnitude else {
            return finding("clock", .ok, "its clock agrees with ours to within \(bound)")
        }
        let word = clock.microseconds < 0 ? "behind" : "ahead"
        let found = "its clock is \(Diagnosis.milliseconds(Int64(clamping: size))) \(word), give or take \(bound)"
        let beyond = Int64(clamping: size) - clock.boundMicroseconds
        guard beyond >= DoctorLimits.clockWarned else { return finding("clock", .ok, found) }
        return finding(
            "clock", beyond >= DoctorLimits.clockProblem ? .problem : .warning, found,
            "synchronise both machines' clocks (chrony, NTP): ages and times of the log and of the database do not agree"
        )
    }

    /// The settings that every connection asks for, as they are in force; and some that end connections behind our back.
    private var session: DoctorFinding {
        var wanted = [
            ("lock_timeout", "\(configuration.lockTimeout.count)"),
            ("statement_timeout", "\(configuration.statementTimeout.count)"),
            ("idle_in_transaction_session_timeout", "\(configuration.statementTimeout.count)"),
            ("default_transaction_isolation", "read committed"),
        ]
        if configuration.clientCheckInterval > .zero, seen.settings["client_connection_check_interval"] != nil {
            wanted.append(("client_connection_check_interval", "\(configuration.clientCheckInterval.count)"))
        }
        let others = wanted.filter { seen.settings[$0.0] != $0.1 }
        guard others.isEmpty else {
            let texts = others.map { "\($0.0) is \(seen.settings[$0.0] ?? "?"), asked for was \($0.1)" }
            return finding(
                "session", .problem, texts.joined(separator: "; "),
                "something between changes the session: connect to the server itself")
        }
        let ending = ["idle_session_timeout", "transaction_timeout"].filter { (number($0) ?? 0) > 0 }
        guard ending.isEmpty else {
            let texts = ending.map { "\($0) is \(seen.settings[$0] ?? "?") ms" }
            let name = seen.role?.name ?? "the role"
            return finding(
                "session", .warning, texts.joined(separator: "; ") + ": it ends connections of the pool",
                ending.map { "ALTER ROLE \(name) SET \($0) = 0" }.joined(separator: "; "))
        }
        let units = wanted.map { "\($0.0) \($0.1)" + ($0.0.hasPrefix("default") ? "" : " ms") }
        return finding("session", .ok, units.joined(separator: ", "))
    }
}

extension String {
    /// Names in a database may hold anything; a terminal must not obey it.
    var printable: String {
        String(
            unicodeScalars.map { scalar in
                let isControl =
                    scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format
                    || scalar.properties.generalCategory == .lineSeparator
                    || scalar.properties.generalCategory == .paragraphSeparator
                return isControl ? "?" : Character(scalar)
            })
    }
}
