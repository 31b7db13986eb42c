import Histogram

/// What happened to one request.
enum Fate: UInt8, Sendable {
    /// Never sent.
    case none
    case approved
    /// Final.
    case declined
    /// Nothing was begun.
    case refused
    case pending
    /// An answer that the wire contract does not know.
    case other
    /// The connection ended before an answer came, or no answer came in time.
    case lost
}

/// What was counted, of one loop or of all.
struct Tally: Sendable {
    var sent = 0
    var lost = 0
    var statuses = [Int](repeating: 0, count: ServerAnswer.Status.allCases.count)
    var reasons: [String: Int] = [:]
    var repeats = 0
    /// Repeats whose answer was not that of the first request.
    var changedAnswers = 0
    /// Connections that could not be made or that broke.
    var connectionFailures = 0
    /// Microseconds, by the answer's status: what was refused at once must not hide how long the rest waited, nor the other way round.
    private var latenciesByStatus = ServerAnswer.Status.allCases.map { _ in Self.emptyHistogram }

    private static var emptyHistogram: Histogram<UInt64> {
        Histogram(highestTrackableValue: LoadLimits.latencyMicrosecondsMax, numberOfSignificantValueDigits: .three)
    }

    /// Of all answers together.
    var latencies: Histogram<UInt64> {
        var sum = Self.emptyHistogram
        for status in ServerAnswer.Status.allCases where count(status) > 0 { sum.add(latencies(of: status)) }
        return sum
    }

    func latencies(of status: ServerAnswer.Status) -> Histogram<UInt64> { latenciesByStatus[Int(status.rawValue)] }

    var answered: Int { statuses.reduce(0, +) }

    func count(_ status: ServerAnswer.Status) -> Int { statuses[Int(status.rawValue)] }

    mutating func add(_ answer: ServerAnswer, nanoseconds: UInt64) {
        statuses[Int(answer.status.rawValue)] += 1
        if let reason = answer.reason { reasons[reason, default: 0] += 1 }
        if answer.isRepeat { repeats += 1 }
        latenciesByStatus[Int(answer.status.rawValue)].record(
            min(nanoseconds / 1000, LoadLimits.latencyMicrosecondsMax))
    }

    mutating func add(_ other: Tally) {
        sent += other.sent
        lost += other.lost
        for index in statuses.indices { statuses[index] += other.statuses[index] }
        reasons.merge(other.reasons, uniquingKeysWith: +)
        repeats += other.repeats
        changedAnswers += other.changedAnswers
        connectionFailures += other.connectionFailures
        for status in ServerAnswer.Status.allCases where other.count(status) > 0 {
            latenciesByStatus[Int(status.rawValue)].add(other.latencies(of: status))
        }
    }
}
