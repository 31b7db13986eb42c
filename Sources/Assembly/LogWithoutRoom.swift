import Coordinator
public import Payments
public import Runtime
import Synchronization
import WAL

/// A log that cannot be opened for writing, because its disk is full: what is in it can be read, and repeats be answered from it.
public final class LogWithoutRoom: Sendable {
    private let path: String
    private let allowsUnsafeFileSystem: Bool
    /// An environment is open once in a process, so a look at the log and an attempt to open it take turns.
    private let turn = Mutex(())

    public init(_ settings: NodeSettings) {
        path = settings.stateDirectory
        allowsUnsafeFileSystem = settings.allowsUnsafeFileSystem
    }

    /// Tries to open it for writing.
    ///
    /// - Throws: what `body` does; ``StartRefusal/isForSpace`` as long as there is no room.
    public func open(_ body: () throws -> Node) throws -> Node {
        try turn.withLock { _ in try body() }
    }

    /// Answers a repeat from the log; everything else is refused, with nothing claimed.
    public func reply(to submission: Submission) -> Reply {
        if submission.isNamedByClient {
            do {
                if let entry = try lookUp(submission.requestID) { return entry.reply(to: submission) }
            } catch {
                // Not known is not the same as new.
                return Reply(.refused(.transactionInitFailed))
            }
        }
        if case .failure(let refusal) = submission.intent { return Reply(.refused(refusal.reason)) }
        return Reply(.refused(.serverBusy))
    }

    /// What the log knows of a request_id.
    public func payment(_ request: RequestID) -> Result<PaymentView?, any Error> {
        Result { try lookUp(request).map { PaymentView(PaymentStatus($0)) } }
    }

    /// - Returns: `nil` if there is no such entry, or no log yet.
    private func lookUp(_ request: RequestID) throws -> RequestEntry? {
        try turn.withLock { _ in
            guard LogReader.isThere(in: path) else { return nil }
            let directory = try StateDirectory.acquire(path: path, allowUnsafeFileSystem: allowsUnsafeFileSystem)
            defer { directory.release() }
            return try LogReader(holding: directory).lookUp(request)
        }
    }
}
