import Testing

@testable import ClearingSimulator

/// Goal: faults come as often and take as long as asked for, the same for the same seed, and only valid ones are taken.
@Suite struct FaultsTests {
    @Test func merging() throws {
        let first = try Faults().merging(json: Array(#"{"error_rate":0.25,"latency_ms":20}"#.utf8))
        let second = try first.merging(json: Array(#"{"outage":true,"latency_p99_ms":50}"#.utf8))
        #expect(second.errorRate == 0.25)
        #expect(second.latencyMilliseconds == 20)
        #expect(second.latencyP99Milliseconds == 50)
        #expect(second.isOutage)
        #expect(
            second.jsonText
                == #"{"error_rate":0.25,"lost_reply_rate":0,"decline_rate":0,"latency_ms":20,"latency_p99_ms":50,"#
                + #""outage":true}"#)
        #expect(try second.merging(json: Array(second.jsonText.utf8)) == second)
        #expect(try second.merging(json: Array("{}".utf8)) == second)
    }

    @Test(arguments: [
        ("", "not valid JSON"), ("{", "not valid JSON"), ("[]", "JSON object"), ("1", "JSON object"),
        (#"{"error_rat":0.1}"#, "unknown setting"), (#"{"error_rate":1.1}"#, "error_rate"),
        (#"{"error_rate":-0.1}"#, "error_rate"), (#"{"lost_reply_rate":2}"#, "lost_reply_rate"),
        (#"{"decline_rate":"0.1"}"#, "decline_rate must be a number"), (#"{"latency_ms":-1}"#, "latency_ms"),
        (#"{"latency_p99_ms":1e9}"#, "latency_p99_ms"), (#"{"outage":1}"#, "outage must be true or false"),
    ])
    func refused(json: String, expected: String) {
        let error = #expect(throws: MalformedRequest.self) { try Faults().merging(json: Array(json.utf8)) }
        #expect(error?.reason.contains(expected) == true, "\(error?.reason ?? "nothing")")
    }

    /// 40,000 draws: a rate's share is within five standard deviations of it.
    @Test func rates() {
        var random = SeededRandom(seed: 1)
        let faults = Faults(errorRate: 0.05, lostReplyRate: 0.5, declineRate: 0.2)
        let fates = (0..<40_000).map { _ in RequestFate(faults: faults, random: &random) }
        for (rate, count) in [
            (0.05, fates.count(where: \.isError)), (0.5, fates.count(where: \.isReplyLost)),
            (0.2, fates.count(where: \.isDeclined)),
        ] {
            let deviation = (rate * (1 - rate) * 40_000).squareRoot()
            #expect(abs(Double(count) - rate * 40_000) < 5 * deviation)
        }
        #expect(Set(fates.map(\.authorizationCode)).count > 39_000)
        #expect(fates.allSatisfy { $0.authorizationCode.utf8.count == 6 })
    }

    @Test func latencyQuantiles() {
        var random = SeededRandom(seed: 2)
        let faults = Faults(latencyMilliseconds: 20, latencyP99Milliseconds: 50)
        let delays = (0..<40_000).map { _ in
            let fate = RequestFate(faults: faults, random: &random)
            #expect(fate.delayBeforeNanoseconds >= 0 && fate.delayAfterNanoseconds >= 0)
            return Double(fate.delayBeforeNanoseconds + fate.delayAfterNanoseconds) / 1_000_000
        }.sorted()
        #expect(abs(delays[20_000] - 20) < 0.5)
        #expect(abs(delays[39_600] - 50) < 3)
    }

    @Test(arguments: [(20.0, 0.0, 20.0), (20, 20, 20), (20, 10, 20), (0, 50, 0), (0, 0, 0)])
    func constantLatency(median: Double, p99: Double, expected: Double) {
        let faults = Faults(latencyMilliseconds: median, latencyP99Milliseconds: p99)
        for deviate in [-3.0, 0, 3] { #expect(faults.latencyMilliseconds(deviate: deviate) == expected) }
    }

    @Test func drawnLatencyIsBounded() {
        let faults = Faults(latencyMilliseconds: 1, latencyP99Milliseconds: SimulatorLimits.latencyMillisecondsMax)
        #expect(faults.latencyMilliseconds(deviate: 8) == SimulatorLimits.latencyMillisecondsMax)
    }

    /// The same seed gives the same run, whatever the rates are.
    @Test func seeds() {
        func codes(_ faults: Faults, seed: UInt64) -> [String] {
            var random = SeededRandom(seed: seed)
            return (0..<100).map { _ in RequestFate(faults: faults, random: &random).authorizationCode }
        }
        #expect(codes(Faults(), seed: 3) == codes(Faults(errorRate: 1, latencyMilliseconds: 5), seed: 3))
        #expect(codes(Faults(), seed: 3) != codes(Faults(), seed: 4))
        // The reference values of SplitMix64 for the seed 1234567.
        var random = SeededRandom(seed: 1_234_567)
        #expect(random.next() == 6_457_827_717_110_365_317)
        #expect(random.next() == 3_203_168_211_198_807_973)
    }
}
