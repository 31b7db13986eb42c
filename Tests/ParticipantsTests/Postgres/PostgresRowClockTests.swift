import Foundation
import Testing

@testable import Coordinator
@testable import PostgresParticipant

extension PostgresTests {
    /// Rows say when they were made, by a clock that somebody may have set since.
    @Suite("Rows and clocks")
    struct RowClockTests {
        /// Commits a payment and dates its row as the database's clock would have, had it been so far ahead.
        private func make(_ server: TestServer, _ target: PostgresCluster.Database, ahead interval: String) throws
            -> TransactionID
        {
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            #expect(try server.resolveToTheEnd(begin, .committed) == .done(.acknowledgement))
            let transaction = begin.record.transaction
            try target.run(
                "UPDATE transactions SET created_at = now() + interval '\(interval)' WHERE txn_id = '\(transaction)'")
            return transaction
        }

        private func newest(_ server: TestServer) throws -> [TransactionID] {
            let rows = Awaited<Result<[WitnessRow], PostgresReadError>>()
            server.database.newestPaymentRows(within: .seconds(3600)) { rows.set($0) }
            return try rows.get().get().map(\.transaction)
        }

        private func all(_ server: TestServer) throws -> Set<TransactionID> {
            let page = Awaited<Result<PaymentRowPage, PostgresReadError>>()
            server.database.paymentRows(since: Epoch(rawValue: 0), after: 0) { page.set($0) }
            return Set(try page.get().get().rows.map(\.transaction))
        }

        @Test("Goal: rows dated ahead of the clock are not the newest ones, and do not hide those that are")
        func datedAhead() throws {
            let target = try PostgresCluster.shared.get().makeDatabase()
            let server = try TestServer(ready: target)
            _ = try make(server, target, ahead: "48 hours")
            #expect(try newest(server) == [])
            let real = try make(server, target, ahead: "-1 second")
            _ = try make(server, target, ahead: "1 minute")
            #expect(try newest(server) == [real])
            try server.close()
        }

        @Test("Goal: of a lost tail the last thirty days are read, whether the clock is wrong now or was then")
        func lostTail() throws {
            let target = try PostgresCluster.shared.get().makeDatabase()
            let server = try TestServer(ready: target)
            // The clock is a year ahead now: everything seems to be a year old.
            let old = try make(server, target, ahead: "-400 days")
            let young = try make(server, target, ahead: "-365 days")
            let younger = try make(server, target, ahead: "-364 days")
            #expect(try all(server) == [young, younger])
            // It was a year ahead once.
            _ = old
            let ahead = try make(server, target, ahead: "365 days")
            let now = try make(server, target, ahead: "0 days")
            #expect(try all(server) == [ahead, now])
            try server.close()
        }

        @Test("Goal: how far a server's clock is ahead of ours is read")
        func offset() throws {
            let server = try TestServer(ready: try PostgresCluster.shared.get().makeDatabase())
            let offset = Awaited<PostgresDiagnosis.ClockOffset?>()
            server.database.clockOffset { offset.set($0) }
            let found = try #require(try offset.get())
            #expect(found.microseconds.magnitude < 1_000_000, "it is the same machine's")
            try server.close()
        }
    }
}
