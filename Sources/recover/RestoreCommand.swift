import ArgumentParser
import Assembly
import Coordinator

/// Makes a state directory from a backup, or anew after the loss of everything.
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Make a state directory from a backup, or anew after the log was lost.",
        discussion: """
            Nothing is decided by it, and nothing overwritten. The log that it makes is marked as one that has lost its tail: the next \
            start, or `recover`, asks every database and the network what was in that tail, decides by evidence alone, and takes no \
            payments before that is done. It takes the databases over from whoever works on the former directory: make sure that no \
            server runs on it.
            """)

    @OptionGroup var location: Location

    @Argument(help: "The directory of the backup, as `recover backup` writes it.")
    var backup: String?

    @Flag(help: "There is no backup: make the log anew from what the databases and the network know.")
    var lostLog = false

    @Option(help: ArgumentHelp("Which log is lost, where the databases know of several.", valueName: "log-id"))
    var logID: String?

    @Option(help: ArgumentHelp("Go on beyond this epoch, where a database was fenced in it.", valueName: "epoch"))
    var beyondEpoch: UInt64?

    func validate() throws {
        guard lostLog != (backup != nil) else {
            throw ValidationError("give the directory of a backup, or --lost-log if there is none")
        }
        guard logID == nil || lostLog else { throw ValidationError("--log-id goes with --lost-log") }
        if let logID, LogID(logID) == nil {
            throw ValidationError("a log's id has 32 hexadecimal digits, as log lines and fences show it")
        }
    }

    func run() async throws {
        let path = try location.stateDirectory
        let epoch = beyondEpoch.map { Epoch(rawValue: $0) }
        let made =
            if let backup {
                try Restoration.restore(
                    from: backup, stateDirectory: path,
                    allowsUnsafeFileSystem: NodeSettings.allowsUnsafeFileSystem(location.source), beyond: epoch)
            } else {
                try await Restoration.remake(
                    NodeSettings(location.source), log: logID.flatMap { LogID($0) }, beyond: epoch)
            }
        Output.line("log \(made.log) \(made.words) in \(path)")
        Output.talk(
            "recover: nothing is decided yet; look at recover --dry-run, then run recover or start the server: no payment is "
                + "taken before every database and the network have told what the lost tail held")
    }
}
