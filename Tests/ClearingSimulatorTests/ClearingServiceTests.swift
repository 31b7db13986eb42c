import Foundation
import HTTPService
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

@testable import ClearingSimulator

/// Goal: over HTTP the simulator says what the contract says, and its faults do exactly what they are named for.
@Suite struct ClearingServiceTests {
    /// A service whose delays are counted instead of waited for, driven without sockets.
    private struct World {
        let service: ClearingService
        let delays: Delays

        init(faults: Faults = Faults(), seed: UInt64 = 1, journal: sending BookJournal? = nil) {
            let delays = Delays()
            self.delays = delays
            service = ClearingService(
                book: ClearingBook(), journal: journal, faults: faults, random: SeededRandom(seed: seed),
                environment: ClearingService.Environment(
                    schedule: { nanoseconds, work in
                        delays.total.withLock { $0 += nanoseconds }
                        work()
                    },
                    offload: { work in work() }, giveUp: { reason in Issue.record("gave up: \(reason)") }))
        }

        /// The reply: its status and body, or `nil` if the connection was dropped.
        func ask(_ method: HTTPMethod, _ path: String, _ body: String = "") throws -> (status: UInt, body: String)? {
            let answer = Mutex<ServiceResponse?>(nil)
            let request = ServiceRequest(
                method: method, path: path, body: ByteBuffer(string: body))
            service.respond(to: request) { response in
                answer.withLock { previous in
                    #expect(previous == nil, "answered twice")
                    previous = response
                }
            }
            switch try #require(answer.withLock { $0 }) {
            case .answer(let answer): return (answer.status.code, String(buffer: answer.body))
            case .dropConnection: return nil
            }
        }

        func act(_ action: String, _ transaction: String, amount: String = "12.34") throws -> String {
            let body =
                #"{"action":"\#(action)","transaction_id":"\#(transaction)","pan":"411111******1111","#
                + #""amount":"\#(amount)","currency":"USD","merchant_id":"M","type":"AUTH"}"#
            return try ask(.POST, "/clearing/\(action)", body)?.body ?? "dropped"
        }

