import ArgumentParser
import Assembly
import Coordinator
import Runtime

/// Copies the log.
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Write a consistent, compact copy of the log into a directory.",
        discussion: """
            Works beside a running server or without one. The copy gets its name, data.mdb, when it is complete, \
            synced and was read once; a directory that holds one already is refused. What a killed backup has left in the \
            directory is removed.
            """)

    @OptionGroup var location: Location

    @Argument(help: "The directory; made if it is missing, its parent must exist.", completion: .directory)
    var directory: String

    @Flag(help: "Print the result as JSON.")
    var json = false

    func run() async throws {
        let faults = FaultInjector(try NodeSettings.faults(location.source)) { Output.talk("recover: injected: \($0)") }
        let backup = try LogTools(stateDirectory: location.stateDirectory).backUp(to: directory, faults: faults)
        guard !json else { return Output.line(try JSONDocument.text(Document(backup))) }
        let last = backup.lastLSN.map { "up to LSN \($0)" } ?? "without records"
        Output.line("\(backup.file): \(backup.bytes) bytes, log \(backup.log), epoch \(backup.epoch), \(last)")
    }

    private struct Document: Encodable {
        let version = 1
        let file: String
        let bytes: Int
        let logId: String
        let epoch: UInt64
        let lastLsn: UInt64?

        init(_ backup: LogTools.Backup) {
            file = backup.file
            bytes = backup.bytes
            logId = backup.log.description
            epoch = backup.epoch.rawValue
            lastLsn = backup.lastLSN?.rawValue
        }
    }
}
