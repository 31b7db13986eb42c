/// The judgement on one unfinished transaction.
public struct TransactionVerdict: Sendable, Hashable {
    /// As the log has it, less the proofs that a database has gone back behind: what is to be resumed.
    public let transaction: ActiveTransaction
    public let verdict: Verdict
    /// What each database showed.
    public let findings: [Finding]
    /// What the network says of it, where it was asked.
    public let status: ClearingStatus?

    public enum Verdict: Sendable, Hashable {
        /// Undecided in the epoch of the server that runs: left to it.
        case inFlight
        /// Undecided and its server is gone: ABORT is written, with a reversal if the network was a participant, then every
        /// branch is rolled back.
        case presumeAbort
        /// The log says that it was not committed, and a database shows that it was: never reversed on our own.
        case parkContradiction
        /// COMMIT is carried out: databases, then the network until it acknowledges.
        case commit
        /// COMMIT, and a database shows neither the branch nor its row: somebody rolled it back.
        case parkRolledBack
        /// ABORT is carried out.
        case rollBack
        /// Undecided in a broken log, and a database shows its row: COMMIT is written, with the evidence, and carried out.
        case commitOnEvidence
        /// Undecided in a broken log; no database shows its row, and the network has not confirmed it: likewise with ABORT.
        case abortOnEvidence
        /// Undecided in a broken log, and the evidence is not complete: left as it is.
        case awaitEvidence
        /// Waits for an operator already.
        case parked

        /// Whether recovery would do something.
        public var isWork: Bool {
            switch self {
            case .presumeAbort, .parkContradiction, .commit, .parkRolledBack, .rollBack, .commitOnEvidence,
                .abortOnEvidence:
                true
            case .inFlight, .parked, .awaitEvidence: false
            }
        }

        /// Whether it stays in doubt after recovery has done its part.
        public var remains: Bool {
            switch self {
            case .inFlight, .parkContradiction, .parkRolledBack, .parked, .awaitEvidence: true
            case .presumeAbort, .commit, .rollBack, .commitOnEvidence, .abortOnEvidence: false
            }
        }
    }

    /// What one database showed of the transaction's branch.
    public struct Finding: Sendable, Hashable {
        public let branch: Branch
        public let state: State

        public enum State: Sendable, Hashable {
            case prepared
            /// Not prepared, and the branch's row is visible: committed.
            case witnessed
            /// Neither prepared nor visible; `mayStillAppear` while a backend of an older epoch lives.
            case absent(mayStillAppear: Bool)
            /// The log has the proof that it carried the decision out.
            case acknowledged(Proof)
            /// The database could not be asked.
            case unknown(String)
        }
    }

    /// - Parameter listed: the names that each database lists as prepared.
    init(_ logged: ActiveTransaction, listed: [DatabaseIndex: Set<String>], _ input: RecoveryPlan.Input) {
        var active = logged
        findings = logged.begin.record.branches.compactMap { branch in
            guard case .database(let index) = branch.participant else { return nil }
            let gid = GlobalBranchID(of: logged, at: index, log: input.snapshot.log).description
            let isPrepared = listed[index]?.contains(gid) ?? false
            return Finding(branch: branch, state: Self.find(branch, index, logged, isPrepared: isPrepared, input))
        }
        for finding in findings where finding.state == .prepared {
            active.acknowledged[finding.branch.participant] = nil
        }
        transaction = active
        status = input.statuses[active.transaction]
        verdict =
            input.snapshot.continuity.isBroken && active.decision == .undecided && !active.isParked
            ? Self.judgeOnEvidence(findings, status, unseen: input.unseen)
            : Self.judge(active, findings, liveEpoch: input.liveEpoch)
    }

    /// Whether the payment was aborted in the log and committed in a database: undoing it at the network on our own could
    /// leave a payment without money.
    var holdsReversal: Bool {
        switch (verdict, transaction.decision) {
        case (.parkContradiction, _), (.parked, .abort), (.parked, .undecided): true
        case (.parked, .commit), (.inFlight, _), (.presumeAbort, _), (.commit, _), (.parkRolledBack, _), (.rollBack, _),
            (.commitOnEvidence, _), (.abortOnEvidence, _), (.awaitEvidence, _):
            false
        }
    }

    /// Whether a database that has a part in it could not be asked.
    var isPartlyUnknown: Bool {
        findings.contains { if case .unknown = $0.state { true } else { false } }
    }

    private static func find(
        _ branch: Branch, _ index: DatabaseIndex, _ active: ActiveTransaction, isPrepared: Bool,
        _ input: RecoveryPlan.Input
    ) -> Finding.State {
        let proof = active.proven[branch.participant]
        switch input.observations[index] {
        case nil: return proof.map(Finding.State.acknowledged) ?? .unknown("not configured")
        case .unreachable(let why): return proof.map(Finding.State.acknowledged) ?? .unknown(why)
        case .seen(let sighting):
            // The list is older than the snapshot where a server runs: its proof is then the newer of the two. Where none runs, a
            // branch that is listed in spite of a proof means that the database went back in time.
            if isPrepared, proof == nil || input.liveEpoch == nil { return .prepared }
            if let proof { return .acknowledged(proof) }
            if sighting.witnessed.contains(active.transaction) { return .witnessed }
            return .absent(mayStillAppear: sighting.olderBackendsAlive)
        }
    }

    /// A log without its tail says nothing by its silence: the decision may have been in it.
    ///
    /// - Parameter unseen: databases that could not be asked, or where an old backend may still finish what it was told.
    private static func judgeOnEvidence(
        _ findings: [Finding], _ status: ClearingStatus?, unseen: [DatabaseIndex: String]
    ) -> Verdict {
        if findings.contains(where: { $0.state == .witnessed }) { return .commitOnEvidence }
        for finding in findings {
            if case .database(let index) = finding.branch.participant, unseen[index] != nil { return .awaitEvidence }
            switch finding.state {
            case .unknown, .absent(mayStillAppear: true): return .awaitEvidence
            case .prepared, .witnessed, .absent(mayStillAppear: false), .acknowledged: continue
            }
        }
        switch status {
        case nil, .unreachable: return .awaitEvidence
        // Confirmed after a database had committed, which none shows: somebody acted.
        case .settled: return .parkContradiction
        case .held, .released, .declined, .tombstone, .unknown: return .abortOnEvidence
        }
    }

    private static func judge(
        _ active: ActiveTransaction, _ findings: [Finding], liveEpoch: Epoch?
    ) -> Verdict {
        if active.isParked { return .parked }
        let isWitnessed = findings.contains { $0.state == .witnessed }
        let isGone = findings.contains { $0.state == .absent(mayStillAppear: false) }
        switch active.decision {
        case .undecided:
            if active.begin.record.epoch == liveEpoch { return .inFlight }
            return isWitnessed ? .parkContradiction : .presumeAbort
        case .abort:
            return isWitnessed ? .parkContradiction : .rollBack
        case .commit:
            return isGone && liveEpoch == nil ? .parkRolledBack : .commit
        }
    }
}
