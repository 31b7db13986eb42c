package import Coordinator
import Glibc
import Synchronization

/// Where a workload says what it is about to do and what it was told.
package protocol EventSink: AnyObject, Sendable {
    /// Takes one line, without its end.
    func take(_ line: String)
}

/// Writes each line with one write(2) of its own, so that a process that is killed leaves what it has said.
package final class DescriptorSink: EventSink {
    private let descriptor: Int32

    package init(descriptor: Int32) { self.descriptor = descriptor }

    package func take(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // Nobody listens any more; the workload goes on, as it would without this line.
            guard count > 0 else { return }
            offset += count
        }
    }
}

/// Keeps the lines.
package final class MemorySink: EventSink {
    private let kept = Mutex<[String]>([])

    package init() {}

    package func take(_ line: String) { kept.withLock { $0.append(line) } }

    package var lines: [String] { kept.withLock { $0 } }
}

/// A line of a workload.
///
///     workload seed=7 text=200 fills=0      first line of each run: what contents follow from; whether the log may get full
///     intent 12 3 commit                    step 12 is about to be asked for: the commit of payment 3
///     ack 12 taken 1700000000000000         it was answered: taken or why not, and the clock of its batch
///     settled 14:1700000000000000           before a further run: of the steps without an answer, these are in the log,
///                                           with the time of their batch
///     note ...                              for people
package enum Event: Sendable, Hashable {
    case workload(Content, mayFill: Bool)
    case intent(sequence: Int, payment: UInt64, step: Step)
    case acknowledged(sequence: Int, answer: Ledger.Answer, clock: WallTime)
    case settled([Settled])
    case note(String)

    package struct Settled: Sendable, Hashable {
        package let sequence: Int
        package let clock: WallTime
    }

    package var line: String {
        switch self {
        case .workload(let content, let mayFill):
            "workload seed=\(content.seed) text=\(content.textBytesMax) fills=\(mayFill ? 1 : 0)"
        case .intent(let sequence, let payment, let step): "intent \(sequence) \(payment) \(step.token)"
        case .acknowledged(let sequence, let answer, let clock):
            "ack \(sequence) \(answer.rawValue) \(clock.microseconds)"
        case .settled(let taken):
            (["settled"] + taken.map { "\($0.sequence):\($0.clock.microseconds)" }).joined(separator: " ")
        case .note(let text): "note \(text)"
        }
    }

    /// `nil` for a line that is no event, or was cut off.
    package init?(_ line: some StringProtocol) {
        let words = line.split(separator: " ")
        switch words.first {
        case "workload":
            let values = words.dropFirst().compactMap { word in word.split(separator: "=").last.flatMap { UInt64($0) } }
            guard values.count == 3 else { return nil }
            self = .workload(Content(seed: values[0], textBytesMax: Int(values[1])), mayFill: values[2] != 0)
        case "intent":
            guard words.count == 4, let sequence = Int(words[1]), let payment = UInt64(words[2]),
                let step = Step(token: words[3])
            else { return nil }
            self = .intent(sequence: sequence, payment: payment, step: step)
        case "ack":
            guard words.count == 4, let sequence = Int(words[1]),
                let answer = Ledger.Answer(rawValue: String(words[2])),
                let clock = Int64(words[3])
            else { return nil }
            self = .acknowledged(sequence: sequence, answer: answer, clock: WallTime(microseconds: clock))
        case "settled":
            self = .settled(
                words.dropFirst().compactMap { word in
                    let parts = word.split(separator: ":")
                    guard parts.count == 2, let sequence = Int(parts[0]), let clock = Int64(parts[1]) else {
                        return nil
                    }
                    return Settled(sequence: sequence, clock: WallTime(microseconds: clock))
                })
        case "note": self = .note(words.dropFirst().joined(separator: " "))
        default: return nil
        }
    }

    package static func events(in text: String) -> [Event] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        // The last line has no end if its writer was stopped within it.
        if !text.hasSuffix("\n") { lines.removeLast() }
        return lines.compactMap { Event($0) }
    }
}

extension Ledger.Answer {
    package init(_ answer: Result<LogReceipt, LogRefusal>) {
        switch answer {
        case .success: self = .taken
        case .failure(.requestClaimed): self = .requestClaimed
        case .failure(.alreadyDecided): self = .alreadyDecided
        case .failure(.notActive): self = .notActive
        case .failure(.noReversal): self = .noReversal
        case .failure(.notResolvable): self = .notResolvable
        case .failure(.full): self = .full
        case .failure(.alreadyActive), .failure(.notInQuarantine): self = .other
        }
    }
}
