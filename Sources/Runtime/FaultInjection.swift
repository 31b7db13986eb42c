import Glibc
import Synchronization

/// A named place in the protocol where a test can stop the process. Off unless the environment asks for one.
public enum FaultPoint: String, CaseIterable, Sendable {
    case beginDurable = "begin-durable"
    case holdPlaced = "hold-placed"
    case prepared = "prepared"
    case decisionDurable = "decision-durable"
    case firstDatabaseCommitted = "first-database-committed"
    case reversalDurable = "reversal-durable"

    public var meaning: String {
        switch self {
        case .beginDurable: "BEGIN is in the log; nobody has been asked yet"
        case .holdPlaced: "the network has placed the hold; no database has been asked yet"
        case .prepared: "every participant has voted yes; nothing is decided yet"
        case .decisionDurable: "COMMIT is in the log; nobody has been told yet"
        case .firstDatabaseCommitted: "the payment's database has committed; neither client nor network has been told"
        case .reversalDurable: "ABORT and its reversal task are in the log; nothing has been sent yet"
        }
    }
}

/// A named place in recovery, whether a server's start or `recover` carries it out.
public enum RecoveryPoint: String, CaseIterable, Sendable {
    case logTakenOver = "log-taken-over"
    case databaseFenced = "database-fenced"
    case planMade = "plan-made"
    case decisionRecovered = "decision-recovered"
    case branchResolved = "branch-resolved"
    case confirmed = "confirmed"
    case reversalSent = "reversal-sent"
    case reversalAcknowledged = "reversal-acknowledged"
    case endDurable = "end-durable"
    case reconciled = "reconciled"
    case logClosed = "log-closed"

    public var meaning: String {
        switch self {
        case .logTakenOver: "the next epoch is in the log; no database has been told of it"
        case .databaseFenced: "a database is fenced in the new epoch and in use"
        case .planMade: "the plan is made; nothing of it has been carried out"
        case .decisionRecovered: "recovery's decision on a transaction is in the log; nobody has been told yet"
        case .branchResolved: "a database has carried a decision out; the log does not have its acknowledgement"
        case .confirmed: "the network has confirmed a payment; the log does not have its acknowledgement"
        case .reversalSent: "a reversal is on its way; no reply to it has come"
        case .reversalAcknowledged: "the network has acknowledged a reversal; it is still open in the log"
        case .endDurable: "an END is in the log"
        case .reconciled: "a log that had lost its tail has just been declared whole"
        case .logClosed: "everything is written and the log is closed; the process is about to end"
        }
    }
}

/// What happens at a point.
public enum FaultAction: Sendable, Equatable {
    /// SIGKILL to this process.
    case kill
    /// SIGSTOP to this process.
    case stop
    /// The process ends at once with exit code 70.
    case exit
    /// The thread sleeps.
    case delay(milliseconds: UInt32)
}

/// Carries out what `HOLDFAST_FAULT=<point>:<nth>:<action>` asks for: at the nth hit of the point, counted from 1.
public final class FaultInjector: Sendable {
    public static let variable = "HOLDFAST_FAULT"
    /// The longest delay, milliseconds: an hour, which `usleep` still counts in 32 bits of microseconds.
    public static let delayMillisecondsMax: UInt32 = 3_600_000
    public static let off = FaultInjector(plan: nil)

    /// Every point that can be asked for, with what it means.
    public static let points =
        FaultPoint.allCases.map { (name: $0.rawValue, meaning: $0.meaning) }
        + RecoveryPoint.allCases.map { (name: $0.rawValue, meaning: $0.meaning) }

    public struct Plan: Sendable, Equatable {
        /// The name of a ``FaultPoint`` or a ``RecoveryPoint``.
        public let point: String
        public let hit: Int
        public let action: FaultAction
    }

    private let plan: Plan?
    private let hits = Mutex(0)

    public init(plan: Plan?) { self.plan = plan }

    /// Reads `<point>:<nth>:<action>`; actions are `kill`, `stop`, `exit` and `delay=<milliseconds>`.
    /// `nil` if it is anything else.
    public static func parse(_ text: String) -> Plan? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, points.contains(where: { $0.name == parts[0] }), let hit = Int(parts[1]), hit >= 1
        else { return nil }
        let action: FaultAction
        switch parts[2] {
        case "kill": action = .kill
        case "stop": action = .stop
        case "exit": action = .exit
        default:
            guard parts[2].hasPrefix("delay="), let milliseconds = UInt32(parts[2].dropFirst("delay=".count)),
                milliseconds <= delayMillisecondsMax
            else { return nil }
            action = .delay(milliseconds: milliseconds)
        }
        return Plan(point: String(parts[0]), hit: hit, action: action)
    }

    func hit(_ point: FaultPoint) { hit(named: point.rawValue) }

    /// Says that recovery has come to a point.
    package func hit(_ point: RecoveryPoint) { hit(named: point.rawValue) }

    private func hit(named point: String) {
        guard let plan, plan.point == point else { return }
        let count = hits.withLock { hits in
            hits += 1
            return hits
        }
        guard count == plan.hit else { return }
        switch plan.action {
        case .kill: Glibc.kill(getpid(), SIGKILL)
        // To this very thread: sent to the process, another thread may take it, and this one goes on for a moment.
        case .stop: raise(SIGSTOP)
        case .exit: _exit(70)
        case .delay(let milliseconds): usleep(min(milliseconds, Self.delayMillisecondsMax) * 1000)
        }
    }
}
