// swift-tools-version: 6.2
import PackageDescription

/// Every target of ours is built with warnings as errors; the setting has no effect on packages that depend on us.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
]

/// What the fuzz targets look into: everything that takes bytes from outside.
let fuzzDependencies: [Target.Dependency] = [
    "Assembly", "ClearingParticipant", "ClearingSimulator", "Coordinator", "HTTPService", "Payments",
    "PostgresParticipant", "recover", "Runtime", "Server", "Telemetry", "WAL",
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOEmbedded", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
]

let package = Package(
    name: "holdfast",
    products: [
        .executable(name: "server", targets: ["Server"]),
        .executable(name: "recover", targets: ["recover"]),
        .executable(name: "clearing-sim", targets: ["ClearingSimulator"]),
        .executable(name: "loadgen", targets: ["LoadGenerator"]),
        .executable(name: "simulate", targets: ["simulate"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // C libraries: a module map and a shim each, nothing else.
        .systemLibrary(name: "CChecksum"),
        .systemLibrary(name: "CEpoll"),
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),

        // Pure: no I/O, no clock, no randomness.
        .target(name: "Payments", swiftSettings: strict),
        .target(name: "Coordinator", dependencies: ["Payments"], swiftSettings: strict),

        // The shells around the core.
        .target(
            name: "WAL", dependencies: ["Coordinator", "Payments", "CChecksum", "CLMDB"], exclude: ["FORMAT.md"],
            swiftSettings: strict),
        .target(name: "Telemetry", swiftSettings: strict),
        .target(
            name: "PostgresParticipant", dependencies: ["Coordinator", "Payments", "CEpoll", "CPostgres"],
            path: "Sources/Participants/Postgres", swiftSettings: strict),
        .target(
            name: "ClearingParticipant",
            dependencies: [
                "Coordinator", "Payments",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Sources/Participants/Clearing", swiftSettings: strict),
        .target(
            name: "Runtime",
            dependencies: [
                "Coordinator", "Payments", "Telemetry",
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .target(
            name: "HTTPService",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: strict),

        // One node put together: settings, log, participants, coordinator. What server and recover share.
        .target(
            name: "Assembly",
            dependencies: [
                "Coordinator", "Payments", "WAL", "PostgresParticipant", "ClearingParticipant", "Runtime", "Telemetry",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict),

        // The real coordinator in a seeded world of virtual time, and the program that runs it.
        .target(
            name: "Simulation",
            dependencies: [
                "Coordinator", "Payments", "Runtime", "Telemetry", .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "simulate",
            dependencies: [
                "Simulation", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // Programs.
        .executableTarget(
            name: "Server",
            dependencies: [
                "Coordinator", "Payments", "Runtime", "Telemetry", "Assembly", "HTTPService",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "recover",
            dependencies: [
                "Coordinator", "Payments", "Runtime", "Telemetry", "Assembly",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "ClearingSimulator",
            dependencies: [
                "Payments", "HTTPService", "Telemetry",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "LoadGenerator",
            dependencies: [
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        // What tests of the log run: payments through the log, and the check of what is left of them.
        .target(
            name: "Workload", dependencies: ["WAL", "Coordinator", "Payments"], path: "Tests/Workload",
            swiftSettings: strict),
        .executableTarget(
            name: "LogWorkload",
            dependencies: ["Workload", "WAL", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Tests/LogWorkload", swiftSettings: strict),
        // The power cut: a recorder of what the process does to its files, a disk that forgets, and the program.
        .target(name: "DiskRecorder", path: "Tests/DiskRecorder", linkerSettings: [.linkedLibrary("dl")]),
        .target(name: "DiskModel", path: "Tests/DiskModel", swiftSettings: strict),
        .executableTarget(
            name: "PowerCut",
            dependencies: [
                "Coordinator", "DiskModel", "DiskRecorder", "WAL", "Workload",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tests/PowerCut", swiftSettings: strict),

        // Benchmarks: what measures and tells, and the program.
        .target(name: "BenchmarkKit", path: "Benchmarks/Kit", swiftSettings: strict),
        .target(name: "Ceiling", dependencies: ["CPostgres"], path: "Benchmarks/Ceiling"),
        .executableTarget(
            name: "bench",
            dependencies: [
                "BenchmarkKit", "Ceiling", "Coordinator", "Payments", "PostgresParticipant", "Runtime", "Telemetry",
                "WAL",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Benchmarks/bench", swiftSettings: strict),
        .testTarget(
            name: "BenchTests", dependencies: ["bench", "BenchmarkKit", "Coordinator", "Payments", "WAL"],
            swiftSettings: strict),
        .testTarget(name: "BenchmarkKitTests", dependencies: ["BenchmarkKit"], swiftSettings: strict),

        // Tests.
        .testTarget(name: "PaymentsTests", dependencies: ["Payments"], swiftSettings: strict),
        .testTarget(name: "CoordinatorTests", dependencies: ["Coordinator", "Payments"], swiftSettings: strict),
        .testTarget(
            name: "WALTests", dependencies: ["WAL", "Coordinator", "Payments"],
            swiftSettings: strict),
        .testTarget(
            name: "PostgresParticipantTests", dependencies: ["PostgresParticipant", "Coordinator", "Payments"],
            path: "Tests/ParticipantsTests/Postgres", swiftSettings: strict),
        .testTarget(
            name: "ClearingParticipantTests",
            dependencies: [
                "ClearingParticipant", "Coordinator", "Payments",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Tests/ParticipantsTests/Clearing", swiftSettings: strict),
        .testTarget(
            name: "ClearingSimulatorTests",
            dependencies: [
                "ClearingSimulator", "HTTPService",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "RuntimeTests",
            dependencies: [
                "Runtime", "Coordinator", "Payments", "Telemetry", .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "AssemblyTests",
            dependencies: [
                "Assembly", "ClearingParticipant", "Coordinator", "Payments", "PostgresParticipant", "Runtime", "WAL",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "RecoverTests", dependencies: ["recover", "Coordinator", "Payments"], swiftSettings: strict),
        .testTarget(
            name: "LoadGeneratorTests",
            dependencies: [
                "LoadGenerator", "Payments",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "SimulationTests", dependencies: ["Simulation", "WAL", "Coordinator", "Payments"],
            swiftSettings: strict),
        .testTarget(name: "DiskModelTests", dependencies: ["DiskModel"], swiftSettings: strict),
        // The fuzz targets on their corpora; scripts/fuzz builds the same sources for libFuzzer.
        .testTarget(
            name: "FuzzTests", dependencies: fuzzDependencies, path: "Tests/Fuzz", exclude: ["Driver"],
            swiftSettings: strict),
        .testTarget(name: "ArchitectureTests", swiftSettings: strict),
        // Black box: real processes, a private PostgreSQL, the simulator. They import nothing of ours.
        .target(name: "Harness", path: "Tests/Harness", swiftSettings: strict),
        .executableTarget(name: "crash", dependencies: ["Harness"], path: "Tests/crash", swiftSettings: strict),
        .testTarget(
            name: "IntegrationTests", dependencies: ["Harness", "Server", "recover", "ClearingSimulator"],
            swiftSettings: strict),
    ]
)
