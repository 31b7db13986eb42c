import BenchmarkKit
import Foundation
import Testing

@testable import bench

/// Reading /proc, and the processes that a benchmark starts.
@Suite struct BenchProcessTests {
    @Test("Goal: a process' own memory is told from the files that it maps")
    func memory() throws {
        let text = "Name:\tserver\nVmRSS:\t    2048 kB\nRssAnon:\t     512 kB\nRssFile:\t    1536 kB\nThreads:\t9\n"
        #expect(MemoryFacts(status: text) == MemoryFacts(status: "VmRSS: 2048 kB\nRssAnon: 512 kB"))
        #expect(MemoryFacts(status: text)?.resident == 2 << 20 && MemoryFacts(status: text)?.anonymous == 512 << 10)
        // A zombie has none.
        #expect(MemoryFacts(status: "Name:\tserver\nState:\tZ (zombie)\n") == nil)
    }

    @Test("Goal: this very process is found in /proc")
    func own() throws {
        #expect(try MemoryFacts.of(getpid()).anonymous > 1 << 20)
        #expect(throws: BenchmarkFailure.self) { try MemoryFacts.of(.max) }
        #expect(try SystemFiles.allocatedBytes("/proc/self/exe") > 0)
    }

    @Test("Goal: a process' end is told with its exit code and its processor time")
    func end() throws {
        let process = try BenchProcess(
            "shell", executable: "/bin/sh",
            arguments: ["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 7"])
        let end = try process.wait(within: .seconds(60))
        #expect(end.exitCode == 7 && end.description == "exit code 7")
        #expect(end.processorTime > 1000)
    }

    @Test("Goal: it gets the environment that was given and no other, and its output goes to the file")
    func environment() throws {
        let output = NSTemporaryDirectory() + "bench-test-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { unlink(output) }
        let process = try BenchProcess(
            "env", executable: "/usr/bin/env", environment: ["ONE": "1", "TWO": "a b"], output: output)
        #expect(try process.wait(within: .seconds(10)).exitCode == 0)
        #expect(try SystemFiles.text(output) == "ONE=1\nTWO=a b\n")
    }

    @Test("Goal: one that nobody holds any more is killed")
    func killedWithItsHolder() throws {
        let pid: pid_t
        do {
            let process = try BenchProcess("sleep", executable: "/bin/sleep", arguments: ["100"])
            pid = process.pid
            #expect(process.end() == nil)
            #expect(throws: BenchmarkFailure.self) { try process.wait(within: .milliseconds(20)) }
        }
        #expect(kill(pid, 0) == -1 && errno == ESRCH)
    }

    @Test("Goal: a program that is not there is an error that names it")
    func missing() {
        #expect { try BenchProcess("x", executable: "/nowhere/x") } throws: { "\($0)".contains("/nowhere/x") }
    }
}
