import Foundation

@testable import Assembly
@testable import PostgresParticipant

/// The configuration: flags, the environment, the JSON of a configuration file, a database's address.
///
/// The first byte of an input chooses which. Lines of an environment are `NAME=value`.
enum SettingsFuzz {
    /// What no message may repeat.
    private static let secret = "s3cr3t"

    /// Byte by byte: a mark behind it would make another character of its last one.
    private static func tellsSecret(_ text: some StringProtocol) -> Bool {
        Array(text.utf8).contains(Array(secret.utf8))
    }

    @Sendable static func run(_ input: [UInt8]) throws {
        var choices = Choices(input.prefix(1))
        let rest = input.dropFirst()
        switch choices.below(4) {
        case 0: try arguments(rest)
        case 1: try file(Array(rest))
        case 2: try address(Texts.text(rest.filter { $0 != 0 }))
        default: try environment(rest)
        }
    }

    private static func environment(_ bytes: ArraySlice<UInt8>) throws {
        var variables = ["DB_URI": "postgresql://u@localhost/d"]
        for line in bytes.split(separator: UInt8(ascii: "\n")).prefix(16) {
            let parts = line.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            // Neither a name nor a value of an environment holds a zero byte.
            let texts = parts.map { Texts.text($0.filter { $0 != 0 }) }
            guard texts.count == 2, texts[0] != "CONFIG_FILE" else { continue }
            variables[texts[0]] = texts[1]
        }
        try settings(try SettingSource(arguments: [], environment: variables), variables)
    }

    private static func arguments(_ bytes: ArraySlice<UInt8>) throws {
        let words = bytes.split(separator: UInt8(ascii: "\n")).prefix(16).map { Texts.text($0.filter { $0 != 0 }) }
        guard !words.contains(where: { $0.lowercased().hasPrefix("--config") }) else { return }
        let source: SettingSource
        do throws(SettingError) {
            source = try SettingSource(arguments: Array(words), environment: [:])
        } catch {
            try holdsSecret(error, of: Array(words))
            return
        }
        try settings(source, [:])
    }

    private static func file(_ json: [UInt8]) throws {
        let texts: [String: String]
        do throws(SettingError) {
            texts = try SettingSource.texts(inFile: Data(json), "file")
        } catch {
            try hold(!error.description.isEmpty, "a refusal without a word")
            return
        }
        try hold(texts["CONFIG_FILE"] == nil, "a configuration file names another one")
        var variables = texts
        if variables["DB_URI"] == nil { variables["DB_URI"] = "postgresql://u@localhost/d" }
        try settings(try SettingSource(arguments: [], environment: variables), variables)
    }

    /// Every set of texts ends in settings within their bounds, or in a message that names a variable and no secret.
    private static func settings(_ source: SettingSource, _ variables: [String: String]) throws {
        let settings: NodeSettings
        do throws(SettingError) {
            settings = try NodeSettings(source)
        } catch {
            try hold(!error.variable.isEmpty && !error.problem.isEmpty, "a refusal without a variable or a reason")
            // What is no secret is quoted.
            let isQuoted =
                variables.contains { !isSecret($0.key) && tellsSecret($0.key + $0.value) }
                || NodeSettings.catalogue.contains {
                    !isSecret($0.variable) && tellsSecret(source.text($0.variable) ?? "")
                }
            if !isQuoted { try hold(!tellsSecret(error.description), "a message repeats a secret") }
            return
        }
        try hold((1...255).contains(settings.databases.count), "a number of databases")
        try hold((1...65_535).contains(settings.listener.port), "a port")
        try hold(settings.listener.idleTimeout.count >= 1, "an idle timeout")
        try hold(settings.recoveryInterval.count >= 1000, "an interval")
        for database in settings.databases { try holdsPassword(database) }
    }

    private static func isSecret(_ name: String) -> Bool { name.hasPrefix("DB_URI") || name == "API_TOKEN" }

    private static func holdsSecret(_ error: SettingError, of words: [String]) throws {
        // A word that is no flag may be a password, and what follows a flag's name may hold one.
        let named = words.contains {
            $0.hasPrefix("--") && tellsSecret($0.prefix { $0.isLetter || $0.isNumber || $0 == "-" })
        }
        guard !named else { return }
        try hold(!tellsSecret(error.description), "a message repeats what may be a password")
    }

    private static func address(_ text: String) throws {
        let configuration: PostgresConfiguration
        do throws(PostgresConfigurationError) {
            configuration = try PostgresConfiguration(uri: text)
        } catch {
            try hold(!tellsSecret(error.message), "a message repeats an address")
            return
        }
        let parameters = configuration.connectionParameters(applicationName: "holdfast/log/1")
        try hold(
            parameters.filter { $0.keyword == "application_name" }.map(\.value) == ["holdfast/log/1"],
            "an address chooses our name")
        try hold(
            parameters.filter { $0.keyword == "client_encoding" }.map(\.value) == ["UTF8"], "an address chooses texts")
        try hold(Set(parameters.map(\.keyword)).count == parameters.count, "a keyword twice")
        try holdsPassword(configuration)
    }

    /// Users, hosts and names of databases are shown, whatever they are called.
    private static func holdsPassword(_ configuration: PostgresConfiguration) throws {
        let parameters = configuration.connectionParameters(applicationName: "holdfast/log/1")
        guard parameters.contains(where: { $0.keyword == "password" && tellsSecret($0.value) }),
            !parameters.contains(where: { $0.keyword != "password" && tellsSecret($0.value) })
        else { return }
        var dumped = ""
        dump(configuration, to: &dumped)
        try hold(!tellsSecret("\(configuration) \(dumped)"), "a password is shown")
    }
}
