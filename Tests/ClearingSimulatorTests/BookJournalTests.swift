import Foundation
import Testing

@testable import ClearingSimulator

/// Goal: what was answered is in the books after any end of the process, and damage is found instead of read.
@Suite struct BookJournalTests {
    private static func withFile<Result>(_ body: (String) throws -> Result) throws -> Result {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("books-" + UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        return try body(directory.appendingPathComponent("books").path)
    }

    /// Five transactions in every state, with the lines that led there.
    private static func fill(_ path: String, isSynchronous: Bool = false) throws -> ClearingBook {
        let (journal, opening) = try BookJournal.open(path: path, isSynchronous: isSynchronous)
        var book = opening.book
        let steps: [(String, ClearingEvent)] = [
            ("held", ClearingEntryTests.prepare), ("settled", ClearingEntryTests.prepare),
            ("settled", ClearingEntryTests.commit), ("released", ClearingEntryTests.prepare),
            ("released", ClearingEntryTests.abort), ("declined", ClearingEntryTests.declinedPrepare),
            ("tombstone", ClearingEntryTests.abort), ("tombstone", ClearingEntryTests.prepare),
        ]
        for (transaction, event) in steps {
            let (entry, _) = book.outcome(of: event, for: transaction)
            try journal.append(entry)
            book.record(entry)
        }
        return book
    }

    /// A number in another spelling, or the last settlement of all, is no line of ours, though its sum is right.
    @Test(arguments: [
        "visa_1 held 12.34 USD 00000000000000aa A1B2C3 0 +1 0 0 -",
        "visa_1 held 12.34 USD 00000000000000aa A1B2C3 0 01 0 0 -",
        "visa_1 settled 12.34 USD 00000000000000aa A1B2C3 18446744073709551615 1 1 0 -",
        "visa_1 held 12.34 US\"}D 00000000000000aa A1B2C3 0 1 0 0 -",
        "visa_1 held 12.34 USD 00000000000000aa A\u{0} 0 1 0 0 -",
        "visa\u{E9} held 12.34 USD 00000000000000aa A1B2C3 0 1 0 0 -",
    ]) func otherSpellings(fields: String) {
        func line(_ fields: String) -> [UInt8] {
            var sum = Fingerprint()
            sum.add((fields + " ").utf8)
            return Array((fields + " " + Fingerprint.text(sum.value)).utf8)
        }
        #expect(JournalLine.decode(line(fields)) == nil)
        #expect(JournalLine.decode(line("visa_1 held 12.34 USD 00000000000000aa A1B2C3 0 1 0 0 -")) != nil)
    }

    @Test(arguments: [false, true]) func reopening(isSynchronous: Bool) throws {
        try Self.withFile { path in
            let book = try Self.fill(path, isSynchronous: isSynchronous)
            #expect(book.entries.map(\.state.rawValue) == book.entries.map(\.transaction))
            for _ in 0..<2 {
                let (_, opening) = try BookJournal.open(path: path, isSynchronous: isSynchronous)
                #expect(opening.book.entries == book.entries)
                #expect(!opening.droppedTornLine)
            }
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            #expect(lines.count == 1 + book.entries.count, "the start leaves one line a transaction")
        }
    }

    /// Cut at every byte of the last line, the books are those before it; nothing else is lost.
    @Test func tornLastLine() throws {
        try Self.withFile { path in
            let book = try Self.fill(path)
            let whole = try Data(contentsOf: URL(fileURLWithPath: path))
            let lastLine = JournalLine.encode(try #require(book.entry("tombstone"))).count
            var before = book
            let (tombstone, _) = ClearingBook().outcome(of: ClearingEntryTests.abort, for: "tombstone")
            before.record(tombstone)
            for cut in 1...lastLine {
                try whole.dropLast(cut).write(to: URL(fileURLWithPath: path))
                let (_, opening) = try BookJournal.open(path: path, isSynchronous: false)
                #expect(opening.book.entries == before.entries, "cut by \(cut)")
                #expect(opening.droppedTornLine == (cut < lastLine), "cut by \(cut)")
            }
        }
    }

    @Test func damageInTheMiddle() throws {
        try Self.withFile { path in
            _ = try Self.fill(path)
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            let position = bytes.count / 2
            bytes[position] = bytes[position] == UInt8(ascii: "7") ? UInt8(ascii: "8") : UInt8(ascii: "7")
            try bytes.write(to: URL(fileURLWithPath: path))
            #expect(throws: BookJournalError.self) { try BookJournal.open(path: path, isSynchronous: false) }
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes, "the damaged file is left as it is")
        }
    }

    /// Every byte of a line is covered by its sum.
    @Test func damagedLines() throws {
        var entry = ClearingEntry(unseen: "visa_0123")
        _ = entry.handle(ClearingEntryTests.prepare)
        let line = JournalLine.encode(entry).dropLast()
        #expect(JournalLine.decode(line) == entry)
        for index in line.indices {
            for bit in 0..<8 {
                var damaged = line
                damaged[index] ^= 1 << bit
                #expect(JournalLine.decode(damaged) == nil, "byte \(index), bit \(bit)")
            }
        }
    }

    @Test(arguments: ["hello", "hello\n", "clearing-sim books 2\n", "clearing-sim boo"])
    func notBooks(text: String) throws {
        try Self.withFile { path in
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            #expect(throws: BookJournalError.self) { try BookJournal.open(path: path, isSynchronous: false) }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text, "somebody's file is left as it is")
        }
    }

    @Test func emptyFile() throws {
        try Self.withFile { path in
            try Data().write(to: URL(fileURLWithPath: path))
            #expect(try BookJournal.open(path: path, isSynchronous: false).1.book.entries.isEmpty)
        }
    }

    @Test func secondSimulator() throws {
        try Self.withFile { path in
            let (first, _) = try BookJournal.open(path: path, isSynchronous: false)
            let error = #expect(throws: BookJournalError.self) {
                try BookJournal.open(path: path, isSynchronous: false)
            }
            #expect(error?.message.contains("another simulator") == true)
            withExtendedLifetime(first) {}
        }
    }
}
