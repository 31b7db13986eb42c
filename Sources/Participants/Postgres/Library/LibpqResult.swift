import CPostgres

/// Owns one `PGresult`; freed with `PQclear` as libpq's documentation asks for every result.
struct LibpqResult: ~Copyable {
    private let handle: OpaquePointer

    init(owning handle: OpaquePointer) { self.handle = handle }

    deinit { PQclear(handle) }

    enum Status {
        case commandOK
        case rows
        case error
        /// A statement that the server skipped because an earlier one of its segment failed.
        case skipped
        /// The end of a segment.
        case sync
        /// COPY, single rows, an empty query: nothing that we ever ask for.
        case unexpected
    }

    var status: Status {
        switch PQresultStatus(handle) {
        case PGRES_COMMAND_OK: .commandOK
        case PGRES_TUPLES_OK: .rows
        case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE, PGRES_NONFATAL_ERROR: .error
        case PGRES_PIPELINE_ABORTED: .skipped
        case PGRES_PIPELINE_SYNC: .sync
        default: .unexpected
        }
    }

    /// The command tag, such as `INSERT 0 1`.
    var tag: String { PQcmdStatus(handle).map { String(cString: $0) } ?? "" }

    /// Compares without making a string: every statement of every payment comes by here.
    func hasTag(_ expected: StaticString) -> Bool {
        guard let tag = PQcmdStatus(handle) else { return false }
        return expected.withUTF8Buffer { expected in
            for (index, byte) in expected.enumerated() where UInt8(bitPattern: tag[index]) != byte { return false }
            return tag[expected.count] == 0
        }
    }

    /// Every row, as text. For small results.
    var rows: [[String?]] {
        let columns = PQnfields(handle)
        return (0..<PQntuples(handle)).map { row in
            (0..<columns).map { column in
                guard PQgetisnull(handle, row, column) == 0, let value = PQgetvalue(handle, row, column) else {
                    return nil
                }
                return String(cString: value)
            }
        }
    }

    var error: SQLError {
        SQLError(
            code: field(SQLError.Field.code) ?? "",
            severity: field(SQLError.Field.severity) ?? "",
            message: field(SQLError.Field.message)
                ?? PQresultErrorMessage(handle).map { LibpqText.firstLine(of: String(cString: $0)) }
                ?? "no message")
    }

    private func field(_ code: Int32) -> String? { PQresultErrorField(handle, code).map { String(cString: $0) } }
}

/// What a server said of a failed statement. Without DETAIL, CONTEXT and the statement: they may show values.
struct SQLError: Error, Sendable, Equatable, CustomStringConvertible {
    /// SQLSTATE; empty if libpq itself made the error.
    let code: String
    /// Not localized: ERROR, FATAL or PANIC; empty if libpq itself made the error.
    let severity: String
    let message: String

    /// Only an error of this severity leaves the session alive, so that what follows it is skipped for certain.
    var leavesSessionAlive: Bool { severity == "ERROR" }

    var description: String { code.isEmpty ? message : "\(message) (SQLSTATE \(code))" }

    /// The identifiers of `postgres_ext.h`, which are character constants that Swift does not import.
    enum Field {
        static let severity = Int32(UInt8(ascii: "V"))
        static let code = Int32(UInt8(ascii: "C"))
        static let message = Int32(UInt8(ascii: "M"))
    }
}

enum LibpqText {
    /// libpq's messages end in a newline and may have several lines; the first says what happened.
    static func firstLine(of text: String) -> String {
        let lines = text.split(whereSeparator: \.isNewline)
        return lines.first.map(String.init) ?? "no message"
    }
}
