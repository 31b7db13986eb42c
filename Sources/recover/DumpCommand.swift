import ArgumentParser
import Assembly
import Coordinator
import Telemetry

/// Prints the log's records for programs.
struct DumpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Print the log's records as JSON, one a line.",
        discussion: """
            Works beside a running server. A record that cannot be read is a line of the kind "unreadable", and the exit \
            code is 4 then. Times are in UTC, such as 2026-01-31T10:20:30Z or 2026-01-31.
            """)

    @OptionGroup var location: Location

    @Option(help: ArgumentHelp("The first record: its LSN, or a time.", valueName: "lsn|time"))
    var from: LogPlace?

    @Option(help: ArgumentHelp("The last record: its LSN, or a time.", valueName: "lsn|time"))
    var to: LogPlace?

    @Flag(help: "Go on with what is written from now on, until interrupted.")
    var follow = false

    @Option(
        help: ArgumentHelp(
            "Only records of this kind; may be repeated.",
            discussion: LogRecordKind.allCases.map(\.rawValue).joined(separator: ", ")),
        completion: .list(LogRecordKind.allCases.map(\.rawValue)), transform: Self.kind)
    var kind: [LogRecordKind] = []

    @Option(help: "Only records of this transaction (visa_...).", transform: Self.transaction)
    var txn: TransactionID?

    @Flag(help: "Print counts instead of the records.")
    var stats = false

    @Flag(help: "Print the counts of --stats as JSON.")
    var json = false

    @Sendable private static func kind(_ text: String) throws -> LogRecordKind {
        guard let kind = LogRecordKind(rawValue: text) else {
            let known = LogRecordKind.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("“\(text)” is not a kind of record; known are \(known)")
        }
        return kind
    }

    @Sendable private static func transaction(_ text: String) throws -> TransactionID {
        guard let id = TransactionID(text) else {
            throw ValidationError("“\(text)” is not a txn_id; it looks like visa_ and 32 hexadecimal digits")
        }
        return id
    }

    func validate() throws {
        if follow, stats { throw ValidationError("--stats counts what is there: it does not go with --follow") }
        if json, !stats { throw ValidationError("--json goes with --stats; records are JSON anyway") }
    }

    func run() async throws {
        let tools = try LogTools(stateDirectory: location.stateDirectory)
        let unreadable = try stats ? printStatistics(of: tools) : printRecords(of: tools)
        guard unreadable > 0 else { return }
        let what = unreadable == 1 ? "1 record cannot" : "\(unreadable) records cannot"
        Output.talk("recover: \(what) be read; recover verify says more")
        throw ExitCode(ProgramExit.damaged)
    }

    // MARK: Records

    /// - Returns: how many records could not be read.
    private func printRecords(of tools: LogTools) throws -> Int {
        var output = LineOutput()
        if follow { Interruption.watch() }
        var unreadable = 0
        var next = first
        while !output.isClosed, !Interruption.isAsked {
            let stretch = try tools.stretch(from: next, only: txn)
            for entry in stretch.entries {
                switch entry {
                case .record(let record, let lsn, let writtenAt):
                    if to?.isPassed(by: lsn, writtenAt) ?? false { continue }
                    guard isWanted(record, lsn, writtenAt) else { continue }
                    try output.write(line: RecordLine(record, lsn: lsn, writtenAt: writtenAt).printable)
                case .unreadable(let lsn, let key, let reason):
                    guard isWanted(unreadable: lsn) else { continue }
                    unreadable += 1
                    try output.write(line: RecordLine(unreadable: lsn, key: key, reason: reason).printable)
                }
            }
            next = stretch.next
            if isPast(next) { break }
            guard stretch.isAtEnd else { continue }
            try output.flush()
            guard follow else { break }
            output.pause(milliseconds: Self.pollMilliseconds)
        }
        try output.flush()
        return output.isClosed ? 0 : unreadable
    }

    /// How often `--follow` looks for more.
    private static let pollMilliseconds: Int32 = 100

    private var first: LSN {
        if case .lsn(let lsn) = from { lsn } else { LSN(rawValue: 1) }
    }

    /// Whether nothing from here on can be wanted. A clock may have been set back, so a time never ends a search.
    private func isPast(_ next: LSN) -> Bool {
        if case .lsn(let last) = to { next > last } else { false }
    }

    private func isWanted(_ record: LogRecord, _ lsn: LSN, _ writtenAt: WallTime) -> Bool {
        (from?.isReached(by: lsn, writtenAt) ?? true) && !(to?.isPassed(by: lsn, writtenAt) ?? false)
            && (kind.isEmpty || kind.contains(record.kind))
    }

    /// What cannot be read has no time, and its kind is not known.
    private func isWanted(unreadable lsn: LSN?) -> Bool {
        guard let lsn, case .lsn(let last) = to else { return true }
        return lsn <= last
    }

    // MARK: Counts

    private func printStatistics(of tools: LogTools) throws -> Int {
        var counts = Statistics()
        var next = first
        while true {
            let stretch = try tools.stretch(from: next, only: txn)
            for entry in stretch.entries {
                switch entry {
                case .record(let record, let lsn, let writtenAt):
                    if isWanted(record, lsn, writtenAt) { counts.add(record.kind, lsn, writtenAt) }
                case .unreadable(let lsn, _, _):
                    if isWanted(unreadable: lsn) { counts.unreadable += 1 }
                }
            }
            next = stretch.next
            if stretch.isAtEnd || isPast(next) { break }
        }
        let summary = try tools.summary()
        Output.line(json ? try counts.document(summary) : counts.text(summary))
        return counts.unreadable
    }
}

