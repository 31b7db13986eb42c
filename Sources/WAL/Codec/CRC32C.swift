import CChecksum

/// The cyclic redundancy check of RFC 3720 (iSCSI), appendix B.4: polynomial 0x1EDC6F41, reflected, by the processor's own
/// instruction where it has one, else eight bytes at a step with tables.
enum CRC32C {
    /// The polynomial with its bits reflected.
    private static let polynomial: UInt32 = 0x82F6_3B78

    private static let isInProcessor = holdfast_has_crc32c() != 0

    /// Eight tables of 256: table k tells what a byte does to the checksum k bytes later.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var value = UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ polynomial : value >> 1 }
            tables[byte] = value
        }
        for index in 256..<tables.count {
            let before = tables[index - 256]
            tables[index] = (before >> 8) ^ tables[Int(before & 0xFF)]
        }
        return tables
    }()

    static func checksum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { checksum($0) } }

    /// - Parameter earlier: the checksum of what came before `bytes`.
    static func checksum(_ bytes: UnsafeRawBufferPointer, after earlier: UInt32 = 0) -> UInt32 {
        guard isInProcessor else { return checksumByTables(bytes, after: earlier) }
        return ~holdfast_crc32c(~earlier, bytes.baseAddress, UInt(bytes.count))
    }

    static func checksumByTables(_ bytes: UnsafeRawBufferPointer, after earlier: UInt32 = 0) -> UInt32 {
        tables.withUnsafeBufferPointer { tables in
            var value = ~earlier
            var offset = 0
            while bytes.count - offset >= 8 {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                let mixed = word ^ UInt64(value)
                value = 0
                for byte in 0..<8 {
                    value ^= tables[(7 - byte) * 256 + Int((mixed >> UInt64(8 * byte)) & 0xFF)]
                }
                offset += 8
            }
            while offset < bytes.count {
                value = (value >> 8) ^ tables[Int(UInt8(truncatingIfNeeded: value) ^ bytes[offset])]
                offset += 1
            }
            return ~value
        }
    }
}
