import Foundation

/// What `recover dump` prints, held against what the participants have.
struct LogCheck {
    private struct Record: Decodable {
        let lsn: UInt64
        let kind: String
        let transaction: String?
        let reversal: Bool?
        let outcome: String?

        private enum CodingKeys: String, CodingKey {
            case lsn, kind, reversal, outcome
            case transaction = "txn_id"
        }
    }

    private let histories: [String: [Record]]
    private let order: [UInt64]
    /// Whether the history has everything that ever happened.
    private let isWhole: Bool
    private let excused: Set<String>

    init(_ dump: String, isWhole: Bool, excused: Set<String>) throws {
        let records = try dump.split(separator: "\n").map { line in
            do {
                return try JSONDecoder().decode(Record.self, from: Data(line.utf8))
            } catch {
                throw HarnessError("not a record: \(line.prefix(300)): \(error)")
            }
        }
        order = records.map(\.lsn)
        histories = Dictionary(grouping: records.filter { $0.transaction != nil }, by: { $0.transaction ?? "" })
        self.isWhole = isWhole
        self.excused = excused
    }

    func violations(against evidence: Evidence) -> [String] {
        var found: [String] = []
        if order != order.sorted() || Set(order).count != order.count { found.append("the log is not in its order") }
        let rows = Set(evidence.rows.map(\.transactionID))
        let book = Dictionary(grouping: evidence.book, by: \.transactionID).compactMapValues(\.first)
        for (transaction, records) in histories.sorted(by: { $0.key < $1.key }) {
            let history = History(transaction: transaction, records: records, isWhole: isWhole)
            found += history.shape()
            guard !excused.contains(transaction) else { continue }
            found += history.differences(isMade: rows.contains(transaction), book[transaction])
        }
        guard isWhole else { return found }
        found += rows.filter { histories[$0] == nil }.map { "the row of \($0) has no record in the log" }
        found += book.keys.filter { histories[$0] == nil && !excused.contains($0) }
            .map { "the network knows \($0), the log does not" }
        return found
    }

    private struct History {
        let transaction: String
        let records: [Record]
        let isWhole: Bool

        func count(_ kinds: String...) -> Int { records.count { kinds.contains($0.kind) } }

        private func say(_ what: String) -> String {
            "\(transaction): \(what) (\(records.map(\.kind).joined(separator: ", ")))"
        }

        /// What a history must be like by itself.
        func shape() -> [String] {
            var found: [String] = []
            if isWhole, count("begin", "adopted") != 1 { found.append(say("begun \(count("begin", "adopted")) times")) }
            // Who forces the other outcome writes it like any decision, after the order.
            if count("commit", "abort") > 1 + count("resolved") { found.append(say("decided twice")) }
            if isWhole, count("commit", "abort") + count("resolved", "adopted") == 0 {
                found.append(say("not decided"))
            }
            // Of a transaction whose beginning is trimmed there may be anything left, down to the closing of its reversal.
            if isWhole || count("begin", "adopted") > 0, count("end") != 1 + count("reopened") {
                found.append(say("ended \(count("end")) times"))
            }
            return found
        }

        /// What must be so at the participants.
        func differences(isMade: Bool, _ booked: BookEntry?) -> [String] {
            guard let outcome = records.last(where: { $0.kind == "end" })?.outcome else { return [] }
            var found: [String] = []
            let closings = count("reversal_closed")
            switch outcome {
            case "committed":
                if !isMade { found.append(say("ended as committed, and has no row")) }
                if booked?.state != .settled {
                    let state = booked.map { "\($0.state)" } ?? "unknown"
                    found.append(say("ended as committed, at the network \(state)"))
                }
                if closings > 0 || records.contains(where: { $0.reversal == true }) {
                    found.append(say("committed and reversed"))
                }
            case "aborted":
                if isMade { found.append(say("ended as aborted, and has a row")) }
                if booked?.state == .settled { found.append(say("ended as aborted, and the network has confirmed it")) }
                guard isWhole, count("resolved", "adopted") == 0 else { break }
                let hasTask = records.contains { $0.reversal == true }
                if hasTask, closings != 1 { found.append(say("a reversal that was closed \(closings) times")) }
                if !hasTask, closings > 0 { found.append(say("a reversal that nobody asked for")) }
                // Whoever placed a hold that was not declined has to be told.
                if !hasTask, let booked, booked.state != .declined {
                    found.append(say("aborted without a reversal, at the network \(booked.state)"))
                }
            default: found.append(say("ended as \(outcome)"))
            }
            return found
        }
    }
}
