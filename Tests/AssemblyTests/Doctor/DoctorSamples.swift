import ClearingParticipant
import Coordinator
import PostgresParticipant
import WAL

@testable import Assembly

/// Facts about a deployment in which all is well; each test spoils one of them.
enum DoctorSamples {
    static let log = LogID(high: 1, low: 2)
    static let pair = FencePair(epoch: Epoch(rawValue: 3), incarnation: Incarnation(rawValue: 7))
    static let db1 = DatabaseIndex(rawValue: 1)
    static let identity = DatabaseIdentity(systemIdentifier: 77, databaseOID: 5)

    static var facts: DoctorFacts {
        DoctorFacts(
            configuration: .init(
                stateDirectory: "/state", allowsUnsafeFileSystem: false, logMapBytes: 16 << 30, reserveBytes: 64 << 20,
                freeBytesMin: 256 << 20,
                databases: ["pay@db:5432/payments"], poolSize: 32, lockTimeout: Milliseconds(2000),
                statementTimeout: Milliseconds(15_000), clientCheckInterval: Milliseconds(5000), inFlightMax: 512,
                prepareTimeout: .seconds(30)),
            state: .seen(state), log: .seen(content),
            tokenKey: .init(
                path: "/key", file: .there(mode: 0o600, bytes: 65, isRegular: true, isReadable: true)),
            databases: [.success(database)], clearing: .init(probe: .unknown, microseconds: 900))
    }

    static var state: StateDirectoryFacts {
        StateDirectoryFacts(
            ownerID: 1000, mode: 0o700, userID: 1000, isWritable: true, fileSystemKind: "ext4", isUnsafeKind: false,
            mountPoint: "/", mountOptions: ["rw", "relatime"], freeBytes: 10 << 30, allocatedBytes: 65 << 20,
            syncNanoseconds: [100_000, 200_000, 300_000], isInUse: true, holder: 4711)
    }

    static var content: DoctorFacts.Log.Content {
        .init(
            log: log,
            fences: [DatabaseFence(database: db1, identity: identity, confirmed: pair, attempted: [])],
            owners: [pair], unfinished: 0, reversals: 0, quarantined: 0, nextLSN: LSN(rawValue: 10),
            usage: .success(LogUsage(usedBytes: 1 << 20, fileBytes: 1 << 20, mapBytes: 16 << 30, slowestReader: nil)))
    }

    static var database: PostgresDiagnosis {
        var seen = PostgresDiagnosis(identity: identity, timeline: 1)
        seen.settings = [
            "client_connection_check_interval": "5000", "default_transaction_isolation": "read committed",
            "fsync": "on", "full_page_writes": "on", "idle_in_transaction_session_timeout": "15000",
            "idle_session_timeout": "0", "lock_timeout": "2000", "max_connections": "100",
            "max_prepared_transactions": "600", "server_version": "15.8", "server_version_num": "150008",
            "statement_timeout": "15000", "superuser_reserved_connections": "3", "synchronous_commit": "on",
            "synchronous_standby_names": "",
        ]
        seen.role = .init(
            name: "pay", isSuperuser: false, connectionsMax: nil, databaseConnectionsMax: nil, databaseName: "payments",
            mayCreateTables: true, connectionsUsed: 34)
        seen.fence = .init(pair: pair, database: db1)
        seen.schema = .init(
            applied: PostgresDiagnosis.TableVersion.ours, usableFrom: PostgresDiagnosis.TableVersion.ours)
        seen.backends = .init(count: 33, notTerminable: 0, foreignRoles: "")
        seen.synchronousStandbys = 0
        seen.clock = .init(microseconds: 200, boundMicroseconds: 300)
        seen.probe = .init(gid: "visa_doctor_0", outcome: .passed(microseconds: 3000), isLeft: false)
        return seen
    }

    static func gid(_ database: UInt8 = 1) -> String {
        GlobalBranchID(
            log: log, epoch: pair.epoch, transaction: TransactionID(high: 1, low: 1),
            database: DatabaseIndex(rawValue: database)
        ).description
    }

    static func prepared(
        _ gid: String, owner: String = "pay", database: String = "payments", age: Milliseconds = .seconds(1),
        xidAge: Int = 5
    ) -> PostgresDiagnosis.Prepared {
        .init(gid: gid, owner: owner, databaseName: database, age: age, xidAge: xidAge, holdsHorizon: true)
    }

    /// What is found when the first database's facts are changed.
    static func findings(_ change: (inout PostgresDiagnosis) -> Void) -> [DoctorFinding] {
        var seen = database
        change(&seen)
        var facts = facts
        facts.databases = [.success(seen)]
        return Diagnosis(facts: facts).findings
    }

    static func findings(facts change: (inout DoctorFacts) -> Void) -> [DoctorFinding] {
        var facts = facts
        change(&facts)
        return Diagnosis(facts: facts).findings
    }

    static func findings(state change: (inout StateDirectoryFacts) -> Void) -> [DoctorFinding] {
        var state = state
        change(&state)
        return findings(facts: { $0.state = .seen(state) })
    }

    static func findings(log change: (inout DoctorFacts.Log.Content) -> Void) -> [DoctorFinding] {
        var content = content
        change(&content)
        return findings(facts: { $0.log = .seen(content) })
    }
}

extension [DoctorFinding] {
    /// Everything that is not as it should be: `id level`.
    var complaints: [String] { filter { $0.level != .ok }.map { "\($0.id) \($0.level)" } }

    subscript(id: String) -> DoctorFinding? { first { $0.id == id } }
}
