import Foundation
import Payments
import Testing

@testable import Coordinator
@testable import PostgresParticipant

extension PostgresTests {
    @Suite("A branch's way")
    struct BranchTests {
        let target: PostgresCluster.Database

        init() throws { target = try PostgresCluster.shared.get().makeDatabase() }

        @Test("Prepared, committed: both rows are there, as they were asked for")
        func commit() throws {
            let server = try TestServer(ready: target)
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            #expect(try server.ownPrepared() == [server.gid(begin.record.transaction)])
            #expect(try target.count("transactions") == 0)
            #expect(try server.statistics().slotsTaken == 1)
            #expect(try server.resolve(begin, .committed) == .done(.acknowledgement))
            let row = try target.run(
                """
                SELECT request_id, tx_type, pan_masked, amount, currency, merchant, ref_request_id IS NULL, status, txn_id,
                    auth_code, encode(pan_token, 'hex'), token_key_id, encode(request_hash, 'hex'), hash_key_id
                    FROM transactions
                """)
            let hash = String(repeating: "01", count: 32)
            let token = (0..<32).map { String(format: "%02x", $0) }.joined()
            #expect(
                row
                    == "\(begin.record.intent.requestID)|AUTH|411111******1111|12.30|USD|MERCHANT001|t|APPROVED|"
                    + "\(begin.record.transaction)|A12345|\(token)|3|\(hash)|1")
            #expect(
                try target.run("SELECT txn_id, merchant, amount, currency, kind FROM merchant_entries")
                    == "\(begin.record.transaction)|MERCHANT001|12.30|USD|AUTH")
            #expect(try server.statistics().slotsTaken == 0)
            // Again: the acknowledgement was lost, say.
            #expect(try server.resolve(begin, .committed) == .done(.witness))
            try server.close()
        }

        @Test("Prepared, aborted: nothing is left")
        func abort() throws {
            let server = try TestServer(ready: target)
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            #expect(try server.resolve(begin, .aborted) == .done(.acknowledgement))
            #expect(try server.resolve(begin, .aborted) == .done(.absence))
            #expect(try target.count("transactions") == 0)
            #expect(try server.ownPrepared().isEmpty)
            #expect(try server.statistics().slotsTaken == 0)
            try server.close()
        }

        @Test("A branch that lives apart from the payment writes the merchant's entry alone")
        func entryAlone() throws {
            let server = try TestServer(ready: target)
            let begin = server.begin(role: [.merchantEntry])
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            #expect(try server.resolve(begin, .committed) == .done(.acknowledgement))
            #expect(try server.resolve(begin, .committed) == .done(.witness))
            #expect(try target.count("transactions") == 0)
            #expect(try target.count("merchant_entries") == 1)
            try server.close()
        }

        @Test("A branch that was never asked is aborted without a question; one is not asked twice")
        func neverAsked() throws {
            let server = try TestServer(ready: target)
            #expect(try server.resolve(server.begin(), .aborted) == .done(.absence))
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            guard case .unknown = try server.prepare(begin) else { Issue.record("a second vote"); return }
            let foreign = server.begin(epoch: Epoch(rawValue: 99))
            guard case .unknown = try server.prepare(foreign) else { Issue.record("another epoch's"); return }
            #expect(try server.resolve(begin, .aborted) == .done(.acknowledgement))
            try server.close()
        }

        @Test("Somebody committed it behind our back: the row is the witness, for and against us")
        func committedElsewhere() throws {
            let server = try TestServer(ready: target)
            let wanted = server.begin()
            let unwanted = server.begin()
            for begin in [wanted, unwanted] {
                #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
                try target.run("COMMIT PREPARED '\(server.gid(begin.record.transaction))'")
            }
            #expect(try server.resolve(wanted, .committed) == .done(.witness))
            // Every time it is asked: nothing is forgotten.
            for _ in 0..<2 {
                guard case .heuristic(let evidence) = try server.resolve(unwanted, .aborted) else {
                    Issue.record("an abort of a committed branch was called done")
                    return
                }
                #expect(evidence.contains("committed"))
            }
            #expect(try server.statistics().slotsTaken == 0)
            try server.close()
        }

        @Test("Somebody rolled it back behind our back: that is not success")
        func rolledBackElsewhere() throws {
            let server = try TestServer(ready: target)
            let wanted = server.begin()
            let unwanted = server.begin()
            for begin in [wanted, unwanted] {
                #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
                try target.run("ROLLBACK PREPARED '\(server.gid(begin.record.transaction))'")
            }
            for _ in 0..<2 {
                guard case .heuristic(let evidence) = try server.resolve(wanted, .committed) else {
                    Issue.record("a commit of a branch that is gone was called done")
                    return
                }
                #expect(evidence.contains("rolled back"))
            }
            #expect(try server.resolve(unwanted, .aborted) == .done(.absence))
            #expect(try server.statistics().slotsTaken == 0)
            try server.close()
        }

        @Test("A request_id that is taken: by the same payment, by another one, by one that is hard to compare")
        func uniqueViolation() throws {
            let server = try TestServer(ready: target)
            let first = server.begin(makeIntent(request: "taken"))
            #expect(try server.prepare(first) == .yes(authorizationCode: ""))
            #expect(try server.resolve(first, .committed) == .done(.acknowledgement))
            let made = Vote.no(.madeBy(first.record.transaction))
            func vote(_ intent: PaymentIntent) throws -> Vote {
                let begin = server.begin(intent)
                let vote = try server.prepare(begin)
                #expect(try server.resolve(begin, .aborted) == .done(.absence))
                return vote
            }
            #expect(try vote(makeIntent(request: "taken")) == made)
            #expect(try vote(makeIntent(request: "taken", hash: 2)) == .no(.conflict))
            #expect(try vote(makeIntent(request: "taken", hashKey: 2, hash: 9)) == made)
            #expect(try vote(makeIntent(request: "taken", minorUnits: 1231, hashKey: 2)) == .no(.conflict))
            try target.run(
                "INSERT INTO transactions (request_id, amount, currency, status) VALUES ('old', 12.3, 'USD', 'APPROVED')"
            )
            #expect(try vote(makeIntent(request: "old")) == .no(.conflict))
            #expect(try server.statistics().slotsTaken == 0)
            // The connections that met the errors work on.
            for _ in 0..<8 { #expect(try server.prepare(server.begin()) == .yes(authorizationCode: "")) }
            for gid in try server.ownPrepared() { try target.run("ROLLBACK PREPARED '\(gid)'") }
            try server.close()
        }

        @Test(
            "Goal: who is not going to make a payment learns whether it was made before, and by whom, and not what is only prepared"
        )
        func lookedUp() throws {
            let server = try TestServer(ready: target)
            let first = server.begin(makeIntent(request: "made"))
            let again = server.begin(makeIntent(request: "made"))
            let other = server.begin(makeIntent(request: "made", hash: 2))
            #expect(try server.lookUp(first) == .none)
            #expect(try server.prepare(first) == .yes(authorizationCode: ""))
            #expect(try server.lookUp(again) == .none)
            #expect(try server.resolve(first, .committed) == .done(.acknowledgement))
            #expect(try server.lookUp(again) == .madeBy(first.record.transaction))
            #expect(try server.lookUp(other) == .conflict)
            guard case .unknown = try server.lookUp(first) else {
                Issue.record("a row of its own is no answer for what was never decided")
                return
            }
            try target.run(
                "INSERT INTO transactions (request_id, amount, currency, status) VALUES ('old', 12.3, 'USD', 'APPROVED')"
            )
            #expect(try server.lookUp(server.begin(makeIntent(request: "old"))) == .conflict)
            try server.close()
            guard case .unknown = try server.lookUp(again) else {
                Issue.record("a database that is closed was said to know nothing of the payment")
                return
            }
        }

        @Test("The branch's own row is there already: it was committed before")
        func ownRow() throws {
            let server = try TestServer(ready: target)
            let begin = server.begin(makeIntent(request: "own"))
            try target.run(
                "INSERT INTO transactions (request_id, txn_id, status) VALUES ('own', '\(begin.record.transaction)', 'APPROVED')"
            )
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            #expect(try server.resolve(begin, .committed) == .done(.witness))
            try server.close()
        }

        @Test("A request_id held by a prepared transaction of somebody else: contention, whatever becomes of it")
        func contention() throws {
            let server = try TestServer(ready: target)
            try target.hold("held")
            let first = server.begin(makeIntent(request: "held"))
            #expect(try server.prepare(first) == .no(.contended))
            #expect(try server.resolve(first, .aborted) == .done(.absence))
            try target.letGo("held")
            let second = server.begin(makeIntent(request: "held"))
            #expect(try server.prepare(second) == .yes(authorizationCode: ""))
            #expect(try server.resolve(second, .aborted) == .done(.acknowledgement))
            try server.close()
        }

        @Test("The other one ends while we wait for it", arguments: ["COMMIT", "ROLLBACK"])
        func contentionEnds(how: String) throws {
            let server = try TestServer(ready: target, lockTimeout: .seconds(10))
            try target.hold("held")
            let begin = server.begin(makeIntent(request: "held"))
            let vote = server.startPrepare(begin)
            try waitForLock(server)
            try target.letGo("held", how)
            #expect(try vote.get() == (how == "COMMIT" ? .no(.conflict) : .yes(authorizationCode: "")))
            _ = try server.resolveToTheEnd(begin, .aborted)
            try server.close()
        }

        @Test("A row that a trigger swallows is no witness: the vote is unknown and the abort cleans up")
        func swallowedRow() throws {
            let server = try TestServer(ready: target)
            try target.run(
                "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
                "CREATE TRIGGER swallow BEFORE INSERT ON merchant_entries FOR EACH ROW EXECUTE FUNCTION swallow()")
            let begin = server.begin()
            guard case .unknown = try server.prepare(begin) else { Issue.record("a branch without a witness"); return }
            #expect(try server.resolveToTheEnd(begin, .aborted) == .done(.acknowledgement))
            #expect(try server.ownPrepared().isEmpty)
            try server.close()
        }

        @Test("A payment is read by its request_id")
        func payment() throws {
            let server = try TestServer(ready: target)
            let begin = server.begin(makeIntent(request: "read-me"))
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            #expect(try server.resolve(begin, .committed) == .done(.acknowledgement))
            func read(_ text: String) throws -> PaymentRow? {
                let row = Awaited<Result<PaymentRow?, PostgresReadError>>()
                server.database.payment(try #require(RequestID(text))) { row.set($0) }
                return try row.get().get()
            }
            let row = try #require(try read("read-me"))
            #expect(row.transaction == begin.record.transaction && row.amount == "12.30" && row.status == "APPROVED")
            #expect(row.requestHash == begin.record.intent.requestHash && row.isRepeat(of: begin.record.intent))
            #expect(!row.isRepeat(of: makeIntent(request: "read-me", hash: 5)))
            #expect(try read("never") == nil)
            #expect(try read("';DROP--") == nil)
            try server.close()
        }

        private func waitForLock(_ server: TestServer) throws {
            try eventually {
                try target.count(
                    "pg_stat_activity",
                    where: "application_name LIKE 'holdfast/\(server.log)/%' AND wait_event_type = 'Lock'") > 0
            }
        }
    }
}
