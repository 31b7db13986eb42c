import Coordinator

/// A plan in words, for people.
struct PlanReport {
    let plan: RecoveryPlan
    let now: WallTime
    /// What of a plan file no longer matches.
    var refused: [PlanDocument.Refusal] = []
    /// Whether a server runs on the log: what goes on by itself is then in its hands.
    var isLive = false

    func text(for terminal: Terminal) -> String {
        var parts: [String] = []
        if !plan.transactions.isEmpty { parts.append(transactions.text(for: terminal)) }
        if !plan.reversals.isEmpty || !plan.heldReversals.isEmpty { parts.append(reversals.text(for: terminal)) }
        if !plan.adoptions.isEmpty { parts.append(adoptions.text(for: terminal)) }
        for (title, group) in strayGroups { parts.append(strays(title, group).text(for: terminal)) }
        parts += refused.map {
            terminal.styled("no longer matches: \($0.entry.printable): \($0.why.printable)", .red)
        }
        parts += plan.unreachable.keys.sorted().map { terminal.styled(plan.words(of: $0).printable, .red) }
        parts.append(terminal.styled(summary, plan.hasWork || plan.hasRemainder ? .bold : .green))
        return parts.joined(separator: "\n\n")
    }

    private var transactions: Table {
        var table = Table(
            "TRANSACTION", .right("AGE"), .right("AMOUNT"), "LOG", .flexible("DATABASES"), "NETWORK", "VERDICT",
            .flexible("EVIDENCE"), .flexible("ACTION"))
        for verdict in plan.transactions {
            let begin = verdict.transaction.begin
            table.add(cells: [
                .init(begin.record.transaction.description), .init(Age.text(since: begin.writtenAt, now: now)),
                .init(verdict.transaction.intentWords.amount), .init(verdict.transaction.stateName),
                .init(verdict.findings.map(\.words).joined(separator: ", ")),
                .init(network(verdict)),
                .init(verdict.verdict.code, verdict.verdict.style), .init(verdict.evidence),
                .init(verdict.action),
            ])
        }
        return table
    }

    /// What the log knows of the network and, where it was asked, what it says itself.
    private func network(_ verdict: TransactionVerdict) -> String {
        let logged = NetworkState(verdict.transaction, in: plan).words
        return verdict.status.map { "\(logged), says \($0.code)" } ?? logged
    }

    private var reversals: Table {
        var table = Table("REVERSAL OF", .right("AGE"), .right("AMOUNT"), .right("REFUSALS"), .flexible("ACTION"))
        let held = plan.heldReversals.map { ($0, RecoveryPlan.heldWords, Style.red) }
        let open = plan.reversals.map { ($0, $0.words, $0.parkedReason == nil ? Style.yellow : .red) }
        for (task, action, style) in open + held {
            table.add(cells: [
                .init(task.transaction.description), .init(Age.text(since: task.createdAt, now: now)),
                .init(task.intentWords.amount), .init(String(task.refusals)), .init(action, style),
            ])
        }
        return table
    }

    private var adoptions: Table {
        var table = Table(
            "OF THE LOST TAIL", .right("EPOCH"), .right("AMOUNT"), .flexible("DATABASES"), "NETWORK", "VERDICT",
            .flexible("EVIDENCE"), .flexible("ACTION"))
        for adoption in plan.adoptions {
            table.add(cells: [
                .init(adoption.found.transaction.description), .init(adoption.found.epoch.description),
                .init(adoption.amount),
                .init(adoption.states.map { "\($0.database) \($0.state)" }.joined(separator: ", ")),
                .init(adoption.found.status.map { "says \($0.code)" } ?? "not asked"),
                .init(adoption.code, adoption.style),
                .init(adoption.evidence), .init(adoption.action),
            ])
        }
        return table
    }

    private var strayGroups: [(String, [StrayVerdict])] {
        [
            ("PREPARED AGAIN", plan.strays.filter(\.isWork)), ("ORPHAN", plan.strays.filter { $0.verdict == .orphan }),
            ("FOREIGN", plan.strays.filter { $0.verdict == .foreign }),
        ].filter { !$0.1.isEmpty }
    }

    private func strays(_ title: String, _ group: [StrayVerdict]) -> Table {
        var table = Table(.flexible(title), "SEEN FROM", "DATABASE", "OWNER", .right("AGE"), .flexible("VERDICT"))
        for stray in group {
            table.add(
                stray.prepared.gid, stray.seenFrom.description, stray.prepared.databaseName, stray.prepared.owner,
                Age.text(since: stray.prepared.preparedAt, now: now), stray.verdict.words)
        }
        return table
    }

    private var summary: String {
        let carriedOut = plan.transactions.count {
            isLive ? $0.verdict == .inFlight || ($0.verdict.isWork && !$0.verdict.remains) : $0.verdict.isWork
        }
        let toSend = plan.reversals.count { $0.parkedReason == nil }
        let (work, due) = isLive ? (0, 0) : (carriedOut, toSend)
        let remainder =
            plan.transactions.count { $0.verdict.remains && !(isLive && $0.verdict == .inFlight) }
            + plan.strays.count { $0.verdict == .orphan }
            + plan.reversals.count { $0.parkedReason != nil } + plan.adoptions.count { $0.isContradiction }
        let others = strayGroups.map { ", \($0.1.count) \($0.0.lowercased())" }.joined()
        return "\(work) transaction\(work == 1 ? "" : "s") to resolve, \(due) reversal\(due == 1 ? "" : "s") to send, "
            + (isLive
                ? "\(carriedOut + toSend) in the hands of the running server, \(remainder) left to an operator"
                : "\(remainder) left to an operator or a running server") + others
            + (refused.isEmpty ? "" : ", \(refused.count) refused") + tail
    }

    /// What a broken log says of itself.
    private var tail: String {
        guard case .broken(let loss) = plan.continuity else { return "" }
        let what =
            switch loss.cause {
            case .restored: "was restored from a backup"
            case .lost: "was made anew after the loss of the former one"
            case .copied: "is a copy"
            }
        return "\nThis log \(what): nothing is presumed, evidence decides. "
            + (plan.settlesContinuity
                ? "All of it is there: after this plan the log is whole."
                : plan.awaitsEvidence || !plan.unreachable.isEmpty
                    ? "Not all of it is there yet: look again later."
                    : "The log is whole again when a plan with all of it has been carried out.")
    }
}
