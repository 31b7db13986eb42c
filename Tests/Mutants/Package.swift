// swift-tools-version: 6.2
import PackageDescription

/// The copy of the sources that `scripts/mutants` builds, with every mutant in it.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
    name: "mutants",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .target(name: "Payments", swiftSettings: settings),
        .target(name: "Coordinator", dependencies: ["Payments"], swiftSettings: settings),
        .target(name: "Telemetry", swiftSettings: settings),
        .target(
            name: "Runtime",
            dependencies: ["Coordinator", "Payments", "Telemetry", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: settings),
        .target(
            name: "Simulation",
            dependencies: [
                "Coordinator", "Payments", "Runtime", "Telemetry", .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "simulate",
            dependencies: ["Simulation", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: settings),
    ]
)
