import Testing

@testable import Harness

/// The harness's, not the test runner's of the same name.
typealias ExitStatus = Harness.ExitStatus

/// What the harness finds, as issues of the test.
extension World {
    /// As ``violationsAtTheEnd(without:)``; each violation is an issue of the test.
    func finish(without outcasts: Set<String> = [], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let violations = try violationsAtTheEnd(without: outcasts)
        guard !violations.isEmpty else { return }
        let shown = violations.prefix(20).joined(separator: "\n  ")
        Issue.record("\(violations.count) violations:\n  \(shown)", sourceLocation: sourceLocation)
    }

    /// Starts a server that must be refused; gives what it says.
    func startRefused(_ name: String) throws -> String {
        let server = try launch(name)
        let status = try server.process.wait(within: Limits.programStart)
        #expect(status == RecoverTool.refused, "\(server.errors)")
        return server.errors
    }

    /// Stops a server that has nothing left to do.
    func stop(_ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let status = try server(name).drain()
        #expect(status == .code(0), sourceLocation: sourceLocation)
    }
}