        func book() throws -> [[String: String]] {
            let text = try #require(try ask(.GET, "/clearing/book")).body
            let json = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]]
            return try #require(json).map { $0.mapValues { "\($0)" } }
        }
    }

    private final class Delays: Sendable {
        let total = Mutex<Int64>(0)
    }

    @Test func repliesOfTheContract() throws {
        let world = World()
        let hold = try world.act("prepare", "visa_1")
        #expect(hold.hasPrefix(#"{"status":"OK","action":"hold_placed","auth_code":""#))
        #expect(try world.act("prepare", "visa_1") == hold, "a repeat has the same authorization code")
        let settled = try world.act("commit", "visa_1")
        #expect(settled.hasPrefix(#"{"status":"OK","action":"settled","settlement_id":""#))
        #expect(try world.act("commit", "visa_1") == settled)
        #expect(try world.act("abort", "visa_1").hasPrefix(#"{"status":"DECLINED","reason":"already_settled""#))
        #expect(try world.act("abort", "visa_2").hasPrefix(#"{"status":"OK","action":"hold_released""#))
        #expect(try world.act("prepare", "visa_2").hasPrefix(#"{"status":"DECLINED","reason":"aborted""#))
        #expect(try world.act("commit", "visa_3").hasPrefix(#"{"status":"DECLINED","reason":"unknown_transaction""#))
        #expect(
            try world.book() == [
                [
                    "transaction_id": "visa_1", "state": "settled", "amount": "12.34", "prepares": "2",
                    "commits": "2", "aborts": "1",
                ],
                [
                    "transaction_id": "visa_2", "state": "tombstone", "amount": "12.34", "prepares": "1",
                    "commits": "0", "aborts": "1",
                ],
                [
                    "transaction_id": "visa_3", "state": "declined", "amount": "12.34", "prepares": "0",
                    "commits": "1", "aborts": "0",
                ],
            ])
    }

    @Test func conflict() throws {
        let world = World()
        _ = try world.act("prepare", "visa_1")
        #expect(try world.act("prepare", "visa_1", amount: "99.00").contains(#""status":"ERROR","reason":"conflict""#))
        #expect(try world.book().first?["prepares"] == "1")
    }

    @Test func status() throws {
        let world = World()
        #expect(
            try world.ask(.GET, "/clearing/status/visa_1")?.body
                == #"{"status":"OK","transaction_id":"visa_1","state":"unknown"}"#)
        _ = try world.act("prepare", "visa_1")
        let held = try #require(try world.ask(.GET, "/clearing/status/visa_1")).body
        #expect(held.contains(#""state":"held","amount":"12.34","auth_code":""#))
        #expect(try world.book().count == 1, "asking leaves no trace")
    }

    @Test(arguments: [
        (HTTPMethod.GET, "/healthz", UInt(200)), (.POST, "/healthz", 405), (.GET, "/", 404), (.GET, "/clearing", 404),
        (.GET, "/clearing/prepare", 405), (.POST, "/clearing/settle", 404), (.POST, "/clearing/prepare", 400),
        (.POST, "/clearing/book", 405), (.PUT, "/clearing/faults", 405), (.POST, "/clearing/faults", 400),
        (.GET, "/clearing/status/", 400), (.GET, "/clearing/status/a/b", 404), (.GET, "/clearing/book/", 404),
    ])
    func paths(method: HTTPMethod, path: String, status: UInt) throws {
        #expect(try World().ask(method, path)?.status == status)
    }

    /// An error did nothing.
    @Test func errors() throws {
        let world = World(faults: Faults(errorRate: 1))
        for action in ["prepare", "commit", "abort"] {
            #expect(try world.act(action, "visa_1").hasPrefix(#"{"status":"ERROR""#))
        }
        #expect(try world.ask(.GET, "/clearing/status/visa_1")?.status == 500)
        #expect(try world.book().isEmpty)
    }

    /// A lost reply did its work.
    @Test func lostReplies() throws {
        let world = World(faults: Faults(lostReplyRate: 1))
        #expect(try world.act("prepare", "visa_1") == "dropped")
        #expect(try world.book().first?["state"] == "held")
        #expect(try world.act("commit", "visa_1") == "dropped")
        #expect(try world.book().first?["state"] == "settled")
    }

    @Test func declines() throws {
        let world = World(faults: Faults(declineRate: 1))
        #expect(try world.act("prepare", "visa_1").hasPrefix(#"{"status":"DECLINED","reason":"do_not_honor""#))
        _ = try world.ask(.POST, "/clearing/faults", #"{"decline_rate":0}"#)
        #expect(try world.act("prepare", "visa_1").hasPrefix(#"{"status":"DECLINED""#), "a decline is remembered")
        #expect(try world.act("prepare", "visa_2").hasPrefix(#"{"status":"OK""#))
    }

    /// An outage refuses everything about transactions at once, and nothing else.
    @Test func outage() throws {
        let world = World(faults: Faults(latencyMilliseconds: 1000))
        #expect(try world.ask(.POST, "/clearing/faults", #"{"outage":true}"#)?.status == 200)
        for path in ["/clearing/prepare", "/clearing/commit", "/clearing/abort"] {
            #expect(try world.ask(.POST, path, "{}")?.status == 503)
        }
        #expect(try world.ask(.GET, "/clearing/status/visa_1")?.status == 503)
        #expect(world.delays.total.withLock { $0 } == 0)
        #expect(try world.book().isEmpty)
        #expect(try world.ask(.GET, "/healthz")?.status == 200)
        #expect(try world.ask(.POST, "/clearing/faults", #"{"outage":false}"#)?.status == 200)
        #expect(try world.act("prepare", "visa_1").hasPrefix(#"{"status":"OK""#))
    }

    @Test func latency() throws {
        let world = World(faults: Faults(latencyMilliseconds: 30))
        _ = try world.act("prepare", "visa_1")
        #expect(world.delays.total.withLock { $0 } == 30_000_000)
    }

    @Test func badFaultsChangeNothing() throws {
        let world = World(faults: Faults(errorRate: 0.5))
        let before = try world.ask(.GET, "/clearing/faults")?.body
        #expect(try world.ask(.POST, "/clearing/faults", #"{"outage":true,"error_rate":7}"#)?.status == 400)
        #expect(try world.ask(.GET, "/clearing/faults")?.body == before)
    }

    /// The same seed meets the same requests with the same fate.
    @Test func seeds() throws {
        func run(_ seed: UInt64) throws -> [String] {
            let world = World(faults: Faults(errorRate: 0.3, lostReplyRate: 0.3, declineRate: 0.3), seed: seed)
            return try (0..<50).map { try world.act("prepare", "visa_\($0)") }
        }
        #expect(try run(5) == run(5))
        #expect(try run(5) != run(6))
    }

    /// A transaction_id may hold any visible ASCII character, quotes and backslashes too.
    @Test func escaping() throws {
        let world = World()
        let name = #"a"b\c/d"#
        let body = try JSONEncoder().encode(["transaction_id": name])
        let reply = try #require(try world.ask(.POST, "/clearing/abort", String(decoding: body, as: UTF8.self))).body
        let fields = try JSONDecoder().decode([String: String].self, from: Data(reply.utf8))
        #expect(fields["transaction_id"] == name)
        #expect(try world.book().first?["transaction_id"] == name)
    }
}
