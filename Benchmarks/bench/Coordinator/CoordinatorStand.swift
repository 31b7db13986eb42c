import BenchmarkKit
import Foundation
import Synchronization
import WAL

/// Measures the coordinator: every measurement with a state directory of its own and emptied tables.
final class CoordinatorStand: Sendable {
    private let cluster: Cluster
    private let folder: String
    private let connections: Int
    private let count = Atomic(0)

    init(_ cluster: Cluster, folder: String, connections: Int) {
        self.cluster = cluster
        self.folder = folder
        self.connections = connections
    }

    /// - Returns: `rate` a second; `p50`, `p99` in microseconds; `cpu` and `postgresql_cpu`, microseconds a payment; `steps` of the log
    ///   a commit.
    func measure(inFlight: Int, seconds: Double) throws -> [String: Double] {
        let path = "\(folder)/\(count.add(1, ordering: .relaxed).newValue)"
        try Tables.empty(cluster)
        let node = try BenchNode(
            directory: path, databases: cluster.uris, connections: connections, inFlight: inFlight)
        defer {
            node.close()
            try? FileManager.default.removeItem(atPath: path)
        }
        // Plans are made, memory is had.
        _ = try node.run(inFlight: inFlight, seconds: min(seconds / 5, 0.5))
        let before = (log: node.log.statistics, own: CPUTime.own(), postgresql: cluster.cpuMicroseconds)
        let measured = try node.run(inFlight: inFlight, seconds: seconds)
        let after = (log: node.log.statistics, own: CPUTime.own(), postgresql: cluster.cpuMicroseconds)
        let payments = Double(max(1, measured.payments))
        return [
            "rate": measured.perSecond, "p50": measured.latencies.percentile(50),
            "p99": measured.latencies.percentile(99), "cpu": (after.own - before.own) / payments,
            "postgresql_cpu": (after.postgresql - before.postgresql) / payments,
            "steps": Double(after.log.steps - before.log.steps)
                / Double(max(1, after.log.commits - before.log.commits)),
        ]
    }
}

enum Tables {
    /// Empties the tables of payments, where they are, so that nobody finds a larger index than the one before.
    static func empty(_ cluster: Cluster) throws {
        for database in cluster.databases {
            let there = try cluster.query("SELECT to_regclass('transactions') IS NOT NULL", database: database)
            if there == "t" {
                try cluster.query("TRUNCATE transactions, merchant_entries RESTART IDENTITY", database: database)
            }
        }
        try cluster.query("CHECKPOINT", database: "postgres")
    }
}
