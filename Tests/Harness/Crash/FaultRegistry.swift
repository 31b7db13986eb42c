/// A point of the programs, as `server --list-faults` prints it.
struct FaultPointName: Sendable, Hashable {
    let name: String
    /// Whether the operation there can be made to fail.
    let canFail: Bool

    /// What the programs say they have.
    static func listed() throws -> [FaultPointName] {
        let text = try Tool.check(ServerProcess.program, ["--list-faults"])
        let points = text.split(separator: "\n").compactMap { line in
            line.split(separator: " ").first.map {
                FaultPointName(name: String($0), canFail: line.contains(" (error: "))
            }
        }
        guard points.count > 50 else { throw HarnessError("server --list-faults prints \(points.count) points") }
        return points
    }
}

/// One thing that is to happen in one process.
struct PlannedFault: Sendable, Hashable, CustomStringConvertible {
    var point: String
    var hit: Int
    var action: Action

    enum Action: String, Sendable, CaseIterable {
        case kill, stop, exit, error, delay
    }

    /// How long a `delay` is, milliseconds: beyond the timeout of an attempt at the network in half of the iterations would cost
    /// more time than it finds; the soak has longer ones.
    static let delayMilliseconds = 300

    init(_ point: String, _ hit: Int, _ action: Action) {
        self.point = point
        self.hit = hit
        self.action = action
    }

    /// As ``description`` writes it.
    init?(_ text: String) {
        let parts = text.split(separator: ":")
        guard parts.count == 3, let hit = Int(parts[1]), let action = Action(rawValue: String(parts[2])) else {
            return nil
        }
        self.init(String(parts[0]), hit, action)
    }

    var description: String { "\(point):\(hit):\(action.rawValue)" }

    /// As `HOLDFAST_FAULT` takes it.
    var variable: String {
        action == .delay ? "\(point):\(hit):delay=\(Self.delayMilliseconds)" : description
    }

    /// How the process ends by it; `nil` if it goes on.
    var death: ExitStatus? {
        switch action {
        case .kill: .signal(9)
        case .exit: .code(70)
        case .stop, .error, .delay: nil
        }
    }
}
