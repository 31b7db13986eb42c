import ArgumentParser
import BenchmarkKit

/// What every benchmark of the real programs takes.
struct StackOptions: ParsableArguments {
    @Option(
        name: .customLong("set"), parsing: .upToNextOption,
        help: "Settings of PostgreSQL beyond the usual, as name=value.")
    var postgresql: [Setting] = []

    @Option(name: .customLong("server-set"), parsing: .upToNextOption, help: "Settings of the server, as NAME=VALUE.")
    var server: [Setting] = []

    /// A cluster that is left alone by what would strike one contestant and not the other.
    ///
    /// - Parameter segments: of the write-ahead log that are made beforehand.
    func cluster(
        in workspace: Workspace, name: String = "postgresql", databases: Int = 1, segments: Int = 0
    ) throws -> Cluster {
        let usual = ["autovacuum": "off", "max_wal_size": "8GB", "min_wal_size": "2GB", "checkpoint_timeout": "1h"]
        let cluster = try Cluster(
            in: workspace, name: name, databases: databases, settings: usual.merging(postgresql.dictionary) { $1 })
        if segments > 0 { try cluster.makeSegments(segments) }
        return cluster
    }

    /// What was asked for, for the report's notes.
    var notes: [String] {
        [("PostgreSQL", postgresql), ("the server", server)].filter { !$0.1.isEmpty }.map { who, settings in
            "Settings of \(who): \(settings.map { "\($0.name)=\($0.value)" }.joined(separator: ", "))"
        }
    }
}

/// A setting, as `NAME=VALUE`.
struct Setting: ExpressibleByArgument, Equatable {
    let name: String
    let value: String

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals > argument.startIndex else { return nil }
        name = String(argument[..<equals])
        value = String(argument[argument.index(after: equals)...])
    }
}

extension [Setting] {
    /// The last one of a name counts.
    var dictionary: [String: String] { Dictionary(map { ($0.name, $0.value) }) { $1 } }
}
