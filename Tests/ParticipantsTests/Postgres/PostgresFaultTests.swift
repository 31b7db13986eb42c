import Foundation
import Glibc
import Payments
import Synchronization
import Testing

@testable import Coordinator
@testable import PostgresParticipant

extension PostgresTests {
    @Suite("Faults")
    struct FaultTests {
        let cluster: PostgresCluster
        let target: PostgresCluster.Database

        init() throws {
            cluster = try PostgresCluster.shared.get()
            target = try cluster.makeDatabase()
        }

        private func waitingBackend(_ server: TestServer) throws -> Int32 {
            var pid: Int32?
            try eventually {
                pid = Int32(
                    try target.run(
                        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'holdfast/\(server.log)/%' "
                            + "AND wait_event_type = 'Lock' LIMIT 1"))
                return pid != nil
            }
            return try #require(pid)
        }

        @Test("At its deadline a waiting branch is cancelled; the vote comes within the promised time")
        func deadline() throws {
            let server = try TestServer(ready: target, lockTimeout: .seconds(60))
            try target.hold("slow")
            let begin = server.begin(makeIntent(request: "slow"))
            let before = PostgresDatabase.now()
            #expect(try server.prepare(begin, within: Milliseconds(300)) == .no(.contended))
            let took = PostgresDatabase.now().since(before)
            #expect(took >= Milliseconds(300) && took <= Milliseconds(300 + PostgresLimits.voteOverrunMax.count))
            #expect(try server.resolve(begin, .aborted) == .done(.absence))
            try target.letGo("slow")
            try server.close()
        }

        @Test("A backend that answers nothing: unknown in time, and no abort is done while it lives")
        func frozenBackend() throws {
            let server = try TestServer(ready: target, lockTimeout: .seconds(60))
            try target.hold("frozen")
            let begin = server.begin(makeIntent(request: "frozen"))
            let before = PostgresDatabase.now()
            let vote = server.startPrepare(begin, within: .seconds(3))
            let pid = try waitingBackend(server)
            kill(pid, SIGSTOP)
            defer { kill(pid, SIGCONT) }
            guard case .unknown = try vote.get() else { Issue.record("a frozen backend's vote was certain"); return }
            #expect(PostgresDatabase.now().since(before) <= Milliseconds(3000 + PostgresLimits.voteOverrunMax.count))
            #expect(try server.statistics().slotsTaken == 1)
            guard case .open = try server.resolve(begin, .aborted) else {
                Issue.record("an abort was done while the backend could still prepare")
                return
            }
            kill(pid, SIGCONT)
            #expect(try server.resolveToTheEnd(begin, .aborted) == .done(.absence))
            #expect(try server.statistics().slotsTaken == 0)
            try target.letGo("frozen")
            try eventually { try server.statistics().connectionsReady == 4 }
            try server.close()
        }

        @Test("A backend that is terminated while it works: unknown, then absent")
        func terminatedBackend() throws {
            let server = try TestServer(ready: target, lockTimeout: .seconds(60))
            try target.hold("killed")
            let begin = server.begin(makeIntent(request: "killed"))
            let vote = server.startPrepare(begin)
            try target.run("SELECT pg_terminate_backend(\(try waitingBackend(server)))")
            guard case .unknown = try vote.get() else { Issue.record("the end of a session was certain"); return }
            #expect(try server.resolveToTheEnd(begin, .aborted) == .done(.absence))
            try target.letGo("killed")
            try eventually { try server.statistics().connectionsReady == 4 }
            #expect(try server.prepare(begin2(server)) == .yes(authorizationCode: ""))
            for gid in try server.ownPrepared() { try target.run("ROLLBACK PREPARED '\(gid)'") }
            try server.close()
        }

        private func begin2(_ server: TestServer) -> Durable<BeginRecord> { server.begin() }

        @Test("A synchronous standby that never answers: unknown at the deadline, and the abort finds the branch")
        func missingStandby() throws {
            let server = try TestServer(ready: target)
            defer { try? target.waitForNobody() }
            try target.waitForMissingStandby()
            let begin = server.begin()
            guard case .unknown(let reason) = try server.prepare(begin, within: Milliseconds(500)) else {
                Issue.record("a branch that no standby has was certain")
                return
            }
            #expect(reason.contains("standby") || reason.contains("in time"))
            #expect(try server.ownPrepared() == [server.gid(begin.record.transaction)])
            #expect(try server.resolveToTheEnd(begin, .aborted) == .done(.acknowledgement))
            #expect(try server.ownPrepared().isEmpty)
            try target.waitForNobody()
            try server.close()
        }

