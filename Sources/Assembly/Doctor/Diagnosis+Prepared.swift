import Coordinator
import PostgresParticipant

/// What two-phase commit needs: room, rights, the fence, and a prepare that works.
extension DatabaseView {
    // MARK: Room

    var capacity: [DoctorFinding] { [slots, connections] }

    private var slots: DoctorFinding {
        guard let slots = number("max_prepared_transactions") else {
            return finding(
                "prepared_slots", .problem, "max_prepared_transactions is not shown", "connect to PostgreSQL itself")
        }
        let taken = lasting.count
        let others = lasting.count { GlobalBranchID($0.gid)?.log != logID || logID == nil }
        let need = configuration.poolSize * max(1, databasesInCluster)
        let recommended = max(need, configuration.inFlightMax) + others
        let remedy =
            "set max_prepared_transactions = \(recommended) in postgresql.conf and restart PostgreSQL: DB_POOL_SIZE for "
            + "each of our databases in the cluster, better MAX_IN_FLIGHT, and what others hold"
        guard slots > 0 else {
            return finding(
                "prepared_slots", .problem, "max_prepared_transactions is 0: two-phase commit is switched off", remedy)
        }
        let found =
            "max_prepared_transactions \(slots), taken \(taken) (\(others) by others); "
            + "DB_POOL_SIZE \(configuration.poolSize) for \(Diagnosis.plural(max(1, databasesInCluster), "database")), "
            + "MAX_IN_FLIGHT \(configuration.inFlightMax)"
        if slots - taken < 1 {
            return finding(
                "prepared_slots", .problem, found + ": no slot is free",
                "finish what is prepared (database.prepared_foreign, recover --dry-run), or " + remedy)
        }
        if slots - others < need {
            return finding(
                "prepared_slots", .warning, found + ": fewer slots than connections that prepare", remedy)
        }
        guard slots - others < configuration.inFlightMax else { return finding("prepared_slots", .ok, found) }
        return finding(
            "prepared_slots", .note, found + ": in an outage payments wait for slots",
            "nothing in good times; to have a slot for each payment in flight, " + remedy)
    }

    private var connections: DoctorFinding {
        guard let role = seen.role, let most = number("max_connections") else {
            return finding(
                "connections", .note, "the limits of connections are not shown",
                "compare max_connections with DB_POOL_SIZE")
        }
        let reserved = (number("superuser_reserved_connections") ?? 0) + (number("reserved_connections") ?? 0)
        let databases = max(1, databasesInCluster)
        // One connection more than the pool's, for control.
        let ours = (configuration.poolSize + 1) * databases
        let others = max(0, role.connectionsUsed - (seen.backends?.count ?? 0) - databases)
        let found =
            "max_connections \(most), \(reserved) reserved; we take \(ours), others have \(others) now"
        let limits = [("role", role.connectionsMax), ("database", role.databaseConnectionsMax)]
        for (name, limit) in limits {
            guard let limit, limit < configuration.poolSize + 1 else { continue }
            return finding(
                "connections", .warning, found + "; the \(name)'s own limit is \(limit)",
                "raise the \(name)'s CONNECTION LIMIT to \(configuration.poolSize + 1) or more for each server, or lower "
                    + "DB_POOL_SIZE")
        }
        guard ours + others + DoctorLimits.connectionsSpare <= most - reserved else {
            return finding(
                "connections", .warning, found + ": that does not fit",
                "raise max_connections or lower DB_POOL_SIZE; a server that gets fewer connections is slower, and an operator "
                    + "may get none")
        }
        return finding("connections", .ok, found)
    }

    // MARK: Rights, tables and the fence

    var role: [DoctorFinding] { [rights, schema, fence, backends] }

    private var rights: DoctorFinding {
        guard let role = seen.role else {
            return finding("role", .problem, "the role is not shown", "connect to PostgreSQL itself")
        }
        guard seen.rightsMissing.isEmpty else {
            return finding(
                "role", .problem, "role \(role.name) lacks " + seen.rightsMissing.joined(separator: ", "),
                "grant them to role \(role.name) as the tables' owner, or make that role the owner")
        }
        let isMigrationDue = (seen.schema?.applied ?? 0) < PostgresDiagnosis.TableVersion.ours
        guard role.mayCreateTables || !isMigrationDue else {
            return finding(
                "role", .problem, "role \(role.name) may not create the tables",
                "GRANT CREATE ON SCHEMA public TO \(role.name), or make the role the owner of the database")
        }
        guard !role.isSuperuser else {
            return finding(
                "role", .note, "role \(role.name) is a superuser",
                "give the server a role of its own that owns its tables; it needs no more")
        }
        return finding("role", .ok, "role \(role.name) has every right on the tables that it needs")
    }

