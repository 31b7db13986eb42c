import Foundation
import Testing

@testable import ClearingSimulator

/// Goal: the program itself keeps what it said through a kill -9, ends cleanly when asked to, and says what is wrong with its
/// flags.
@Suite struct SimulatorProcessTests {
    /// A running simulator, ended with the test.
    private final class Simulator {
        let process = Process()
        private(set) var port = 0
        private let errors = Pipe()

        /// - Parameter openFilesMax: how many files it may have open; `nil` leaves that as it is.
        init(_ arguments: [String], environment: [String: String] = [:], openFilesMax: Int? = nil) throws {
            let program = try Self.program()
            if let openFilesMax {
                process.executableURL = URL(fileURLWithPath: "/bin/sh")
                process.arguments =
                    ["-c", "ulimit -n \(openFilesMax) && exec \"$0\" \"$@\"", program.path] + arguments
            } else {
                process.executableURL = program
                process.arguments = arguments
            }
            process.environment = environment
            process.standardError = errors
            try process.run()
        }

        deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

        /// The program lies beside the tests' own bundle.
        private static func program() throws -> URL {
            let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            for candidate in [folder, Bundle.main.bundleURL, folder.deletingLastPathComponent()] {
                for name in ["clearing-sim", "ClearingSimulator"] {
                    let url = candidate.appendingPathComponent(name)
                    if FileManager.default.isExecutableFile(atPath: url.path) { return url }
                }
            }
            throw RawConnection.Failure(what: "clearing-sim is not beside \(folder.path); build it first")
        }

        /// Reads the line that is printed when the port is open.
        func waitUntilListening() throws {
            var text = ""
            while let data = try errors.fileHandleForReading.read(upToCount: 1), !data.isEmpty {
                text += String(decoding: data, as: UTF8.self)
                if text.hasSuffix("\n"), text.contains("listening on ") { break }
            }
            let words = text.split(separator: "listening on ").last?.split(separator: ",").first?.split(separator: ":")
            port = try #require(words?.last.flatMap { Int($0) }, "said: \(text)")
        }

        /// Everything printed until the end of the program.
        func allErrors() -> String {
            String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        }

        func end(_ signal: Int32) -> (status: Int32, reason: Process.TerminationReason) {
            kill(process.processIdentifier, signal)
            process.waitUntilExit()
            return (process.terminationStatus, process.terminationReason)
        }
    }

    private static func request(_ port: Int, _ text: String) throws -> RawConnection.Response {
        let connection = try RawConnection(port: port)
        try connection.send(text)
        return try connection.response()
    }

    private static func post(_ port: Int, _ action: String, _ transaction: String) throws -> String {
        let body = #"{"action":"\#(action)","transaction_id":"\#(transaction)","amount":"5.00","currency":"EUR"}"#
        return try request(
            port, "POST /clearing/\(action) HTTP/1.1\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        ).body
    }

    @Test func killedAndRestarted() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sim-" + UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let flags = ["--port", "0", "--books", folder.appendingPathComponent("books").path, "--seed", "1"]
        let first = try Simulator(flags)
        try first.waitUntilListening()
        let hold = try Self.post(first.port, "prepare", "visa_1")
        _ = try Self.post(first.port, "abort", "visa_2")
        #expect(first.end(SIGKILL).reason == .uncaughtSignal)

        let second = try Simulator(flags)
        try second.waitUntilListening()
        #expect(try Self.post(second.port, "prepare", "visa_1") == hold)
        #expect(try Self.post(second.port, "prepare", "visa_2").contains("DECLINED"))
        let book = try Self.request(second.port, "GET /clearing/book HTTP/1.1\r\n\r\n").body
        #expect(book.contains(#""transaction_id":"visa_1","state":"held","amount":"5.00","prepares":2"#))
        #expect(second.end(SIGTERM) == (0, .exit))
    }

    /// Goal: more clients than it has descriptors for are closed at once, and those that it has are served.
    @Test func fewDescriptors() throws {
        let simulator = try Simulator(["--port", "0", "--books", "none"], openFilesMax: 100)
        try simulator.waitUntilListening()
        var connections = try (0..<150).map { _ in try RawConnection(port: simulator.port) }
        #expect(try connections[149].isAtEnd())
        try connections[0].send("GET /clearing/book HTTP/1.1\r\n\r\n")
        #expect(try connections[0].response().status == 200)
        connections = []
        var status = 0
        for _ in 0..<100 where status != 200 {
            usleep(20_000)
            status = (try? Self.request(simulator.port, "GET /clearing/book HTTP/1.1\r\n\r\n").status) ?? 0
        }
        #expect(status == 200, "there is room again")
        #expect(simulator.end(SIGTERM) == (0, .exit))
    }

    @Test(arguments: [SIGTERM, SIGINT]) func endsCleanly(signal: Int32) throws {
        let simulator = try Simulator(["--books", "none"], environment: ["CLEARING_PORT": "0", "BIND": "127.0.0.1"])
        try simulator.waitUntilListening()
        // A request in the middle of its latency does not hold the end up.
        let faults = #"{"latency_ms":600000}"#
        let set = "POST /clearing/faults HTTP/1.1\r\nContent-Length: \(faults.utf8.count)\r\n\r\n\(faults)"
        #expect(try Self.request(simulator.port, set).status == 200)
        let waiting = try RawConnection(port: simulator.port)
        try waiting.send("GET /clearing/status/visa_1 HTTP/1.1\r\n\r\n")
        #expect(simulator.end(signal) == (0, .exit))
    }

    @Test(arguments: [
        (["--error-rate", "2"], "error-rate"), (["--latency-ms", "-1"], "latency-ms"), (["--port", "70000"], "port"),
        (["--books", "none", "--sync"], "--books"), (["--books", "/nonexistent/books"], "lock"),
        (["--nonsense"], "nonsense"),
    ])
    func wrongFlags(flags: [String], expected: String) throws {
        let simulator = try Simulator(flags)
        simulator.process.waitUntilExit()
        #expect(simulator.process.terminationStatus != 0)
        #expect(simulator.process.terminationReason == .exit)
        #expect(simulator.allErrors().contains(expected))
    }

    @Test func environment() throws {
        let command = try #require(try ClearingSimulatorCommand.parseAsRoot([]) as? ClearingSimulatorCommand)
        #expect(try command.effectivePort(environment: [:]) == 8082)
        #expect(try command.effectivePort(environment: ["CLEARING_PORT": "9000"]) == 9000)
        #expect(throws: (any Error).self) { try command.effectivePort(environment: ["CLEARING_PORT": "abc"]) }
        #expect(command.effectiveAddress(environment: [:]) == "127.0.0.1")
        #expect(command.effectiveAddress(environment: ["BIND": "::1"]) == "::1")
        let flagged = try #require(
            try ClearingSimulatorCommand.parseAsRoot(["--port", "1234", "--bind", "0.0.0.0"])
                as? ClearingSimulatorCommand)
        #expect(try flagged.effectivePort(environment: ["CLEARING_PORT": "9000"]) == 1234)
        #expect(flagged.effectiveAddress(environment: ["BIND": "::1"]) == "0.0.0.0")
    }
}
