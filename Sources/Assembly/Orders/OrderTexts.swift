import Coordinator
import Runtime

/// Refusals in words: what is wrong, and what can be done.
extension OrderResult {
    init(_ refusal: OrderRefusal, of order: OperatorOrder) {
        switch refusal {
        case .busy(let transaction):
            self.init(
                .busy,
                "\(transaction) is being worked on: a participant is just being asked; order it again in a moment")
        case .notAnOrder: self.init(.invalid, "this is nothing that can be ordered")
        case .log(let refusal): self.init(refusal, of: order)
        }
    }

    init(_ refusal: LogRefusal, of order: OperatorOrder) {
        switch refusal {
        case .notActive(let transaction):
            self.init(
                .notUnfinished,
                "the log has no unfinished transaction \(transaction): it has ended, or the log has no record of it. "
                    + "recover show tells which; a prepared branch without a record is an orphan (recover orphans list)"
            )
        case .noReversal(let transaction):
            self.init(
                .noReversal,
                "the log has no open reversal of \(transaction): the network has acknowledged it, or none was needed")
        case .notResolvable(let refusal): self.init(refusal, of: order)
        case .alreadyActive(let transaction):
            self.init(
                .known, "the log has \(transaction) as unfinished, so it is no orphan; see recover show \(transaction)")
        case .notInQuarantine(let why): self.init(.notInQuarantine, why)
        case .full:
            self.init(
                .logFull, "the log has no room, so nothing was written; free space on its disk and order it again")
        case .requestClaimed, .alreadyDecided:
            self.init(.failed, "the log refused the order: \(refusal)")
        }
    }

    init(_ refusal: ResolutionRefusal, of order: OperatorOrder) {
        let name = order.transaction?.description ?? "it"
        switch refusal {
        case .notParked:
            self.init(
                .notParked,
                "\(name) goes on by itself; only what waits for an operator is resolved. If its server is gone, run recover"
            )
        case .contradictsDecision(let decision):
            self.init(
                .contradictsDecision,
                "the log has decided that \(name) is \(decision), and the client may have been told so; "
                    + "--force-heuristic turns the decision round")
        case .contradictsWitness:
            self.init(
                .contradictsWitness,
                "a database shows the row of \(name) as committed; --commit follows it, "
                    + "--abort --force-heuristic undoes the payment at the network and leaves the row as it is")
        case .wasApproved:
            self.init(
                .wasApproved,
                "\(name) is committed in its own database, so its client was told APPROVED and no order takes that back; "
                    + "make a refund instead")
        case .hasNoRow:
            self.init(
                .hasNoRow,
                "\(name) is rolled back in its own database, so there is no row that a commit could mean; let it be aborted"
            )
        case .awaitsEvidence:
            self.init(
                .awaitsEvidence,
                "the log has lost its tail, and what \(name) became is decided by evidence: see recover --dry-run for what is "
                    + "missing; --force-heuristic decides without it")
        case .sameActor(let actor):
            self.init(
                .sameActor,
                "\(actor) has proposed this already; a second person must confirm it with the same order (RESOLVE_TWO_PERSON)"
            )
        }
    }
}

// MARK: - What came of it

extension OrderResult {
    /// What a durable receipt means for whoever ordered it.
    init(_ receipt: LogReceipt, of order: OperatorOrder) {
        let name = order.transaction?.description ?? ""
        switch (order, receipt) {
        case (.resolve(_, let outcome, _, let signature), .proposed):
            self.init(
                .proposed,
                "\(name): \(signature.actor) proposes that it is \(outcome). A second person must confirm it with the same "
                    + "order (RESOLVE_TWO_PERSON); nothing is done before", state: "PARKED")
        case (.resolve(_, let outcome, _, _), _):
            self.init(.taken, "\(name) is \(outcome) now, by order", state: outcome.stateName)
        case (.adopt(_, let outcome, _), _):
            self.init(.taken, "\(name) is taken in and is \(outcome)", state: outcome.stateName)
        case (.retryReversal, _), (.unparkReversal, _):
            self.init(.taken, "the reversal of \(name) is sent again", state: "REVERSAL DUE")
        case (.parkReversal, _):
            self.init(
                .done, "the reversal of \(name) is parked; it is not sent before it is unparked",
                state: "REVERSAL PARKED")
        case (.releaseQuarantined(let number, let isDiscarded, _), _):
            self.init(
                .done,
                isDiscarded
                    ? "number \(number) of the quarantine is dropped"
                    : "number \(number) of the quarantine is back in its place; the next start takes it up")
        case (.recoverNow, _): self.init(.done, "the recovery pass is done")
        }
    }

