import Foundation

/// Steps of the tests of recovery.
extension World {
    /// What the first database says of the log that fenced it last.
    func fence() throws -> (log: String, epoch: Int) {
        let rows = try databases[0].query("SELECT log_id, epoch FROM holdfast_fence ORDER BY fenced_at DESC LIMIT 1")
        guard let row = rows.first, let epoch = Int(row[1]) else { throw HarnessError("nobody fenced the database") }
        return (row[0], epoch)
    }

    /// The fences of all databases, as text.
    func fences() throws -> [[[String]]] {
        try databases.map { try $0.query("SELECT log_id, epoch, incarnation, fenced_at FROM holdfast_fence") }
    }

    /// The name that the server's connections say.
    func applicationName() throws -> String {
        let fence = try fence()
        return "holdfast/\(fence.log)/\(fence.epoch)"
    }

    /// The one transaction that the network has heard of.
    func onlyTransaction() throws -> String {
        let book = try simulator.book()
        guard book.count == 1 else { throw HarnessError("the network knows \(book.count) transactions, not one") }
        return book[0].transactionID
    }

    /// Whether the log says that nothing of the transaction is left to do.
    func hasEnded(_ transaction: String, at name: String = "a") throws -> Bool {
        let result = try recover(name).run("show", transaction)
        guard result.status == .code(0) else { throw HarnessError("recover show: \(result)") }
        return result.output.split(whereSeparator: \.isWhitespace).contains { $0 == "END" || $0 == "END," }
    }

    /// The server processes of our servers' connections that wait for `event`.
    func waitingBackends(for event: String) throws -> [pid_t] {
        let names = databases.map { "'\($0.name)'" }.joined(separator: ",")
        return try databases[0].cluster.query(
            """
            SELECT pid FROM pg_stat_activity WHERE datname IN (\(names)) AND application_name LIKE 'holdfast/%'
            AND wait_event = '\(event)' ORDER BY pid
            """
        ).compactMap { Int32($0[0]) }
    }

    /// Until exactly one connection of our servers waits for `event`.
    func waitingBackend(for event: String) throws -> pid_t {
        var found: [pid_t] = []
        try Wait.until("one connection waits for \(event), not \(found)", within: Limits.answer) {
            found = try waitingBackends(for: event)
            return found.count == 1
        }
        return found[0]
    }

    /// Asks until the answer is final.
    func finalAnswer(to payment: Payment, at name: String = "a") throws -> Answer {
        var answer = try pay(payment, at: name)
        try Wait.until("\(payment.requestID ?? "") is final", within: Limits.pending, every: .milliseconds(100)) {
            if answer.status == .pending { answer = try pay(payment, at: name) }
            return answer.status != .pending
        }
        return answer
    }

    // MARK: State directories

    func stateDirectory(of name: String) throws -> String { try configuration(of: name).stateDirectory }

    /// Copies a server's state directory to that of another name, which must not exist.
    func copyState(of name: String, to copy: String) throws {
        try Files.copyDirectory(stateDirectory(of: name), to: stateDirectory(of: copy))
    }
}

extension RecoverTool {
    /// The databases do not know this log, or must not be used with it.
    static let refused = ExitStatus.code(78)
    /// Whether a run did what it could, and says that a participant was missing.
    static func lacksParticipant(_ status: ExitStatus) -> Bool { status == .code(6) }

    /// The prepared transactions that a dry run lists: their names and everything said of each.
    func listedPrepared() throws -> [String: String] {
        let result = try run("--dry-run", "--json")
        guard let document = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any] else {
            throw HarnessError("not a plan: \(result)")
        }
        var found: [String: String] = [:]
        for case let entry as [String: Any] in document["prepared"] as? [Any] ?? [] {
            guard let gid = entry["gid"] as? String else { throw HarnessError("without a name: \(entry)") }
            found[gid] = entry.filter { $0.key != "gid" }.map { "\($0.key)=\($0.value)" }.sorted().joined(
                separator: ";")
        }
        return found
    }
}
