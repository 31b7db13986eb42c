import Testing

/// A test waited in vain.
struct WaitedInVain: Error, CustomStringConvertible {
    let what: String
    var description: String { "waited in vain until \(what)" }
}

/// Looks again and again until `condition` holds, for five seconds at most.
func eventually(
    _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let end = clock.now + .seconds(5)
    while try await !condition() {
        guard clock.now < end else {
            Issue.record("waited in vain until \(what)", sourceLocation: sourceLocation)
            throw WaitedInVain(what: what)
        }
        try await Task.sleep(for: .milliseconds(1))
    }
}
