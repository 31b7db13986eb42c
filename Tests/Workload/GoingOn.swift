import Coordinator
import Glibc
import Synchronization
import WAL

extension LogCheck {
    /// Opens a log that was checked, finishes what it holds and makes a few payments more, and checks it again.
    ///
    /// - Returns: what is wrong.
    package static func findingsOfGoingOn(
        in path: String, after transcript: Transcript, _ check: LogCheck, payments: Int = 3
    ) -> [String] {
        var transcript = transcript
        transcript.take(.settled(check.settled))
        let sink = MemorySink()
        var options = PlayOptions()
        options.payments = payments
        options.inFlight = 2
        options.configuration.lazyDelayMax = Milliseconds(0)
        do throws(LogError) {
            try Player.play(
                check.ledger.content, in: path, options, after: transcript, ledger: check.ledger, to: sink,
                failure: { message in
                    let bytes = Array((message + "\n").utf8)
                    _ = write(STDERR_FILENO, bytes, bytes.count)
                    _exit(1)
                })
        } catch {
            return ["cannot be opened: \(error)"]
        }
        for line in sink.lines { if let event = Event(line) { transcript.take(event) } }
        return LogCheck(of: path, against: transcript).findings.map { "after going on: \($0)" }
    }
}