    /// What was seen afterwards.
    init(_ aftermath: Aftermath, of order: OperatorOrder) {
        let name = order.transaction?.description ?? ""
        switch aftermath {
        case .done:
            self.init(.done, order.doneWords(name), state: order.endStateName)
        case .parked(let parkings):
            let evidence = parkings.map { "\($0.participant): \($0.evidence)" }.joined(separator: "; ")
            self.init(
                .parkedAgain, "\(name) waits for an operator again. \(evidence). \(order.forceHint)", state: "PARKED")
        case .reversalParked(let reason):
            self.init(
                .parkedAgain, "the network refused the reversal of \(name) until it was parked again: \(reason)",
                state: "REVERSAL PARKED")
        case .reversalOpen(let refusals):
            let refused = refusals == 0 ? "" : ", refused \(refusals) times"
            self.init(
                .stillOpen,
                "the reversal of \(name) is not acknowledged yet\(refused); it is sent until it is (recover reversals list)",
                state: "REVERSAL DUE")
        case .open:
            self.init(
                .stillOpen,
                "\(name) is decided, and not delivered to everybody yet; that goes on (recover show \(name))",
                state: order.openStateName)
        }
    }
}

extension OperatorOrder {
    fileprivate func doneWords(_ name: String) -> String {
        switch self {
        case .resolve(_, .committed, _, _), .adopt(_, .committed, _):
            "\(name) is committed, and everybody who has a part in it has it so"
        case .resolve(_, .aborted, _, _), .adopt(_, .aborted, _):
            "\(name) is aborted, and the network holds nothing for it"
        case .retryReversal, .unparkReversal: "the network has acknowledged the reversal of \(name)"
        case .parkReversal: "the reversal of \(name) is parked"
        case .releaseQuarantined, .recoverNow: "done"
        }
    }

    fileprivate var endStateName: String? {
        switch self {
        case .resolve(_, let outcome, _, _), .adopt(_, let outcome, _): outcome == .committed ? "COMMITTED" : "ABORTED"
        case .retryReversal, .parkReversal, .unparkReversal, .releaseQuarantined, .recoverNow: nil
        }
    }

    fileprivate var openStateName: String? {
        switch self {
        case .resolve(_, let outcome, _, _), .adopt(_, let outcome, _): outcome.stateName
        case .retryReversal, .parkReversal, .unparkReversal, .releaseQuarantined, .recoverNow: nil
        }
    }

    /// What force would do where a participant did otherwise than ordered.
    fileprivate var forceHint: String {
        switch self {
        case .resolve(_, let outcome, _, _), .adopt(_, let outcome, _):
            let other = outcome == .committed ? Outcome.aborted : Outcome.committed
            return "resolve with --\(outcome.orderName) --force-heuristic takes this as it is, "
                + "with --\(other.orderName) --force-heuristic turns the decision round"
        case .retryReversal, .parkReversal, .unparkReversal, .releaseQuarantined, .recoverNow: return ""
        }
    }
}

extension Outcome {
    /// The state of a transaction that is decided so and not delivered.
    fileprivate var stateName: String {
        switch self {
        case .committed: "COMMITTING"
        case .aborted: "ABORTING"
        }
    }
}
