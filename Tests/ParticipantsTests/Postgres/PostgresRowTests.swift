import Coordinator
import Payments
import Testing

@testable import PostgresParticipant

@Suite("PostgreSQL: rows that count as evidence")
struct PostgresRowTests {
    private static func row(
        token: String? = String(repeating: "ab", count: 32), reference: String? = nil, changing: (Int, String?)? = nil
    ) -> [String?] {
        var row: [String?] = [
            "7", "visa_0123456789abcdeffedcba9876543210", "3", "order-1", "AUTH", "12.34", "USD", "M",
            "411111******1111", reference, token, "7", String(repeating: "cd", count: 32), "7",
        ]
        if let (column, value) = changing { row[column] = value }
        return row
    }

    @Test("Goal: the row that the server wrote is read as it was written")
    func own() throws {
        let read = try #require(RowStatements.read(Self.row(reference: "auth-1")))
        #expect(read.position == 7)
        #expect(read.row.intent.panToken == KeyedDigest(keyID: 7, bytes: [UInt8](repeating: 0xAB, count: 32)))
        #expect(read.row.intent.requestHash.bytes == [UInt8](repeating: 0xCD, count: 32))
        #expect(read.row.intent.reference?.text == "auth-1")
        #expect(try #require(RowStatements.read(Self.row())).row.intent.reference == nil)
    }

    /// A digest of another length went into the log's writer as it was, whose precondition ended the process that recovered.
    @Test(
        "Goal: what is no digest is no evidence, whoever has changed it",
        arguments: [
            "", "ab", String(repeating: "ab", count: 80), String(repeating: "ab", count: 33),
            String(repeating: "+a", count: 32), String(repeating: "AB", count: 32), String(repeating: "a", count: 63),
        ])
    func digests(hex: String) {
        #expect(RowStatements.read(Self.row(token: hex)) == nil)
        #expect(KeyedDigest(hex: hex, keyID: "7") == nil)
    }

    @Test("Goal: a reference that cannot be read is not taken for none")
    func references() {
        for reference in ["", "auth 1", String(repeating: "r", count: 65), "\u{E9}"] {
            #expect(RowStatements.read(Self.row(reference: reference)) == nil)
        }
    }

    @Test(
        "Goal: any other column that somebody has changed makes the row unreadable", arguments: Array(0...8) + [11, 13])
    func columns(column: Int) {
        #expect(RowStatements.read(Self.row(changing: (column, nil))) == nil)
        #expect(RowStatements.read(Self.row(changing: (column, "\u{1F4B3}"))) == nil)
    }
}
