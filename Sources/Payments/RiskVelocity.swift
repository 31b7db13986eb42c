/// How often a card may pay: at most so many admissions in any window of time.
///
/// The window slides exactly: an admission counts until its age reaches the window's length, so that no half-open span
/// of that length ever holds more admissions of a card than the limit. Refused attempts do not count. A call takes
/// constant time, but for the card's own expired admissions, each of which is dropped once.
///
/// Memory is bounded by ``PaymentLimits/velocityTrackedMax`` admissions over all cards. When they are used up, the
/// oldest admission is forgotten first, so under such a load a card may pay more often than the limit; it is never
/// refused wrongly.
public struct RiskVelocity: Sendable {
    /// Admissions of one card in a window.
    public let limit: Int
    /// Length of the window.
    public let windowMilliseconds: Int64

    /// Admissions in the order of time; a position counts them from 0 and lives in the slot of its lowest bits.
    private var slots: [Admission] = []
    private var first: UInt64 = 0
    private var next: UInt64 = 0
    private var cards: [KeyedDigest: Card] = [:]
    private var latestMilliseconds = Int64.min
    private let trackedMax: Int

    private struct Admission {
        let token: KeyedDigest
        let milliseconds: Int64
        /// The same card's next admission; its own position while there is none.
        var successor: UInt64

        static let vacant = Admission(token: KeyedDigest(keyID: 0, bytes: []), milliseconds: 0, successor: 0)
    }

    /// The admissions of a card that still count: a chain from the oldest to the newest.
    private struct Card {
        var oldest: UInt64
        var newest: UInt64
        var count: Int
    }

    /// - Parameters:
    ///   - limit: within ``PaymentLimits/velocityAdmissions``; 0 admits nothing.
    ///   - windowMilliseconds: within ``PaymentLimits/velocityWindowMilliseconds``.
    public init(limit: Int, windowMilliseconds: Int64) {
        self.init(limit: limit, windowMilliseconds: windowMilliseconds, trackedMax: PaymentLimits.velocityTrackedMax)
    }

    /// - Parameter trackedMax: a power of two.
    init(limit: Int, windowMilliseconds: Int64, trackedMax: Int) {
        precondition(PaymentLimits.velocityAdmissions.contains(limit), "a velocity limit outside of its range")
        precondition(
            PaymentLimits.velocityWindowMilliseconds.contains(windowMilliseconds),
            "a velocity window outside of its range")
        precondition(trackedMax > 0 && trackedMax & (trackedMax - 1) == 0, "not a power of two")
        self.limit = limit
        self.windowMilliseconds = windowMilliseconds
        self.trackedMax = trackedMax
    }

    /// Admissions that are remembered, over all cards.
    public var trackedAdmissions: Int { Int(next - first) }

    /// Cards of which an admission is remembered.
    public var trackedCards: Int { cards.count }

    /// Whether the card may pay now; if so, it has been counted.
    ///
    /// - Parameters:
    ///   - token: the card's keyed digest.
    ///   - nowMilliseconds: a monotonic clock's reading. A reading before an earlier call's counts as that one's.
    public mutating func admit(token: KeyedDigest, nowMilliseconds: Int64) -> Bool {
        latestMilliseconds = max(latestMilliseconds, nowMilliseconds)
        forgetSome()
        dropExpired(of: token)
        guard (cards[token]?.count ?? 0) < limit else { return false }
        if trackedAdmissions == trackedMax { forgetFirst() }
        count(token)
        return true
    }

    private mutating func count(_ token: KeyedDigest) {
        if trackedAdmissions == slots.count { grow() }
        let position = next
        next += 1
        slots[slot(position)] = Admission(token: token, milliseconds: latestMilliseconds, successor: position)
        if var card = cards[token] {
            slots[slot(card.newest)].successor = position
            card.newest = position
            card.count += 1
            cards[token] = card
        } else {
            cards[token] = Card(oldest: position, newest: position, count: 1)
        }
    }

    /// Advances the card's chain past what is too old.
    private mutating func dropExpired(of token: KeyedDigest) {
        guard var card = cards[token] else { return }
        let countBefore = card.count
        while card.count > 0, isExpired(card.oldest) {
            card.oldest = slots[slot(card.oldest)].successor
            card.count -= 1
        }
        guard card.count < countBefore else { return }
        cards[token] = card.count > 0 ? card : nil
    }

    private mutating func forgetSome() {
        var forgotten = 0
        while forgotten < PaymentLimits.velocityForgottenPerCallMax, first < next, isExpired(first) {
            forgetFirst()
            forgotten += 1
        }
    }

    /// Forgets the oldest admission. The card's chain may have moved past it before.
    private mutating func forgetFirst() {
        precondition(first < next, "nothing is left to forget")
        let admission = slots[slot(first)]
        if var card = cards[admission.token], card.oldest == first {
            card.oldest = admission.successor
            card.count -= 1
            cards[admission.token] = card.count > 0 ? card : nil
        }
        slots[slot(first)] = .vacant
        first += 1
    }

    private func isExpired(_ position: UInt64) -> Bool {
        let (age, isTooLarge) = latestMilliseconds.subtractingReportingOverflow(slots[slot(position)].milliseconds)
        return isTooLarge || age >= windowMilliseconds
    }

    private func slot(_ position: UInt64) -> Int { Int(position & UInt64(slots.count - 1)) }

    /// Doubles the slots; how many there are stays a power of two.
    private mutating func grow() {
        let old = slots
        slots = Array(repeating: .vacant, count: max(1, 2 * old.count))
        for position in first..<next {
            slots[slot(position)] = old[Int(position & UInt64(old.count - 1))]
        }
    }
}
