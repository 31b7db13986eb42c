import Glibc
import Simulation

/// One line that is written over, while somebody looks.
struct ProgressLine {
    private let isShown: Bool

    init(isShown: Bool) { self.isShown = isShown && isatty(STDERR_FILENO) == 1 }

    func show(_ campaign: Campaign, of count: UInt64, _ seconds: Double) {
        guard isShown else { return }
        let rate = Int(Double(campaign.steps) / max(seconds, 0.001))
        write(
            "\r\(campaign.seeds) of \(count) seeds, \(campaign.failures.count) failed, \(rate) steps a second\u{1B}[K")
    }

    func clear() { if isShown { write("\r\u{1B}[K") } }

    private func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
    }
}

/// Seconds since it was made.
struct Stopwatch {
    private let start = ContinuousClock.now

    var seconds: Double {
        let passed = (ContinuousClock.now - start).components
        return Double(passed.seconds) + Double(passed.attoseconds) / 1e18
    }
}

/// Says which seed was under way if the process traps: an impossible state is a finding as well.
enum CrashNotice {
    /// Read in a signal handler.
    nonisolated(unsafe) static var seed: UInt64 = 0

    static func install() {
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGABRT] {
            signal(number) { number in
                var text: [UInt8] = Array("\nsimulate: an impossible state (signal) in seed ".utf8)
                var digits: [UInt8] = []
                var rest = CrashNotice.seed
                repeat {
                    digits.insert(UInt8(48 + rest % 10), at: 0)
                    rest /= 10
                } while rest > 0
                text += digits + [10]
                _ = Glibc.write(STDOUT_FILENO, text, text.count)
                signal(number, SIG_DFL)
                raise(number)
            }
        }
    }
}
