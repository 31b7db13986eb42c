import Coordinator
import Foundation
import Payments
import Telemetry

/// A plan in words: for people a table, for programs JSON.
struct PlanReport {
    let plan: RecoveryPlan
    let now: WallTime

    // MARK: - For people

    var text: String {
        var parts: [String] = []
        if !plan.transactions.isEmpty { parts.append(transactions) }
        if !plan.reversals.isEmpty || !plan.heldReversals.isEmpty { parts.append(reversals) }
        if !plan.strays.isEmpty { parts.append(strays) }
        parts.append(summary)
        return parts.joined(separator: "\n\n")
    }

    private var transactions: String {
        var table = Table("TRANSACTION", "AGE", "AMOUNT", "LOG", "DATABASES", "VERDICT", "ACTION")
        for verdict in plan.transactions {
            let begin = verdict.transaction.begin
            table.add(
                begin.record.transaction.description, age(begin.writtenAt), begin.record.intent.amount.description,
                verdict.transaction.stateName, verdict.findings.map(\.words).joined(separator: ", "),
                verdict.verdict.words, verdict.verdict.action)
        }
        return table.text
    }

    private var reversals: String {
        var table = Table("REVERSAL OF", "AGE", "AMOUNT", "REFUSALS", "ACTION")
        for task in plan.reversals {
            table.add(
                task.transaction.description, age(task.createdAt), task.intent.amount.description,
                String(task.refusals), task.words)
        }
        for task in plan.heldReversals {
            table.add(
                task.transaction.description, age(task.createdAt), task.intent.amount.description,
                String(task.refusals), "held: a database committed the payment")
        }
        return table.text
    }

    private var strays: String {
        var table = Table("PREPARED TRANSACTION", "DATABASE", "OWNER", "AGE", "VERDICT")
        for stray in plan.strays {
            table.add(
                stray.prepared.gid.printable, stray.prepared.databaseName, stray.prepared.owner,
                age(stray.prepared.preparedAt), stray.verdict.words)
        }
        return table.text
    }

    private var summary: String {
        let work = plan.transactions.count { $0.verdict.isWork }
        let due = plan.reversals.count { $0.parkedReason == nil }
        let remainder = plan.transactions.count { $0.verdict.remains }
        return "\(work) transaction\(work == 1 ? "" : "s") to resolve, \(due) reversal\(due == 1 ? "" : "s") to send, "
            + "\(remainder) left to an operator or a running server"
    }

    private func age(_ time: WallTime) -> String {
        let seconds = max(0, (now.microseconds - time.microseconds) / 1_000_000)
        switch seconds {
        case ..<120: return "\(seconds)s"
        case ..<7200: return "\(seconds / 60)m"
        case ..<172_800: return "\(seconds / 3600)h"
        default: return "\(seconds / 86_400)d"
        }
    }

    // MARK: - For programs

