import ClearingParticipant
public import Coordinator
import Runtime

/// What a tool that waits for the end asks.
extension Node {
    /// Transactions and reversals that are being delivered; those that wait for an operator are not counted.
    public func openWork() async -> Int {
        await withCheckedContinuation { continuation in
            coordinator.gauges { gauges in
                continuation.resume(returning: max(0, gauges.unfinished - gauges.parked) + gauges.openReversals)
            }
        }
    }

    /// Asks the network for the status of a transaction, which has no effect there.
    ///
    /// - Returns: why there was no answer; `nil` if there was one, whatever it says.
    public func whyNetworkIsSilent(about transaction: TransactionID) async -> String? {
        // Bounded by the timeout of one attempt.
        await withCheckedContinuation { continuation in
            clearing.status(transaction) { status in
                switch status {
                case .unreachable(let why): continuation.resume(returning: why)
                case .held, .settled, .released, .declined, .tombstone, .unknown: continuation.resume(returning: nil)
                }
            }
        }
    }
}
