import Glibc
import Synchronization

/// What happens at a point.
public enum FaultAction: Sendable, Equatable {
    /// SIGKILL to this process.
    case kill
    /// SIGSTOP to this process.
    case stop
    /// The process ends at once with exit code 70.
    case exit
    /// The operation at the point fails, as ``InjectionPoint/failure`` says.
    case error
    /// The thread sleeps.
    case delay(milliseconds: UInt32)

    /// As it is written in a plan.
    public var text: String {
        switch self {
        case .kill: "kill"
        case .stop: "stop"
        case .exit: "exit"
        case .error: "error"
        case .delay(let milliseconds): "delay=\(milliseconds)"
        }
    }
}

/// Why a text is no plan, in words.
public struct FaultPlanError: Error, Equatable, CustomStringConvertible {
    public let description: String
}

/// Carries out what `HOLDFAST_FAULT=<point>:<nth>:<action>` asks for: at the nth hit of the point, counted from 1. Several are
/// separated by commas.
public final class FaultInjector: Sendable {
    public static let variable = "HOLDFAST_FAULT"
    /// The longest delay, milliseconds: an hour, which `usleep` still counts in 32 bits of microseconds.
    public static let delayMillisecondsMax: UInt32 = 3_600_000
    public static let off = FaultInjector()

    /// A point that can be asked for.
    public struct Point: Sendable {
        public let name: String
        public let meaning: String
        /// What `error` does there, if anything.
        public let failure: String?
    }

    /// Every point, room by room.
    public static let points: [Point] = FaultRooms.all.flatMap { points(of: $0) }

    private static func points<Room: InjectionPoint>(of room: Room.Type) -> [Point] {
        room.allCases.map { Point(name: $0.rawValue, meaning: $0.meaning, failure: $0.failure) }
    }

    public struct Plan: Sendable, Equatable, CustomStringConvertible {
        /// The name of an ``InjectionPoint``.
        public let point: String
        public let hit: Int
        public let action: FaultAction

        public var description: String { "\(point):\(hit):\(action.text)" }
    }

    private let plans: [Plan]
    /// Hits so far of the points that are in a plan.
    private let hits = Mutex<[String: Int]>([:])
    private let announce: @Sendable (String) -> Void

    /// - Parameter announce: told what is done, before it is; a process that is killed or stopped may not get to say it.
    public init(_ plans: [Plan] = [], announce: @escaping @Sendable (String) -> Void = { _ in }) {
        self.plans = plans
        self.announce = announce
    }

    /// Whether anything is to happen anywhere. Where nothing is, nothing need be put in between.
    public var isOn: Bool { !plans.isEmpty }

    /// Reads plans; each action is one of `kill`, `stop`, `exit`, `error` and `delay=<milliseconds>`.
    public static func parse(_ text: String) throws(FaultPlanError) -> [Plan] {
        var plans: [Plan] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) { plans.append(try plan(part)) }
        return plans
    }

    private static func plan(_ text: Substring) throws(FaultPlanError) -> Plan {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let hit = Int(parts[1]), hit >= 1, let action = action(parts[2]) else {
            throw FaultPlanError(
                description:
                    "must be <point>:<nth>:<kill|stop|exit|error|delay=MS>, several separated by commas, with points of "
                    + "server --list-faults")
        }
        guard let point = points.first(where: { $0.name == parts[0] }) else {
            throw FaultPlanError(
                description: "names no point that there is: “\(parts[0])”; server --list-faults prints them")
        }
        guard action != .error || point.failure != nil else {
            throw FaultPlanError(
                description:
                    "asks for an error at \(point.name), where nothing is under way that could fail; use kill, stop, exit "
                    + "or delay there")
        }
        return Plan(point: point.name, hit: hit, action: action)
    }

    private static func action(_ text: Substring) -> FaultAction? {
        switch text {
        case "kill": return .kill
        case "stop": return .stop
        case "exit": return .exit
        case "error": return .error
        default:
            guard text.hasPrefix("delay="), let milliseconds = UInt32(text.dropFirst("delay=".count)),
                milliseconds <= delayMillisecondsMax
            else { return nil }
            return .delay(milliseconds: milliseconds)
        }
    }

    // MARK: - Hits

    /// Says that payments have come to a point.
    func hit(_ point: FaultPoint) { _ = strike(point.rawValue) }

    /// Says that recovery has come to a point.
    package func hit(_ point: RecoveryPoint) { _ = strike(point.rawValue) }

    /// Says that the process has come to a point where nothing can fail.
    package func hit(_ point: StartPoint) { _ = strike(point.rawValue) }

    /// Says that the process has come to a point.
    ///
    /// - Returns: whether the operation there is to fail.
    package func fails(_ point: some InjectionPoint) -> Bool { strike(point.rawValue) }

    private func strike(_ point: String) -> Bool {
        guard isOn, plans.contains(where: { $0.point == point }) else { return false }
        let count = hits.withLock { hits in
            let count = hits[point, default: 0] + 1
            hits[point] = count
            return count
        }
        var isToFail = false
        for plan in plans where plan.point == point && plan.hit == count {
            announce("\(plan)")
            switch plan.action {
            case .kill: Glibc.kill(getpid(), SIGKILL)
            // To this very thread: sent to the process, another thread may take it, and this one goes on for a moment.
            case .stop: raise(SIGSTOP)
            case .exit: _exit(70)
            case .error: isToFail = true
            case .delay(let milliseconds): usleep(min(milliseconds, Self.delayMillisecondsMax) * 1000)
            }
        }
        return isToFail
    }
}
