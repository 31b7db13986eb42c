import ArgumentParser
import Glibc
import WAL
import Workload

/// How the program ends when its log says that a write failed, as a server would.
let exitAfterFailedWrite: Int32 = 42
/// How it ends when its log cannot be opened.
let exitAfterRefusedOpening: Int32 = 43
/// The same for lack of space.
let exitAfterOpeningWithoutSpace: Int32 = 44

@main
struct LogWorkloadProgram: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "LogWorkload",
        abstract: "Runs payments through a log and says what is durable, and checks a log against that.",
        subcommands: [Run.self, Check.self])
}

func complain(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
}

func text(of path: String) throws -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0, errno == ENOENT { return "" }
    guard descriptor >= 0 else { throw ValidationError("cannot open \(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count >= 0 else { throw ValidationError("cannot read \(path): \(String(cString: strerror(errno)))") }
        if count == 0 { return String(decoding: bytes, as: UTF8.self) }
        bytes.append(contentsOf: buffer[..<count])
    }
}

/// Runs a workload.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Opens or makes the log of a state directory and runs payments through it.",
        discussion: """
            One line before each step (intent SEQUENCE PAYMENT STEP) and one after it (ack SEQUENCE ANSWER CLOCK), each with one \
            write(2). With --events the lines are added to a file; what earlier runs wrote there is settled against the log first, \
            and what they left unfinished is gone on with.
            Ends with 42 after a failed write of the log, 43 if the log cannot be opened, 44 if it cannot for lack of space.
            """)

    @Argument(help: "The state directory.") var stateDirectory: String
    @Option(help: "Appends the events to this file instead of standard output.") var events: String?
    @Option(help: "What the payments follow from.") var seed: UInt64 = 1
    @Option(help: "How many payments are made.") var payments = 1000
    @Option(help: "How many are under way at once.") var inFlight = 16
    @Option(help: "Payments begun a second; 0 for as fast as it goes.") var rate = 0
    @Option(help: "The longest text of a record, bytes, at most 2048.") var text = 200
    @Option(help: "Trims after every so many finished payments; 0 for never.") var trimEvery = 0
    @Option(help: "How old what is trimmed must be, milliseconds.") var retainMs: Int64 = 0
    @Option(help: "The size of the log's map, KiB.") var mapKib = 64 << 10
    @Option(help: "Disk that is allocated for decisions, KiB.") var reserveKib = 0
    @Option(help: "Free disk below which no payment is admitted, KiB.") var freeMinKib = 0
    @Option(help: "How long to wait for admission, seconds.") var patience = 60
    @Flag(help: "Begins payments although the log admits none.") var unminded = false
    @Flag(help: "Says that the log may get full: steps may be refused in between.") var mayFill = false
    @Flag(help: "Refuses file systems that cannot keep a log, as the server does.") var strictFileSystem = false

    func validate() throws {
        guard (1...2048).contains(text) else { throw ValidationError("--text is 1 to 2048") }
        guard inFlight > 0, payments >= 0, rate >= 0, trimEvery >= 0 else {
            throw ValidationError("counts cannot be negative, and --in-flight is at least 1")
        }
    }

    func run() throws {
        var options = PlayOptions()
        options.payments = payments
        options.inFlight = inFlight
        options.ratePerSecond = rate
        options.trimEvery = trimEvery
        options.retainMilliseconds = retainMs
        options.configuration = LogConfiguration(
            mapBytes: mapKib << 10, reserveBytes: reserveKib << 10, freeBytesMin: freeMinKib << 10)
        options.allowUnsafeFileSystem = !strictFileSystem
        options.minds = !unminded
        options.patienceSeconds = patience
        options.mayFill = mayFill
        var transcript = Transcript()
        var ledger: Ledger?
        var sink = DescriptorSink(descriptor: STDOUT_FILENO)
        if let events {
            transcript = Transcript(text: try LogWorkload.text(of: events))
            let descriptor = open(events, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else {
                throw ValidationError("cannot open \(events): \(String(cString: strerror(errno)))")
            }
            sink = DescriptorSink(descriptor: descriptor)
            if transcript.content != nil { (transcript, ledger) = try settle(transcript, sink) }
        }
        let content = transcript.content ?? Content(seed: seed, textBytesMax: text)
        do throws(LogError) {
            try Player.play(
                content, in: stateDirectory, options, after: transcript, ledger: ledger, to: sink,
                failure: { message in
                    complain(message)
                    _exit(exitAfterFailedWrite)
                })
        } catch {
            complain(error.message)
            _exit(error.code == .noSpace ? exitAfterOpeningWithoutSpace : exitAfterRefusedOpening)
        }
    }

    /// Finds out what became of the steps that an earlier run was not told of.
    private func settle(_ before: Transcript, _ sink: DescriptorSink) throws -> (Transcript, Ledger) {
        let check = LogCheck(of: stateDirectory, against: before)
        guard check.findings.isEmpty else {
            for finding in check.findings { complain(finding) }
            throw ExitCode.failure
        }
        var transcript = before
        sink.take(Event.settled(check.settled).line)
        transcript.take(.settled(check.settled))
        return (transcript, check.ledger)
    }
}

/// Checks a log.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compares the log of a state directory with the events of its workload.",
        discussion: """
            Everything that was answered must be there as it was asked for, or trimmed as it may be; of the rest, a beginning of \
            the steps in their order, and nothing else. Ends with 1 and the findings if not. With --append the log is then opened \
            and taken over, payments are made, and it is checked again.
            """)

    @Argument(help: "The state directory. Nobody may be writing to it.") var stateDirectory: String
    @Argument(help: "The file with the events.") var events: String
    @Flag(help: "Opens the log afterwards, makes payments and checks again.") var append = false

    func run() throws {
        let transcript = Transcript(text: try text(of: events))
        guard transcript.content != nil else { throw ValidationError("\(events) has no events of a workload") }
        let check = LogCheck(of: stateDirectory, against: transcript)
        var findings = check.findings
        if findings.isEmpty, append {
            findings = GoingOn.findings(in: stateDirectory, after: transcript, check)
        }
        let counts = transcript.counts
        complain(
            "\(counts.asked) steps asked, \(counts.answered) answered, \(counts.taken) of these taken; "
                + "\(check.settled.count) without an answer are there; \(check.recordsThere) records; "
                + "\(findings.count) findings")
        for finding in findings { complain(finding) }
        if !findings.isEmpty { throw ExitCode.failure }
    }
}
