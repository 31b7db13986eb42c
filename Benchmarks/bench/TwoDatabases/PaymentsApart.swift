import BenchmarkKit
import Coordinator
import Payments

/// Payments whose row and whose merchant's entry are in different databases, so that each has two branches.
///
/// Where they are is the deployment's rule (``Placement``): the request_id says where the row is, the merchant says where the entry
/// is. About every other payment's row is in the first database.
struct PaymentsApart {
    private static let card = "4111111111111111"
    private static let digestBytes = 32
    /// Merchants that are tried; each database has about half of them.
    private static let merchantsTried = 64

    /// A merchant of each database, in the order of the databases.
    private let merchants: [MerchantID]
    private let masked: MaskedPAN
    private let amount = Money(minorUnits: 1234, currency: .usDollar)
    private var number = 0

    init() throws {
        guard let pan = PAN(Self.card), let request = RequestID("x") else {
            throw BenchmarkFailure("the card of the benchmark is none")
        }
        masked = pan.masked
        merchants = try (1...2).map { database in
            let found = (0..<Self.merchantsTried).lazy.compactMap { MerchantID("SHOP\($0)") }.first { merchant in
                let intent = PaymentIntent(
                    requestID: request, kind: .authorization, amount: Money(minorUnits: 1, currency: .usDollar),
                    merchant: merchant, maskedPAN: pan.masked, panToken: Self.digest(0), requestHash: Self.digest(0),
                    reference: nil)
                return Placement.branches(of: intent, databases: 2).contains {
                    $0.participant == .database(DatabaseIndex(rawValue: UInt8(database)))
                        && $0.role.contains(.merchantEntry)
                }
            }
            guard let found else { throw BenchmarkFailure("no merchant's entries are in database \(database)") }
            return found
        }
    }

    /// Another payment each time.
    mutating func next() throws -> PaymentIntent {
        number += 1
        // In no order, as clients' keys are.
        let halves = [UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max)].map { String($0, radix: 16) }
        let digits = halves.map { String(repeating: "0", count: 16 - $0.count) + $0 }.joined()
        guard let request = RequestID("pay-" + digits) else { throw BenchmarkFailure("\(digits) makes no request_id") }
        let row = Placement.paymentDatabase(of: request, databases: 2)
        return PaymentIntent(
            requestID: request, kind: .authorization, amount: amount, merchant: merchants[row.rawValue == 1 ? 1 : 0],
            maskedPAN: masked, panToken: Self.digest(number), requestHash: Self.digest(number), reference: nil)
    }

    /// Of the size of a real one.
    private static func digest(_ number: Int) -> KeyedDigest {
        let bytes = withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
        return KeyedDigest(keyID: 1, bytes: [UInt8](repeating: 0, count: digestBytes - bytes.count) + bytes)
    }
}
