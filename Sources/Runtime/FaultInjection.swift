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

    public struct Plan: Sendable, Equatable {
        public let point: FaultPoint
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
        guard parts.count == 3, let point = FaultPoint(rawValue: String(parts[0])), let hit = Int(parts[1]), hit >= 1
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
        return Plan(point: point, hit: hit, action: action)
    }

    func hit(_ point: FaultPoint) {
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
