import Foundation
import Testing

@testable import Assembly

/// A database's address that is right, so that a test can be about something else.
let goodURI = "postgresql://pay@db.example:5433/payments"

/// The settings that a server has with these flags and this environment, and a database if none is named.
func settings(_ environment: [String: String] = [:], flags: [String] = []) throws(SettingError) -> NodeSettings {
    var environment = environment
    let isNamed = environment.keys.contains { $0.hasPrefix("DB_URI") } || flags.contains { $0.hasPrefix("--db-uri") }
    if !isNamed { environment["DB_URI"] = goodURI }
    return try NodeSettings(SettingSource(arguments: flags, environment: environment))
}

/// What is wrong with such settings; `nil` if nothing is.
func fault(_ environment: [String: String] = [:], flags: [String] = []) -> SettingError? {
    do throws(SettingError) {
        _ = try settings(environment, flags: flags)
        return nil
    } catch {
        return error
    }
}

/// A directory of its own for a test, removed with it.
final class Folder {
    let path = NSTemporaryDirectory() + "holdfast-settings-\(UInt64.random(in: 0 ... .max))"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    deinit {
        do { try FileManager.default.removeItem(atPath: path) } catch { Issue.record(error) }
    }

    /// Writes a configuration file and gives its path.
    func file(_ text: String) throws -> String {
        let path = path + "/config.json"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }
}
