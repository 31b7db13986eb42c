/// FNV-1a, 64 bits: tells contents apart and finds damaged lines. Not for anything that somebody wants to forge.
struct Fingerprint {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }

    /// Adds a text and its end, so that ("ab", "c") and ("a", "bc") differ.
    mutating func add(field text: String) {
        add(text.utf8)
        add(CollectionOfOne(0xFF))
    }

    static func text(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
