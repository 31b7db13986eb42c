/// Names one log, made once with the state directory: 128 random bits.
public struct LogID: Sendable, Hashable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Takes the 32 lower-case hexadecimal digits that ``description`` gives.
    public init?(_ text: some StringProtocol) {
        guard let (high, low) = Hexadecimal.parse128(text) else { return nil }
        self.init(high: high, low: low)
    }

    public var description: String { Hexadecimal.text("", high, low) }
}

/// Names a global transaction: `visa_` and 32 hexadecimal digits.
///
/// The upper half begins with the time, so that keys in the log grow nearly in order (as in UUID version 7, RFC 9562);
/// nothing else is read from it.
public struct TransactionID: Sendable, Hashable, Comparable, CustomStringConvertible {
    public static let prefix = "visa_"

    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public init?(_ text: some StringProtocol) {
        guard text.hasPrefix(Self.prefix),
            let (high, low) = Hexadecimal.parse128(text.dropFirst(Self.prefix.count))
        else { return nil }
        self.init(high: high, low: low)
    }

    public static func < (left: Self, right: Self) -> Bool {
        left.high == right.high ? left.low < right.low : left.high < right.high
    }

    public var description: String { Hexadecimal.text("visa_", high, low) }
}

/// Counts the starts of a server on one log; only the holder of the state directory's lock raises it. Starts at 1.
public struct Epoch: RawRepresentable, Sendable, Hashable, Comparable, CustomStringConvertible {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    public var description: String { String(rawValue) }
}

/// A random number drawn at each start, so that two copies of one state directory that raise the epoch to the same value
/// are told apart.
public struct Incarnation: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count == 16, let value = UInt64(text, radix: 16), Hexadecimal.text(value) == text else {
            return nil
        }
        rawValue = value
    }
    public var description: String { Hexadecimal.text(rawValue) }
}

/// What a database is told at each start: who may work on this log's behalf from now on.
public struct FencePair: Sendable, Hashable, CustomStringConvertible {
    public let epoch: Epoch
    public let incarnation: Incarnation

    public init(epoch: Epoch, incarnation: Incarnation) {
        self.epoch = epoch
        self.incarnation = incarnation
    }

    public var description: String { "\(epoch)/\(incarnation)" }
}

/// The position of a record in the log: 1, 2, 3 and so on, never reused.
public struct LSN: RawRepresentable, Sendable, Hashable, Comparable, CustomStringConvertible {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// The position after it. No log comes to the last one; a damaged key may name it, and is not what a program ends of.
    public var next: LSN { LSN(rawValue: rawValue == .max ? .max : rawValue + 1) }
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    public var description: String { String(rawValue) }
}

/// The number of a configured database: 1 for the first.
public struct DatabaseIndex: RawRepresentable, Sendable, Hashable, Comparable, CustomStringConvertible {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    public var description: String { "db\(rawValue)" }
}

enum Hexadecimal {
    private static let digits = Array("0123456789abcdef".utf8)

    /// Sixteen lower-case digits.
    static func text(_ value: UInt64) -> String {
        String(unsafeUninitializedCapacity: 16) { buffer in write(value, buffer[0..<16]) }
    }

    /// 32 lower-case digits behind `prefix`, which is ASCII.
    static func text(_ prefix: StaticString, _ high: UInt64, _ low: UInt64) -> String {
        let length = prefix.utf8CodeUnitCount
        return String(unsafeUninitializedCapacity: length + 32) { buffer in
            prefix.withUTF8Buffer { _ = buffer.update(fromContentsOf: $0) }
            _ = write(high, buffer[length..<length + 16])
            return length + 16 + write(low, buffer[(length + 16)..<(length + 32)])
        }
    }

    /// - Returns: how many digits these are.
    private static func write(_ value: UInt64, _ place: Slice<UnsafeMutableBufferPointer<UInt8>>) -> Int {
        var rest = value
        for index in place.indices.reversed() {
            let digit = UInt8(truncatingIfNeeded: rest & 0xF)
            place.base[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
            rest >>= 4
        }
        return place.count
    }

    /// Exactly 32 lower-case digits.
    static func parse128(_ text: some StringProtocol) -> (high: UInt64, low: UInt64)? {
        guard text.utf8.count == 32, text.utf8.allSatisfy(digits.contains),
            let high = UInt64(text.prefix(16), radix: 16), let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        return (high, low)
    }
}
