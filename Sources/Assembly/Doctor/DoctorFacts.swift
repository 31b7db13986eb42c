import ClearingParticipant
import Coordinator
import PostgresParticipant
import WAL

/// Everything that a preflight's judgement goes by. Gathered by ``Doctor``.
struct DoctorFacts: Sendable {
    /// What is configured, as far as something is compared with it.
    struct Configuration: Sendable {
        var stateDirectory: String
        var allowsUnsafeFileSystem: Bool
        var logMapBytes: Int
        var reserveBytes: Int
        var freeBytesMin: Int
        /// Where each database is, without a password.
        var databases: [String]
        var poolSize: Int
        var lockTimeout: Milliseconds
        var statementTimeout: Milliseconds
        var clientCheckInterval: Milliseconds
        var inFlightMax: Int
        var prepareTimeout: Milliseconds
    }

    enum State: Sendable {
        case seen(StateDirectoryFacts)
        case missing
        case failed(String)
    }

    enum Log: Sendable {
        case absent
        case unreadable(String)
        case seen(Content)

        struct Content: Sendable {
            var log: LogID
            var fences: [DatabaseFence]
            /// Pairs of starts that the log knows, before and after the databases were asked.
            var owners: [FencePair]
            var unfinished: Int
            var reversals: Int
            var quarantined: Int
            var nextLSN: LSN
            /// How far the newest record is in the future, by this machine's clock.
            var clockBehind = Milliseconds.zero
            /// `nil` with the reason if it could not be measured.
            var usage: Result<LogUsage, LogError>
        }
    }

    struct Clearing: Sendable {
        var probe: ClearingProbe
        var microseconds: Int64
    }

    struct TokenKey: Sendable {
        var path: String
        var file: File

        enum File: Sendable, Hashable {
            case missing
            case failed(String)
            case there(mode: UInt32, bytes: Int, isRegular: Bool, isReadable: Bool)
        }
    }

    var configuration: Configuration
    var state: State
    var log: Log
    var tokenKey: TokenKey
    var databases: [Result<PostgresDiagnosis, PostgresDiagnosisError>]
    var clearing: Clearing
}
