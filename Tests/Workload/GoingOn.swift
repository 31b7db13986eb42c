import Coordinator
import Glibc
import WAL

/// What a server does that finds a log after a crash: it takes the log over, finishes what is there and makes payments.
package enum GoingOn {
    /// - Parameters:
    ///   - check: of the log as it was found.
    ///   - transcript: up to the crash.
    /// - Returns: why it could not; `nil` if it did.
    package static func play(
        in path: String, after transcript: Transcript, _ check: LogCheck, payments: Int = 3, to sink: any EventSink
    ) -> String? {
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
            return nil
        } catch {
            return "cannot be opened: \(error)"
        }
    }

    /// Goes on with a log that was checked, and checks it again.
    ///
    /// - Returns: what is wrong.
    package static func findings(in path: String, after transcript: Transcript, _ check: LogCheck) -> [String] {
        var transcript = transcript
        transcript.take(.settled(check.settled))
        let sink = MemorySink()
        if let fault = play(in: path, after: transcript, check, to: sink) { return [fault] }
        for line in sink.lines { if let event = Event(line) { transcript.take(event) } }
        return LogCheck(of: path, against: transcript).findings.map { "after going on: \($0)" }
    }
}
