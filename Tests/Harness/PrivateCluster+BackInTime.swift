import Foundation

/// Backups, restores and failovers: how a cluster goes back in time.
extension PrivateCluster {
    /// A base backup as an operator takes it, with the cluster at work.
    func takeBaseBackup(_ name: String) throws -> String {
        let copy = directory + "/" + name
        try tools.run(
            "pg_basebackup",
            [
                "--pgdata", copy, "--host", "127.0.0.1", "--port", "\(port)", "--username", Self.superuser,
                "--checkpoint", "fast", "--no-sync",
            ], within: Limits.clusterStart)
        return copy
    }

    /// Copies the files with the cluster stopped in between.
    func copyStopped(_ name: String) throws -> String {
        let copy = directory + "/" + name
        try stop(.fast)
        try tools.run("cp", ["-a", dataDirectory, copy])
        try start()
        return copy
    }

    /// Puts a copy in the place of what is there, and starts it.
    func restore(_ copy: String) throws {
        try stop(.immediate)
        try tools.run("rm", ["-rf", dataDirectory])
        try tools.run("cp", ["-a", copy, dataDirectory])
        try start()
    }

    /// A streaming replica.
    struct Replica {
        let dataDirectory: String
    }

    func startReplica(_ name: String) throws -> Replica {
        let copy = try takeBaseBackup(name)
        try tools.run("touch", [copy + "/standby.signal"])
        try Reaper.shared().adoptCluster(copy)
        let source = "primary_conninfo='host=127.0.0.1 port=\(port) user=\(Self.superuser)'"
        try start(copy, port: Loopback.freePort(), log: copy + ".log", with: [source])
        return Replica(dataDirectory: copy)
    }

    /// Until the replica has everything that was written so far.
    func waitUntilReplicated() throws {
        let end = try query("SELECT pg_current_wal_flush_lsn()")[0][0]
        try Wait.until("the replica has replayed \(end)", within: .seconds(30)) {
            try query("SELECT coalesce(bool_and(replay_lsn >= '\(end)'), false) FROM pg_stat_replication") == [["t"]]
        }
    }

    /// The replica hears of nothing from here on.
    func cutOff(_ replica: Replica) throws { try stop(.fast, replica.dataDirectory) }

    /// The primary dies, and the replica takes its place and its address.
    func failOver(to replica: Replica) throws {
        try stop(.immediate)
        try tools.run("rm", ["-rf", dataDirectory])
        try tools.run("mv", [replica.dataDirectory, dataDirectory])
        try start(dataDirectory, port: port, log: logFile)
        try tools.run("pg_ctl", ["promote", "--wait", "--pgdata", dataDirectory], within: Limits.clusterStart)
    }
}