    private var schema: DoctorFinding {
        let ours = PostgresDiagnosis.TableVersion.ours
        guard let schema = seen.schema else {
            return finding(
                "schema", .note, "there are no tables of ours yet", "nothing: the server makes them at its first start")
        }
        let found = "tables of version \(schema.applied), this program has \(ours)"
        if schema.usableFrom > ours {
            return finding(
                "schema", .problem, found + "; they need \(schema.usableFrom) or newer", "install the newer program")
        }
        guard schema.applied < ours else { return finding("schema", .ok, found) }
        return finding("schema", .note, found, "nothing: the server brings them up to date at its next start")
    }

    private var fence: DoctorFinding {
        let others = seen.otherFences > 0 ? "; fenced by \(Diagnosis.plural(seen.otherFences, "other log")) too" : ""
        guard let fence = seen.fence else {
            guard let confirmed = memory?.confirmed, memory?.takesOver != true else {
                return finding("fence", .ok, "not fenced by this log yet" + others)
            }
            return finding(
                "fence", .problem, "no fence of this log, which had confirmed \(confirmed)" + others,
                "the database was restored from an older copy, or the row was deleted: find out which before a server is "
                    + "started; the server refuses it")
        }
        guard fence.database == index else {
            return finding(
                "fence", .problem, "it is fenced as \(fence.database) of this log, not as \(index)",
                "give each number its own database, in the order of the first start")
        }
        let found = "held by \(fence.pair)"
        if fence.pair == memory?.confirmed { return finding("fence", .ok, found + ", as the log knows it" + others) }
        guard memory?.attempted.contains(fence.pair) != true, !ownersKnown.contains(fence.pair) else {
            return finding("fence", .ok, found + ", which the log had attempted and not yet confirmed" + others)
        }
        if memory?.takesOver == true {
            return finding(
                "fence", .note, found + "; this log was restored and takes the database over at its next start",
                "make sure that no server runs on the former state directory")
        }
        if memory?.former.contains(fence.pair) == true {
            return finding(
                "fence", .problem, found + ", which this log held before: the database went back in time",
                "start the server or recover: it takes the database over and verifies its commits")
        }
        let known = memory?.confirmed.map { "\($0)" } ?? "none"
        return finding(
            "fence", .problem, found + ", which this log never wrote (it knows \(known))",
            "a copy of this state directory is or was running, or the directory was restored: make sure that no other server "
                + "uses a copy, then use the newest state directory, or make one of this with recover restore")
    }

    private var ownersKnown: [FencePair] {
        guard case .seen(let log) = facts.log else { return [] }
        return log.owners
    }

    private var backends: DoctorFinding {
        guard let backends = seen.backends else {
            return finding(
                "backends", .problem, "the sessions of this log's servers cannot be listed",
                "grant the role SELECT on pg_stat_activity")
        }
        guard backends.count > 0 else { return finding("backends", .ok, "no session of this log's servers") }
        let found = "\(Diagnosis.plural(backends.count, "session")) of this log's servers"
        guard backends.notTerminable > 0 else {
            return finding("backends", .ok, found + ", each may be terminated by the role")
        }
        return finding(
            "backends", .warning,
            found + ", \(backends.notTerminable) of other roles (\(backends.foreignRoles)) may not be terminated",
            "use one role for all servers of this log, or GRANT pg_signal_backend to it: a session that a dead server left "
                + "cannot be ended otherwise")
    }

    // MARK: What is prepared

    var prepared: [DoctorFinding] { [own, foreign, oldest] }

    /// All but the probes of preflights, which are there for a moment; those that were left behind have a finding of their own.
    private var lasting: [PostgresDiagnosis.Prepared] { seen.prepared.filter { !$0.isProbe } }

    private var ours: [PostgresDiagnosis.Prepared] {
        seen.prepared.filter { prepared in
            guard let id = GlobalBranchID(prepared.gid) else { return false }
            return id.log == logID && id.database == index
        }
    }

    private var own: DoctorFinding {
        guard let role = seen.role, !ours.isEmpty else {
            return finding("prepared_own", .ok, "nothing of this log is prepared")
        }
        let count = "\(ours.count) of this log prepared"
        if let elsewhere = ours.first(where: { $0.databaseName != role.databaseName }) {
            return finding(
                "prepared_own", .problem,
                count + ", one of them in database \(elsewhere.databaseName): \(elsewhere.gid)",
                "point DB_URI at that database: it can be finished there only")
        }
        let closed = ours.filter { $0.owner != role.name }
        guard closed.isEmpty || role.isSuperuser else {
            let owners = Set(closed.map(\.owner)).sorted().joined(separator: ", ")
            return finding(
                "prepared_own", .problem, count + ", \(closed.count) of them by role \(owners), not by \(role.name)",
                "connect as \(owners) until they are finished: only the owner or a superuser may commit or roll back a "
                    + "prepared transaction")
        }
        guard let old = ours.first(where: { $0.age >= DoctorLimits.preparedNoted }) else {
            return finding("prepared_own", .ok, count + ", each can be finished by role \(role.name)")
        }
        return finding(
            "prepared_own", .warning, count + ", the oldest for \(Self.words(old.age)): \(old.gid)",
            "see `recover --dry-run` for what each of them waits for")
    }

