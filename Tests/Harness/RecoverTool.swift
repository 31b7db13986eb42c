import Foundation

/// The program `recover`, run on one state directory.
struct RecoverTool: Sendable {
    let stateDirectory: String
    var environment: [String: String]
    /// What it is started through: a program with its arguments; empty for nothing.
    var wrapper: [String] = []

    /// Exit codes of the contract.
    static let nothingLeft = ExitStatus.code(0)
    static let somethingLeft = ExitStatus.code(3)
    static let logInUse = ExitStatus.code(5)
    static let usage = ExitStatus.code(64)

    var program: String { Settings.programDirectory + "/recover" }

    func run(_ arguments: String...) throws -> ToolResult { try run(arguments) }

    func run(_ arguments: [String]) throws -> ToolResult {
        let command = wrapper + [program] + arguments + ["--state-dir", stateDirectory]
        return try Tool.run(command[0], Array(command.dropFirst()), environment: environment)
    }

    /// What a dry run would do, without what depends on when it was asked: two of them are equal exactly if the plan is.
    func plan() throws -> (status: ExitStatus, plan: String) {
        let result = try run("--dry-run", "--json")
        let document = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        let data = try JSONSerialization.data(withJSONObject: Self.withoutTimes(document), options: .sortedKeys)
        return (result.status, String(decoding: data, as: UTF8.self))
    }

    /// Times, ages and durations are named so by their keys.
    private static func withoutTimes(_ value: Any) -> Any {
        if let object = value as? [String: Any] {
            return object.filter { !isTime($0.key) }.mapValues(withoutTimes)
        }
        if let array = value as? [Any] { return array.map(withoutTimes) }
        return value
    }

    private static func isTime(_ key: String) -> Bool {
        let words = key.lowercased().split(separator: "_")
        return words.contains {
            ["at", "ts", "time", "age", "now", "elapsed", "duration", "took", "ms", "us", "seconds"].contains($0)
        }
    }
}
