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
    var latencies = Histogram<UInt64>(
        highestTrackableValue: LoadLimits.latencyMicrosecondsMax, numberOfSignificantValueDigits: .three)

    var answered: Int { statuses.reduce(0, +) }

    func count(_ status: ServerAnswer.Status) -> Int { statuses[Int(status.rawValue)] }

    mutating func add(_ answer: ServerAnswer, nanoseconds: UInt64) {
        statuses[Int(answer.status.rawValue)] += 1
        if let reason = answer.reason { reasons[reason, default: 0] += 1 }
        if answer.isRepeat { repeats += 1 }
        latencies.record(min(nanoseconds / 1000, LoadLimits.latencyMicrosecondsMax))
    }

    mutating func add(_ other: Tally) {
        sent += other.sent
        lost += other.lost
        for index in statuses.indices { statuses[index] += other.statuses[index] }
        reasons.merge(other.reasons, uniquingKeysWith: +)
        repeats += other.repeats
        changedAnswers += other.changedAnswers
        connectionFailures += other.connectionFailures
        latencies.add(other.latencies)
    }
}
