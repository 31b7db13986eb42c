import ArgumentParser
import Assembly
import Coordinator
import Telemetry

/// What the log could not read and has set aside.
struct QuarantineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quarantine",
        abstract: "Show the values of the log that could not be read and were set aside, and release them.",
        subcommands: [QuarantineListCommand.self, QuarantineShowCommand.self, QuarantineReleaseCommand.self],
        defaultSubcommand: QuarantineListCommand.self)
}

/// One line for each value.
struct QuarantineListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List what was set aside, oldest first (the default).")

    @OptionGroup var location: Location

    @Flag(help: "Print the list as JSON.")
    var json = false

    func run() async throws {
        let entries = try LogTools(stateDirectory: location.stateDirectory).quarantine()
        if json { return Output.line(try JSONDocument.text(Document(entries: entries.map(Entry.init)))) }
        guard !entries.isEmpty else { return Output.line("nothing is in quarantine") }
        var table = Table("NUMBER", "FOUND", "DATABASE", "KEY", "LSN", "TRANSACTION", "BYTES", "REASON")
        for entry in entries {
            table.add(
                String(entry.number), Timestamp.text(microseconds: entry.foundAt.microseconds), entry.database,
                entry.key, entry.lsn?.description ?? "-", entry.transaction?.description ?? "-",
                String(entry.bytes.count), entry.reason)
        }
        Output.line(table.text(for: .output))
    }

    private struct Document: Encodable {
        let version = 1
        let entries: [Entry]
    }

    private struct Entry: Encodable {
        let number: UInt64
        let foundAt, database, key: String
        let lsn: UInt64?
        let txnId: String?
        let size: Int
        let reason: String

        init(_ entry: LogTools.SetAside) {
            number = entry.number
            foundAt = Timestamp.text(microseconds: entry.foundAt.microseconds)
            database = entry.database
            key = entry.key
            lsn = entry.lsn?.rawValue
            txnId = entry.transaction?.description
            size = entry.bytes.count
            reason = entry.reason
        }
    }
}

/// One value with its bytes.
struct QuarantineShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one value: where it was, why it was set aside, and its bytes.")

    @OptionGroup var location: Location

    @Argument(help: "The value's number in the list.")
    var number: UInt64

    @Flag(help: "Print the value as JSON, its bytes in hexadecimal.")
    var json = false

    func run() async throws {
        let entries = try LogTools(stateDirectory: location.stateDirectory).quarantine()
        guard let entry = entries.first(where: { $0.number == number }) else {
            throw StartRefusal(
                "there is no number \(number) in the quarantine; recover quarantine list shows what there is",
                exitCode: ProgramExit.failure)
        }
        Output.line(json ? try JSONDocument.text(Document(entry)) : text(entry))
    }

    private func text(_ entry: LogTools.SetAside) -> String {
        var lines = [
            "number       \(entry.number)",
            "database     \(entry.database)",
            "key          \(entry.key)",
        ]
        if let lsn = entry.lsn { lines.append("LSN          \(lsn)") }
        if let transaction = entry.transaction { lines.append("transaction  \(transaction)") }
        lines += [
            "found        \(Timestamp.text(microseconds: entry.foundAt.microseconds))",
            "reason       \(entry.reason)",
            "bytes        \(entry.bytes.count)",
            "",
        ]
        return (lines + HexDump.lines(of: entry.bytes)).joined(separator: "\n")
    }

    private struct Document: Encodable {
        let version = 1
        let number: UInt64
        let foundAt, database, key: String
        let lsn: UInt64?
        let txnId: String?
        let reason, bytes: String

        init(_ entry: LogTools.SetAside) {
            number = entry.number
            foundAt = Timestamp.text(microseconds: entry.foundAt.microseconds)
            database = entry.database
            key = entry.key
            lsn = entry.lsn?.rawValue
            txnId = entry.transaction?.description
            reason = entry.reason
            bytes = entry.bytes.map(HexDump.digits).joined()
        }
    }
}

/// Bytes for people, as `hexdump -C` prints them.
enum HexDump {
    static let bytesPerLine = 16

    static func lines(of bytes: [UInt8]) -> [String] {
        stride(from: 0, to: bytes.count, by: bytesPerLine).map { offset in
            let part = bytes[offset..<min(offset + bytesPerLine, bytes.count)]
            let hexadecimal = part.map(digits).joined(separator: " ")
            let text = part.map { (0x20..<0x7F).contains($0) ? String(UnicodeScalar($0)) : "." }.joined()
            let width = bytesPerLine * 3 - 1
            let padding = String(repeating: " ", count: width - hexadecimal.count)
            return "\(eightDigits(offset))  \(hexadecimal)\(padding)  |\(text)|"
        }
    }

    static func digits(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

    private static func eightDigits(_ offset: Int) -> String {
        let digits = String(offset, radix: 16)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }
}
