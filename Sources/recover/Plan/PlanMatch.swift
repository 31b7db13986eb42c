import Coordinator

/// A plan from a file held against the world as it is now: what is still as it was judged is carried out, the rest is refused, entry by
/// entry. What is not in the file is left alone.
struct PlanMatch {
    /// What is carried out: a part of the plan of now.
    let plan: RecoveryPlan
    /// Entries that no longer match.
    let refused: [PlanDocument.Refusal]
    /// Whether the plan of now has something to be done or left that is not in the file.
    let leavesOthers: Bool

    /// - Parameter now: the whole plan of now, for the same log.
    init(_ file: PlanDocument, now: RecoveryPlan) {
        let current = PlanDocument(now, now: WallTime(microseconds: 0))
        var judge = Judge(fileLog: file.logId, log: current.logId)
        let transactions = judge.transactions(file, current)
        let reversals = judge.reversals(file, current)
        let branches = judge.branches(file, current)
        let lost = judge.lost(file, current)
        plan = now.keeping(
            transactions: { transactions.contains($0.transaction.transaction.description) },
            reversals: { reversals.contains($0.transaction.description) },
            strays: { branches.contains(Judge.name($0.prepared.gid, $0.seenFrom.description)) },
            adoptions: { lost.contains($0.found.transaction.description) })
        refused = judge.refused
        let rest = now.keeping(
            transactions: { !transactions.contains($0.transaction.transaction.description) },
            reversals: { !reversals.contains($0.transaction.description) },
            strays: { !branches.contains(Judge.name($0.prepared.gid, $0.seenFrom.description)) },
            adoptions: { !lost.contains($0.found.transaction.description) })
        leavesOthers = rest.hasWork || rest.hasRemainder
    }

    private struct Judge {
        let fileLog: String
        let log: String
        var refused: [PlanDocument.Refusal] = []

        init(fileLog: String, log: String) {
            self.fileLog = fileLog
            self.log = log
        }

        static func name(_ gid: String, _ seenFrom: String) -> String { seenFrom + " " + gid }

        mutating func transactions(_ file: PlanDocument, _ current: PlanDocument) -> Set<String> {
            let known = Dictionary(current.transactions.map { ($0.txnId, $0) }, uniquingKeysWith: { first, _ in first })
            var kept: Set<String> = []
            for entry in file.transactions where entry.isCarriedOut {
                let found = known[entry.txnId]?.basis(log: log)
                if takes(entry.txnId, entry.basis(log: fileLog), found, "the log has it no longer as unfinished") {
                    kept.insert(entry.txnId)
                }
            }
            return kept
        }

        mutating func reversals(_ file: PlanDocument, _ current: PlanDocument) -> Set<String> {
            let known = Dictionary(current.reversals.map { ($0.txnId, $0) }, uniquingKeysWith: { first, _ in first })
            var kept: Set<String> = []
            for entry in file.reversals where entry.isCarriedOut {
                let found = known[entry.txnId]?.basis(log: log)
                if takes("reversal of " + entry.txnId, entry.basis(log: fileLog), found, "it is acknowledged") {
                    kept.insert(entry.txnId)
                }
            }
            return kept
        }

        mutating func lost(_ file: PlanDocument, _ current: PlanDocument) -> Set<String> {
            let known = Dictionary(
                (current.lost ?? []).map { ($0.txnId, $0) }, uniquingKeysWith: { first, _ in first })
            var kept: Set<String> = []
            for entry in file.lost ?? [] where entry.isCarriedOut {
                let found = known[entry.txnId]?.basis(log: log)
                if takes(entry.txnId, entry.basis(log: fileLog), found, "the log has a record of it by now") {
                    kept.insert(entry.txnId)
                }
            }
            return kept
        }

        mutating func branches(_ file: PlanDocument, _ current: PlanDocument) -> Set<String> {
            let known = Dictionary(
                current.prepared.map { (Self.name($0.gid, $0.seenFrom), $0) }, uniquingKeysWith: { first, _ in first })
            var kept: Set<String> = []
            for entry in file.prepared where entry.isCarriedOut {
                let name = Self.name(entry.gid, entry.seenFrom)
                let found = known[name]?.basis(log: log)
                if takes(entry.gid, entry.basis(log: fileLog), found, "\(entry.seenFrom) lists it no longer") {
                    kept.insert(name)
                }
            }
            return kept
        }

        /// - Parameter gone: why it is refused if the plan of now has no such entry.
        private mutating func takes(_ entry: String, _ old: PlanBasis, _ new: PlanBasis?, _ gone: String) -> Bool {
            guard let new else {
                refused.append(.init(entry: entry, why: gone))
                return false
            }
            let differences = Self.differences(old, new)
            guard differences.isEmpty else {
                refused.append(.init(entry: entry, why: differences.joined(separator: "; ")))
                return false
            }
            return true
        }

        private static func differences(_ old: PlanBasis, _ new: PlanBasis) -> [String] {
            let before = Dictionary(old.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
            let after = Dictionary(new.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
            let names = new.map(\.name) + old.map(\.name).filter { after[$0] == nil }
            return names.compactMap { name in
                let (was, isNow) = (before[name] ?? "nothing", after[name] ?? "nothing")
                guard was != isNow, !(was == mayAppear && isNow == absent) else { return nil }
                return "\(name) was \(was.isEmpty ? "nothing" : was), is \(isNow.isEmpty ? "nothing" : isNow)"
            }
        }

        // What could still appear and now cannot any more is no change if the verdict is the same: it is this program, as it takes the
        // log over, that ends the backends of the dead server.
        private static let mayAppear = TransactionVerdict.Finding.State.absent(mayStillAppear: true).code
        private static let absent = TransactionVerdict.Finding.State.absent(mayStillAppear: false).code
    }
}

extension PlanDocument.Transaction {
    /// Whether carrying the plan out does something about it.
    var isCarriedOut: Bool {
        ![TransactionVerdict.Verdict.inFlight, .awaitEvidence].map(\.code).contains(verdict)
    }
}
