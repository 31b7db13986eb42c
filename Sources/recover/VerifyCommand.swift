import ArgumentParser
import Assembly
import Coordinator
import Foundation

/// Looks through the whole log.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check every page and record of the log; repair nothing.",
        discussion: """
            Checks that every value can be read, that no record is missing, that each transaction's history is one \
            that the protocol writes, and that the unfinished transactions, the claims on request_ids and the open \
            reversals are what the history says. Works beside a running server. Exit codes: 0 sound, 4 damaged.
            """)

    @OptionGroup var location: Location

    @Flag(help: "Print the result as JSON.")
    var json = false

    func run() async throws {
        let found = try LogTools(stateDirectory: location.stateDirectory).verify()
        Output.line(json ? try Document(found).text : text(found))
        if found.findingCount > 0 { throw ExitCode(ProgramExit.damaged) }
    }

    private func text(_ found: LogTools.Verification) -> String {
        let range = found.firstLSN.flatMap { first in found.lastLSN.map { ", LSN \(first) to \($0)" } } ?? ""
        let counts =
            "\(found.records) records\(range); \(found.active) active, \(found.requests) request_ids, "
            + "\(found.reversals) reversals, \(found.quarantined) in quarantine; \(found.pages) pages"
        guard found.findingCount > 0 else { return counts + "\nsound" }
        // Nothing is read through bad pages.
        let isUnread = found.records == 0 && found.findings.contains { $0.database.hasPrefix("page ") }
        let findings = "\(found.findingCount) finding\(found.findingCount == 1 ? "" : "s")"
        var table = Table("DATABASE", "KEY", "LSN", "TRANSACTION", .flexible("WHAT IS WRONG"))
        for finding in found.findings {
            table.add(
                finding.database, finding.key.isEmpty ? "-" : finding.key, finding.lsn?.description ?? "-",
                finding.transaction?.description ?? "-",
                finding.quarantineNumber.map { "quarantine \($0), " + finding.reason } ?? finding.reason)
        }
        let unlisted = found.findingCount - found.findings.count
        let more = unlisted > 0 ? "\nand \(unlisted) more" : ""
        return table.text(for: .output) + more + "\n\n"
            + (isUnread ? "\(found.pages) pages; bad ones among them, so the records were not read" : counts)
            + "\ndamaged: \(findings)"
    }

    private struct Document: Encodable {
        let version = 1
        let isSound: Bool
        let records: Int
        let firstLsn, lastLsn: UInt64?
        let active, requests, reversals, quarantined, pages, findingCount: Int
        let findings: [Finding]

        struct Finding: Encodable {
            let database, key: String
            let lsn: UInt64?
            let txnId: String?
            let quarantineNumber: UInt64?
            let reason: String
        }

        init(_ found: LogTools.Verification) {
            isSound = found.findingCount == 0
            records = found.records
            firstLsn = found.firstLSN?.rawValue
            lastLsn = found.lastLSN?.rawValue
            active = found.active
            requests = found.requests
            reversals = found.reversals
            quarantined = found.quarantined
            pages = found.pages
            findingCount = found.findingCount
            findings = found.findings.map {
                Finding(
                    database: $0.database, key: $0.key, lsn: $0.lsn?.rawValue, txnId: $0.transaction?.description,
                    quarantineNumber: $0.quarantineNumber, reason: $0.reason)
            }
        }

        var text: String { get throws { try JSONDocument.text(self) } }
    }
}

/// A document for programs, in the form that all commands share.
enum JSONDocument {
    static func text(_ document: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(document), as: UTF8.self).printableJSON
    }
}
