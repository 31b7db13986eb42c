/// Which modules a target may import.
struct TargetRule: Sendable {
    let name: String
    /// From the package's root, without a final slash.
    let folder: String
    /// Targets of this package.
    let ours: Set<String>
    /// Modules of other packages and of the system.
    let others: Set<String>

    init(_ name: String, folder: String? = nil, ours: Set<String> = [], others: Set<String> = []) {
        self.name = name
        self.folder = folder ?? "Sources/\(name)"
        self.ours = ours
        self.others = others
    }

    var allowed: Set<String> { ours.union(others) }

    var allowedText: String {
        allowed.isEmpty ? "nothing but the standard library" : allowed.sorted().joined(separator: ", ")
    }
}

/// Who may import whom. A change here is a change of the architecture and is reviewed as one.
enum ImportTable {
    /// The C library's Swift overlay, and atomics and locks: what a shell needs of the system.
    private static let system: Set<String> = ["Glibc", "Synchronization"]

    static let targets: [TargetRule] = [
        // C libraries: a module map and a shim, no Swift.
        TargetRule("CChecksum"),
        TargetRule("CEpoll"),
        TargetRule("CLMDB"),
        TargetRule("CPostgres"),

        // Pure: no I/O, no clock, no randomness, so that a simulation can run them.
        TargetRule("Payments"),
        TargetRule("Coordinator", ours: ["Payments"]),

        // Shells around the core. Each C library stays behind one of them.
        TargetRule("WAL", ours: ["Coordinator", "Payments", "CChecksum", "CLMDB"], others: system),
        TargetRule("Telemetry", others: system),
        TargetRule(
            "PostgresParticipant", folder: "Sources/Participants/Postgres",
            ours: ["Coordinator", "Payments", "CEpoll", "CPostgres"], others: system),
        TargetRule(
            "ClearingParticipant", folder: "Sources/Participants/Clearing", ours: ["Coordinator", "Payments"],
            others: system.union(["AsyncHTTPClient", "Foundation", "NIOCore", "NIOHTTP1", "NIOPosix"])),
        TargetRule(
            "Runtime", ours: ["Coordinator", "Payments", "Telemetry"], others: system.union(["NIOCore"])),
        TargetRule("HTTPService", others: ["NIOCore", "NIOHTTP1"]),

        // The only one that knows the log's engine and the participants at once.
        TargetRule(
            "Assembly",
            ours: [
                "Coordinator", "Payments", "WAL", "PostgresParticipant", "ClearingParticipant", "Runtime", "Telemetry",
            ],
            others: system.union(["AsyncHTTPClient", "Crypto", "Foundation", "NIOCore", "NIOPosix"])),

        // The core in a world of virtual time: no system, no libraries, no clock but its own. Dispatch is in NIO's protocol of a loop.
        TargetRule(
            "Simulation", ours: ["Coordinator", "Payments", "Runtime", "Telemetry"], others: ["Dispatch", "NIOCore"]),

        // Programs.
        TargetRule(
            "simulate", ours: ["Simulation"], others: ["ArgumentParser", "Glibc"]),
        TargetRule(
            "Server", ours: ["Coordinator", "Payments", "Runtime", "Telemetry", "Assembly", "HTTPService"],
            others: system.union(["Foundation", "NIOCore", "NIOHTTP1", "NIOPosix", "UnixSignals"])),
        TargetRule(
            "recover", ours: ["Coordinator", "Payments", "Runtime", "Telemetry", "Assembly"],
            others: system.union(["ArgumentParser", "Foundation"])),
        TargetRule(
            "ClearingSimulator", ours: ["Payments", "HTTPService", "Telemetry"],
            others: system.union([
                "ArgumentParser", "FoundationEssentials", "NIOCore", "NIOHTTP1", "NIOPosix", "UnixSignals",
            ])),
        // A client like any other: it knows the wire and nothing of ours.
        TargetRule(
            "LoadGenerator",
            others: system.union([
                "ArgumentParser", "Foundation", "Histogram", "NIOCore", "NIOPosix", "UnixSignals",
            ])),

        // Benchmarks: they measure the parts from inside, so they may know each of them.
        TargetRule("Ceiling", folder: "Benchmarks/Ceiling", ours: ["CPostgres"]),
        TargetRule("BenchmarkKit", folder: "Benchmarks/Kit", others: system.union(["Dispatch", "Foundation"])),
        TargetRule(
            "bench", folder: "Benchmarks/bench",
            ours: [
                "BenchmarkKit", "Ceiling", "Coordinator", "Payments", "PostgresParticipant", "Runtime", "Telemetry",
                "WAL",
            ],
            others: system.union([
                "ArgumentParser", "Dispatch", "Foundation", "Histogram", "NIOCore", "NIOPosix",
            ])),
    ]
}
