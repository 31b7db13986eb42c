import ArgumentParser
import Assembly
import Foundation
import Runtime
import Telemetry

/// Finds what will hurt before it does.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check the state directory, the databases and the network before they matter.",
        discussion: """
            Changes nothing, beside a running server or without one; in each database a transaction that touches no table is \
            prepared and rolled back. Exit codes: 0 no problem, 1 a problem, 6 a participant could not be reached (the rest was \
            checked).
            """)

    @OptionGroup var location: Location

    @Flag(help: "Print the findings as JSON.")
    var json = false

    func run() async throws {
        let report = try await Doctor.examine(NodeSettings(location.source))
        let text = DoctorText(report: report)
        Output.line(json ? try text.json(at: SystemClock.wall().microseconds).printableJSON : text.table)
        if report.exitCode != ProgramExit.clean { throw ExitCode(report.exitCode) }
    }
}

/// A preflight's findings in words: for people a table, for programs JSON.
struct DoctorText {
    let report: DoctorReport

    // MARK: - For people

    /// Grouped by subject, one line each; what to do is below it.
    var table: String {
        let levelWidth = report.findings.map(\.level.rawValue.count).max() ?? 0
        let idWidth = report.findings.map(\.id.count).max() ?? 0
        var lines: [String] = []
        var subject: String?
        for finding in report.findings {
            if finding.subject != subject {
                if subject != nil { lines.append("") }
                lines.append(finding.subject)
                subject = finding.subject
            }
            let level = Self.padded(finding.level.rawValue, levelWidth)
            lines.append("  \(level)  \(Self.padded(finding.id, idWidth))  \(finding.found.printable)")
            if let advice = finding.advice {
                lines.append("  \(Self.padded("", levelWidth))  \(Self.padded("", idWidth))  -> \(advice.printable)")
            }
        }
        return (lines + ["", summary]).joined(separator: "\n")
    }

    private var summary: String {
        func count(_ level: DoctorFinding.Level, _ noun: String) -> String {
            let count = report.count(level)
            return "\(count) \(noun)\(count == 1 ? "" : "s")"
        }
        return "\(report.findings.count) checks: \(count(.problem, "problem")), \(count(.warning, "warning")), "
            + "\(count(.note, "note"))"
            + (report.isIncomplete ? "; a participant could not be reached, the rest was checked" : "")
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    // MARK: - For programs

    /// Version 1 of the form: keys and checks are added, never changed.
    func json(at microseconds: Int64) throws -> String {
        let document = Document(
            version: 1, checkedAt: Timestamp.text(microseconds: microseconds),
            problems: report.count(.problem), warnings: report.count(.warning), notes: report.count(.note),
            isIncomplete: report.isIncomplete,
            findings: report.findings.map {
                Document.Finding(
                    id: $0.id, subject: $0.subject, level: $0.level.rawValue, found: $0.found, advice: $0.advice,
                    isUnreachable: $0.isUnreachable)
            })
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(document), as: UTF8.self)
    }

    private struct Document: Encodable {
        let version: Int
        let checkedAt: String
        let problems, warnings, notes: Int
        let isIncomplete: Bool
        let findings: [Finding]

        struct Finding: Encodable {
            let id, subject, level, found: String
            /// Left out where all is well.
            let advice: String?
            let isUnreachable: Bool
        }
    }
}
