import Testing

/// Black box: real processes, a private PostgreSQL, the clearing simulator.
///
/// One test at a time: they measure, and they need the machine's cores. Every suite of this folder is nested in this one.
@Suite("Integration", .serialized, .timeLimit(.minutes(5)))
struct Integration {}
