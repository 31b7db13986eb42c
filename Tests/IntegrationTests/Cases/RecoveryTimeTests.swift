import Foundation
import Testing

@testable import Harness

/// Measurements, carried out only on request: scripts/recovery-time. They print figures and assert ratios.
///
/// Apart from the other suites, whose time limit is too short for them.
@Suite(.enabled(if: Settings.measuresScale), .serialized) struct RecoveryTimeTests {
    @Test("Goal: the time to the first verdict on 200 transactions in doubt does not depend on a million finished ones")
    func historyDoesNotCount() throws {
        let directory = try #require(Settings.historyDirectory, "HOLDFAST_HISTORY names no directory")
        let cluster = try PrivateCluster(name: "scale", preparedTransactionsMax: 1000)
        var times: [String: [Duration]] = [:]
        try World.run(environment: World.forMany, cluster: cluster) { empty in
            try World.run(environment: World.forMany, cluster: cluster) { long in
                try long.takeHistory(from: directory)
                let worlds = [("empty", empty), ("long", long)]
                for round in 1...Settings.scaleRounds {
                    for (_, world) in worlds { try world.leaveManyInDoubt(200, prefix: "round-\(round)") }
                    for _ in 1...3 {
                        for (name, world) in worlds {
                            times["\(name) first verdict", default: []].append(
                                try time(world, ["--dry-run"], RecoverTool.somethingLeft))
                        }
                    }
                    for (name, world) in worlds {
                        times["\(name) all resolved", default: []].append(try time(world, [], RecoverTool.nothingLeft))
                        #expect(try world.preparedBranches().isEmpty)
                    }
                }
            }
        }
        let medians = times.mapValues { $0.sorted()[$0.count / 2] }
        for name in times.keys.sorted() { print("\(name): median \(medians[name] ?? .zero) of \(times[name] ?? [])") }
        for what in ["first verdict", "all resolved"] {
            let (long, empty) = try (#require(medians["long \(what)"]), #require(medians["empty \(what)"]))
            print("\(what): ratio \(long / empty)")
            if what == "first verdict" { #expect(long / empty <= 1.5) }
        }
    }

    @Test("Goal: a thousand transactions in doubt over two databases are resolved in seconds, side by side")
    func aThousandInDoubt() throws {
        let cluster = try PrivateCluster(name: "thousand", preparedTransactionsMax: 3000)
        for (latency, pool) in [(0, 32), (0, 1), (20, 32)] {
            try World.run(databases: 2, environment: World.forMany, cluster: cluster) { world in
                try world.leaveManyInDoubt(1000, prefix: "many")
                let branches = try world.preparedBranches().count
                try world.simulator.set(Faults(latencyMilliseconds: latency))
                world.environment["DB_POOL_SIZE"] = "\(pool)"
                let verdict = try time(world, ["--dry-run"], RecoverTool.somethingLeft)
                let all = try time(world, [], RecoverTool.nothingLeft)
                print(
                    "1000 transactions, \(branches) branches, network \(latency) ms, \(pool) connections: "
                        + "first verdict \(verdict), all resolved \(all)")
                #expect(try world.preparedBranches().isEmpty)
                // One after the other, the network's share alone would be twenty seconds.
                #expect(all < .seconds(15))
            }
        }
    }

    private func time(_ world: World, _ arguments: [String], _ expected: ExitStatus) throws -> Duration {
        let recover = try world.recover()
        let start = ContinuousClock.now
        let result = try recover.run(arguments)
        let took = ContinuousClock.now - start
        #expect(result.status == expected, "\(result)")
        return took
    }
}
