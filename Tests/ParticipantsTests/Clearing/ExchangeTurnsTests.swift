import NIOCore
import NIOEmbedded
import Testing

@testable import ClearingParticipant

@Suite("So many exchanges at a time, the others in their order")
struct ExchangeTurnsTests {
    private let loop = EmbeddedEventLoop()
    private let turns: ExchangeTurns
    private let log = Log()

    /// What those who waited were told, in that order.
    private final class Log {
        var entries: [Entry] = []
    }

    private struct Entry: Equatable, CustomStringConvertible {
        let name: String
        let end: ExchangeTurns.End
        init(_ name: String, _ end: ExchangeTurns.End) { (self.name, self.end) = (name, end) }
        var description: String { "\(name): \(end)" }
    }

    init() { turns = ExchangeTurns(loop: loop, limit: 2) }

    private func wait(_ name: String, milliseconds: Int64 = 1000) {
        turns.wait(until: loop.now + .milliseconds(milliseconds)) { [log] in log.entries.append(Entry(name, $0)) }
    }

    private func fill() {
        #expect(turns.begin())
        #expect(turns.begin())
        #expect(!turns.begin(), "there are two")
    }

    @Test("What became free in one turn of the loop is given away at its end, first come, first served")
    func order() {
        fill()
        for name in ["a", "b", "c"] { wait(name) }
        turns.end()
        turns.end()
        #expect(log.entries.isEmpty)
        loop.run()
        #expect(log.entries == [Entry("a", .turn), Entry("b", .turn)])
        turns.end()
        loop.run()
        #expect(log.entries.last == Entry("c", .turn))
        turns.end()
        turns.end()
        loop.run()
        fill()
    }

    @Test("Nobody overtakes those who wait")
    func overtaking() {
        fill()
        wait("a")
        turns.end()
        #expect(!turns.begin(), "what became free is another's")
        wait("b")
        loop.run()
        #expect(log.entries == [Entry("a", .turn)])
    }

    @Test("Who gets a turn and is done with it at once leaves it to the next")
    func immediate() {
        fill()
        for name in ["a", "b"] {
            turns.wait(until: loop.now + .seconds(1)) { [log, turns] in
                log.entries.append(Entry(name, $0))
                turns.end()
            }
        }
        wait("c")
        turns.end()
        loop.run()
        #expect(log.entries == ["a", "b", "c"].map { Entry($0, .turn) })
    }

    @Test("Who waits too long is told so and takes no turn; others go on waiting")
    func lateness() {
        fill()
        wait("patient")
        wait("hasty", milliseconds: 25)
        loop.advanceTime(by: .milliseconds(20))
        #expect(log.entries.isEmpty)
        loop.advanceTime(by: .milliseconds(10))
        #expect(log.entries == [Entry("hasty", .tooLate)])
        wait("hasty again", milliseconds: 25)
        loop.advanceTime(by: .milliseconds(500))
        #expect(log.entries.last == Entry("hasty again", .tooLate), "it is looked for as long as anybody waits")
        turns.end()
        loop.run()
        #expect(log.entries.last == Entry("patient", .turn))
    }

    @Test("A turn that comes too late is given to the next")
    func lateTurn() {
        fill()
        wait("hasty", milliseconds: 1)
        wait("patient")
        loop.advanceTime(by: .milliseconds(2))
        #expect(log.entries.isEmpty, "not looked at yet")
        turns.end()
        loop.run()
        #expect(log.entries == [Entry("hasty", .tooLate), Entry("patient", .turn)])
    }

    @Test("Everybody can be sent away, once")
    func dismissal() {
        fill()
        wait("a")
        wait("b")
        turns.dismissAll()
        #expect(log.entries == [Entry("a", .dismissed), Entry("b", .dismissed)])
        turns.end()
        loop.advanceTime(by: .seconds(2))
        #expect(log.entries.count == 2)
        #expect(turns.begin(), "one has ended and nobody waits")
    }
}