/// What `dump --stats` counts.
private struct Statistics {
    private var counts: [LogRecordKind: Int] = [:]
    private var first: (lsn: LSN, at: WallTime)?
    private var last: (lsn: LSN, at: WallTime)?
    var unreadable = 0

    mutating func add(_ kind: LogRecordKind, _ lsn: LSN, _ writtenAt: WallTime) {
        counts[kind, default: 0] += 1
        first = first ?? (lsn, writtenAt)
        last = (lsn, writtenAt)
    }

    private var spanSeconds: Double {
        guard let first, let last else { return 0 }
        return Double(last.at.microseconds(since: first.at)) / 1_000_000
    }

    func text(_ summary: LogTools.Summary) -> String {
        var kinds = Table("KIND", "RECORDS")
        for kind in LogRecordKind.allCases { kinds.add(kind.rawValue, String(counts[kind, default: 0])) }
        if unreadable > 0 { kinds.add(RecordLine.unreadable, String(unreadable)) }
        kinds.add("all", String(counts.values.reduce(unreadable, +)))
        var facts = Table("LOG", Table.Column(summary.log.description))
        facts.add("epoch", summary.epoch.description)
        if let first, let last {
            facts.add("first", "LSN \(first.lsn), \(Timestamp.text(microseconds: first.at.microseconds))")
            facts.add("last", "LSN \(last.lsn), \(Timestamp.text(microseconds: last.at.microseconds))")
            facts.add("span", "\(spanSeconds) s")
        }
        facts.add("used", "\(summary.usedBytes) of \(summary.fileBytes) bytes")
        facts.add("active", String(summary.active))
        facts.add("request_ids", String(summary.requests))
        facts.add("reversals", String(summary.reversals))
        facts.add("quarantined", String(summary.quarantined))
        return kinds.text(for: .output) + "\n\n" + facts.text(for: .output)
    }

    func document(_ summary: LogTools.Summary) throws -> String {
        try JSONDocument.text(
            Document(
                logId: summary.log.description, epoch: summary.epoch.rawValue,
                records: counts.values.reduce(unreadable, +), unreadable: unreadable,
                kinds: Dictionary(
                    uniqueKeysWithValues: LogRecordKind.allCases.map { ($0.rawValue, counts[$0, default: 0]) }),
                firstLsn: first?.lsn.rawValue, firstAt: first.map { Timestamp.text(microseconds: $0.at.microseconds) },
                lastLsn: last?.lsn.rawValue, lastAt: last.map { Timestamp.text(microseconds: $0.at.microseconds) },
                spanSeconds: spanSeconds, usedBytes: summary.usedBytes, fileBytes: summary.fileBytes,
                active: summary.active, requests: summary.requests, reversals: summary.reversals,
                quarantined: summary.quarantined))
    }

    private struct Document: Encodable {
        let version = 1
        let logId: String
        let epoch: UInt64
        let records, unreadable: Int
        let kinds: [String: Int]
        let firstLsn: UInt64?
        let firstAt: String?
        let lastLsn: UInt64?
        let lastAt: String?
        let spanSeconds: Double
        let usedBytes, fileBytes, active, requests, reversals, quarantined: Int
    }
}
