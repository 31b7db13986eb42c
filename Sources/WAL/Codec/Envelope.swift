/// The versions of the format; see FORMAT.md.
public enum LogFormat {
    /// What this program writes.
    public static let current: UInt8 = 2
    /// The oldest version that this program reads. The rule: version N reads what N - 1 wrote, so a server can be
    /// replaced by the next one without a stop for migration; what is touched is rewritten.
    public static let oldestReadable: UInt8 = 1
}

/// What a value is. The raw values are on disk and never reused.
enum ValueKind: UInt8, Sendable, CaseIterable {
    case formatMarker = 1
    case logIdentity = 2
    case owner = 3
    case nextLSN = 4
    case fence = 5
    case continuity = 6
    case wholeSince = 7
    case age = 8
    case serverStarted = 16
    case begin = 17
    case commit = 18
    case abort = 19
    case acknowledged = 20
    case end = 21
    case parked = 22
    case reversalRefused = 23
    case reversalClosed = 24
    case reversalParked = 25
    case resolutionProposed = 26
    case resolved = 27
    case adopted = 28
    case reopened = 29
    case reversalReleased = 30
    case quarantineReleased = 31
    case activeTransaction = 32
    case requestEntry = 33
    case reversalTask = 34
    case broken = 40
    case reconciled = 41
    case quarantined = 48
}

/// The frame of every value: version, kind, length and checksum before the payload.
enum Envelope {
    /// version u8, kind u8, length u32, CRC32C u32.
    static let headerBytes = 10
    private static let lengthOffset = 2
    private static let checksumOffset = 6

    static func seal(_ kind: ValueKind, _ body: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter(capacity: 320)
        seal(kind, into: &writer, body)
        return Array(writer.written)
    }

    /// Likewise; the value is all that the writer holds then.
    static func seal(_ kind: ValueKind, into writer: inout ByteWriter, _ body: (inout ByteWriter) -> Void) {
        writer.clear()
        writer.integer(LogFormat.current)
        writer.integer(kind.rawValue)
        writer.integer(UInt32(0))
        writer.integer(UInt32(0))
        body(&writer)
        writer.integer(UInt32(writer.written.count - headerBytes), at: lengthOffset)
        writer.integer(checksum(writer.written), at: checksumOffset)
    }

    /// Checks the frame.
    /// - Returns: what the value is, and a reader of its payload.
    static func open(_ value: UnsafeRawBufferPointer) throws(ValueFault) -> (ValueKind, ByteReader) {
        guard value.count >= headerBytes else { throw .tooShort(bytes: value.count) }
        let version = value[0]
        guard version <= LogFormat.current else { throw .newerVersion(version) }
        guard version >= LogFormat.oldestReadable else { throw .olderVersion(version) }
        let length = UInt32(littleEndian: value.loadUnaligned(fromByteOffset: lengthOffset, as: UInt32.self))
        guard Int(length) == value.count - headerBytes else {
            throw .length(stated: length, found: value.count - headerBytes)
        }
        let stored = UInt32(littleEndian: value.loadUnaligned(fromByteOffset: checksumOffset, as: UInt32.self))
        guard checksum(value) == stored else { throw .checksum }
        guard let kind = ValueKind(rawValue: value[1]) else { throw .kind(value[1]) }
        return (kind, ByteReader(UnsafeRawBufferPointer(rebasing: value[headerBytes...]), version: version))
    }

    /// Likewise, for a value that must be of `kind`.
    static func open(_ value: UnsafeRawBufferPointer, as kind: ValueKind) throws(ValueFault) -> ByteReader {
        let (found, reader) = try open(value)
        guard found == kind else { throw .kind(found.rawValue) }
        return reader
    }

    /// Covers everything but the four bytes that hold it.
    private static func checksum(_ value: UnsafeRawBufferPointer) -> UInt32 {
        let header = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: value[..<checksumOffset]))
        return CRC32C.checksum(UnsafeRawBufferPointer(rebasing: value[headerBytes...]), after: header)
    }
}
