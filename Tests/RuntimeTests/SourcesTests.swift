import Coordinator
import Foundation
import Runtime
import Testing

/// The clocks and the source of identifiers: what the core is given because it has none of its own.
@Suite struct SourcesTests {
    /// Goal: the monotonic clock goes on in the unit that it says, and never back.
    @Test func theMonotonicClockGoesOn() async throws {
        let start = SystemClock.monotonic()
        var last = start
        for _ in 0..<1000 {
            let next = SystemClock.monotonic()
            #expect(next >= last)
            last = next
        }
        try await Task.sleep(for: .milliseconds(30))
        let passed = SystemClock.monotonic().since(start).count
        // The unit shows, and a machine that is busy elsewhere does not matter.
        #expect(passed >= 30 && passed < 60_000)
    }

    /// Goal: the wall clock is the system's, in microseconds since 1970.
    @Test func theWallClockIsTheSystems() {
        let before = Date().timeIntervalSince1970
        let now = Double(SystemClock.wall().microseconds) / 1_000_000
        let after = Date().timeIntervalSince1970
        #expect(now >= before - 0.001 && now <= after + 0.001)
    }

    /// Goal: a transaction's name begins with its time, so that names grow with it, and two of one time differ.
    @Test func transactionNamesGrowWithTime() {
        let time = WallTime(microseconds: 1_700_000_000_123_456)
        let (one, other) = (IdentifierSource.transaction(at: time), IdentifierSource.transaction(at: time))
        #expect(one != other)
        #expect(one.high >> 16 == 1_700_000_000_123)
        #expect(one < IdentifierSource.transaction(at: WallTime(microseconds: time.microseconds + 1000)))
        #expect(one.description.hasPrefix("visa_"))
        // A clock before 1970 makes no crash.
        #expect(IdentifierSource.transaction(at: WallTime(microseconds: -5)).high >> 16 == 0)
    }

    /// Goal: a request_id that the server makes has the letter r and 32 digits, and none comes twice.
    @Test func madeRequestNamesAreUnique() {
        let names = Set((0..<1000).map { _ in IdentifierSource.request().text })
        #expect(names.count == 1000)
        #expect(
            names.allSatisfy { $0.utf8.count == 33 && $0.first == "r" && $0.dropFirst().allSatisfy { $0.isHexDigit } })
    }

    /// Goal: two starts do not draw the same incarnation, nor two directories the same log.
    @Test func drawnNumbersDiffer() {
        #expect(Set((0..<100).map { _ in IdentifierSource.incarnation() }).count == 100)
        #expect(Set((0..<100).map { _ in IdentifierSource.logID() }).count == 100)
    }
}
