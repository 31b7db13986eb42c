import Foundation
import Testing

@testable import Harness

extension Integration {
    /// Operators decide what nobody else may, where no server runs.
    @Suite struct OperatorTests {
        /// A payment that was decided to commit, and whose branch somebody rolled back.
        private func rolledBack(_ world: World) throws -> (payment: Payment, transaction: String) {
            let payment = Payment(requestID: "rolled-back")
            try world.start(fault: CrashPoint.decisionDurable.fault(.kill))
            try world.payIntoTheCrash(payment)
            try world.waitUntilBackendsAreGone()
            #expect(try Operator(world: world).finishByHand(.rollback).count == 1)
            return (payment, try #require(try world.simulator.book().first).transactionID)
        }

        /// A payment that was not decided, and whose branch somebody committed.
        private func committed(_ world: World) throws -> (payment: Payment, transaction: String) {
            let payment = Payment(requestID: "committed")
            try world.start(fault: CrashPoint.prepared.fault(.kill))
            try world.payIntoTheCrash(payment)
            try world.waitUntilBackendsAreGone()
            #expect(try Operator(world: world).finishByHand(.commit).count == 1)
            return (payment, try #require(try world.simulator.book().first).transactionID)
        }

        @Test(
            "Goal: a commit that was rolled back by hand waits for an operator, whose forced abort gives the hold back")
        func heuristicRollback() throws {
            try World.run { world in
                let (payment, transaction) = try rolledBack(world)
                let alice = Operator(world: world)
                let early = try alice.resolve(transaction, "--commit")
                #expect(early.status == RecoverTool.failed && early.said.contains("run recover"), "\(early)")
                #expect(try world.recover().run().status == RecoverTool.somethingLeft)

                let again = try alice.resolve(transaction, "--commit")
                #expect(again.status == RecoverTool.somethingLeft, "\(again)")
                #expect(
                    again.output.contains("waits for an operator again") && again.output.contains("rolled back in db1"))
                #expect(again.output.contains("--abort --force-heuristic"), "\(again)")
                let refused = try alice.resolve(transaction, "--abort")
                #expect(
                    refused.status == RecoverTool.failed && refused.errors.contains("--force-heuristic"), "\(refused)")
                #expect(refused.output.isEmpty, "what is refused is talk, not data")
                #expect(try world.simulator.state(of: transaction) == .held, "nothing was done until here")

                let forced = try alice.resolve(transaction, "--abort", "--force-heuristic")
                #expect(forced.status == RecoverTool.nothingLeft, "\(forced)")
                #expect(try world.simulator.state(of: transaction) == .released)
                let history = try world.recover().run("show", transaction).output
                #expect(history.contains("ordered by alice: checked by hand"), "\(history)")
                let twice = try alice.resolve(transaction, "--abort", "--json")
                #expect(twice.status == RecoverTool.failed && twice.output.contains("\"not_unfinished\""), "\(twice)")

                try world.start()
                let answer = try world.pay(payment)
                #expect(answer.isFinalRefusal && answer.transactionID == transaction, "\(answer)")
                try world.finish()
            }
        }

        @Test(
            "Goal: a commit that was made by hand is not undone without force; ordered as a commit, the network confirms it"
        )
        func heuristicCommit() throws {
            try World.run { world in
                let (payment, transaction) = try committed(world)
                #expect(try world.recover().run().status == RecoverTool.somethingLeft)
                #expect(try world.simulator.state(of: transaction) == .held, "nothing is reversed on our own")
                let alice = Operator(world: world)
                let refused = try alice.resolve(transaction, "--abort")
                #expect(refused.status == RecoverTool.failed && refused.said.contains("as committed"), "\(refused)")

                let done = try alice.resolve(transaction, "--commit", "--json")
                #expect(done.status == RecoverTool.nothingLeft && done.output.contains(#""code":"done""#), "\(done)")
                #expect(try world.simulator.state(of: transaction) == .settled)
                try world.start()
                let answer = try world.pay(payment)
                #expect(answer.status == .approved && answer.transactionID == transaction, "\(answer)")
                try world.finish()
            }
        }

