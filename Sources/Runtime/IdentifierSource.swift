public import Coordinator
public import Payments

/// Draws identifiers from the system's random source.
public enum IdentifierSource {
    public static func logID() -> LogID { LogID(high: random(), low: random()) }

    public static func incarnation() -> Incarnation { Incarnation(rawValue: random()) }

    /// 48 bits of milliseconds, then 80 random bits.
    public static func transaction(at now: WallTime) -> TransactionID {
        let milliseconds = UInt64(max(0, now.microseconds / 1000)) & 0xFFFF_FFFF_FFFF
        return TransactionID(high: milliseconds << 16 | random() & 0xFFFF, low: random())
    }

    /// For a request that names none: the letter r and 32 hexadecimal digits.
    public static func request() -> RequestID {
        guard let request = RequestID("r\(logID())") else { preconditionFailure("hexadecimal digits are visible") }
        return request
    }

    private static func random() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}
