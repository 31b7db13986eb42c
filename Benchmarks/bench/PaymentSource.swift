import Coordinator
import Payments
import Runtime

/// Makes payments like those of many clients: every card, request_id and digest is another one.
///
/// Everything but the transactions' names follows from the seed.
struct PaymentSource {
    private var numbers: SplitMix
    private let databases: Int
    private let merchant: [MerchantID]
    private let masked: MaskedPAN

    /// - Parameter databases: with several, a payment's row and its merchant's entry are always in different ones.
    init(seed: UInt64, databases: Int = 1) {
        numbers = SplitMix(state: seed)
        self.databases = databases
        guard let masked = MaskedPAN(masked: "400000******1234") else {
            preconditionFailure("a masked card number of the benchmark is not well formed")
        }
        self.masked = masked
        merchant = (1...64).compactMap { MerchantID("MERCHANT0\(9 + $0)") }
    }

    /// An authorization with a random request_id of 36 characters, as long as a UUID.
    ///
    /// - Parameter share: where among all request_ids it is to be, 0 to 1; anywhere if none is given.
    mutating func intent(at share: Double? = nil) -> PaymentIntent {
        let first = share.map { UInt64($0 * 0x1p63) << 1 } ?? numbers.next()
        guard let request = RequestID("pay-" + Self.hexadecimal(first) + Self.hexadecimal(numbers.next())) else {
            preconditionFailure("a request_id of the benchmark is not well formed")
        }
        let number = numbers.next()
        let (token, hash) = (numbers.bytes(), numbers.bytes())
        var place = Int(number >> 32)
        while true {
            let intent = PaymentIntent(
                requestID: request, kind: .authorization,
                amount: Money(minorUnits: Int64(1 + number % 1_000_000), currency: .usDollar),
                merchant: merchant[place % merchant.count], maskedPAN: masked,
                panToken: KeyedDigest(keyID: 1, bytes: token), requestHash: KeyedDigest(keyID: 1, bytes: hash),
                reference: nil)
            if databases == 1 || Self.isApart(intent, databases) { return intent }
            // Where this merchant's entries are is the row, too. Another one's are elsewhere.
            place += 1
        }
    }

    private static func isApart(_ intent: PaymentIntent, _ databases: Int) -> Bool {
        Placement.branches(of: intent, databases: databases).count { $0.participant != .clearing } > 1
    }

    mutating func submission() -> Submission {
        let intent = intent()
        return Submission(
            requestID: intent.requestID, isNamedByClient: true, requestHash: intent.requestHash,
            intent: .success(intent))
    }

    /// What the coordinator writes first of a payment.
    mutating func begin(epoch: Epoch, at share: Double? = nil) -> BeginRecord {
        let now = SystemClock.wall()
        let intent = intent(at: share)
        return BeginRecord(
            transaction: IdentifierSource.transaction(at: now), epoch: epoch, intent: intent,
            branches: Placement.branches(of: intent, databases: 1),
            deadline: WallTime(microseconds: now.microseconds + 30_000_000))
    }

    /// 16 digits.
    private static func hexadecimal(_ number: UInt64) -> String {
        String(unsafeUninitializedCapacity: 16) { buffer in
            for place in 0..<16 {
                let digit = UInt8(truncatingIfNeeded: number >> (60 - 4 * UInt64(place))) & 0xF
                buffer[place] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
            }
            return 16
        }
    }
}

/// Numbers that follow no order, quickly.
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// 32 bytes.
    mutating func bytes() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        bytes.withUnsafeMutableBytes { buffer in
            for place in stride(from: 0, to: 32, by: 8) {
                buffer.storeBytes(of: next(), toByteOffset: place, as: UInt64.self)
            }
        }
        return bytes
    }
}