    private var foreign: DoctorFinding {
        let others = lasting.filter { prepared in
            GlobalBranchID(prepared.gid).map { $0.log != logID } ?? true
        }
        guard let first = others.first else { return finding("prepared_foreign", .ok, "nothing of others is prepared") }
        let places = Set(others.map { "owner \($0.owner), database \($0.databaseName)" }).sorted()
        let shown = places.prefix(3).joined(separator: "; ") + (places.count > 3 ? "; and more" : "")
        return finding(
            "prepared_foreign", .note,
            "\(others.count) of others prepared (\(shown)), the oldest for \(Self.words(first.age)): \(first.gid)",
            "nothing here: they belong to other coordinators and are never touched; each takes a slot, so if nobody knows one, "
                + "have its owner finish it")
    }

    /// Whoever's it is: it keeps dead rows of the whole cluster and, in the end, stops it.
    private var oldest: DoctorFinding {
        guard let oldest = lasting.max(by: { $0.xidAge < $1.xidAge }) else {
            return finding("prepared_oldest", .ok, "nothing is prepared that vacuum would wait for")
        }
        let horizon = oldest.holdsHorizon ? "vacuum waits for it" : "vacuum waits for something older"
        let found =
            "\(oldest.gid), for \(Self.words(oldest.age)) and \(Diagnosis.plural(oldest.xidAge, "transaction")); \(horizon)"
        let isOld = oldest.age >= DoctorLimits.preparedWarned || oldest.xidAge >= DoctorLimits.xidAgeWarned
        guard isOld else { return finding("prepared_oldest", .ok, found) }
        return finding(
            "prepared_oldest", oldest.xidAge >= DoctorLimits.xidAgeProblem ? .problem : .warning, found,
            "have it finished by its coordinator (role \(oldest.owner), database \(oldest.databaseName)): dead rows pile up, "
                + "and after about 2000 million transactions the cluster takes no more writes")
    }

    // MARK: The probe

    var probing: [DoctorFinding] { [probe] + leftovers }

    private var probe: DoctorFinding {
        guard let probe = seen.probe else {
            return finding("probe", .problem, "nothing could be prepared: the connection was lost", "run doctor again")
        }
        let left = probe.isLeft ? "; \(probe.gid) may be left, the next doctor removes it" : ""
        switch probe.outcome {
        case .passed(let microseconds):
            let found = "PREPARE and ROLLBACK PREPARED took \(Diagnosis.milliseconds(microseconds))"
            guard microseconds >= DoctorLimits.probeNoted else { return finding("probe", .ok, found) }
            return finding(
                "probe", .note, found, "each payment waits as long: look at the disk and the standbys of the server")
        case .refused(let reason):
            return finding(
                "probe", .problem, "PREPARE TRANSACTION was refused: \(reason)" + left,
                "no payment can be prepared like this: do what the message says")
        case .unclear(let reason):
            return finding(
                "probe", .problem, "PREPARE TRANSACTION did not end: \(reason)" + left,
                "look at pg_stat_activity for what it waits for; a missing synchronous standby is the usual reason")
        }
    }

    private var leftovers: [DoctorFinding] {
        guard !seen.leftovers.isEmpty else { return [] }
        let removed = seen.leftovers.count { $0.keptBecause == nil }
        let kept = seen.leftovers.compactMap { leftover in
            leftover.keptBecause.map { "\(leftover.gid): \($0)" }
        }
        guard !kept.isEmpty else {
            return [
                finding(
                    "probe_leftovers", .note,
                    "\(Diagnosis.plural(removed, "probe")) of a doctor that was killed, removed now",
                    "nothing: they changed nothing and are gone")
            ]
        }
        return [
            finding(
                "probe_leftovers", .warning,
                "probes of a doctor that was killed: \(removed) removed now, \(kept.count) kept ("
                    + kept.joined(separator: "; ") + ")",
                "connect to that database as that role and ROLLBACK PREPARED them, or run its doctor; they change nothing, and "
                    + "each takes a slot")
        ]
    }

    static func words(_ age: Milliseconds) -> String {
        let seconds = age.count / 1000
        switch seconds {
        case ..<120: return "\(seconds) s"
        case ..<7200: return "\(seconds / 60) min"
        case ..<172_800: return "\(seconds / 3600) h"
        default: return "\(seconds / 86_400) days"
        }
    }
}
