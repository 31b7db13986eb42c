import Foundation
import Synchronization
import Testing

@testable import Coordinator
@testable import PostgresParticipant

@Suite("PostgreSQL: which sessions are older backends")
struct OlderBackendsTests {
    private static let log = LogID(high: 0xABCD, low: 0xEF)

    private static func of(_ name: String?, own: String? = "true") -> OlderBackends {
        SessionStatements.olderBackends(
            [["7", "2025-01-01 00:00:00+00", name, "payments", own]], log: log, than: Epoch(rawValue: 12))
    }

    @Test("Only the exact name with a smaller epoch is ours")
    func names() {
        let prefix = "holdfast/\(Self.log)/"
        for epoch in ["1", "11"] { #expect(Self.of(prefix + epoch).own.map(\.pid) == [7]) }
        let others = [
            "12", "13", "01", "+1", "-1", " 1", "1 ", "1x", "0x1", "", "1/1", "18446744073709551616", "\u{661}",
        ].map { prefix + $0 }
        for name in others + ["x" + prefix + "1", prefix.uppercased() + "1", "Holdfast" + prefix.dropFirst(8) + "1"] {
            #expect(Self.of(name).isEmpty, "\(name)")
        }
        #expect(Self.of(nil).isEmpty)
    }

    @Test("Another role's, or one whose role is hidden, is waited for and not ended")
    func roles() {
        let name = SessionStatements.applicationName(of: Self.log, Epoch(rawValue: 1))
        for own in ["false", nil] {
            let older = Self.of(name, own: own)
            #expect(older.own.isEmpty && older.others == [.init(pid: 7, role: "payments")])
        }
    }
}

extension PostgresTests {
    @Suite("Takeover")
    struct TakeoverTests {
        let target: PostgresCluster.Database

        init() throws { target = try PostgresCluster.shared.get().makeDatabase() }

        @Test(
            "A server that has nothing to do finds out that its fence was replaced or is gone",
            arguments: [true, false])
        func idle(isReplaced: Bool) throws {
            let server = try TestServer(ready: target)
            try target.run(
                isReplaced
                    ? "UPDATE holdfast_fence SET epoch = 9, incarnation = '00000000000000ff'"
                    : "DROP TABLE holdfast_fence")
            try eventually { !server.fencedOut.isEmpty }
            #expect(!server.database.isAvailable && server.fencedOut.count == 1)
            guard case .no = try server.prepare(server.begin()) else { Issue.record("it prepared"); return }
            guard case .unreachable = try server.observe([]) else { Issue.record("it saw something"); return }
            try server.close()
        }

        @Test("What a fenced-out server sees counts for nothing, and it says so at that look")
        func look() throws {
            let server = try TestServer(ready: target)
            try target.run("UPDATE holdfast_fence SET epoch = 9")
            guard case .unreachable(let why) = try server.observe([]) else { Issue.record("it saw something"); return }
            #expect(why.contains("fenced"))
            #expect(server.fencedOut.count == 1)
            try server.close()
        }

        @Test("An observer whose log the database does not know is refused, with the remedy; it changes nothing")
        func observerOfCopy() throws {
            let server = try TestServer(ready: target)
            let before = try target.run("SELECT * FROM holdfast_fence")
            let index = TestServer.index
            let known = [pair(1), pair(4)]
            for (confirmed, attempted, isRefused) in [
                (pair(1), [], false), (nil, known, false), (pair(2), [pair(3)], true), (nil, [], true),
                (pair(1, 99), [], true),
            ] as [(FencePair?, [FencePair], Bool)] {
                let fatal = Mutex<[String]>([])
                let observer = try PostgresDatabase(
                    index: index, configuration: PostgresConfiguration(uri: target.uri), log: server.log,
                    role: .observer(
                        current: Epoch(rawValue: 5),
                        fence: DatabaseFence(database: index, identity: nil, confirmed: confirmed, attempted: attempted)
                    ),
                    events: PostgresEvents(fatal: { text in fatal.withLock { $0.append(text) } }))
                try observer.start()
                let attempt = Awaited<PostgresDatabase.FirstAttempt>()
                observer.firstAttempt { attempt.set($0) }
                #expect((try attempt.get() == .available) == !isRefused)
                let said = fatal.withLock { $0 }
                #expect(isRefused ? said.count == 1 && said[0].contains("newest state directory") : said.isEmpty)
                let observation = Awaited<DatabaseObservation>()
                observer.observe(witnessesOf: []) { observation.set($0) }
                if case .seen = try observation.get().state { #expect(!isRefused) } else { #expect(isRefused) }
                let closed = Awaited<Bool>()
                observer.close { closed.set(true) }
                #expect(try closed.get())
            }
            #expect(try target.run("SELECT * FROM holdfast_fence") == before)
            try server.close()
        }

        @Test("A look at a database that nobody fenced yet, and that has no tables, is allowed")
        func observerOfNothing() throws {
            let observer = try PostgresDatabase(
                index: TestServer.index, configuration: PostgresConfiguration(uri: target.uri), log: randomLogID(),
                role: .observer(
                    current: Epoch(rawValue: 1),
                    fence: DatabaseFence(database: TestServer.index, identity: nil, confirmed: nil, attempted: [])),
                events: PostgresEvents())
            try observer.start()
            let attempt = Awaited<PostgresDatabase.FirstAttempt>()
            observer.firstAttempt { attempt.set($0) }
            #expect(try attempt.get() == .available)
            let closed = Awaited<Bool>()
            observer.close { closed.set(true) }
            #expect(try closed.get())
        }
    }
}