        /// libpq opens the next socket in place of the one that it closes, so that both have the same number.
        @Test("An address that refuses is passed over for the next one")
        func nextAddress() throws {
            let before = PostgresDatabase.now()
            let server = try TestServer(
                target,
                uri: "postgresql://postgres@127.0.0.1:1,127.0.0.1:1,127.0.0.1:\(cluster.port)/\(target.name)")
            #expect(try server.firstAttempt() == .available)
            #expect(PostgresDatabase.now().since(before) < .seconds(4), "as long as an attempt to connect may take")
            try eventually { try server.statistics().connectionsReady == 4 }
            try server.close()
        }

        @Test("Slots: orders wait for one, get it in turn, and are refused at their deadline")
        func slots() throws {
            _ = try TestServer(ready: target).close()
            let foreign = PostgresCluster.preparedMax - 2
            for number in 0..<foreign {
                try target.run("BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'foreign \(number)'")
            }
            defer { for number in 0..<foreign { _ = try? target.run("ROLLBACK PREPARED 'foreign \(number)'") } }
            let server = try TestServer(ready: target)
            #expect(try server.statistics().slots == 2)
            let begins = (0..<4).map { _ in server.begin() }
            for begin in begins[0..<2] { #expect(try server.prepare(begin) == .yes(authorizationCode: "")) }
            guard case .no(.unavailable) = try server.prepare(begins[2], within: Milliseconds(200)) else {
                Issue.record("a third slot was found")
                return
            }
            let waiting = server.startPrepare(begins[3])
            try eventually { try server.statistics().slotsWaiting == 1 }
            #expect(try server.resolve(begins[0], .committed) == .done(.acknowledgement))
            #expect(try waiting.get() == .yes(authorizationCode: ""))
            #expect(try server.statistics().slotsTaken == 2)
            for begin in [begins[1], begins[3]] {
                #expect(try server.resolve(begin, .aborted) == .done(.acknowledgement))
            }
            #expect(try server.statistics().slotsTaken == 0)
            try server.close()
        }

        @Test("The cluster is fuller than it was when we counted: tried again, and a definite no at the deadline")
        func fullCluster() throws {
            let server = try TestServer(ready: target)
            for number in 0..<PostgresCluster.preparedMax {
                try target.run("BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'foreign \(number)'")
            }
            defer {
                for number in 1..<PostgresCluster.preparedMax {
                    _ = try? target.run("ROLLBACK PREPARED 'foreign \(number)'")
                }
            }
            let refused = server.begin()
            guard case .no(.unavailable) = try server.prepare(refused, within: Milliseconds(500)) else {
                Issue.record("prepared in a full cluster")
                return
            }
            #expect(try server.resolve(refused, .aborted) == .done(.absence))
            let patient = server.begin()
            let vote = server.startPrepare(patient)
            Thread.sleep(forTimeInterval: 0.2)
            try target.run("ROLLBACK PREPARED 'foreign 0'")
            #expect(try vote.get() == .yes(authorizationCode: ""))
            #expect(try server.resolve(patient, .aborted) == .done(.acknowledgement))
            try server.close()
        }

        @Test("Others' prepared transactions are listed as they are, and left alone")
        func hostileNames() throws {
            let server = try TestServer(ready: target)
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            let other = randomLogID()
            let names = [
                "'; DROP TABLE transactions; --", String(repeating: "é", count: 99) + "x", "visa_",
                "back\\slash \"quoted\"",
                GlobalBranchID(
                    log: other, epoch: Epoch(rawValue: 1), transaction: begin.record.transaction,
                    database: TestServer.index
                ).description, server.gid(begin.record.transaction) + "x",
            ]
            func literal(_ name: String) -> String { "'" + name.replacing("'", with: "''") + "'" }
            for name in names {
                try target.run("BEGIN; SELECT txid_current(); PREPARE TRANSACTION \(literal(name))")
            }
            defer { for name in names { _ = try? target.run("ROLLBACK PREPARED \(literal(name))") } }
            guard case .seen(let sighting) = try server.observe([begin.record.transaction]) else {
                Issue.record("nothing was seen")
                return
            }
            #expect(Set(sighting.prepared.map(\.gid)) == Set(names + [server.gid(begin.record.transaction)]))
            #expect(sighting.prepared.allSatisfy { $0.databaseName == target.name && $0.owner == "postgres" })
            #expect(sighting.witnessed.isEmpty && !sighting.olderBackendsAlive)
            #expect(try server.ownPrepared() == [server.gid(begin.record.transaction)])
            #expect(try server.resolve(begin, .committed) == .done(.acknowledgement))
            guard
                case .seen(let after) = try server.observe([
                    begin.record.transaction, server.begin().record.transaction,
                ])
            else {
                Issue.record("nothing was seen")
                return
            }
            #expect(Set(after.prepared.map(\.gid)) == Set(names))
            #expect(after.witnessed == [begin.record.transaction])
            try server.close()
        }

        @Test("Witnesses are looked for in parts, however many there are")
        func manyWitnesses() throws {
            let server = try TestServer(ready: target)
            let begins = (0..<3).map { _ in server.begin() }
            for begin in begins {
                #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
                #expect(try server.resolve(begin, .committed) == .done(.acknowledgement))
            }
            let strangers = (0..<2500).map { TransactionID(high: 1, low: UInt64($0)) }
            let asked = [begins[0].record.transaction] + strangers + begins[1...].map(\.record.transaction)
            guard case .seen(let sighting) = try server.observe(asked) else { Issue.record("nothing was seen"); return }
            #expect(sighting.witnessed == Set(begins.map(\.record.transaction)))
            try server.close()
        }

        @Test("The watching connection is away: payments go on, and what needs it says so")
        func watchingConnectionAway() throws {
            let server = try TestServer(ready: target)
            try eventually { try server.statistics().connectionsReady == 4 }
            let elsewhere = PostgresCluster.Database(cluster: cluster, name: "postgres")
            try elsewhere.run("ALTER DATABASE \(target.name) ALLOW_CONNECTIONS false")
            defer { _ = try? elsewhere.run("ALTER DATABASE \(target.name) ALLOW_CONNECTIONS true") }
            try elsewhere.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(target.name)' "
                    + "ORDER BY backend_start LIMIT 1")
            var refusal = ""
            try eventually {
                do { _ = try server.ownPrepared() } catch { refusal = "\(error)" }
                return !refusal.isEmpty
            }
            // Lost under the question, or away before it.
            try eventually {
                do { _ = try server.ownPrepared() } catch { refusal = "\(error)" }
                return refusal.contains("watches the database")
            }
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            #expect(try server.resolve(begin, .committed) == .done(.acknowledgement))
            try elsewhere.run("ALTER DATABASE \(target.name) ALLOW_CONNECTIONS true")
            try eventually { (try? server.ownPrepared())?.isEmpty == true }
            try server.close()
        }