    /// Version 1 of the plan's form: keys are added, never changed.
    var json: String {
        get throws {
            let document = Document(
                version: 1,
                transactions: plan.transactions.map { verdict in
                    let begin = verdict.transaction.begin
                    return Document.Transaction(
                        txnId: begin.record.transaction.description,
                        requestId: begin.record.intent.requestID.text,
                        begunAt: Timestamp.text(microseconds: begin.writtenAt.microseconds),
                        amount: begin.record.intent.amount.decimalText,
                        currency: begin.record.intent.amount.currency.code, logState: verdict.transaction.stateName,
                        databases: Dictionary(
                            uniqueKeysWithValues: verdict.findings.map {
                                ($0.branch.participant.description, $0.stateWords)
                            }),
                        verdict: verdict.verdict.code, evidence: verdict.verdict.words,
                        action: verdict.verdict.action)
                },
                reversals: plan.reversals.map { Document.Reversal($0, action: $0.words) }
                    + plan.heldReversals.map { Document.Reversal($0, action: "held: a database committed the payment") },
                prepared: plan.strays.map {
                    Document.Prepared(
                        gid: $0.prepared.gid, database: $0.prepared.databaseName, owner: $0.prepared.owner,
                        preparedAt: Timestamp.text(microseconds: $0.prepared.preparedAt.microseconds),
                        verdict: $0.verdict.words)
                },
                hasWork: plan.hasWork, hasRemainder: plan.hasRemainder)
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(document), as: UTF8.self)
        }
    }

    private struct Document: Encodable {
        let version: Int
        let transactions: [Transaction]
        let reversals: [Reversal]
        let prepared: [Prepared]
        let hasWork: Bool
        let hasRemainder: Bool

        struct Transaction: Encodable {
            let txnId, requestId, begunAt, amount, currency, logState: String
            let databases: [String: String]
            let verdict, evidence, action: String
        }

        struct Reversal: Encodable {
            let txnId, amount, currency: String
            let refusals: Int
            let isParked: Bool
            let action: String

            init(_ task: ReversalTask, action: String) {
                txnId = task.transaction.description
                amount = task.intent.amount.decimalText
                currency = task.intent.amount.currency.code
                refusals = task.refusals
                isParked = task.parkedReason != nil
                self.action = action
            }
        }

        struct Prepared: Encodable {
            let gid, database, owner, preparedAt, verdict: String
        }
    }
}

extension ActiveTransaction {
    /// The state as people know it.
    var stateName: String {
        if isParked { return "PARKED" }
        switch decision {
        case .undecided: return "PREPARING"
        case .commit: return "COMMITTING"
        case .abort: return "ABORTING"
        }
    }
}

extension TransactionVerdict.Verdict {
    /// For programs; never changed.
    var code: String {
        switch self {
        case .inFlight: "in_flight"
        case .presumeAbort: "presume_abort"
        case .parkContradiction: "park_contradiction"
        case .commit: "commit"
        case .parkRolledBack: "park_rolled_back"
        case .rollBack: "roll_back"
        case .parked: "parked"
        }
    }

    /// Why.
    var words: String {
        switch self {
        case .inFlight: "undecided, and its server is running"
        case .presumeAbort: "undecided, its server is gone and no row is committed: presumed abort"
        case .parkContradiction: "not decided to commit, yet its row is committed"
        case .commit: "decided to commit"
        case .parkRolledBack: "decided to commit, yet neither prepared nor committed in a database"
        case .rollBack: "decided to abort"
        case .parked: "waits for an operator"
        }
    }

    /// What recovery does.
    var action: String {
        switch self {
        case .inFlight: "leave it to the server"
        case .presumeAbort: "write ABORT and its reversal, then roll back"
        case .parkContradiction: "park"
        case .commit: "commit in the databases, then confirm to the network"
        case .parkRolledBack: "commit what can be, park the rest"
        case .rollBack: "roll back"
        case .parked: "finish the other participants"
        }
    }
}

extension TransactionVerdict.Finding {
    var words: String { "\(branch.participant) \(stateWords)" }

    var stateWords: String {
        switch state {
        case .prepared: "prepared"
        case .witnessed: "committed"
        case .absent(let mayStillAppear): mayStillAppear ? "absent, may still appear" : "absent"
        case .acknowledged(let proof):
            switch proof {
            case .acknowledgement: "done"
            case .witness: "done (row seen)"
            case .absence: "done (absence seen)"
            case .accepted: "taken as it is"
            }
        case .unknown(let why): "unknown (\(why))"
        }
    }
}

extension StrayVerdict.Verdict {
    var words: String {
        switch self {
        case .foreign: "foreign: not touched"
        case .orphan: "orphan of this log: kept, resolved on an order only"
        case .preparedAgain: "ended before, prepared again: its decision is carried out again"
        }
    }
}

extension ReversalTask {
    var words: String { parkedReason.map { "parked: \($0)" } ?? "send until acknowledged" }
}

extension String {
    /// A foreign name may hold anything; a terminal must not obey it.
    fileprivate var printable: String {
        String(unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : Character($0) })
    }
}
