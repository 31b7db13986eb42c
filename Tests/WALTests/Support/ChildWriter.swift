import Coordinator
import Foundation
import Payments
import Synchronization
import Testing

@testable import WAL

/// A server in miniature, in a process of its own: it writes payments for ever and notes what it was told is durable.
/// It is this test program once more, told by its environment to run nothing but ``writeForEver()``.
struct ChildWriter {
    private static let variable = "HOLDFAST_WAL_TEST_CHILD"
    private static let limitVariable = "HOLDFAST_WAL_TEST_FILE_LIMIT"
    private static let lateLimitVariable = "HOLDFAST_WAL_TEST_LATE_FILE_LIMIT"
    /// How the child ends when its log says that a write failed.
    static let exitAfterFailure: Int32 = 42
    /// How it ends when its log cannot be opened for lack of space.
    static let exitAfterRefusedOpening: Int32 = 43
    static var directoryOfThisChild: String? { ProcessInfo.processInfo.environment[variable] }

    let process = Process()
    let directory: TestDirectory
    private let notes: String

    /// Starts the child on a new directory.
    /// - Parameters:
    ///   - fileLimitBytes: the limit on the size of files that the child is started with.
    ///   - lateFileLimitBytes: one that it gets when its log is open: beyond it writes fail, as on a broken disk.
    init(fileLimitBytes: Int? = nil, lateFileLimitBytes: Int? = nil) throws {
        directory = try TestDirectory()
        notes = directory.path + "/notes"
        process.executableURL = URL(
            fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        process.arguments = ["--testing-library", "swift-testing", "--filter", "writeForEver"]
        var environment = ProcessInfo.processInfo.environment
        environment[Self.variable] = directory.path
        environment[Self.limitVariable] = fileLimitBytes.map(String.init)
        environment[Self.lateLimitVariable] = lateFileLimitBytes.map(String.init)
        process.environment = environment
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    /// What the child was told is durable: the numbers of payments, each once for its BEGIN and once for its COMMIT.
    var noted: [UInt64] {
        guard let data = FileManager.default.contents(atPath: notes) else { return [] }
        return data.withUnsafeBytes { bytes in
            (0..<(bytes.count / 8)).map { bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
        }
    }

    func waitUntilNoted(_ count: Int) async throws {
        for _ in 0..<3000 {
            if noted.count >= count { return }
            try #require(process.isRunning, "the child ended by itself")
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("the child noted \(noted.count) steps within 30 s")
    }

    /// As the machine would: no chance to tidy up.
    func kill() {
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// - Parameter variable: that has the limit, if there is to be one.
    private static func limitFiles(_ variable: String) throws {
        guard let bytes = ProcessInfo.processInfo.environment[variable].flatMap(UInt.init) else { return }
        if variable == limitVariable {
            // An ignored signal is inherited from the parent, where a log was open; what is tested is that this log
            // ignores it. A worker thread of a pool has signals blocked, the thread that a server opens its log on has
            // not.
            signal(SIGXFSZ, SIG_DFL)
            var signals = sigset_t()
            sigemptyset(&signals)
            sigaddset(&signals, SIGXFSZ)
            pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        }
        var limit = rlimit(rlim_cur: rlim_t(bytes), rlim_max: rlim_t(bytes))
        guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else {
            throw LogError(.storage, "the child cannot limit its files")
        }
    }

    /// In the child.
    static func run(in path: String) throws {
        try limitFiles(limitVariable)
        let log: LMDBLog
        do {
            log = try LMDBLog.open(
                in: try StateDirectory.acquire(path: path, allowUnsafeFileSystem: true), configuration: TestLog.small,
                incarnation: Incarnation(rawValue: 1), newLogID: Sample.log, clock: { Sample.startedAt },
                deliver: { $0() }, failure: { _ in exit(exitAfterFailure) })
        } catch {
            guard error.code == .noSpace else { throw error }
            exit(exitAfterRefusedOpening)
        }
        try limitFiles(lateLimitVariable)
        let notes = open(path + "/notes", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        guard notes >= 0 else { throw LogError(.storage, "the child cannot write its notes") }
        // A bounded number at once; each finished payment begins the next.
        let next = Mutex<UInt64>(0)
        @Sendable func note(_ number: UInt64) {
            var number = number
            _ = write(notes, &number, 8)
        }
        @Sendable func pay() {
            let number = next.withLock { value in
                value += 1
                return value
            }
            log.append(.begin(Sample.begin(number)), urgency: .forced) { answer in
                guard answer.isTaken else { return }
                note(number)
                log.append(.commit(Sample.commit(number)), urgency: .forced) { answer in
                    guard answer.isTaken else { return }
                    note(number)
                    pay()
                }
            }
        }
        for _ in 0..<16 { pay() }
        // Whoever started this process ends it; if that one is gone, this ends by itself.
        sleep(120)
        log.close()
    }
}

/// Does nothing unless this process is the child.
@Test(.enabled(if: ChildWriter.directoryOfThisChild != nil, "runs in a child process only"))
func writeForEver() throws {
    guard let path = ChildWriter.directoryOfThisChild else { return }
    try ChildWriter.run(in: path)
}
