import Assembly
import Coordinator
import Payments
import Telemetry

/// What the log holds unfinished, or a part of it, and what that blocks: for people and for programs.
struct ListReport {
    let log: LogID
    let transactions: [ActiveTransaction]
    let reversals: [ReversalTask]
    /// Values of the log that cannot be read.
    let quarantined: Int
    /// Of the listed transactions and, where nothing was left out, of those without a record; `nil` if nobody asked.
    let locks: [BranchLocks]?
    let unreachable: [DatabaseIndex: String]
    let now: WallTime
    /// What there is in all, also what was left out.
    private let unfinishedCount: Int
    /// Prepared branches that belong to nothing unfinished, where the databases were asked.
    private let unexplainedCount: Int

    init(_ snapshot: LogSnapshot, _ filter: ListFilter = ListFilter(), locks picture: LockPicture? = nil, now: WallTime)
    {
        log = snapshot.log
        transactions = snapshot.active.filter { filter.takes($0, now: now) }.sorted { $0.begin.lsn < $1.begin.lsn }
        reversals = snapshot.reversals.filter { filter.takes($0, now: now) }.sorted { $0.createdAt < $1.createdAt }
        quarantined = snapshot.quarantined
        let listed = Set(transactions.map(\.transaction))
        locks = picture?.branches.filter { branch in
            filter.isEverything || branch.transaction.map(listed.contains) ?? false
        }
        unreachable = picture?.unreachable ?? [:]
        unfinishedCount = snapshot.active.count + snapshot.reversals.count
        let active = Set(snapshot.active.map(\.transaction))
        unexplainedCount = picture?.branches.count { !($0.transaction.map(active.contains) ?? false) } ?? 0
        self.now = now
    }

    func text(for terminal: Terminal) -> String {
        var parts: [String] = []
        if transactions.isEmpty && reversals.isEmpty {
            parts.append(nothing(for: terminal))
        } else {
            parts.append(unfinished.text(for: terminal))
        }
        if let locks, !locks.isEmpty { parts.append(table(of: locks).text(for: terminal)) }
        parts += unreachable.sorted { $0.key < $1.key }.map {
            terminal.styled("\($0.key) could not be reached: \($0.value.printable)", .red)
        }
        if quarantined > 0 {
            parts.append(terminal.styled("\(quarantined) value\(quarantined == 1 ? "" : "s") in quarantine", .red))
        }
        return parts.joined(separator: "\n\n")
    }

    /// Nothing listed is not always nothing there.
    private func nothing(for terminal: Terminal) -> String {
        guard unfinishedCount == 0 else { return "nothing matches (\(unfinishedCount) unfinished in all)" }
        guard unexplainedCount > 0 else { return terminal.styled("nothing is unfinished", .green) }
        let branches = unexplainedCount == 1 ? "1 branch is" : "\(unexplainedCount) branches are"
        return terminal.styled(
            "the log has nothing unfinished, yet \(branches) prepared: see recover --dry-run and recover orphans", .red)
    }

    private var unfinished: Table {
        var table = Table(
            "TRANSACTION", .right("AGE"), "BEGUN", .right("AMOUNT"), "STATE", "OPEN AT", .flexible("REQUEST"), "CARD",
            .flexible("WAITS FOR"))
        for active in transactions {
            let intent = active.intentWords
            table.add(cells: [
                .init(active.transaction.description), .init(Age.text(since: active.begin.writtenAt, now: now)),
                .init(Timestamp.text(microseconds: active.begin.writtenAt.microseconds)),
                .init(intent.amount), .init(active.stateName, active.isParked ? .red : nil),
                .init(active.openParticipants.map(\.description).joined(separator: ", ")),
                .init(intent.request), .init(intent.card), .init(active.waitsFor),
            ])
        }
        for task in reversals {
            let isParked = task.parkedReason != nil
            let intent = task.intentWords
            table.add(cells: [
                .init(task.transaction.description), .init(Age.text(since: task.createdAt, now: now)),
                .init(Timestamp.text(microseconds: task.createdAt.microseconds)),
                .init(intent.amount),
                .init(isParked ? "REVERSAL PARKED" : "REVERSAL DUE", isParked ? .red : nil),
                .init(Participant.clearing.description), .init(intent.request), .init(intent.card),
                .init(task.parkedReason.map { "an operator: \($0)" } ?? ""),
            ])
        }
        return table
    }

    private func table(of locks: [BranchLocks]) -> Table {
        var table = Table(
            "PREPARED", "DATABASE", .right("SESSIONS BLOCKED"), .right("XID AGE"), "HOLDS XMIN", .flexible("TABLES"))
        for branch in locks {
            table.add(cells: [
                .init(branch.transaction?.description ?? branch.gid), .init(branch.database.description),
                .init(String(branch.blockedSessions), branch.blockedSessions > 0 ? .red : nil),
                .init(String(branch.xidAge)),
                .init(branch.holdsHorizon ? "yes" : "no", branch.holdsHorizon ? .red : nil),
                .init(branch.tables.joined(separator: ", ")),
            ])
        }
        return table
    }

    /// How much there is, in one line.
    var summary: String {
        let parked = transactions.count(where: \.isParked) + reversals.count { $0.parkedReason != nil }
        let blocking = locks.map { ", \($0.count { $0.blockedSessions > 0 }) of \($0.count) branches block others" }
        let left = unfinishedCount - transactions.count - reversals.count
        return "\(transactions.count) unfinished, \(reversals.count) reversal\(reversals.count == 1 ? "" : "s"), "
            + "\(parked) parked" + (left > 0 ? ", \(left) left out" : "") + (blocking ?? "")
    }
}

extension ActiveTransaction {
    /// What keeps it from going on by itself; empty if nothing does.
    var waitsFor: String {
        var parts = parkings.map { "an operator: \($0.record.participant): \($0.record.evidence)" }
        if let proposal {
            let order = proposal.record
            parts.append(
                "a second person: \(order.warrant.actor) proposed \(order.outcome)\(order.isForced ? " by force" : ""): "
                    + order.warrant.reason)
        }
        return parts.joined(separator: "; ")
    }
}
