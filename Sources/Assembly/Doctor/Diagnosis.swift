import ClearingParticipant
import Coordinator
import PostgresParticipant
import WAL

/// Judges what a preflight found: facts in, findings out. No clock, no I/O.
struct Diagnosis {
    let facts: DoctorFacts

    var findings: [DoctorFinding] {
        var all = configuration + state + log + tokenKey
        for (offset, result) in facts.databases.enumerated() {
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            switch result {
            case .success(let seen): all += database(index, seen)
            case .failure(let error): all.append(notSeen(index, error))
            }
        }
        return all + clearing
    }

    // MARK: Configuration

    private var configuration: [DoctorFinding] {
        var findings = [databaseCount]
        if let same = sameDatabase { findings.append(same) }
        let settings = facts.configuration
        if settings.lockTimeout >= settings.prepareTimeout {
            findings.append(
                DoctorFinding(
                    "configuration", "configuration.lock_timeout", .warning,
                    "LOCK_TIMEOUT_MS is \(settings.lockTimeout), not less than TWOPC_PREPARE_TIMEOUT "
                        + "(\(settings.prepareTimeout))",
                    advice:
                        "set LOCK_TIMEOUT_MS well below TWOPC_PREPARE_TIMEOUT: a payment that waits for a lock would "
                        + "use up its whole deadline"))
        }
        return findings
    }

    private var databaseCount: DoctorFinding {
        let count = facts.configuration.databases.count
        let found = "\(count) database\(count == 1 ? "" : "s") configured"
        guard case .seen(let log) = facts.log else {
            return DoctorFinding("configuration", "configuration.databases", .ok, found)
        }
        let known = log.fences.map { Int($0.database.rawValue) }.max() ?? 0
        guard known > 0, known != count else {
            return DoctorFinding("configuration", "configuration.databases", .ok, found)
        }
        return DoctorFinding(
            "configuration", "configuration.databases", .problem, found + ", and the log was made with \(known)",
            advice:
                "name the same databases in the same order as at the first start, or begin with a new STATE_DIR; the "
                + "server refuses to start like this")
    }

    /// Two numbers that lead to one database.
    private var sameDatabase: DoctorFinding? {
        var seen: [DatabaseIdentity: Int] = [:]
        for (offset, result) in facts.databases.enumerated() {
            guard case .success(let diagnosis) = result else { continue }
            guard let first = seen.updateValue(offset + 1, forKey: diagnosis.identity) else { continue }
            return DoctorFinding(
                "configuration", "configuration.same_database", .problem,
                "db\(first) and db\(offset + 1) are the same database (\(diagnosis.identity))",
                advice: "give each number a database of its own in DB_URI")
        }
        return nil
    }

    // MARK: The key of the tokens

    private var tokenKey: [DoctorFinding] {
        let path = facts.tokenKey.path
        func finding(_ level: DoctorFinding.Level, _ found: String, _ advice: String? = nil) -> [DoctorFinding] {
            [DoctorFinding("token_key", "token_key.file", level, "\(path) \(found)", advice: advice)]
        }
        switch facts.tokenKey.file {
        case .missing:
            guard case .seen = facts.log else {
                return finding(
                    .note, "does not exist",
                    "the server makes one at its first start; if other servers of this deployment have one, copy it here"
                )
            }
            return finding(
                .warning, "does not exist, and there is a log already",
                "put the key of this deployment back (TOKEN_KEY_FILE); with a new one, tokens of the same card differ "
                    + "before and after")
        case .failed(let reason):
            return finding(.problem, "cannot be examined: \(reason)", "make it readable for the server's user")
        case .there(let mode, let bytes, let isRegular, let isReadable):
            guard isRegular else { return finding(.problem, "is no file", "point TOKEN_KEY_FILE at a file") }
            let found = "is there, \(bytes) bytes, mode \(Self.octal(mode))"
            guard mode & 0o077 == 0 else {
                return finding(
                    .problem, found + ": others may read it", "chmod 600 \(path); the server refuses it like this")
            }
            guard isReadable else {
                return finding(.problem, found + ": we may not read it", "make it readable for the server's user")
            }
            guard (64...72).contains(bytes) else {
                return finding(
                    .problem, found + ": a key has 64 hexadecimal digits", "put the key of this deployment back")
            }
            return finding(.ok, found)
        }
    }

    // MARK: The network

    private var clearing: [DoctorFinding] {
        let milliseconds = Self.milliseconds(facts.clearing.microseconds)
        func finding(
            _ level: DoctorFinding.Level, _ found: String, _ advice: String? = nil, isUnreachable: Bool = false
        ) -> [DoctorFinding] {
            [
                DoctorFinding(
                    "clearing", "clearing.status", level, found, advice: advice, isUnreachable: isUnreachable)
            ]
        }
        switch facts.clearing.probe {
        case .unknown where facts.clearing.microseconds / 1000 >= DoctorLimits.clearingNoted:
            return finding(
                .note, "answers a status inquiry, in \(milliseconds)",
                "each payment waits at least as long for its hold; compare CLEARING_TIMEOUT and TWOPC_PREPARE_TIMEOUT")
        case .unknown: return finding(.ok, "answers a status inquiry, in \(milliseconds)")
        case .claimed(let status):
            return finding(
                .problem, "says of a transaction that nobody made that it is \(status)",
                "its answers prove nothing: check CLEARING_URL, and what answers there")
        case .failed(let reason):
            return finding(
                .problem, "answers, in \(milliseconds), that it failed: \(reason)",
                "ask the network's operator; payments are declined and reversals wait until it works",
                isUnreachable: true)
        case .unbelievable(let reason):
            return finding(
                .problem, "something answers that is no clearing network: \(reason)",
                "check CLEARING_URL, and for a proxy in between")
        case .unreachable(let reason):
            return finding(
                .problem, "cannot be reached: \(reason)",
                "check CLEARING_URL, the network's state and the way to it; payments are declined and reversals wait "
                    + "until it is back", isUnreachable: true)
        }
    }

    // MARK: Words

    static func octal(_ mode: UInt32) -> String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    static func mebibytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }

    static func milliseconds(_ microseconds: Int64) -> String {
        let tenths = microseconds / 100 + (microseconds % 100 >= 50 ? 1 : 0)
        return "\(tenths / 10).\(tenths % 10) ms"
    }

    static func plural(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
}
