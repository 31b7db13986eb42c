import ArgumentParser
import Assembly
import Foundation
import Testing

@testable import recover

/// docs/man/recover.1 is made from the program's own help, so that it never lacks a command or an option.
///
/// `HOLDFAST_WRITE_MAN=1 swift test --filter ManPageTests` writes the page; read the difference before it is committed.
@Suite struct ManPageTests {
    private static let path = "docs/man/recover.1"
    private static let variable = "HOLDFAST_WRITE_MAN"

    @Test("Goal: the page is the one that the program's help makes")
    func isCurrent() throws {
        let page = try ManPage.text()
        if ProcessInfo.processInfo.environment[Self.variable] == "1" {
            try page.write(to: Repository.root().appendingPathComponent(Self.path), atomically: true, encoding: .utf8)
        }
        #expect(
            try Repository.text(Self.path) == page,
            "\(Self.path) is not what the program's help says; \(Self.variable)=1 swift test --filter ManPageTests writes it"
        )
    }

    @Test("Goal: the page has every command, every option of each, every exit code, and no command that is not there")
    func isComplete() throws {
        let page = try Repository.text(Self.path).replacingOccurrences(of: "\\-", with: "-")
        func walk(_ command: any ParsableCommand.Type, _ path: [String]) {
            let name = (path + [command.configuration.commandName ?? ""]).filter { $0 != "recover" }
            if !name.isEmpty { #expect(page.contains(".SS \(name.joined(separator: " "))\n"), "\(name)") }
            let help = RecoverProgram.helpMessage(for: command, columns: 200)
            for option in help.matches(of: #/(?m)^ +(--[a-z-]+)/#).map({ String($0.output.1) }) {
                #expect(page.contains(".B \(option)"), "\(name): \(option)")
            }
            for subcommand in command.configuration.subcommands { walk(subcommand, name) }
        }
        walk(RecoverProgram.self, [])
        func count(_ command: any ParsableCommand.Type) -> Int {
            command.configuration.subcommands.reduce(0) { $0 + 1 + count($1) }
        }
        #expect(page.matches(of: #/(?m)^\.SS /#).count == count(RecoverProgram.self))
        let codes = [
            ProgramExit.clean, ProgramExit.failure, ProgramExit.inDoubt, ProgramExit.damaged, ProgramExit.inUse,
            ProgramExit.unreachable, ProgramExit.usage, ProgramExit.configuration,
        ]
        for code in codes { #expect(page.contains("\n.TP\n.B \(code)\n"), "exit code \(code)") }
    }

    @Test("Goal: every option has a help text, and one that takes a number or a span says in what unit")
    func units() throws {
        func walk(_ command: ManPage.Command) {
            for argument in command.arguments ?? [] {
                let text = argument.abstract ?? ""
                #expect(!text.isEmpty, "\(command.commandName): \(argument.label)")
                if argument.valueName == "duration" {
                    #expect(text.contains("seconds"), "\(command.commandName): \(argument.label)")
                }
                if argument.valueName == "amount" {
                    #expect(text.contains("currency"), "\(command.commandName): \(argument.label)")
                }
            }
            for subcommand in command.shown { walk(subcommand) }
        }
        walk(try ManPage.root())
    }
}

/// Makes the page.
enum ManPage {
    /// What `--experimental-dump-help` says, as far as it is needed.
    struct Command: Decodable {
        let commandName: String
        let abstract: String?
        let discussion: String?
        let subcommands: [Command]?
        let arguments: [Argument]?

        /// Without the one that every program has.
        var shown: [Command] { (subcommands ?? []).filter { $0.commandName != "help" } }
    }

    struct Argument: Decodable, Equatable {
        struct Name: Decodable, Equatable {
            let kind, name: String
        }
        let kind: String
        let names: [Name]?
        let valueName: String?
        let abstract: String?
        let isOptional, isRepeating: Bool
        let defaultValue: String?
        let allValues: [String]?

        /// `--name VALUE`, `--name`, or the value of a positional argument.
        var label: String {
            let name = names?.first { $0.kind == "long" }.map { "--" + $0.name } ?? ""
            switch kind {
            case "positional": return "<\(valueName ?? "")>"
            case "flag": return name
            default: return "\(name) <\(valueName ?? "")>"
            }
        }
    }

    private struct Dump: Decodable {
        let command: Command
    }

    static func root() throws -> Command {
        try JSONDecoder().decode(Dump.self, from: Data(RecoverProgram._dumpHelp().utf8)).command
    }

    static func text() throws -> String {
        let root = try root()
        // What every command has is described once.
        let own = root.shown.flatMap(leaves)
        let common = (own.first?.arguments ?? []).filter { argument in
            own.allSatisfy { ($0.arguments ?? []).contains(argument) }
        }
        var page = head
        page += ".SH COMMANDS\n"
        for command in root.shown { page += section(command, path: [], without: common) }
        page += ".SH COMMON OPTIONS\n" + common.map(option).joined()
        return page + tail
    }

    private static func leaves(_ command: Command) -> [Command] {
        command.shown.isEmpty ? [command] : command.shown.flatMap(leaves)
    }

    private static func section(_ command: Command, path: [String], without common: [Argument]) -> String {
        let name = path + [command.commandName]
        var text = ".SS \(escaped(name.joined(separator: " ")))\n"
        text += paragraphs([command.abstract, command.discussion])
        text += (command.arguments ?? []).filter { !common.contains($0) }.map(option).joined()
        return text + command.shown.map { section($0, path: name, without: common) }.joined()
    }

    private static func option(_ argument: Argument) -> String {
        var text = argument.abstract ?? ""
        if let values = argument.allValues, !values.isEmpty { text += " One of: \(values.joined(separator: ", "))." }
        if let value = argument.defaultValue { text += " Default: \(value)." }
        return ".TP\n.B \(escaped(argument.label))\n\(escaped(text))\n"
    }

    private static func paragraphs(_ texts: [String?]) -> String {
        let given = texts.compactMap { $0 }.filter { !$0.isEmpty }
        return given.map { escaped($0) + "\n" }.joined(separator: ".PP\n")
    }

    /// Text that groff prints as it is.
    private static func escaped(_ text: String) -> String {
        let plain = text.replacingOccurrences(of: "\\", with: "\\e").replacingOccurrences(of: "-", with: "\\-")
        return plain.split(separator: "\n", omittingEmptySubsequences: false).map {
            $0.hasPrefix(".") || $0.hasPrefix("'") ? "\\&" + $0 : String($0)
        }.joined(separator: "\n")
    }
}
