import NIOCore

/// Which request comes when: everything follows from the seed and the request's number, so that a check can ask for it again.
struct PaymentScript: Sendable, Equatable {
    enum Kind: UInt8, Sendable, CaseIterable {
        case authorization
        case capture
        case refund
        case reversal

        /// As the wire names it.
        var wireName: String {
            switch self {
            case .authorization: "AUTH"
            case .capture: "CAPTURE"
            case .refund: "REFUND"
            case .reversal: "REVERSAL"
            }
        }
    }

    /// Shares of the kinds; they need not add up to one.
    struct Mix: Sendable, Equatable {
        var shares: [Double] = [1, 0, 0, 0]

        /// Reads `auth=90,capture=5,refund=3,reversal=2`; `nil` if it is anything else.
        init?(_ text: String) {
            var shares = [Double](repeating: 0, count: Kind.allCases.count)
            for part in text.split(separator: ",") {
                let pair = part.split(separator: "=", maxSplits: 1)
                guard pair.count == 2, let kind = Kind.allCases.first(where: { $0.wireName == pair[0].uppercased() }),
                    let share = Double(pair[1]), share >= 0, share.isFinite
                else { return nil }
                shares[Int(kind.rawValue)] = share
            }
            guard shares.reduce(0, +) > 0 else { return nil }
            self.shares = shares
        }

        init() {}

        func kind(at point: Double) -> Kind {
            var rest = point * shares.reduce(0, +)
            for kind in Kind.allCases {
                rest -= shares[Int(kind.rawValue)]
                if rest < 0 { return kind }
            }
            return .authorization
        }
    }

    var seed: UInt64 = 1
    /// The first characters of every request_id; two runs against one server need two.
    var prefix = "load"
    /// Different cards; further payments use them again.
    var cards = 1_000_000
    var merchants = 100
    var mix = Mix()
    /// The share of requests that repeat an earlier one of the same connection's loop, 0 to 1.
    var replays = 0.0

    /// A number between 0 and 1 for a request, another one for each use.
    func draw(_ number: Int, _ use: UInt64) -> Double {
        var random = SplitMix(state: seed ^ UInt64(bitPattern: Int64(number)) &* 0x9E37_79B9_7F4A_7C15 ^ use << 56)
        _ = random.next()
        return Double(random.next() >> 11) / Double(1 << 53)
    }

    func requestID(_ number: Int) -> String { "\(prefix)-\(number)" }

    /// With two decimals.
    func amount(_ number: Int) -> String {
        let cents = 100 + number % 899_900
        return "\(cents / 100).\(cents % 100 < 10 ? "0" : "")\(cents % 100)"
    }

    /// Sixteen digits with a valid check digit, from a range that no issuer uses (ISO/IEC 7812: the leading 9 is for national use).
    func card(_ number: Int) -> [UInt8] {
        var digits = [UInt8](repeating: UInt8(ascii: "0"), count: 16)
        digits[0] = UInt8(ascii: "9")
        var rest = number % cards
        // The leading digit is doubled.
        var sum = 9
        for position in stride(from: 14, to: 0, by: -1) {
            let digit = rest % 10
            rest /= 10
            digits[position] += UInt8(digit)
            sum += position.isMultiple(of: 2) ? digit * 2 - (digit > 4 ? 9 : 0) : digit
        }
        digits[15] += UInt8((10 - sum % 10) % 10)
        return digits
    }

    /// What a line takes, about, bytes.
    private static let lineBytesUsual = 256

    /// The request's line with its line feed.
    ///
    /// - Parameter reference: the number of the payment that it acts on; `nil` for an authorization.
    func line(_ number: Int, kind: Kind, reference: Int?) -> ByteBuffer {
        var line = ByteBufferAllocator().buffer(capacity: Self.lineBytesUsual)
        line.writeStaticString(#"{"pan":""#)
        line.writeBytes(card(reference ?? number))
        line.writeStaticString(#"","amount":""#)
        line.writeString(amount(reference ?? number))
        line.writeStaticString(#"","currency":"USD","request_id":""#)
        writeRequestID(number, to: &line)
        line.writeStaticString(#"","merchant":"M"#)
        line.writeString(String(number % merchants))
        if kind != .authorization {
            line.writeStaticString(#"","type":""#)
            line.writeString(kind.wireName)
        }
        if let reference {
            line.writeStaticString(#"","ref_request_id":""#)
            writeRequestID(reference, to: &line)
        }
        line.writeStaticString("\"}\n")
        return line
    }

    private func writeRequestID(_ number: Int, to line: inout ByteBuffer) {
        line.writeString(prefix)
        line.writeStaticString("-")
        line.writeString(String(number))
    }
}

/// A small generator with a good spread of its first values (Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", 2014).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
