import Payments
import Synchronization

/// Places for further payments, less the requests that are on their way to the coordinator's loop: who would find the last place taken
/// there is refused before it waits for that.
///
/// The loop says how many places there are; any thread may ask. Requests that come at the same moment from several threads may all see
/// the last place; the loop, which decides, refuses those that are too many.
///
/// It knows as well which request_ids are on their way or wait in the queue. A repeat of such a one is never refused for want of a place: the
/// first one may yet be approved.
final class AdmissionRoom: Sendable {
    private struct Places: Sendable {
        var onTheirWay = 0
        var queued = 0
        var isNone: Bool { onTheirWay == 0 && queued == 0 }
    }

    private let places = Atomic(Int.max)
    private let onTheirWay = Atomic(0)
    private let names = Mutex<[RequestID: Places]>([:])

    /// In flight and in the queue together.
    func setPlaces(_ count: Int) { places.store(count, ordering: .relaxed) }

    var isTaken: Bool { onTheirWay.load(ordering: .relaxed) >= places.load(ordering: .relaxed) }

    /// A submission is sent to the loop.
    func depart(_ submission: Submission) {
        if submission.needsPlace { onTheirWay.add(1, ordering: .relaxed) }
        note(submission) { $0.onTheirWay += 1 }
    }

    /// It is there.
    func arrive(_ submission: Submission) {
        if submission.needsPlace { onTheirWay.subtract(1, ordering: .relaxed) }
    }

    /// What became of it is known, if only that it waits in the queue.
    func settle(_ submission: Submission) { note(submission) { $0.onTheirWay -= 1 } }

    func enqueue(_ submission: Submission) { note(submission) { $0.queued += 1 } }

    func dequeue(_ submission: Submission) { note(submission) { $0.queued -= 1 } }

    /// Whether a request of this name waits in the queue.
    func isQueued(_ request: RequestID) -> Bool { names.withLock { ($0[request]?.queued ?? 0) > 0 } }

    /// Whether one waits there or is on its way.
    func isExpected(_ request: RequestID) -> Bool { names.withLock { $0[request] != nil } }

    /// A name that the server made up is repeated by nobody.
    private func note(_ submission: Submission, _ change: (inout Places) -> Void) {
        guard submission.isNamedByClient else { return }
        names.withLock { names in
            change(&names[submission.requestID, default: Places()])
            if names[submission.requestID]?.isNone == true { names[submission.requestID] = nil }
        }
    }
}

extension Submission {
    /// Whether it may become a payment. A repeat needs none, which is known where it arrives.
    fileprivate var needsPlace: Bool {
        if case .success = intent { true } else { false }
    }
}
