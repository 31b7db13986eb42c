import Coordinator

/// What is seen of an order some time after it was taken.
enum Aftermath: Sendable, Hashable {
    /// Nothing of it is left.
    case done
    /// Participants did otherwise once more.
    case parked([ParkedRecord])
    /// The network refused the reversal, as often as it may.
    case reversalParked(String)
    /// Its reversal is being sent.
    case reversalOpen(refusals: Int)
    /// The transaction is being delivered.
    case open

    /// - Parameter snapshot: read after the order was taken.
    init(of order: OperatorOrder, in snapshot: LogSnapshot) {
        let task = snapshot.reversals.first { $0.transaction == order.transaction }
        let reversal: Aftermath =
            switch task {
            case nil: .done
            case .some(let task):
                task.parkedReason.map(Aftermath.reversalParked) ?? .reversalOpen(refusals: task.refusals)
            }
        switch order {
        case .resolve, .adopt:
            guard let active = snapshot.active.first(where: { $0.transaction == order.transaction }) else {
                self = reversal
                return
            }
            self = active.isParked ? .parked(active.parkings.map(\.record)) : .open
        case .retryReversal, .unparkReversal: self = reversal
        case .parkReversal, .releaseQuarantined, .recoverNow: self = .done
        }
    }

    /// Whether it stays so without another order.
    var isFinal: Bool {
        switch self {
        case .done, .parked, .reversalParked: true
        case .reversalOpen, .open: false
        }
    }

    /// Looks again and again until nothing more follows.
    ///
    /// - Returns: what was seen last.
    static func follow(
        _ order: OperatorOrder, atMost limit: Milliseconds, snapshot: () throws -> LogSnapshot
    ) async throws -> Aftermath {
        let end = ContinuousClock.now + .milliseconds(limit.count)
        var pause = OrderLimits.followPauseMin
        while true {
            let seen = Aftermath(of: order, in: try snapshot())
            guard !seen.isFinal, ContinuousClock.now < end else { return seen }
            try await Task.sleep(for: .milliseconds(pause.count))
            pause = min(Milliseconds(pause.count * 2), OrderLimits.followPauseMax)
        }
    }
}
