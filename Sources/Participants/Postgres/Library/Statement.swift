/// One statement of a job's pipeline.
struct Statement {
    enum Body {
        case text(String, Parameters)
        case prepared(name: StaticString, Parameters)
        /// Makes a prepared statement of the session.
        case prepare(name: StaticString, sql: StaticString)
    }

    let body: Body
    /// The command tag that alone means success; `nil` for a query, which succeeds with rows.
    let expectedTag: StaticString?
    /// Whether a sync follows: an error skips the rest of its segment, and a segment without BEGIN is a transaction.
    let endsSegment: Bool

    /// Something that is not a query, as text.
    static func command(
        _ sql: String, _ parameters: Parameters = Parameters(), tag: StaticString, endsSegment: Bool = false
    ) -> Statement {
        Statement(body: .text(sql, parameters), expectedTag: tag, endsSegment: endsSegment)
    }

    static func command(
        prepared name: StaticString, _ parameters: Parameters = Parameters(), tag: StaticString,
        endsSegment: Bool = false
    ) -> Statement {
        Statement(body: .prepared(name: name, parameters), expectedTag: tag, endsSegment: endsSegment)
    }

    static func query(
        _ sql: String, _ parameters: Parameters = Parameters(), endsSegment: Bool = false
    ) -> Statement {
        Statement(body: .text(sql, parameters), expectedTag: nil, endsSegment: endsSegment)
    }

    static func query(
        prepared name: StaticString, _ parameters: Parameters = Parameters(), endsSegment: Bool = false
    ) -> Statement {
        Statement(body: .prepared(name: name, parameters), expectedTag: nil, endsSegment: endsSegment)
    }

    static func prepare(_ name: StaticString, _ sql: StaticString, endsSegment: Bool = false) -> Statement {
        Statement(body: .prepare(name: name, sql: sql), expectedTag: "", endsSegment: endsSegment)
    }
}

/// What became of a statement.
enum StatementResult: Equatable {
    /// With the rows, if it was a query.
    case ok([[String?]])
    /// The server did something else than was asked for.
    case unexpectedTag(String)
    case failed(SQLError)
    /// An earlier statement of the segment failed.
    case skipped

    var rows: [[String?]]? {
        switch self {
        case .ok(let rows): rows
        case .unexpectedTag, .failed, .skipped: nil
        }
    }

    var error: SQLError? {
        switch self {
        case .failed(let error): error
        case .ok, .unexpectedTag, .skipped: nil
        }
    }
}

/// The parameters of a statement, laid out for libpq: one piece of memory, every value followed by a zero byte.
struct Parameters {
    private var bytes: [UInt8] = []
    /// Where each value begins in `bytes`; -1 for NULL.
    private var offsets: [Int32] = []
    private var lengths: [Int32] = []
    /// 0 is text, 1 is binary.
    private var formats: [Int32] = []

    init() {}

    /// - Parameter count: how many there will be.
    init(capacity count: Int, bytes: Int) {
        self.bytes.reserveCapacity(bytes)
        offsets.reserveCapacity(count)
        lengths.reserveCapacity(count)
        formats.reserveCapacity(count)
    }

    /// Text parameters; none of them may hold a zero byte, which PostgreSQL's text cannot hold either.
    init(_ texts: String?...) {
        self.init(capacity: texts.count, bytes: 64 * texts.count)
        for text in texts { append(text) }
    }

    mutating func append(_ text: String?) {
        guard let text else { return appendNull() }
        offsets.append(Int32(bytes.count))
        lengths.append(Int32(text.utf8.count))
        formats.append(0)
        bytes.append(contentsOf: text.utf8)
        bytes.append(0)
    }

    /// A `bytea`, as it is.
    mutating func append(binary: [UInt8]) {
        offsets.append(Int32(bytes.count))
        lengths.append(Int32(binary.count))
        formats.append(1)
        bytes.append(contentsOf: binary)
        bytes.append(0)
    }

    private mutating func appendNull() {
        offsets.append(-1)
        lengths.append(0)
        formats.append(0)
    }

    func withArrays<Result>(
        scratch: inout [UnsafePointer<CChar>?],
        _ body: (
            _ count: Int32, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?
        ) -> Result
    ) -> Result {
        guard !offsets.isEmpty else { return body(0, nil, nil, nil) }
        return bytes.withUnsafeBytes { bytes in
            scratch.removeAll(keepingCapacity: true)
            for offset in offsets {
                // No base address means that every value is NULL.
                scratch.append(
                    offset < 0
                        ? nil : bytes.baseAddress.map { ($0 + Int(offset)).assumingMemoryBound(to: CChar.self) })
            }
            return scratch.withUnsafeBufferPointer { values in
                lengths.withUnsafeBufferPointer { lengths in
                    formats.withUnsafeBufferPointer { formats in
                        body(Int32(offsets.count), values.baseAddress, lengths.baseAddress, formats.baseAddress)
                    }
                }
            }
        }
    }
}