        @Test("Goal: where two persons are needed the first order does nothing, and the first one is not the second")
        func twoPersons() throws {
            try World.run(environment: ["RESOLVE_TWO_PERSON": "1"]) { world in
                let (_, transaction) = try committed(world)
                #expect(try world.recover().run().status == RecoverTool.somethingLeft)
                let alice = Operator(world: world)
                let bob = Operator(world: world, name: "bob")
                let first = try alice.resolve(transaction, "--commit")
                #expect(first.status == RecoverTool.somethingLeft && first.output.contains("second person"), "\(first)")
                let same = try alice.resolve(transaction, "--commit", "--json")
                #expect(same.status == RecoverTool.failed && same.output.contains("\"same_actor\""), "\(same)")
                let other = try bob.resolve(transaction, "--abort", "--force-heuristic")
                #expect(other.status == RecoverTool.somethingLeft, "another order is no confirmation: \(other)")
                #expect(try world.simulator.state(of: transaction) == .held)
                #expect(try world.recover().run("show", transaction).output.contains("PROPOSED"))
                let list = try world.recover().run("list").output
                #expect(list.contains("a second person: bob proposed aborted by force"), "\(list)")

                #expect(try alice.resolve(transaction, "--commit").status == RecoverTool.somethingLeft)
                let second = try bob.resolve(transaction, "--commit")
                #expect(second.status == RecoverTool.nothingLeft, "\(second)")
                #expect(try world.simulator.state(of: transaction) == .settled)
                try world.start()
                try world.finish()
            }
        }

        @Test(
            "Goal: an order without a server to take it, without who or why, or about nothing says what to do instead")
        func refusals() throws {
            try World.run { world in
                let unknown = "visa_00000000000000010000000000000002"
                let alice = Operator(world: world)
                let missing = try alice.resolve(unknown, "--commit")
                #expect(
                    missing.status == RecoverTool.failed && missing.errors.contains("there is no log"), "\(missing)")
                try world.start()
                #expect(try world.server().drain() == .code(0))
                for arguments in [
                    ["--online"], ["reversals", "retry", unknown, "--online", "--actor", "a", "--reason", "r"],
                ] {
                    let nobody = try world.recover().run(arguments)
                    #expect(nobody.status == RecoverTool.failed, "\(nobody)")
                    #expect(nobody.errors.contains("no server runs on") && nobody.errors.contains("without --online"))
                }
                #expect(try alice.resolve(unknown, "--commit").status == RecoverTool.failed)
                for wrong in [
                    ["resolve", unknown, "--commit"], ["resolve", unknown, "--actor", "a", "--reason", "r"],
                    ["resolve", unknown, "--commit", "--abort", "--actor", "a", "--reason", "r"],
                    ["resolve", unknown, "--commit", "--actor", " ", "--reason", "r"],
                    ["resolve", unknown, "--commit", "--actor", "a", "--reason", "card 4111111111111111"],
                    ["resolve", "visa_x", "--commit", "--actor", "a", "--reason", "r"],
                    ["--online", "--dry-run"],
                ] {
                    let result = try world.recover().run(wrong)
                    #expect(result.status == RecoverTool.usage, "\(wrong): \(result)")
                    #expect(!result.said.contains("4111"))
                }
                let epochs = try world.databases[0].query("SELECT epoch FROM holdfast_fence")
                #expect(epochs == [["1"]], "what is refused takes nothing over")
                try world.start()
                try world.finish()
            }
        }

        // MARK: - Orphans

        /// Prepares a branch of our log that the log knows nothing of, and holds its amount at the network.
        private func makeOrphan(_ world: World, number: Int, isHeld: Bool = true) throws -> (Payment, String) {
            let names = try world.databases[0].query(
                """
                SELECT application_name FROM pg_stat_activity
                WHERE application_name LIKE 'holdfast/%' AND datname = current_database() LIMIT 1
                """)
            let parts = try #require(names.first?.first).split(separator: "/")
            let digits = String(number)
            let transaction = "visa_" + String(repeating: "0", count: 32 - digits.count) + digits
            let payment = Payment(requestID: "orphan-\(number)", amount: "12.34", merchant: "MERCHANT001")
            let values = "'\(transaction)', 'MERCHANT001', 12.34, 'USD'"
            try world.databases[0].query(
                """
                SET ROLE \(PrivateCluster.serverRole);
                BEGIN;
                INSERT INTO transactions (txn_id, merchant, amount, currency, request_id, tx_type, pan_masked, status)
                VALUES (\(values), 'orphan-\(number)', 'AUTH', '\(payment.maskedPAN)', 'APPROVED');
                INSERT INTO merchant_entries (txn_id, merchant, amount, currency, kind) VALUES (\(values), 'AUTH');
                PREPARE TRANSACTION 'visa_\(parts[1])_\(parts[2])_\(transaction)_db1';
                """)
            if isHeld {
                try world.simulator.tell(
                    "prepare",
                    ["transaction_id": transaction, "amount": "12.34", "currency": "USD", "pan": payment.maskedPAN])
            }
            // The client's answer is lost with the log's record.
            world.ledger.note(payment, .lost)
            return (payment, transaction)
        }

