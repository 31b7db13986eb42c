import ArgumentParser
import Assembly
import Foundation
import Telemetry

/// `recover`: what is in doubt after a crash, why, and what is done about it.
@main
struct RecoverProgram: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Resolves what a crash left in doubt.",
        discussion: """
            Without a subcommand it carries the plan out that --dry-run prints. Exit codes: 0 nothing is in doubt, 1 failure, \
            3 something is left in doubt or, in a dry run, would be done, 4 the log is damaged, 5 a server is using the log, \
            6 a database or the network could not be reached and the rest was done, 64 usage, 78 configuration.
            """,
        version: "holdfast \(Release.version)",
        subcommands: [
            PlanCommand.self,
            ListCommand.self,
            ShowCommand.self,
            RestoreCommand.self,
            DoctorCommand.self,
            ResolveCommand.self,
            ReversalsCommand.self,
            OrphansCommand.self,
            VerifyCommand.self,
            DumpCommand.self,
            QuarantineCommand.self,
            BackupCommand.self,
        ],
        defaultSubcommand: PlanCommand.self)

    static func main() async {
        StandardStreams.reserve()
        // A backup that is larger than files may be is a message, not a signal.
        signal(SIGXFSZ, SIG_IGN)
        // A reader that went away (`recover list | head`) is no failure, and no reason to stop half-way.
        signal(SIGPIPE, SIG_IGN)
        BadPages.endsProgram()
        var advice = "Stop it first."
        do {
            var command = try parseAsRoot()
            advice = inUseAdvice(command)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            ProcessEnd.exit(ProgramExit.clean)
        } catch let refusal as StartRefusal {
            guard refusal.exitCode == ProgramExit.inUse else { fail(refusal.message, refusal.exitCode) }
            // The log's own advice is for servers.
            let what = refusal.message.range(of: ". Stop it").map { refusal.message[..<$0.lowerBound] + "." }
            fail("\(what ?? refusal.message[...]) \(advice)", refusal.exitCode)
        } catch let error as ControlSocketError {
            fail("\(error)", ProgramExit.failure)
        } catch let error as SettingError {
            fail("\(error)", error.variable.hasPrefix("--") ? ProgramExit.usage : ProgramExit.configuration)
        } catch let code as ExitCode {
            ProcessEnd.exit(code.rawValue)
        } catch {
            exit(withError: error)
        }
    }

    /// What to do while another process holds the log: whoever meets a running server most often wants it to do what was asked.
    private static func inUseAdvice(_ command: any ParsableCommand) -> String {
        switch command {
        case let plan as PlanCommand where plan.apply != nil:
            "Stop it first: a plan file is carried out without a server."
        case is PlanCommand, is ResolveCommand, is ReversalRetryCommand, is ReversalParkCommand,
            is ReversalUnparkCommand,
            is OrphanAdoptCommand, is QuarantineReleaseCommand:
            "Stop it first or, if it is a server, have it do this: give --online."
        default: "Stop it first."
        }
    }

    private static func fail(_ message: String, _ code: Int32) -> Never {
        Output.talk("recover: \(message)")
        ProcessEnd.exit(code)
    }
}

/// Where the log and the participants are: the same variables as the server's.
struct Location: ParsableArguments {
    @Option(help: "Directory of the log (STATE_DIR, default ./state).")
    var stateDir: String?

    @Option(help: "The databases, as for the server (DB_URI).")
    var dbUri: String?

    @Option(help: "Base URL of the clearing network (CLEARING_URL).")
    var clearingUrl: String?

    @Option(help: "JSON file with the server's variables (CONFIG_FILE).")
    var configFile: String?

    var source: SettingSource {
        get throws {
            let given = [
                ("--state-dir", stateDir), ("--db-uri", dbUri), ("--clearing-url", clearingUrl),
                ("--config-file", configFile),
            ]
            return try SettingSource(
                arguments: given.flatMap { name, value in value.map { [name, $0] } ?? [] },
                environment: ProcessInfo.processInfo.environment)
        }
    }

    /// The state directory alone, for commands that only read the log.
    var stateDirectory: String {
        get throws { try NodeSettings.stateDirectory(source) }
    }

    /// Whether a database is named.
    var hasDatabases: Bool {
        get throws { try NodeSettings.hasDatabases(source) }
    }
}

/// `exit(3)` under a name that a command's own `exit(withError:)` does not hide.
enum ProcessEnd {
    static func exit(_ code: Int32) -> Never {
        fflush(nil)
        if let failure = Output.failure {
            Output.talk("recover: standard output cannot be written: \(failure)")
            Foundation.exit(code == ProgramExit.clean ? ProgramExit.failure : code)
        }
        Foundation.exit(code)
    }
}
