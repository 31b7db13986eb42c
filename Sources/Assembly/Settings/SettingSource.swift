import Foundation

/// One thing that can be configured: a variable of the environment, a flag and a key of the configuration file at once.
public struct Setting: Sendable {
    /// The name in the environment and, so written, in the configuration file.
    public let variable: String
    /// What it is if nobody sets it; `nil` if there is none.
    public let defaultText: String?
    /// What it means, with its unit.
    public let help: String

    /// `STATE_DIR` as a flag: `--state-dir`.
    public var flag: String { "--" + variable.lowercased().replacingOccurrences(of: "_", with: "-") }
}

/// A configuration that cannot be used. The message names the variable and says what to write.
public struct SettingError: Error, CustomStringConvertible, Equatable {
    public let variable: String
    public let problem: String
    public var description: String { "\(variable) \(problem)" }

    public init(_ variable: String, _ problem: String) {
        self.variable = variable
        self.problem = problem
    }
}

/// Texts from flags, the environment and the configuration file: flag beats environment beats file.
public struct SettingSource: Sendable {
    private let flags: [String: String]
    private let environment: [String: String]
    private let file: [String: String]

    /// - Parameters:
    ///   - arguments: without the program's name; `--name value` or `--name=value`.
    ///   - environment: the process's own, or a test's.
    ///
    /// An empty text in the environment or the file counts as not set.
    ///
    /// - Throws: ``SettingError`` for a flag or a file key that does not exist, a flag without a value, a file that cannot be read.
    public init(arguments: [String], environment: [String: String]) throws(SettingError) {
        self.environment = environment.filter { !$0.value.isEmpty }
        flags = try Self.parse(arguments)
        if let path = flags["CONFIG_FILE"] ?? self.environment["CONFIG_FILE"] {
            file = try Self.read(path)
        } else {
            file = [:]
        }
    }

    /// The text and where it came from; `nil` if nobody set it.
    func text(_ variable: String) -> String? {
        flags[variable] ?? environment[variable] ?? file[variable]
    }

    /// Every `DB_URI_n` that is set; what else the environment holds under such a name is somebody else's.
    var numberedDatabases: [String] {
        Set(flags.keys).union(environment.keys).union(file.keys).filter(Self.isNumberedDatabase).sorted()
    }

    static func isKnown(_ variable: String) -> Bool {
        NodeSettings.catalogue.contains { $0.variable == variable } || isNumberedDatabase(variable)
    }

    /// Whether it is `DB_URI_` and a number, written as people count: no sign, no leading zero.
    private static func isNumberedDatabase(_ variable: String) -> Bool {
        guard variable.hasPrefix("DB_URI_"), let number = Int(variable.dropFirst("DB_URI_".count)) else { return false }
        return number >= 1 && variable == "DB_URI_\(number)"
    }

    private static func parse(_ arguments: [String]) throws(SettingError) -> [String: String] {
        var flags: [String: String] = [:]
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts.first ?? "")
            guard name.hasPrefix("--") else {
                // It may be a password or a URI with one: its place is told, not its text.
                throw SettingError(
                    "--", "must begin every flag, but argument \(rest.startIndex) does not begin with it; see --help")
            }
            let variable = name.dropFirst(2).uppercased().replacingOccurrences(of: "-", with: "_")
            guard isKnown(variable) else {
                // `--db-uri:postgresql://...` holds a password all the same.
                guard isFlagName(name) else {
                    throw SettingError("--", "argument \(rest.startIndex) is not a flag of this program; see --help")
                }
                throw SettingError(name, "is not a flag of this program; see --help")
            }
            let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() ?? ""
            guard !value.isEmpty else { throw SettingError(name, "needs a value") }
            guard parts.count == 2 || !value.hasPrefix("--") else {
                throw SettingError(name, "needs a value; if it is to begin with --, write \(name)=VALUE")
            }
            flags[variable] = value
        }
        return flags
    }

    /// Letters, digits and hyphens.
    private static func isFlagName(_ text: String) -> Bool {
        text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }

    private static func read(_ path: String) throws(SettingError) -> [String: String] {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw SettingError("CONFIG_FILE", "cannot be read as JSON: \(path)")
        }
        return try texts(inFile: data, path)
    }

    /// What a configuration file says.
    static func texts(inFile data: Data, _ path: String) throws(SettingError) -> [String: String] {
        let object: Any
        do {
            object = try JSONSerialization.jsonObject(with: data)
        } catch {
            throw SettingError("CONFIG_FILE", "cannot be read as JSON: \(path)")
        }
        guard let members = object as? [String: Any] else {
            throw SettingError("CONFIG_FILE", "must hold one JSON object: \(path)")
        }
        var texts: [String: String] = [:]
        for (key, value) in members {
            guard isKnown(key), key != "CONFIG_FILE" else {
                throw SettingError(key, "in CONFIG_FILE is not a variable of this program; see --help")
            }
            switch value {
            case let text as String: texts[key] = text.isEmpty ? nil : text
            case let number as NSNumber: texts[key] = number.stringValue
            default: throw SettingError(key, "in CONFIG_FILE must be a string, a number or a boolean")
            }
        }
        return texts
    }
}
