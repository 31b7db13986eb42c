import Foundation

/// A person with `recover`, who decides what waits for one, and what that person can do by hand at the participants.
struct Operator {
    let world: World
    var name = "alice"
    var isOnline = false

    func order(_ arguments: String...) throws -> ToolResult {
        let signed = arguments + ["--actor", name, "--reason", "checked by hand"] + (isOnline ? ["--online"] : [])
        return try world.recover().run(signed)
    }

    func resolve(_ transaction: String, _ arguments: String...) throws -> ToolResult {
        let signed = ["resolve", transaction] + arguments + ["--actor", name, "--reason", "checked by hand"]
        return try world.recover().run(signed + (isOnline ? ["--online"] : []))
    }

    /// What an operator is warned of: finishing prepared branches behind the server's back.
    @discardableResult
    func finishByHand(_ verb: Verb) throws -> [String] {
        var finished: [String] = []
        for database in world.databases {
            for gid in try database.preparedBranches() {
                try database.query("\(verb.rawValue) PREPARED '\(gid)'")
                finished.append(gid)
            }
        }
        return finished
    }

    enum Verb: String {
        case commit = "COMMIT"
        case rollback = "ROLLBACK"
    }
}

extension RecoverTool {
    static let failed = ExitStatus.code(1)
}

extension ToolResult {
    /// All that it said.
    var said: String { output + errors }
}

extension Simulator {
    /// Speaks to the network as the server would, behind its back.
    func tell(_ action: String, _ fields: [String: String]) throws {
        var fields = fields
        fields["action"] = action
        let body = fields.map { "\(JSONText.quoted($0.key)):\(JSONText.quoted($0.value))" }.joined(separator: ",")
        let reply = try HTTPConnection.once(
            port: port, "POST", "/clearing/\(action)", headers: ["Content-Type": "application/json"],
            body: "{\(body)}")
        guard reply.text.contains(#""status":"OK""#) else { throw HarnessError("the network refused: \(reply)") }
    }

    func state(of transaction: String) throws -> BookEntry.State? {
        try book().first { $0.transactionID == transaction }?.state
    }
}
