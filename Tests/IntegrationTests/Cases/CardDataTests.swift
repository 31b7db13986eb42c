import Foundation
import Testing

@testable import Harness

extension Integration {
    @Suite struct CardDataTests {
        @Test(
            "Goal: no card number is anywhere: log, log lines, databases (their files and write-ahead log included), books"
        )
        func noCardNumberAnywhere() throws {
            try World.run(databases: 2) { world in
                var server = try world.start()
                try world.simulator.set(Faults(errorRate: 0.2, lostReplyRate: 0.2, declineRate: 0.1))
                let load = Load(
                    LoadPlan(connections: 8, payments: 300, prefix: "card"), port: server.configuration.port)
                try Wait.until("half of the payments are answered", within: .seconds(60)) { load.answers >= 150 }
                server.crash()
                server = try world.start()
                world.ledger.add(try load.finish(within: .seconds(120)))

                // Requests that are refused carry card numbers too, and so do those that are not understood at all.
                var cards = Set(world.ledger.all.map(\.payment.pan))
                for (number, template) in Self.refusedTemplates.enumerated() {
                    let card = number % 2 == 0 ? TestCards.next() : TestCards.invalid()
                    cards.insert(card)
                    let client = try server.client()
                    try client.send(line: template.replacingOccurrences(of: "PAN", with: card))
                    #expect(try client.answer().status == .declined)
                }
                let inURL = TestCards.next()
                cards.insert(inURL)
                #expect(try server.ask("GET /tx?request_id=nobody&pan=\(inURL)").hasPrefix("{"))

                // A failing statement would be in PostgreSQL's own log with its values.
                try world.finish()
                let cluster = world.databases[0].cluster
                for (number, database) in world.databases.enumerated() {
                    try cluster.dump(database.name).write(
                        toFile: "\(world.directory)/dump-\(number)", atomically: false, encoding: .utf8)
                }
                try cluster.query("CHECKPOINT")
                let places = [world.directory] + cluster.storage
                #expect(try CardScan.filesHolding(cards, in: places) == [])
                // The dumps really hold the payments: their masked forms are there.
                let masked = try #require(world.rows().first?.maskedPAN)
                let isDumped = try world.databases.indices.contains {
                    try Files.text("\(world.directory)/dump-\($0)").contains(masked)
                }
                #expect(isDumped)
            }
        }

        private static let refusedTemplates = [
            #"{"pan":"PAN","amount":"-1"}"#, #"{"pan":"PAN","amount":"1.00"}"#, #"{"pan":"PAN","amount":"1.00""#,
            #"{"pan":"PAN","pan":"PAN","amount":"1.00"}"#, #"pan=PAN&amount=1"#,
            #"{"pan":"PAN","amount":"1.00","type":"PAN"}"#,
            #"{"pan":"PAN","amount":"1.00","currency":"PAN"}"#, #"{"pan":"PAN","amount":"PAN"}"#,
            #"{"card":"PAN"}"#, "PAN",
        ]
    }
}