        @Test("Goal: orphans are listed with a proposal, and taken in as ordered, beside a server and without one")
        func orphans() throws {
            try World.run { world in
                try world.start()
                let (_, first) = try makeOrphan(world, number: 41)
                let (_, second) = try makeOrphan(world, number: 42)
                let (_, third) = try makeOrphan(world, number: 43, isHeld: false)
                let list = try world.recover().run("orphans", "list")
                #expect(list.status == .code(0) && [first, second, third].allSatisfy(list.output.contains), "\(list)")
                #expect(list.output.contains("db1 prepared") && list.output.contains("--ask-network"), "\(list)")
                let asked = try world.recover().run("orphans", "list", "--ask-network", "--json")
                #expect(asked.output.contains(#""network" : "held""#), "\(asked)")
                #expect(asked.output.contains(#""network" : "unknown there""#), "\(asked)")
                #expect(asked.output.components(separatedBy: #""proposal" : "abort""#).count == 4, "\(asked)")
                // Longer than the server's periodic pass: it keeps them.
                Wait.sleep(.seconds(3))
                #expect(try world.preparedBranches().count == 3)

                var alice = Operator(world: world, isOnline: true)
                let made = try alice.order("orphans", "adopt", first, "--commit")
                #expect(made.status == RecoverTool.nothingLeft, "\(made)")
                #expect(try world.simulator.state(of: first) == .settled)
                #expect(try world.rows().map(\.transactionID) == [first])
                let twice = try alice.order("orphans", "adopt", first, "--abort", "--json")
                #expect(twice.status == RecoverTool.failed && twice.output.contains("\"known\""), "\(twice)")
                let nothing = try alice.order(
                    "orphans", "adopt", "visa_00000000000000010000000000000002", "--abort", "--json")
                #expect(nothing.status == RecoverTool.failed && nothing.output.contains("\"no_orphan\""), "\(nothing)")

                // Its branch names the epoch of the server that runs, which did not prepare it.
                #expect(try alice.order("orphans", "adopt", third, "--abort").status == RecoverTool.nothingLeft)
                #expect(try world.simulator.state(of: third) == .tombstone)
                #expect(try !world.preparedBranches().contains { $0.contains(third) }, "it is rolled back")

                alice.isOnline = false
                let busy = try alice.order("orphans", "adopt", second, "--abort")
                #expect(busy.status == RecoverTool.logInUse && busy.errors.contains("--online"), "\(busy)")
                #expect(try world.server().drain() == RecoverTool.somethingLeft, "orphans are left prepared")
                let undone = try alice.order("orphans", "adopt", second, "--abort")
                #expect(undone.status == RecoverTool.nothingLeft, "\(undone)")
                #expect(try world.simulator.state(of: second) == .released)
                #expect(try world.preparedBranches() == [])
                #expect(try world.recover().run("show", second).output.contains("ADOPTED as aborted"))
                #expect(try world.recover().run("orphans").output.contains("no orphan"))
                try world.start()
                try world.finish()
            }
        }

        @Test("Goal: what a database has committed is adopted as committed alone")
        func committedOrphan() throws {
            try World.run(databases: 1) { world in
                try world.start()
                let (_, transaction) = try makeOrphan(world, number: 44)
                try Operator(world: world).finishByHand(.commit)
                let alice = Operator(world: world, isOnline: true)
                let refused = try alice.order("orphans", "adopt", transaction, "--abort", "--json")
                #expect(refused.output.contains("\"contradicts_witness\""), "\(refused)")
                let done = try alice.order("orphans", "adopt", transaction, "--commit")
                #expect(done.status == RecoverTool.nothingLeft, "\(done)")
                #expect(try world.simulator.state(of: transaction) == .settled)
                try world.finish()
            }
        }
    }
}