        @Test(
            "PostgreSQL restarts under load: every branch comes to its end",
            arguments: [PostgresCluster.Stop.fast, .immediate])
        func restart(how: PostgresCluster.Stop) throws {
            let server = try TestServer(ready: target)
            let load = Load(server)
            load.start(16)
            Thread.sleep(forTimeInterval: 0.5)
            try cluster.restart(how)
            try eventually { server.database.isAvailable }
            let before = load.committedCount
            try eventually { load.committedCount > before + 50 }
            load.stop()
            try eventually { load.running == 0 }
            #expect(load.surprises.isEmpty)
            // The pool may be back before the connection that reads the list.
            try eventually { (try? server.ownPrepared())?.isEmpty == true }
            #expect(try server.statistics().slotsTaken == 0)
            let rows = Set(try target.run("SELECT txn_id FROM transactions").split(separator: "\n").map(String.init))
            #expect(rows == Set(load.committed.map(\.description)))
            try server.close()
        }
    }
}

/// Payments one after the other in several lanes: yes is committed, everything else aborted, each until it is done.
final class Load: Sendable {
    private struct State {
        var isStopping = false
        var running = 0
        var committed: Set<TransactionID> = []
        var surprises: [String] = []
    }

    private let server: TestServer
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "load")

    init(_ server: TestServer) { self.server = server }

    var running: Int { state.withLock { $0.running } }
    var committed: Set<TransactionID> { state.withLock { $0.committed } }
    var committedCount: Int { state.withLock { $0.committed.count } }
    var surprises: [String] { state.withLock { $0.surprises } }

    func start(_ lanes: Int) {
        state.withLock { $0.running = lanes }
        for _ in 0..<lanes { next() }
    }

    func stop() { state.withLock { $0.isStopping = true } }

    private func next() {
        let goesOn = state.withLock { state in
            if state.isStopping { state.running -= 1 }
            return !state.isStopping
        }
        guard goesOn else { return }
        let begin = server.begin()
        let order = PrepareOrder(
            allowedBy: begin, branch: begin.record.branches[0], authorizationCode: "",
            deadline: PostgresDatabase.now() + .seconds(5))
        server.database.prepare(order) { [self] vote in
            switch vote {
            case .yes: resolve(begin, .committed)
            case .no(.unavailable), .unknown: resolve(begin, .aborted)
            case .no: note("\(vote)")
            }
        }
    }

    private func note(_ surprise: String) {
        state.withLock { state in
            state.surprises.append(surprise)
            state.running -= 1
        }
    }

    private func resolve(_ begin: Durable<BeginRecord>, _ decision: Outcome) {
        server.database.resolve(TestServer.order(begin, decision)) { [self] resolution in
            switch resolution {
            case .done:
                if decision == .committed { state.withLock { _ = $0.committed.insert(begin.record.transaction) } }
                // A database that is away refuses at once: no need to ask without a pause.
                queue.asyncAfter(deadline: .now() + (decision == .committed ? 0 : 0.01)) { [self] in next() }
            case .open: queue.asyncAfter(deadline: .now() + 0.02) { [self] in resolve(begin, decision) }
            case .heuristic(let evidence): note(evidence)
            }
        }
    }
}
