import Coordinator
import Glibc
import Payments
import Synchronization
package import WAL

/// How a workload is run.
package struct PlayOptions: Sendable {
    package var payments = 1000
    package var inFlight = 16
    /// Payments begun a second; 0 for as fast as it goes.
    package var ratePerSecond = 0
    /// Trims after every so many finished payments; 0 for never.
    package var trimEvery = 0
    /// How old what is trimmed must be, milliseconds.
    package var retainMilliseconds: Int64 = 0
    package var configuration = LogConfiguration(mapBytes: 64 << 20, reserveBytes: 0, freeBytesMin: 0)
    package var allowUnsafeFileSystem = true
    /// Whether payments wait while the log admits none.
    package var minds = true
    /// How long they wait, seconds.
    package var patienceSeconds = 60
    /// Whether the log may get full.
    package var mayFill = false
    /// Whether what an earlier run left unfinished is gone on with first.
    package var resumes = true

    package init() {}
}

/// Runs whole payments through a log, many at once, and says what it asks and what it was told.
package final class Player: Sendable {
    /// A payment under way.
    private struct Flight {
        let number: UInt64
        let steps: [PaymentPlan.Planned]
        var next = 0
        var unanswered = 0
        var isOver = false
        var retries = 0
    }

    /// What came back from the log.
    private struct Reply {
        let number: UInt64
        let index: Int
        let answer: Ledger.Answer
    }

    /// How often a decision or an end that the log has no room for is asked for again.
    private static let retriesMax = 2000
    private static let retryPauseMicroseconds: UInt32 = 2000

    private let options: PlayOptions
    private let content: Content
    private let sink: any EventSink
    private let replies = Mailbox<Reply>()
    private let sequence: Mutex<Int>
    private let clock = WorkloadClock()

    private init(_ content: Content, _ options: PlayOptions, _ transcript: Transcript, _ sink: any EventSink) {
        self.content = content
        self.options = options
        self.sink = sink
        sequence = Mutex(transcript.lastSequence)
    }

    /// Opens or makes the log in `path`, runs the payments and closes it.
    ///
    /// - Parameters:
    ///   - transcript: of the earlier runs on the directory, those that it settled included.
    ///   - before: what the log holds after them; `nil` for a new log.
    ///   - failure: called when a write failed, as a server's would be.
    package static func play(
        _ content: Content, in path: String, _ options: PlayOptions, after transcript: Transcript = Transcript(),
        ledger before: Ledger? = nil, to sink: any EventSink, failure: @escaping @Sendable (String) -> Never
    ) throws(LogError) {
        let player = Player(content, options, transcript, sink)
        try player.run(path, before ?? Ledger(content), first: transcript.lastPayment + 1, failure)
    }

    private func run(
        _ path: String, _ before: Ledger, first: UInt64, _ failure: @escaping @Sendable (String) -> Never
    ) throws(LogError) {
        var ledger = before
        sink.take(Event.workload(content, mayFill: options.mayFill).line)
        let directory = try StateDirectory.acquire(path: path, allowUnsafeFileSystem: options.allowUnsafeFileSystem)
        let incarnation = Incarnation(rawValue: SeededNumbers.first(content.seed, UInt64(sequence.withLock { $0 })))
        let start = intent(0, .start(incarnation))
        let clock = clock
        let sink = sink
        let log = try LMDBLog.open(
            in: directory, configuration: options.configuration, incarnation: incarnation, newLogID: content.log,
            clock: { clock.tick() }, deliver: { $0() },
            failure: { message in
                sink.take(Event.note("failure \(message)").line)
                failure(message)
            })
        answer(start, .taken)
        ledger.take(.start(incarnation), of: 0, writtenAt: nil)
        var book = Book(ledger)
        for database in [Content.first, Content.second] {
            post(.fenceAttempted(database), ledger.epoch.rawValue, log, &book)
            post(.fenceConfirmed(database), ledger.epoch.rawValue, log, &book)
        }
        if options.resumes { resume(before, log, &book) }
        makePayments(from: first, log, &book)
        log.close()
        sink.take(Event.note("closed").line)
    }

    /// What the thread that asks the log knows.
    private struct Book {
        let ledger: Ledger
        var flights: [UInt64: Flight] = [:]
        var finished = 0
        init(_ ledger: Ledger) { self.ledger = ledger }
    }

    // MARK: asking

    private func intent(_ number: UInt64, _ step: Step) -> Int {
        sequence.withLock { value in
            value += 1
            sink.take(Event.intent(sequence: value, payment: number, step: step).line)
            return value
        }
    }

    private func answer(_ sequence: Int, _ answer: Ledger.Answer) {
        sink.take(Event.acknowledged(sequence: sequence, answer: answer, clock: clock.last).line)
    }

    /// A step that nobody waits for.
    private func post(_ step: Step, _ number: UInt64, _ log: LMDBLog, _ book: inout Book) {
        guard let write = book.ledger.write(of: step, of: number) else { return }
        let sequence = intent(number, step)
        log.append(write, urgency: .lazy) { [self] in answer(sequence, Ledger.Answer($0)) }
    }

    private func trim(_ log: LMDBLog) {
        // The log counts in whole milliseconds of another clock.
        let cutoff = WallTime(microseconds: clock.now.microseconds - options.retainMilliseconds * 1000 + 2000)
        let sequence = intent(0, .trim(cutoff))
        log.trim(retention: Milliseconds(options.retainMilliseconds), stepsMax: 100_000) { [self] _ in
            answer(sequence, .taken)
        }
    }

    /// Asks for the payment's steps up to one that it has to wait for.
    private func goOn(_ number: UInt64, _ log: LMDBLog, _ book: inout Book) {
        guard var flight = book.flights[number] else { return }
        while !flight.isOver, flight.next < flight.steps.count {
            let index = flight.next
            let planned = flight.steps[index]
            guard let write = book.ledger.write(of: planned.step, of: number) else { break }
            flight.next += 1
            flight.unanswered += 1
            let sequence = intent(number, planned.step)
            log.append(write, urgency: planned.urgency) { [self] result in
                let reply = Ledger.Answer(result)
                answer(sequence, reply)
                replies.put(Reply(number: number, index: index, answer: reply))
            }
            if planned.urgency == .forced { break }
        }
        book.flights[number] = flight
    }

    private func take(_ reply: Reply, _ log: LMDBLog, _ book: inout Book) {
        guard var flight = book.flights[reply.number] else { return }
        flight.unanswered -= 1
        let planned = flight.steps[reply.index]
        if reply.answer == .full, planned.step != .begin, flight.retries < Self.retriesMax {
            // Whatever follows was asked for too early; it was refused, or is refused as not possible yet.
            usleep(Self.retryPauseMicroseconds)
            flight.retries += 1
            flight.next = min(flight.next, reply.index)
        } else if planned.step == .begin, reply.answer != .taken {
            flight.isOver = true
        }
        let isDone = flight.unanswered == 0 && (flight.isOver || flight.next == flight.steps.count)
        book.flights[reply.number] = isDone ? nil : flight
        if isDone {
            book.finished += 1
            return
        }
        if planned.urgency == .forced || flight.unanswered == 0 { goOn(reply.number, log, &book) }
    }

    // MARK: payments

    private func resume(_ before: Ledger, _ log: LMDBLog, _ book: inout Book) {
        for state in before.open.values.sorted(by: { $0.number < $1.number }) {
            book.flights[state.number] = Flight(number: state.number, steps: before.continuation(of: state))
            goOn(state.number, log, &book)
        }
        drain(log, &book, to: 0)
    }

    private func makePayments(from first: UInt64, _ log: LMDBLog, _ book: inout Book) {
        let began = monotonicMicroseconds()
        var trimmedAt = 0
        for index in 0..<UInt64(options.payments) {
            drain(log, &book, to: options.inFlight - 1)
            guard waitForAdmission(log, &book) else { break }
            pace(index, since: began, log, &book)
            let number = first + index
            book.flights[number] = Flight(number: number, steps: PaymentPlan.steps(number, seed: content.seed))
            goOn(number, log, &book)
            if number % 50 == 0 { post(.databaseSeen(Content.first), number, log, &book) }
            if options.trimEvery > 0, book.finished >= trimmedAt + options.trimEvery {
                trimmedAt = book.finished
                trim(log)
            }
        }
        drain(log, &book, to: 0)
    }

    /// Takes replies until no more than so many payments are under way.
    private func drain(_ log: LMDBLog, _ book: inout Book, to count: Int) {
        for reply in replies.takeAll() { take(reply, log, &book) }
        while book.flights.count > max(0, count) { for reply in replies.wait() { take(reply, log, &book) } }
    }

    private func pace(_ index: UInt64, since began: UInt64, _ log: LMDBLog, _ book: inout Book) {
        guard options.ratePerSecond > 0 else { return }
        let due = began + index * 1_000_000 / UInt64(options.ratePerSecond)
        while monotonicMicroseconds() < due {
            usleep(UInt32(min(due - min(due, monotonicMicroseconds()), 1000)))
            for reply in replies.takeAll() { take(reply, log, &book) }
        }
    }

    /// As a server's admission does. What is under way goes on meanwhile.
    private func waitForAdmission(_ log: LMDBLog, _ book: inout Book) -> Bool {
        guard options.minds, !log.pressure.admitsNewTransactions else { return true }
        sink.take(Event.note("admission shut").line)
        let end = monotonicMicroseconds() + UInt64(options.patienceSeconds) * 1_000_000
        while monotonicMicroseconds() < end {
            for reply in replies.takeAll() { take(reply, log, &book) }
            if log.pressure.admitsNewTransactions {
                sink.take(Event.note("admission open").line)
                return true
            }
            usleep(10_000)
        }
        sink.take(Event.note("gave up waiting for admission").line)
        return false
    }
}
