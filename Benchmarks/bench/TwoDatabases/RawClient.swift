import BenchmarkKit
import Ceiling

/// What PostgreSQL can do at most: the two-phase commit of the same rows by a client that keeps no log.
struct RawClient {
    /// More transactions than any run here makes, each with four bytes for its latency.
    private static let latenciesMax = 4_000_000

    private let uris: [String]
    private let words: Words

    init(uris: [String], words: Words) {
        precondition(uris.count == 2, "two databases, not \(uris.count)")
        self.uris = uris
        self.words = words
    }

    /// Blocks for a little more than the time given.
    func run(inFlight: Int, seconds: Double) throws -> Throughput {
        var latencies = [UInt32](repeating: 0, count: Self.latenciesMax)
        var result = ceiling_result()
        let code = latencies.withUnsafeMutableBufferPointer { buffer in
            uris[0].withCString { first in
                uris[1].withCString { second in
                    words.next().withCString { word in
                        var plan = ceiling_plan(
                            uris: (first, second), in_flight: Int32(inFlight), seconds: seconds, word: word,
                            latencies: buffer.baseAddress, latencies_max: buffer.count)
                        return ceiling_run(&plan, &result)
                    }
                }
            }
        }
        guard code == 0 else {
            let message = withUnsafeBytes(of: result.message) {
                String(decoding: $0.prefix(while: { $0 != 0 }), as: UTF8.self)
            }
            throw BenchmarkFailure("the client without a log failed: \(message)")
        }
        return Throughput(
            transactions: Int(result.transactions), seconds: result.seconds,
            latencies: Array(latencies.prefix(result.latencies)))
    }
}

/// How fast transactions were, and how long each took.
struct Throughput {
    let perSecond: Double
    /// Microseconds.
    let p50: Double
    let p99: Double

    init(perSecond: Double, p50: Double, p99: Double) {
        self.perSecond = perSecond
        self.p50 = p50
        self.p99 = p99
    }

    /// - Parameter latencies: microseconds, in any order.
    init(transactions: Int, seconds: Double, latencies: [UInt32]) {
        let sorted = latencies.sorted()
        self.init(
            perSecond: Double(transactions) / seconds, p50: Self.percentile(50, of: sorted),
            p99: Self.percentile(99, of: sorted))
    }

    init(_ course: PaymentCourse) {
        self.init(
            perSecond: course.perSecond, p50: course.latencies.percentile(50), p99: course.latencies.percentile(99))
    }

    /// Nearest rank; not a number if there is none.
    static func percentile(_ share: Int, of sorted: [UInt32]) -> Double {
        guard !sorted.isEmpty else { return .nan }
        return Double(sorted[max(0, (sorted.count * share + 99) / 100 - 1)])
    }

    /// Its quantities by name, as a contest takes them.
    var quantities: [String: Double] { ["1/s": perSecond, "p50": p50, "p99": p99] }
}

/// Words that begin the keys of one run each, so that no two runs on a cluster make the same rows.
final class Words {
    private var last = 0

    /// Five characters, each time others.
    func next() -> String {
        last += 1
        precondition(last < 1000, "more runs than words")
        return "r" + String(10_000 + last).dropFirst()
    }
}
