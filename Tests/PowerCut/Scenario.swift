import Coordinator
import Glibc
import WAL
import Workload

/// What is recorded, so that the power can be cut in it.
enum Scenario: String, CaseIterable {
    /// A log is made and a few payments are run.
    case creation
    /// One payment at a time.
    case single
    /// Sixteen at a time, trimmed all the time.
    case steady
    /// Many at a time on a slow disk, so that commits are large.
    case batches
    /// Long texts, which take pages of their own, and trims that give them back.
    case large
    /// A reserve, and a map that gets full.
    case full
    /// Several starts, each with what the one before left.
    case restarts
    case backup
    case restoration

    /// Where the log is, below the recorded directory.
    static let stateDirectory = "state"
    static let backupDirectory = "backup"
    /// What a scenario says when its work has returned.
    static let done = "note done"

    /// Runs it below a directory that holds what was there before.
    func record(seed: UInt64, below root: String) throws -> Recorder.Tape {
        let state = root + "/" + Self.stateDirectory
        switch self {
        case .creation, .single, .steady, .batches, .large, .full, .restarts:
            return try Recorder.record(below: root, syncDelayMicroseconds: syncDelayMicroseconds) {
                try play(seed, state)
            }
        case .backup, .restoration:
            let sink = RecordingSink()
            return try Recorder.record(below: root) {
                try play(seed, state)
                let backup = root + "/" + Self.backupDirectory
                let now = WallTime(microseconds: 1_800_000_000_000_000)
                try LogReader(path: state).backUp(to: backup, now: now)
                if self == .backup {
                    sink.take(Self.done)
                    return
                }
                sink.take("note backed up")
                let directory = try StateDirectory.acquire(path: root + "/restored", allowUnsafeFileSystem: true)
                _ = try LogRestoration.restore(
                    from: backup, into: directory, incarnation: Incarnation(rawValue: seed), now: now)
                sink.take(Self.done)
                directory.release()
            }
        }
    }

    private var syncDelayMicroseconds: UInt32 {
        switch self {
        case .batches: 3000
        case .steady, .large, .full, .restarts: 300
        case .creation, .single, .backup, .restoration: 0
        }
    }

    private var options: PlayOptions {
        var options = PlayOptions()
        options.inFlight = 16
        switch self {
        case .creation: options.payments = 2
        case .single: (options.payments, options.inFlight) = (80, 1)
        case .steady: (options.payments, options.trimEvery) = (300, 25)
        case .batches: (options.payments, options.inFlight, options.trimEvery) = (600, 96, 200)
        case .large: (options.payments, options.trimEvery) = (150, 20)
        case .full:
            (options.payments, options.trimEvery, options.mayFill, options.minds) = (250, 60, true, false)
            options.configuration.mapBytes = 220 << 10
            options.configuration.reserveBytes = 64 << 10
            options.configuration.beginMapShare = 1
        case .restarts: (options.payments, options.trimEvery) = (50, 20)
        case .backup, .restoration: options.payments = 40
        }
        return options
    }

    private var textBytesMax: Int { self == .large ? 2048 : 150 }
    private var starts: Int { self == .restarts ? 5 : 1 }

    private func play(_ seed: UInt64, _ state: String) throws {
        let content = Content(seed: seed, textBytesMax: textBytesMax)
        var transcript = Transcript()
        for _ in 0..<starts {
            let sink = KeepingSink()
            try Player.play(
                content, in: state, options, after: transcript, ledger: transcript.base, to: sink,
                failure: { message in
                    complain(message)
                    _exit(1)
                })
            for line in sink.memory.lines { if let event = Event(line) { transcript.take(event) } }
        }
    }
}

/// Says everything to the recorder, and keeps it.
private final class KeepingSink: EventSink {
    let memory = MemorySink()
    private let recorder = RecordingSink()

    func take(_ line: String) {
        recorder.take(line)
        memory.take(line)
    }
}

func complain(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
}
