/// One thing that a preflight looked at, and what is to be done about it.
public struct DoctorFinding: Sendable, Hashable {
    /// How much it matters.
    public enum Level: String, Sendable, Hashable, CaseIterable, Comparable {
        case ok
        /// Worth knowing; nothing has to be done.
        case note
        /// Will hurt under some circumstances.
        case warning
        /// Keeps payments or recovery from working, or their promises from holding.
        case problem

        public static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }

        private var rank: Int {
            switch self {
            case .ok: 0
            case .note: 1
            case .warning: 2
            case .problem: 3
            }
        }
    }

    /// Names what was looked at, for programs; never changed. Unique together with the subject.
    public let id: String
    /// `configuration`, `state`, `log`, `token_key`, `db1` and so on, `clearing`.
    public let subject: String
    public let level: Level
    /// What was found, with units.
    public let found: String
    /// What to do; `nil` only where all is well.
    public let advice: String?
    /// Whether a participant could not be reached, so that the rest about it was not looked at.
    public let isUnreachable: Bool

    init(
        _ subject: String, _ id: String, _ level: Level, _ found: String, advice: String? = nil,
        isUnreachable: Bool = false
    ) {
        precondition(level == .ok || advice != nil, "the finding \(id) says what to do")
        self.subject = subject
        self.id = id
        self.level = level
        self.found = found
        self.advice = level == .ok ? nil : advice
        self.isUnreachable = isUnreachable
    }
}

/// Everything that a preflight found, in the order in which people are shown it.
public struct DoctorReport: Sendable {
    public let findings: [DoctorFinding]

    public init(findings: [DoctorFinding]) { self.findings = findings }

    public func count(_ level: DoctorFinding.Level) -> Int { findings.count { $0.level == level } }

    /// Whether something has to be mended that was looked at.
    public var hasProblem: Bool { findings.contains { $0.level == .problem && !$0.isUnreachable } }

    /// Whether a participant could not be reached.
    public var isIncomplete: Bool { findings.contains(where: \.isUnreachable) }

    /// What the program ends with. A problem goes before a participant that is away, which may come back by itself.
    public var exitCode: Int32 {
        if hasProblem { return ProgramExit.failure }
        return isIncomplete ? ProgramExit.unreachable : ProgramExit.clean
    }
}
