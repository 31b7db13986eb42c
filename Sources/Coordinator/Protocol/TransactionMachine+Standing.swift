/// Where a transaction stands, as those around it see it.
extension TransactionMachine {
    /// Whether the decision is not in the log yet.
    public var isUndecided: Bool {
        switch state {
        case .beginning, .preparing, .lookingUp, .deciding, .parkedUndecided: true
        case .committing, .aborting, .ending, .finished: false
        }
    }

    /// Whether nothing more will happen without an operator: all that could be done is done, and a participant did otherwise.
    public var waitsForOperator: Bool {
        switch state {
        case .committing(let delivering):
            // The network waits for the payment's own database; without that it is not told.
            delivering.parked.contains(firstDatabase)
                ? delivering.open.isSubset(of: [.clearing])
                : delivering.open.isEmpty && !delivering.parked.isEmpty
        case .aborting(let delivering):
            delivering.open.isEmpty && delivering.outstanding.isEmpty && !delivering.parked.isEmpty
        case .parkedUndecided: true
        case .beginning, .preparing, .lookingUp, .deciding, .ending, .finished: false
        }
    }
}
