/// What a run of the stated number of seeds has to try. What is missing fails it.
public enum RequiredCoverage {
    public struct Item: Sendable, Hashable {
        public let group: Coverage.Group
        public let name: String
    }

    /// Fewer seeds than this need not try everything.
    public static let seedsMin = 1000

    public static var items: [Item] {
        required.flatMap { group, names in names.map { Item(group: group, name: $0) } }
    }

    public static func missing(in coverage: Coverage) -> [Item] {
        items.filter { coverage.hits[$0.group]?[$0.name] == nil }
    }

    private static let required: [(Coverage.Group, [String])] = [
        (
            .state,
            [
                "aborting", "beginning", "committing", "deciding", "ending", "finished", "looking up",
                "parked undecided", "preparing",
            ]
        ),
        (
            .transition,
            [
                "aborting: logged noted", "aborting: logged parked", "aborting: resolved done",
                "aborting: resolved heuristic", "aborting: resolved open", "aborting: retry due of a participant",
                "aborting: voted unknown", "beginning: BEGIN refused, full", "beginning: deadline passed",
                "beginning: logged begun", "beginning: started", "committing: PARKED refused, full",
                "committing: acknowledgement lost", "committing: acknowledgement refused, full",
                "committing: logged noted", "committing: logged parked", "committing: resolved done",
                "committing: resolved heuristic", "committing: resolved open",
                "committing: retry due of a participant", "committing: retry due of the log",
                "deciding: ABORT with reversal refused, full",
                "deciding: COMMIT refused, full", "deciding: deadline passed", "deciding: logged aborting",
                "deciding: logged committing", "deciding: retry due of the log",
                "deciding: voted no (unavailable)", "ending: END refused, full",
                "ending: acknowledgement refused, full", "ending: logged noted", "ending: retry due of the log",
                "log: taken up", "looking up: deadline passed", "looking up: looked up conflict",
                "looking up: looked up made by another", "looking up: looked up nothing",
                "looking up: looked up unknown", "looking up: voted unknown", "preparing: deadline passed",
                "preparing: voted no (contended)",
                "preparing: voted no (declined)", "preparing: voted no (made by another)",
                "preparing: voted no (unavailable)", "preparing: voted unknown", "preparing: voted yes",
            ]
        ),
        (
            .transactionVerdict,
            [
                "abortOnEvidence", "awaitEvidence", "commit", "inFlight", "parkContradiction", "parkRolledBack",
                "parked", "presumeAbort", "rollBack",
            ]
        ),
        (
            .strayVerdict,
            [
                "foreign", "orphan", "preparedAgain",
            ]
        ),
        (
            .adoptionVerdict,
            [
                "adopt aborted", "adopt committed",
            ]
        ),
        (
            .breaker,
            [
                "closed", "half open", "open",
            ]
        ),
        (
            .reversal,
            [
                "acknowledged", "failed", "held", "refused", "sent", "sent again",
            ]
        ),
        (
            .write,
            [
                "ABORT", "ABORT with reversal", "BEGIN", "COMMIT", "END", "PARKED", "acknowledgement", "adoption",
                "database seen", "fence attempted", "fence confirmed", "reconciliation", "release from quarantine",
                "reopening", "resolution", "reversal closed", "reversal parked", "reversal refused",
                "reversal released",
            ]
        ),
        (
            .refusal,
            [
                "already active", "full", "no reversal", "not active", "not in quarantine", "not resolvable",
            ]
        ),
        (
            .answer,
            [
                "APPROVED", "APPROVED by another", "DECLINED clearing_declined", "DECLINED clearing_unavailable",
                "DECLINED commit_failed", "DECLINED db_error", "DECLINED txn_init_failed", "PENDING",
                "refused clearing_unavailable", "refused db_error", "refused idempotency_conflict",
                "refused risk_velocity", "refused server_busy", "refused shutting_down",
            ]
        ),
        (
            .fault,
            [
                "clearing-declines", "clearing-errors", "clearing-outages", "clock jump", "clock-jumps",
                "conflicts", "crash", "crash in recovery", "crashes", "database crash", "database restored",
                "database-crashes", "database-errors", "duplicated-messages", "expiring-holds", "full log",
                "full-log", "late-messages", "lingering-backends", "log lost", "lost-logs", "lost-messages",
                "meddling", "network outage", "orderly stop", "orders", "refused-reversals", "repeats",
                "resolved by hand", "rewinds", "scarce-slots", "second-server", "slow-log", "start-crashes",
                "strangers", "trimming",
            ]
        ),
        (
            .outcome,
            [
                "order refused: already active", "order refused: busy", "order refused: full",
                "order refused: no reversal", "order refused: not active", "order refused: not an order",
                "order refused: not in quarantine", "order refused: not resolvable", "order taken", "parked",
            ]
        ),
    ]
}

/// What is not on the list, and why.
extension RequiredCoverage {
    /// Reached so seldom that a minute of seeds may miss it; tests of the machine and of the log try each.
    public static let tooSeldom = [
        "aborting: voted no (...): a participant that is told after the deadline what it would have refused",
        "aborting: acknowledgement lost: a database that goes back behind a rollback and shows the branch again, within a transaction's life",
        "adoption verdict awaitEvidence: an unknown branch, and a database or the network that cannot be asked about it",
        "adoption verdict contradiction: a row that cannot be read as a payment's, or a confirmation that no database explains",
        "deciding: ABORT without a reversal refused, full: few payments are aborted before the network is asked, and fewer on a full disk",
        "deciding: voted yes and unknown after the deadline's ABORT is under way",
    ]

    /// What cannot happen in these worlds.
    public static let outOfReach = [
        "BEGIN refused, request claimed: one coordinator works on a log, and it looks before it begins; its own names are random",
        "COMMIT or ABORT refused, already decided: likewise; nothing but the machine decides what is in flight",
        "decisions refused, not active; PARKED or END refused, not active: a record that was set aside as damaged; the simulated disk loses "
            + "whole batches and damages none",
        "release from quarantine that succeeds: likewise",
        "captures, refunds and voids: the coordinator refuses them until their rules are there",
    ]
}
