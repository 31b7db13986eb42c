import Foundation
import Testing

@testable import Harness

extension Integration {
    /// System calls on the log that fail, or at which the process is killed.
    @Suite(.enabled(if: Strace.isAvailable, "needs strace and the right to trace; SKIPPED above says what is missing"))
    struct SyscallFaultTests {
        @Test(
            "Goal: a server whose log cannot be written or synced ends with a message, and what it acknowledged is there",
            arguments: SyscallFault.sample)
        func server(_ fault: SyscallFault) throws {
            try World.run { world in
                let state = try world.configuration(of: "a").stateDirectory
                try world.configure {
                    $0.wrapper = try fault.wrapper(on: state + "/data.mdb", log: world.directory + "/calls")
                }
                let server = try world.start()
                let load = Load(LoadPlan(connections: 8, prefix: "fault"), port: server.configuration.port)
                let status = try server.process.wait(within: .seconds(60))
                if fault.kills {
                    #expect(status == .signal(SIGKILL))
                } else {
                    #expect(status == .code(1))
                    let said = "\(state)/data.mdb could not be written: mdb_txn_commit failed with "
                    #expect(server.errors.contains(said), "\(server.errors.suffix(1000))")
                    #expect(server.errors.contains(fault.text), "\(server.errors.suffix(1000))")
                }
                try world.configure { $0.wrapper = [] }
                try world.start()
                let before = load.answers
                try Wait.until("payments are answered again", within: .seconds(30)) { load.answers >= before + 20 }
                load.stop()
                world.ledger.add(try load.finish(within: .seconds(90)))
                try world.finish()
            }
        }

        @Test("Goal: a workload's log survives a fault at any of its calls (a share of make syscall-faults)")
        func workload() throws {
            // The folder of the programs is that of the build.
            let script =
                URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().deletingLastPathComponent().path + "/scripts/syscall-faults"
            let result = try Tool.run(
                script, [],
                environment: [
                    "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin",
                    "HOME": NSHomeDirectory(), "HOLDFAST_TEST_DIR": Settings.baseDirectory,
                    "WORKLOAD": Settings.programDirectory + "/LogWorkload",
                    "CALLS": "writev pwrite64 fdatasync", "OCCURRENCES": "2",
                ], within: .seconds(200))
            print(result.output)
            #expect(result.status == .code(0), "\(result.output.suffix(6000))\n\(result.errors.suffix(2000))")
        }
    }
}

/// What happens at one system call on the log's data file.
struct SyscallFault: Sendable, CustomTestStringConvertible {
    let call: String
    /// The how-manieth call of a thread.
    let occurrence: Int
    /// As strace takes it, and as the message has it; `nil` kills the process.
    let error: (name: String, text: String)?

    var kills: Bool { error == nil }
    var text: String { error?.text ?? "" }
    var testDescription: String { "\(call) \(error?.name ?? "kill") at \(occurrence)" }

    private static let noSpace = (name: "ENOSPC", text: "No space left on device")
    private static let broken = (name: "EIO", text: "Input/output error")

    /// LMDB's commit is writev (pages), fdatasync, pwrite64 (the meta page, by a descriptor that syncs).
    static let sample = [
        SyscallFault(call: "writev", occurrence: 20, error: noSpace),
        SyscallFault(call: "fdatasync", occurrence: 20, error: broken),
        SyscallFault(call: "pwrite64", occurrence: 21, error: broken),
        SyscallFault(call: "pwrite64", occurrence: 30, error: nil),
    ]

    /// A program and its arguments through which the server is started. It stays the process that it is; strace watches from beside.
    func wrapper(on file: String, log: String) throws -> [String] {
        let what = error.map { "error=\($0.name)" } ?? "signal=SIGKILL"
        return [
            try Tool.locate("strace"), "-D", "-f", "-qq", "-e", "signal=none", "-o", log, "-P", file,
            "-e", "trace=\(call)", "-e", "inject=\(call):\(what):when=\(occurrence)",
        ]
    }
}

enum Strace {
    /// Whether it is there and may trace; says so if not.
    static let isAvailable: Bool = {
        do {
            try Tool.check(Tool.locate("strace"), ["-o", "/dev/null", Tool.locate("true")])
            return true
        } catch {
            print("SKIPPED, system-call faults: \(error)")
            return false
        }
    }()
}
