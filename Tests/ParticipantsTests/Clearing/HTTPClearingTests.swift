import Coordinator
import NIOCore
import NIOPosix
import Payments
import Synchronization
import Testing

@testable import ClearingParticipant

/// Goal: over a real socket, each thing that a network can do to a request leads to the one answer that is safe.
/// One at a time, because some measure time.
@Suite(.serialized) struct HTTPClearingTests {
    private typealias Fixture = ClearingFixture

    private static func vote(
        _ script: [ScriptedNetwork.Act], attemptTimeout: Milliseconds = .seconds(5), retryMax: Int = 2,
        deadline: Milliseconds = .seconds(10)
    ) async throws -> (Vote, [ScriptedNetwork.Request]) {
        try await Fixture.withNetwork(script, attemptTimeout: attemptTimeout, retryMax: retryMax) { clearing in
            await clearing.vote(try Fixture.prepareOrder(deadline: deadline))
        }
    }

    private static func expectUnknown(_ vote: Vote, _ comment: Comment? = nil) {
        guard case .unknown = vote else {
            unexpected(vote, comment)
            return
        }
    }

    // MARK: prepare

    @Test func yes() async throws {
        let (vote, requests) = try await Self.vote([.reply(status: 200, body: Fixture.ok)])
        #expect(vote == .yes(authorizationCode: "A1B2C3"))
        #expect(requests.map(\.line) == ["POST /clearing/prepare HTTP/1.1"])
        let body = try #require(requests.first).body
        #expect(
            body.hasPrefix(#"{"action":"prepare","transaction_id":"\#(Fixture.transaction)","pan":"411111******1111""#))
        #expect(!body.contains("repeat"))
    }

    @Test func declined() async throws {
        let (vote, requests) = try await Self.vote([.reply(status: 200, body: Fixture.declined)])
        #expect(vote == .no(.declined("do_not_honor")))
        #expect(requests.count == 1, "a refusal is final")
    }

    /// A lost reply may have placed a hold that the repeat knows nothing of.
    @Test(arguments: [
        ScriptedNetwork.Act.drop, .rawThenClose("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"status\""),
        .reply(status: 200, body: "garbage"), .reply(status: 500, body: Fixture.failed),
        .reply(status: 200, body: Fixture.settled), .rawThenClose("HTTP/1.1 200"), .raw("not HTTP at all\r\n\r\n"),
        .reply(status: 302, body: ""),
    ])
    func declinedAfterAnOpenAttempt(first: ScriptedNetwork.Act) async throws {
        let (vote, requests) = try await Self.vote([first, .reply(status: 200, body: Fixture.declined)])
        Self.expectUnknown(vote)
        #expect(requests.count == 2)
        #expect(requests.last?.body.hasSuffix(#""repeat":true}"#) == true)
    }

    @Test func yesAfterFailures() async throws {
        let (vote, requests) = try await Self.vote([
            .reply(status: 503, body: Fixture.failed), .drop, .reply(status: 200, body: Fixture.ok),
        ])
        #expect(vote == .yes(authorizationCode: "A1B2C3"))
        #expect(requests.count == 3)
    }

    @Test func failuresOnly() async throws {
        let (vote, requests) = try await Self.vote(
            [.reply(status: 500, body: Fixture.failed), .drop, .reply(status: 200, body: "{}")])
        Self.expectUnknown(vote)
        #expect(requests.count == 3, "not more attempts than configured")
    }

    /// An attempt that hangs leaves time for the next one.
    @Test func timeoutThenYes() async throws {
        let start = ContinuousClock.now
        let (vote, requests) = try await Self.vote(
            [.hang, .reply(status: 200, body: Fixture.ok)], attemptTimeout: Milliseconds(1000))
        #expect(vote == .yes(authorizationCode: "A1B2C3"))
        #expect(requests.count == 2)
        #expect(ContinuousClock.now - start >= .milliseconds(1000))
    }

    /// The answer of an attempt that was given up is not taken for the next one's.
    @Test func lateReply() async throws {
        let (vote, requests) = try await Self.vote(
            [.late(milliseconds: 1200, body: Fixture.ok), .late(milliseconds: 3000, body: Fixture.declined)],
            attemptTimeout: Milliseconds(1000), retryMax: 1)
        Self.expectUnknown(vote)
        #expect(requests.count == 2)
    }

    /// The vote is there before the deadline, with the database's share still left.
    @Test func deadline() async throws {
        let start = ContinuousClock.now
        let (vote, requests) = try await Self.vote([.hang, .hang, .hang, .hang], deadline: Milliseconds(4000))
        Self.expectUnknown(vote)
        #expect(requests.count == 3)
        #expect(ContinuousClock.now - start < .milliseconds(4000))
    }

    @Test func deadlinePassed() async throws {
        let (vote, requests) = try await Self.vote([.reply(status: 200, body: Fixture.ok)], deadline: .zero)
        guard case .no(.unavailable) = vote else { return unexpected(vote) }
        #expect(requests.isEmpty)
    }

    /// Nobody listens: nothing was sent, so nothing can be held.
    @Test func refusedConnection() async throws {
        let port = try ClosedPort()
        let vote = try await Fixture.withClearing(port.address) { clearing in
            await clearing.vote(try Fixture.prepareOrder())
        }
        guard case .no(.unavailable) = vote else { return unexpected(vote) }
    }

    @Test func unknownHost() async throws {
        let vote = try await Fixture.withClearing("http://no-such-host.invalid:1") { clearing in
            await clearing.vote(try Fixture.prepareOrder())
        }
        guard case .no(.unavailable) = vote else { return unexpected(vote) }
    }

    /// One attempt arrived, the next ones find nobody: what the first did is not known.
    @Test func refusedConnectionAfterAnOpenAttempt() async throws {
        let network = try await ScriptedNetwork.start([.drop])
        let stopper = Task {
            try await network.untilAsked()
            try await network.stop()
        }
        let vote = try await Fixture.withClearing(network.address) { clearing in
            await clearing.vote(try Fixture.prepareOrder())
        }
        try await stopper.value
        Self.expectUnknown(vote)
    }

    /// A reply without end is cut off.
    @Test func endlessReply() async throws {
        let block = String(repeating: "x", count: ClearingLimits.replyBytesMax + 1)
        let (vote, _) = try await Self.vote(
            [.raw("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + block)], retryMax: 0)
        guard case .unknown(let reason) = vote else { return unexpected(vote) }
        #expect(reason.contains("longer than"))
    }

    /// A redirect is not followed: the hold would be placed at somebody else.
    @Test func redirect() async throws {
        let other = try await ScriptedNetwork.start([.reply(status: 200, body: Fixture.ok)])
        let (vote, _) = try await Self.vote(
            [.raw("HTTP/1.1 307 X\r\nLocation: \(other.address)/clearing/prepare\r\nContent-Length: 0\r\n\r\n")],
            retryMax: 0)
        Self.expectUnknown(vote)
        #expect(other.requests.isEmpty)
        try await other.stop()
    }

    private static func votes(_ count: Int, of clearing: HTTPClearing) async throws -> [Vote] {
        try await withThrowingTaskGroup(of: Vote.self) { group in
            for _ in 0..<count {
                group.addTask { await clearing.vote(try Fixture.prepareOrder(deadline: .seconds(300))) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// Hundreds at a time, each answered once with its own vote.
    @Test func manyAtATime() async throws {
        let script = [ScriptedNetwork.Act](repeating: .late(milliseconds: 50, body: Fixture.ok), count: 200)
        let (votes, requests) = try await Fixture.withNetwork(script, attemptTimeout: .seconds(60)) { clearing in
            try await Self.votes(200, of: clearing)
        }
        #expect(votes.allSatisfy { $0 == .yes(authorizationCode: "A1B2C3") })
        #expect(votes.count == 200)
        #expect(requests.count == 200)
    }

    /// Many more than may be asked at a time: each gets its turn, and never are more of them on their way.
    @Test func moreThanAtATime() async throws {
        let script = [ScriptedNetwork.Act](repeating: .late(milliseconds: 5, body: Fixture.ok), count: 50)
        let network = try await ScriptedNetwork.start(script)
        let votes = try await Fixture.withClearing(
            network.address, attemptTimeout: .seconds(60), exchangesMax: 3
        ) { clearing in
            try await Self.votes(50, of: clearing)
        }
        #expect(votes.filter { $0 == .yes(authorizationCode: "A1B2C3") }.count == 50)
        #expect(network.requests.count == 50)
        #expect(network.mostUnanswered == 3)
        try await network.stop()
    }

    /// One exchange at a time, and the network is silent: who waits behind it has sent nothing, so nothing can be held.
    @Test func noTurnInTime() async throws {
        let network = try await ScriptedNetwork.start([.hang])
        try await Fixture.withClearing(
            network.address, attemptTimeout: .seconds(4), retryMax: 0, exchangesMax: 1
        ) { clearing in
            async let silent = clearing.resolution(try Fixture.confirmOrder())
            try await network.untilAsked()
            let vote = await clearing.vote(try Fixture.prepareOrder(deadline: .seconds(1)))
            guard case .no(.unavailable) = vote else { return unexpected(vote) }
            guard case .open = try await silent else { return unexpected(try await silent) }
        }
        #expect(network.requests.count == 1)
        try await network.stop()
    }

    /// Who gets a turn has time left for it: the wait for one is over before the attempt's time is.
    @Test func turnWithTimeLeft() async throws {
        let network = try await ScriptedNetwork.start([.hang])
        try await Fixture.withClearing(network.address, attemptTimeout: .seconds(1), exchangesMax: 1) { clearing in
            async let silent = clearing.resolution(try Fixture.confirmOrder())
            try await network.untilAsked()
            let waiting = await clearing.resolution(try Fixture.confirmOrder())
            guard case .open(let reason) = waiting else { return unexpected(waiting) }
            #expect(reason == "no connection to the network became free in time")
            _ = try await silent
        }
        #expect(network.requests.count == 1, "its turn would have come when half of its time was over")
        try await network.stop()
    }

    /// Who waits when the end comes is told so, and nothing is sent for it.
    @Test func shutdownWhileSomebodyWaits() async throws {
        let network = try await ScriptedNetwork.start([.hang])
        let outcomes = Mutex<[String]>([])
        try await Fixture.withClearing(network.address, exchangesMax: 1) { clearing in
            for name in ["first", "second"] {
                clearing.confirm(try Fixture.confirmOrder(), isRepeat: false) { resolution in
                    outcomes.withLock { $0.append("\(name): \(resolution)") }
                }
            }
            try await network.untilAsked()
        }
        let told = outcomes.withLock(\.self)
        #expect(told.count == 2)
        #expect(told.first?.hasPrefix("second") == true && told.first?.contains("shut down") == true)
        #expect(network.requests.count == 1)
        try await network.stop()
    }

    // MARK: confirm and reverse

    private static let oneAttempt: [(ScriptedNetwork.Act, Resolution?, ReversalReply?)] = [
        (.reply(status: 200, body: Fixture.settled), .done(.acknowledgement), nil),
        (.reply(status: 200, body: Fixture.released), nil, .acknowledged),
        (.reply(status: 200, body: Fixture.ok), nil, nil),
        (
            .reply(status: 200, body: Fixture.declined),
            .heuristic("the network refused the confirmation: do_not_honor"),
            .refused("do_not_honor")
        ),
        (.reply(status: 500, body: Fixture.failed), nil, nil), (.reply(status: 200, body: "garbage"), nil, nil),
        (.reply(status: 502, body: Fixture.declined), nil, nil), (.drop, nil, nil), (.hang, nil, nil),
        (.rawThenClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), nil, nil),
    ]

    /// Where nothing else is expected, the confirmation stays open: a commit is never given up.
    @Test(arguments: 0..<10) func confirm(index: Int) async throws {
        let (act, expected, _) = Self.oneAttempt[index]
        let (resolution, requests) = try await Fixture.withNetwork([act], attemptTimeout: act.timeout) {
            await $0.resolution(try Fixture.confirmOrder(), isRepeat: true)
        }
        if let expected {
            #expect(resolution == expected)
        } else {
            guard case .open = resolution else { return unexpected(resolution) }
        }
        #expect(requests.map(\.line) == ["POST /clearing/commit HTTP/1.1"], "one attempt")
        #expect(requests.first?.body.hasPrefix(#"{"action":"commit""#) == true)
        #expect(requests.first?.body.hasSuffix(#""repeat":true}"#) == true)
    }

    /// Only a definite refusal counts as one; everything else is repeated.
    @Test(arguments: 0..<10) func reverse(index: Int) async throws {
        let (act, _, expected) = Self.oneAttempt[index]
        let (reply, requests) = try await Fixture.withNetwork([act], attemptTimeout: act.timeout) {
            await $0.reply(try Fixture.reversalOrder())
        }
        if let expected {
            #expect(reply == expected)
        } else {
            guard case .failed = reply else { return unexpected(reply) }
        }
        #expect(requests.map(\.line) == ["POST /clearing/abort HTTP/1.1"], "one attempt")
        #expect(requests.first?.body.contains("repeat") == false)
    }

    @Test func nobodyListens() async throws {
        let port = try ClosedPort()
        try await Fixture.withClearing(port.address) { clearing in
            guard case .open = await clearing.resolution(try Fixture.confirmOrder()) else {
                return unexpected("not open")
            }
            guard case .failed = await clearing.reply(try Fixture.reversalOrder()) else {
                return unexpected("not failed")
            }
            guard case .unreachable = await clearing.status(Fixture.transaction) else {
                return unexpected("not unreachable")
            }
        }
    }

    // MARK: status

    @Test func status() async throws {
        let name = Fixture.transaction.description
        let (statuses, requests) = try await Fixture.withNetwork([
            .reply(status: 200, body: #"{"status":"OK","transaction_id":"\#(name)","state":"settled"}"#),
            .reply(status: 200, body: #"{"status":"OK","transaction_id":"\#(name)","state":"unknown"}"#),
        ]) { [await $0.status(Fixture.transaction), await $0.status(Fixture.transaction)] }
        #expect(statuses == [.settled, .unknown])
        #expect(requests.map(\.line) == Array(repeating: "GET /clearing/status/\(name) HTTP/1.1", count: 2))
    }

    /// No evidence is made of anything but a status of this transaction.
    @Test(arguments: [
        ScriptedNetwork.Act.drop, .reply(status: 404, body: ""), .reply(status: 200, body: Fixture.settled),
        .reply(status: 503, body: Fixture.failed), .reply(status: 200, body: Fixture.declined),
        .reply(status: 200, body: #"{"status":"OK","transaction_id":"visa_x","state":"settled"}"#),
    ])
    func noEvidence(act: ScriptedNetwork.Act) async throws {
        let (status, _) = try await Fixture.withNetwork([act]) { await $0.status(Fixture.transaction) }
        guard case .unreachable = status else { return unexpected(status) }
    }

    /// Goal: what answers cost is paid on the loop given, also for those who give their orders on another one, and whether the network has to
    /// be asked or not.
    @Test func completionsComeOnItsLoop() async throws {
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let (loop, caller) = (loops.next(), loops.next())
        try await Fixture.withClearing("http://127.0.0.1:1", on: loop) { clearing in
            let orders = try [Milliseconds.zero, .seconds(2)].map { try Fixture.prepareOrder(deadline: $0) }
            let (confirmation, reversal) = (try Fixture.confirmOrder(), try Fixture.reversalOrder())
            for order in orders {
                #expect(await Self.isOn(loop, from: caller) { done in clearing.prepare(order) { _ in done() } })
            }
            #expect(
                await Self.isOn(loop, from: caller) { done in
                    clearing.confirm(confirmation, isRepeat: false) { _ in done() }
                })
            #expect(await Self.isOn(loop, from: caller) { done in clearing.reverse(reversal) { _ in done() } })
            #expect(
                await Self.isOn(loop, from: caller) { done in clearing.status(Fixture.transaction) { _ in done() } })
        }
        try await loops.shutdownGracefully()
    }

    /// Whether what `body` does on the loop `caller` is completed on `loop`.
    private static func isOn(
        _ loop: any EventLoop, from caller: any EventLoop,
        _ body: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void
    ) async -> Bool {
        await withCheckedContinuation { continuation in
            caller.execute { body { continuation.resume(returning: loop.inEventLoop) } }
        }
    }

    // MARK: what nothing is known of

    /// Goal: of a payment that was taken in with nothing known but its id, the network is told the id alone.
    @Test func namelessMessages() throws {
        let known = try Fixture.intent()
        let nameless = PaymentIntent(
            requestID: try #require(RequestID(Fixture.transaction.description)), kind: known.kind,
            amount: Money(minorUnits: 0, currency: .usDollar), merchant: known.merchant, maskedPAN: known.maskedPAN,
            panToken: known.panToken, requestHash: known.requestHash, reference: nil)
        for action in [ClearingMessage.Action.commit, .abort] {
            let message = ClearingMessage(
                action: action, transaction: Fixture.transaction, intent: nameless, isRepeat: true)
            let text = String(decoding: message.encoded().readableBytesView, as: UTF8.self)
            #expect(
                text
                    == #"{"action":"\#(action.rawValue)","transaction_id":"\#(Fixture.transaction)","repeat":true}"#)
        }
    }
}
