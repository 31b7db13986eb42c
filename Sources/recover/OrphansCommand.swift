import ArgumentParser
import Assembly
import Coordinator
import Foundation
import Runtime

/// Prepared branches of this log that it has no record of.
struct OrphansCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "orphans", abstract: "List prepared branches without a record, and take them in.",
        subcommands: [OrphansListCommand.self, OrphanAdoptCommand.self], defaultSubcommand: OrphansListCommand.self)
}

struct OrphanAdoptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adopt", abstract: "Take an orphan in with its outcome, which is then carried out.",
        discussion: """
            Every database is asked first: what one of them has committed is adopted with --commit alone, and while one cannot be \
            asked nothing is adopted. The order is a record of the log.
            """)

    @OptionGroup var location: Location
    @OptionGroup var options: OrderOptions

    @Argument(help: "The txn_id that the branch's name holds.", transform: TransactionArgument.parse)
    var transaction: TransactionID

    @Flag(exclusivity: .exclusive)
    var outcome: OutcomeFlag

    func run() async throws {
        let order = OperatorOrder.adopt(transaction, outcome.outcome, by: try options.signature)
        try await OrderRun(order: order, options: options, location: location).run()
    }
}

struct OrphansListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List prepared branches of this log that it has no record of.")

    @OptionGroup var location: Location

    @Flag(help: "Ask the network what it knows of each; that changes nothing there.")
    var askNetwork = false

    @Flag(help: "Print them as JSON.")
    var json = false

    func run() async throws {
        let orphans = try await Observer.orphans(NodeSettings(location.source), asksNetwork: askNetwork)
        Output.line(json ? try OrphanReport.document(orphans) : OrphanReport.table(orphans, now: SystemClock.wall()))
    }
}

private enum OrphanReport {
    static func table(_ orphans: [Orphan], now: WallTime) -> String {
        guard !orphans.isEmpty else { return "no orphan: every prepared branch of this log has a record" }
        var table = Table(
            "TRANSACTION", .right("AGE"), "DATABASES", "NETWORK", "PROPOSAL", Table.Column("WHY", isFlexible: true))
        for orphan in orphans {
            let age = orphan.preparedAt.map { Age.text(since: $0, now: now) }
            let databases = orphan.sightings.map { "\($0.database) \($0.words)" }.joined(separator: ", ")
            table.add(
                orphan.transaction.description, age ?? "-", databases, orphan.network?.words ?? "not asked",
                orphan.proposal.word, orphan.proposal.why)
        }
        return table.text(for: .output)
    }

    static func document(_ orphans: [Orphan]) throws -> String {
        try DocumentText.json(
            Document(
                version: 1,
                orphans: orphans.map { orphan in
                    Document.Entry(
                        txnId: orphan.transaction.description,
                        databases: Dictionary(
                            uniqueKeysWithValues: orphan.sightings.map { ($0.database.description, $0.words) }),
                        network: orphan.network?.words, proposal: orphan.proposal.word, evidence: orphan.proposal.why)
                }))
    }

    private struct Document: Encodable {
        let version: Int
        let orphans: [Entry]

        struct Entry: Encodable {
            let txnId: String
            let databases: [String: String]
            let network: String?
            let proposal, evidence: String
        }
    }
}

extension Orphan {
    fileprivate var preparedAt: WallTime? {
        sightings.compactMap { sighting -> WallTime? in
            guard case .prepared(let prepared, _) = sighting.state else { return nil }
            return prepared.preparedAt
        }.min()
    }
}

extension Orphan.Sighting {
    fileprivate var words: String {
        switch state {
        case .prepared: "prepared"
        case .committed: "committed"
        case .absent: "absent"
        case .unknown(let why): "unknown (\(why))"
        }
    }
}

extension Orphan.Proposal {
    fileprivate var word: String {
        switch self {
        case .outcome(.committed, _): "commit"
        case .outcome(.aborted, _): "abort"
        case .none: "none"
        }
    }

    fileprivate var why: String {
        switch self {
        case .outcome(_, let why), .none(let why): why
        }
    }
}

extension ClearingStatus {
    fileprivate var words: String {
        switch self {
        case .held: "held"
        case .settled: "settled"
        case .released: "released"
        case .declined: "declined"
        case .tombstone: "tombstone"
        case .unknown: "unknown there"
        case .unreachable(let why): "unreachable (\(why))"
        }
    }
}
