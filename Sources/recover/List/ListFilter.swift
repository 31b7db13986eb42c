import ArgumentParser
import Coordinator
import Payments

/// The states that `list` tells apart.
enum ListState: String, CaseIterable, ExpressibleByArgument {
    case preparing
    case committing
    case aborting
    case parked
    /// A reversal that the network has not acknowledged.
    case reversal

    init(_ active: ActiveTransaction) {
        if active.isParked {
            self = .parked
            return
        }
        switch active.decision {
        case .undecided: self = .preparing
        case .commit: self = .committing
        case .abort: self = .aborting
        }
    }
}

/// A participant on the command line: `clearing`, or `db1` for the first database.
struct ParticipantArgument: ExpressibleByArgument, Hashable {
    let participant: Participant

    init?(argument: String) {
        if argument == Participant.clearing.description {
            participant = .clearing
        } else if argument.hasPrefix("db"), let number = UInt8(argument.dropFirst(2)), number > 0,
            argument == DatabaseIndex(rawValue: number).description
        {
            participant = .database(DatabaseIndex(rawValue: number))
        } else {
            return nil
        }
    }

    /// What a shell proposes; there may be more databases.
    static let completions = ["clearing", "db1", "db2"]
}

/// An amount on the command line: a number with up to three decimals, in whatever currency it is compared with.
struct AmountArgument: ExpressibleByArgument, Hashable, Comparable {
    /// The most decimals that a currency has.
    private static let decimals = 3
    /// Thousandths of the currency's unit.
    let thousandths: Int64

    init?(argument: String) {
        let parts = argument.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let whole = Self.digits(parts[0]) else { return nil }
        let fraction = parts.count == 2 ? parts[1] : "0"
        guard fraction.count <= Self.decimals,
            let rest = Self.digits(fraction + String(repeating: "0", count: Self.decimals - fraction.count))
        else { return nil }
        let (scaled, isTooLarge) = whole.multipliedReportingOverflow(by: 1000)
        let (sum, isTooLargeNow) = scaled.addingReportingOverflow(rest)
        guard !isTooLarge, !isTooLargeNow, !fraction.isEmpty else { return nil }
        thousandths = sum
    }

    /// What is too large to be told in thousandths counts as the largest that can be.
    init(_ money: Money) {
        let factor = (money.currency.decimals..<Self.decimals).reduce(Int64(1)) { power, _ in power * 10 }
        let (value, isTooLarge) = money.minorUnits.multipliedReportingOverflow(by: factor)
        thousandths = isTooLarge ? .max : value
    }

    static func < (left: Self, right: Self) -> Bool { left.thousandths < right.thousandths }

    private static func digits(_ text: some StringProtocol) -> Int64? {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int64(text) : nil
    }
}

/// Which part of what is unfinished is listed. Every condition that is given must hold.
struct ListFilter {
    /// Empty for every state.
    var states: Set<ListState> = []
    /// What is at least this old.
    var olderThan: Span?
    /// What this participant has not been proven to have carried out.
    var participant: Participant?
    var amountMin: AmountArgument?
    var amountMax: AmountArgument?

    var isEverything: Bool {
        states.isEmpty && olderThan == nil && participant == nil && amountMin == nil && amountMax == nil
    }

    func takes(_ active: ActiveTransaction, now: WallTime) -> Bool {
        takes(ListState(active)) && takes(begun: active.begin.writtenAt, now)
            && (participant.map(active.openParticipants.contains) ?? true)
            && takes(active.begin.record.intent.amount)
    }

    /// A reversal concerns the network alone, and is as old as the abort.
    func takes(_ task: ReversalTask, now: WallTime) -> Bool {
        takes(.reversal) && takes(begun: task.createdAt, now) && (participant ?? .clearing) == .clearing
            && takes(task.intent.amount)
    }

    private func takes(_ state: ListState) -> Bool { states.isEmpty || states.contains(state) }

    private func takes(begun: WallTime, _ now: WallTime) -> Bool {
        guard let olderThan else { return true }
        return now.microseconds(since: begun) >= olderThan.milliseconds.count * 1000
    }

    private func takes(_ amount: Money) -> Bool {
        let value = AmountArgument(amount)
        return (amountMin.map { $0 <= value } ?? true) && (amountMax.map { value <= $0 } ?? true)
    }
}

extension ActiveTransaction {
    /// Those that are not proven to have carried out the decision, or that may have to once there is one.
    var openParticipants: [Participant] {
        begin.record.branches.map(\.participant).filter { proven[$0] == nil }
    }
}
