import Assembly
import Coordinator

/// What databases that went back in time have lost, in words.
extension LostCommits {
    func text(for terminal: Terminal) -> String {
        var parts = regressions.map { terminal.styled($0.printable, .red) }
        parts += unverified.map { terminal.styled("not verified: \($0)".printable, .red) }
        if isEmpty {
            parts.append("every commit that the log knows is still there")
        } else if !listed.isEmpty {
            parts.append(table.text(for: terminal))
        }
        if count > listed.count { parts.append("and \(count - listed.count) more") }
        return parts.joined(separator: "\n\n")
    }

    private var table: Table {
        var table = Table(
            "LOST COMMIT", "REQUEST", .right("AMOUNT"), "DATABASE", .flexible("SEEN"), .flexible("ACTION"))
        for loss in listed {
            let intent = loss.transaction.begin.record.intent
            table.add(cells: [
                .init(loss.transaction.transaction.description), .init(intent.requestID.text),
                .init(intent.amount.description), .init(loss.database.description),
                .init(loss.words, loss.isPreparedAgain ? .yellow : .red), .init(loss.action),
            ])
        }
        return table
    }

    var entries: [LostCommitEntry] { listed.map(LostCommitEntry.init) }
}

/// For programs.
struct LostCommitEntry: Codable, Equatable {
    let txnId, requestId, amount, currency, database, evidence, action: String
    let isPreparedAgain: Bool

    init(_ loss: LostCommit) {
        let intent = loss.transaction.begin.record.intent
        txnId = loss.transaction.transaction.description
        requestId = intent.requestID.text
        amount = intent.amount.decimalText
        currency = intent.amount.currency.code
        database = loss.database.description
        evidence = loss.evidence
        action = loss.action
        isPreparedAgain = loss.isPreparedAgain
    }
}

extension LostCommit {
    fileprivate var words: String { isPreparedAgain ? "prepared again" : "neither branch nor row" }
    fileprivate var action: String { isPreparedAgain ? "commit again" : "park for an operator" }
}
