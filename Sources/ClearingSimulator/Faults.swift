import Glibc

/// What the simulator does wrong on purpose.
struct Faults: Sendable, Equatable {
    /// The share of requests that do nothing and are answered with an error, 0...1.
    var errorRate = 0.0
    /// The share of requests that do their work and then drop the connection, 0...1.
    var lostReplyRate = 0.0
    /// The share of new holds that the issuer declines, 0...1.
    var declineRate = 0.0
    /// The median of the time from a request to its answer; 0 for no delay at all.
    var latencyMilliseconds = 0.0
    /// The 99th percentile of it. At or below the median the latency is constant.
    var latencyP99Milliseconds = 0.0
    /// Whether every request about a transaction is refused at once.
    var isOutage = false

    /// What is wrong with the settings, in words; `nil` if nothing is.
    var problem: String? {
        let rates = [("error_rate", errorRate), ("lost_reply_rate", lostReplyRate), ("decline_rate", declineRate)]
        for (name, rate) in rates where !(rate >= 0 && rate <= 1) { return "\(name) must be from 0 to 1" }
        let latencies = [("latency_ms", latencyMilliseconds), ("latency_p99_ms", latencyP99Milliseconds)]
        for (name, latency) in latencies where !(latency >= 0 && latency <= SimulatorLimits.latencyMillisecondsMax) {
            return "\(name) must be from 0 to \(Int(SimulatorLimits.latencyMillisecondsMax)) (milliseconds)"
        }
        return nil
    }

    /// The settings in the form of `POST /clearing/faults`.
    var jsonText: String {
        let fields = [
            ("error_rate", errorRate), ("lost_reply_rate", lostReplyRate), ("decline_rate", declineRate),
            ("latency_ms", latencyMilliseconds), ("latency_p99_ms", latencyP99Milliseconds),
        ]
        let numbers = fields.map { name, value in
            "\"\(name)\":" + (value == value.rounded() ? String(Int(value)) : String(value))
        }
        return "{" + numbers.joined(separator: ",") + ",\"outage\":\(isOutage)}"
    }

    /// A latency drawn with a standard normal deviate: log-normal, fitted to the median and the 99th percentile, because
    /// that is the shape of response times and both numbers are what people know of them.
    func latencyMilliseconds(deviate: Double) -> Double {
        guard latencyMilliseconds > 0, latencyP99Milliseconds > latencyMilliseconds else { return latencyMilliseconds }
        let sigma = log(latencyP99Milliseconds / latencyMilliseconds) / Self.deviateOfP99
        return min(latencyMilliseconds * exp(sigma * deviate), SimulatorLimits.latencyMillisecondsMax)
    }

    /// The standard normal deviate below which 99 % lie.
    private static let deviateOfP99 = 2.326_347_874_040_841
}

/// What the faults make of one request, drawn when it arrives.
struct RequestFate: Sendable, Equatable {
    let isError: Bool
    let isReplyLost: Bool
    let isDeclined: Bool
    /// Before the work is done: a request can be overtaken by a later one, and its sender may have given up.
    let delayBeforeNanoseconds: Int64
    /// Between the work and the answer.
    let delayAfterNanoseconds: Int64
    /// The authorization code of a new hold: six digits and capital letters.
    let authorizationCode: String

    /// Draws the same number of values whatever the faults, so that a seed gives the same run with other rates.
    init(faults: Faults, random: inout SeededRandom) {
        isError = random.unit() < faults.errorRate
        isReplyLost = random.unit() < faults.lostReplyRate
        isDeclined = random.unit() < faults.declineRate
        let deviate = random.normal()
        let total = Int64(faults.latencyMilliseconds(deviate: deviate) * 1_000_000)
        let before = Int64(Double(total) * random.unit())
        delayBeforeNanoseconds = before
        delayAfterNanoseconds = total - before
        authorizationCode = random.authorizationCode()
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the whole of a run's randomness comes from one seed.
struct SeededRandom: Sendable, RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Uniform in 0..<1.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Standard normal (Box and Muller 1958), of two uniform values.
    mutating func normal() -> Double {
        let radius = sqrt(-2 * log(1 - unit()))
        return radius * cos(2 * .pi * unit())
    }

    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)

    /// Six characters of 36.
    mutating func authorizationCode() -> String {
        var value = next()
        var code: [UInt8] = []
        for _ in 0..<6 {
            code.append(Self.alphabet[Int(value % 36)])
            value /= 36
        }
        return String(decoding: code, as: UTF8.self)
    }
}
