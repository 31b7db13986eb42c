import Coordinator

/// A job for any connection of the pool.
final class PoolJob {
    enum Kind {
        /// Frees slots and locks. Waits for no lock and leaves no transaction open, whatever becomes of it.
        case decision
        /// Somebody waits for it.
        case read
        case branch
    }

    private enum Phase {
        case waiting
        case sent
        case ended
    }

    let statements: [Statement]
    let kind: Kind
    /// Not sent after this, and cancelled then if it runs.
    let deadline: MonotonicTime
    /// Whether the connection must know ``Statements/prepared``.
    private let usesPrepared: Bool
    private let onStart: (DatabaseLink, Backend) -> Void
    private let completion: (JobReport) -> Void
    private var phase = Phase.waiting
    var timer: EventLoop.Timer?

    /// - Parameters:
    ///   - onStart: called before the first byte is sent.
    ///   - completion: called once.
    init(
        _ statements: [Statement], _ kind: Kind, deadline: MonotonicTime, usesPrepared: Bool = false,
        onStart: @escaping (DatabaseLink, Backend) -> Void = { _, _ in }, completion: @escaping (JobReport) -> Void
    ) {
        self.statements = statements
        self.kind = kind
        self.deadline = deadline
        self.usesPrepared = usesPrepared
        self.onStart = onStart
        self.completion = completion
    }

    var isWaiting: Bool { phase == .waiting }

    func start(on link: DatabaseLink, _ backend: Backend) -> Job {
        precondition(isWaiting, "a job is sent once")
        phase = .sent
        onStart(link, backend)
        guard usesPrepared, !link.hasStatements else {
            return Job(statements: statements, deadline: deadline) { [self] in end($0) }
        }
        // Not at the connection's setup: the server takes the table's lock for it, and a change of the table that waits for a branch
        // of ours would keep away the very connections that could finish it.
        let first = Statements.prepared
        return Job(statements: first + statements, deadline: deadline) { [self] report in
            link.statementsMade(report.succeeded(first: first.count), report)
            end(report.dropping(first: first.count))
        }
    }

    func end(_ report: JobReport) {
        guard phase != .ended else { return }
        phase = .ended
        completion(report)
    }
}
