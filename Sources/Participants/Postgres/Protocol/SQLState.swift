/// What an SQLSTATE means for two-phase commit. This is the only table of them.
///
/// The codes are of PostgreSQL's appendix A; a class is the first two characters.
enum SQLState: Equatable {
    /// A row with the same unique key is committed.
    case uniqueViolation
    /// The statement gave up waiting for a lock, maybe that of a prepared transaction with the same request_id.
    case lockWait
    /// The prepared transaction is being worked on by another session.
    case busy
    /// There is no such prepared transaction (COMMIT PREPARED, ROLLBACK PREPARED).
    case undefinedObject
    /// The gid is taken (PREPARE TRANSACTION).
    case duplicateObject
    /// No memory, disk, connection or prepared slot.
    case resources
    /// The transaction was rolled back and may be tried again: serialization, deadlock.
    case rolledBack
    /// A constraint, checked at the end.
    case integrity
    /// Not allowed here, now or to this role: nothing was done.
    case notPossible
    /// The session ends: what it was doing is unknown.
    case connectionLost
    case other

    /// The code of a warning that belongs to no class of its own: a given-up wait for a synchronous standby.
    static let warning = "01000"

    init(_ code: String) {
        switch code {
        case "23505": self = .uniqueViolation
        case "55P03", "57014", "40P01": self = .lockWait
        case "55000", "55006": self = .busy
        case "42704": self = .undefinedObject
        case "42710": self = .duplicateObject
        case "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04", "": self = .connectionLost
        default:
            switch code.prefix(2) {
            case "08": self = .connectionLost
            case "53": self = .resources
            case "40": self = .rolledBack
            case "23": self = .integrity
            case "0A", "22", "25", "28", "42": self = .notPossible
            default: self = .other
            }
        }
    }
}
