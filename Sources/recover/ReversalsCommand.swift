import ArgumentParser
import Assembly
import Coordinator
import Foundation
import Payments
import Runtime
import Telemetry

/// The reversals that the network has not acknowledged.
struct ReversalsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reversals", abstract: "List, send, park and unpark reversals.",
        subcommands: [
            ReversalsListCommand.self, ReversalRetryCommand.self, ReversalParkCommand.self, ReversalUnparkCommand.self,
        ], defaultSubcommand: ReversalsListCommand.self)
}

struct ReversalRetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Send a reversal now; one that is parked too.")

    @OptionGroup var location: Location
    @OptionGroup var options: OrderOptions

    @Argument(help: "The txn_id of the payment that is reversed.", transform: TransactionArgument.parse)
    var transaction: TransactionID

    func run() async throws {
        let order = OperatorOrder.retryReversal(transaction, by: try options.signature)
        try await OrderRun(order: order, options: options, location: location).run()
    }
}

struct ReversalParkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "park", abstract: "Do not send a reversal before it is unparked.")

    @OptionGroup var location: Location
    @OptionGroup var options: OrderOptions

    @Argument(help: "The txn_id of the payment that is reversed.", transform: TransactionArgument.parse)
    var transaction: TransactionID

    func run() async throws {
        let order = OperatorOrder.parkReversal(transaction, by: try options.signature)
        try await OrderRun(order: order, options: options, location: location).run()
    }
}

struct ReversalUnparkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unpark", abstract: "Send a reversal that is parked, its refusals forgotten.")

    @OptionGroup var location: Location
    @OptionGroup var options: OrderOptions

    @Argument(help: "The txn_id of the payment that is reversed.", transform: TransactionArgument.parse)
    var transaction: TransactionID

    func run() async throws {
        let order = OperatorOrder.unparkReversal(transaction, by: try options.signature)
        try await OrderRun(order: order, options: options, location: location).run()
    }
}

struct ReversalsListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the reversals that the network has not acknowledged.")

    @OptionGroup var location: Location

    @Option(help: "Only those in this state: due, parked or held.")
    var state: ReversalState?

    @Option(
        help: ArgumentHelp("Only those that are older than this: seconds, or with a unit.", valueName: "duration"))
    var olderThan: Span?

    @Flag(help: "Print them as JSON.")
    var json = false

    func run() async throws {
        let snapshot = try Observer.snapshot(stateDirectory: location.stateDirectory)
        let now = SystemClock.wall()
        let createdUntil = now.microseconds - (olderThan?.milliseconds.count ?? 0) * 1000
        let lines = snapshot.reversals.filter { $0.createdAt.microseconds <= createdUntil }
            .sorted { $0.createdAt < $1.createdAt }
            .map { ReversalLine($0, state: ReversalState(of: $0, in: snapshot), now: now) }
            .filter { state == nil || $0.state == state }
        Output.line(
            json
                ? try ReversalLine.document(lines)
                : ReversalLine.table(lines, ofAll: snapshot.reversals.count))
    }
}

enum ReversalState: String, ExpressibleByArgument, Encodable, CaseIterable {
    /// It is sent until the network acknowledges it.
    case due
    /// It waits for an operator.
    case parked
    /// Its payment waits for an operator, and with it the reversal.
    case held

    init(of task: ReversalTask, in snapshot: LogSnapshot) {
        let payment = snapshot.active.first { $0.transaction == task.transaction }
        if task.parkedReason != nil { self = .parked } else { self = payment?.isParked == true ? .held : .due }
    }

    var action: String {
        switch self {
        case .due: "sent until acknowledged"
        case .parked: "waits for reversals unpark"
        case .held: "waits until its payment is resolved"
        }
    }
}

/// One reversal as it is listed.
private struct ReversalLine: Encodable {
    private enum CodingKeys: String, CodingKey {
        case txnId, requestId, createdAt, amount, currency, ageSeconds, state, refusals, reason
    }

    let txnId, requestId, createdAt, amount, currency: String
    let ageSeconds: Int64
    private let age: String
    private let words: IntentWords
    let state: ReversalState
    let refusals: Int
    let reason: String?

    init(_ task: ReversalTask, state: ReversalState, now: WallTime) {
        txnId = task.transaction.description
        requestId = task.intent.requestID.text
        createdAt = Timestamp.text(microseconds: task.createdAt.microseconds)
        amount = task.intent.amount.decimalText
        currency = task.intent.amount.currency.code
        ageSeconds = max(0, now.microseconds(since: task.createdAt) / 1_000_000)
        age = Age.text(since: task.createdAt, now: now)
        words = task.intentWords
        self.state = state
        refusals = task.refusals
        reason = task.parkedReason
    }

    static func table(_ lines: [ReversalLine], ofAll count: Int) -> String {
        guard !lines.isEmpty else {
            return count == 0 ? "no reversal is open" : "nothing matches (\(count) open in all)"
        }
        var table = Table(
            "REVERSAL OF", .right("AGE"), .right("AMOUNT"), "STATE", .right("REFUSALS"), "REQUEST",
            Table.Column("WHY", isFlexible: true))
        for line in lines {
            table.add(
                line.txnId, line.age, line.words.amount, line.state.rawValue,
                String(line.refusals), line.words.request, line.reason ?? line.state.action)
        }
        return table.text(for: .output)
    }

    static func document(_ lines: [ReversalLine]) throws -> String {
        struct Document: Encodable {
            let version: Int
            let reversals: [ReversalLine]
        }
        return try DocumentText.json(Document(version: 1, reversals: lines))
    }
}
