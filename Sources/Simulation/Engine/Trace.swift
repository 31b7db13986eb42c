import Coordinator

/// What happened, in the field's words: told as a number for comparison, and as lines for people if somebody wants them.
final class Trace {
    struct Line: Sendable {
        let at: UInt64
        let transaction: TransactionID?
        let text: String
    }

    /// Lines that are kept; older ones are dropped.
    static let linesMax = 20_000

    let isKept: Bool
    private(set) var lines: [Line] = []
    /// Depends on everything that happened and on when: two runs of one seed have the same.
    private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325

    init(isKept: Bool) { self.isKept = isKept }

    /// - Parameter number: whatever tells this event from others of its kind.
    func note(
        _ at: UInt64, _ transaction: TransactionID?, _ number: Int, _ text: @autoclosure () -> String
    ) {
        fold(at)
        fold(transaction?.low ?? 0)
        fold(UInt64(truncatingIfNeeded: number))
        guard isKept else { return }
        lines.append(Line(at: at, transaction: transaction, text: text()))
        if lines.count > Self.linesMax { lines.removeFirst(Self.linesMax / 2) }
    }

    private func fold(_ value: UInt64) {
        digest = (digest ^ value) &* 0x100_0000_01b3
        digest ^= digest >> 29
    }
}
