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
        var digits: [UInt8] = Array(repeating: 0, count: 16)
        digits[0] = 9
        var rest = number % cards
        for position in stride(from: 14, to: 0, by: -1) {
            digits[position] = UInt8(rest % 10)
            rest /= 10
        }
        var sum = 0
        for (position, digit) in digits.dropLast().reversed().enumerated() {
            let doubled = position.isMultiple(of: 2) ? Int(digit) * 2 : Int(digit)
            sum += doubled > 9 ? doubled - 9 : doubled
        }
        digits[15] = UInt8((10 - sum % 10) % 10)
        return digits.map { $0 + 48 }
    }

    /// The request's line with its line feed.
    ///
    /// - Parameter reference: the number of the payment that it acts on; `nil` for an authorization.
    func line(_ number: Int, kind: Kind, reference: Int?) -> String {
        let card = String(decoding: card(reference ?? number), as: UTF8.self)
        var line =
            #"{"pan":"\#(card)","amount":"\#(amount(reference ?? number))","currency":"USD","request_id":"\#(requestID(number))""#
            + #","merchant":"M\#(number % merchants)""#
        if kind != .authorization { line += #","type":"\#(kind.wireName)""# }
        if let reference { line += #","ref_request_id":"\#(requestID(reference))""# }
        return line + "}\n"
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
