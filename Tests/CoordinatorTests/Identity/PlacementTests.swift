import Coordinator
import Payments
import Testing

@Suite struct PlacementTests {
    private static func intent(_ request: String, merchant: String) throws -> PaymentIntent {
        let sample = Samples.intent()
        return PaymentIntent(
            requestID: try #require(RequestID(request)), kind: .authorization, amount: sample.amount,
            merchant: try #require(MerchantID(merchant)), maskedPAN: sample.maskedPAN, panToken: sample.panToken,
            requestHash: sample.requestHash, reference: nil)
    }

    /// Where a payment lives is a promise for the life of the log: these numbers may never change.
    /// They were computed by another program.
    @Test(
        arguments: [
            ("order-1", 2, 1), ("order-2", 2, 2), ("order-1", 3, 1), ("a", 3, 2), ("~", 255, 173),
            ("9f3c2f0e-6a1d-4a55-8d4e-0b6f0f1f2a3b", 3, 1), ("order-1", 1, 1),
        ] as [(String, Int, UInt8)])
    func goldenPlaces(_ request: String, _ databases: Int, _ place: UInt8) throws {
        let id = try #require(RequestID(request))
        #expect(Placement.paymentDatabase(of: id, databases: databases).rawValue == place)
    }

    @Test func oneDatabaseHoldsBothRows() throws {
        let branches = Placement.branches(of: try Self.intent("r", merchant: "m"), databases: 1)
        #expect(
            branches == [
                Branch(participant: .clearing),
                Branch(participant: .database(DatabaseIndex(rawValue: 1)), role: [.payment, .merchantEntry]),
            ])
    }

    /// One or two database branches; the payment's row in exactly one, the entry in exactly one, and the network first.
    @Test(arguments: [1, 2, 3, 7, 255]) func everyPaymentHasOneWitness(_ databases: Int) throws {
        var twoBranches = 0
        for number in 0..<200 {
            let intent = try Self.intent("request-\(number)", merchant: "merchant-\(number % 20)")
            let branches = Placement.branches(of: intent, databases: databases)
            #expect(branches.first == Branch(participant: .clearing))
            let payment = branches.filter { $0.role.contains(.payment) }
            #expect(payment.count == 1)
            #expect(branches.count { $0.role.contains(.merchantEntry) } == 1)
            #expect(Set(branches.map(\.participant)).count == branches.count)
            let home = Placement.paymentDatabase(of: intent.requestID, databases: databases)
            #expect(payment.first?.participant == .database(home))
            #expect(branches == Placement.branches(of: intent, databases: databases))
            if branches.count == 3 { twoBranches += 1 }
        }
        #expect((twoBranches == 0) == (databases == 1))
    }

    /// Identifiers that only count up are spread as well as random ones.
    @Test(arguments: [2, 3, 4, 8, 16, 100, 255]) func paymentsAreSpreadEvenly(_ databases: Int) throws {
        var counts = Array(repeating: 0, count: databases)
        let perDatabase = 400
        for number in 0..<(databases * perDatabase) {
            let id = try #require(RequestID("order-\(number)"))
            let place = Int(Placement.paymentDatabase(of: id, databases: databases).rawValue)
            try #require((1...databases).contains(place))
            counts[place - 1] += 1
        }
        // Six standard deviations of a fair spread.
        let allowed = 6 * Double(perDatabase).squareRoot()
        #expect(
            counts.allSatisfy { abs(Double($0 - perDatabase)) < allowed },
            "\(counts.min() ?? 0) to \(counts.max() ?? 0)")
    }
}
