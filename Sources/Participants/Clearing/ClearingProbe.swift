/// What the network made of an inquiry about a transaction that nobody made.
public enum ClearingProbe: Sendable, Hashable {
    /// It says that it does not know it: an answer that can be believed.
    case unknown
    /// It says that it knows it. Its answers prove nothing.
    case claimed(String)
    /// It answered that it failed or will not tell.
    case failed(String)
    /// Something answered, and not as a clearing network does.
    case unbelievable(String)
    /// Nothing answered in time.
    case unreachable(String)

    init(_ outcome: ExchangeOutcome) {
        switch outcome {
        case .replied(.status(.unknown)): self = .unknown
        case .replied(.status(let status)): self = .claimed("\(status)")
        case .replied(.error(let reason)): self = .failed(reason)
        case .replied(.declined(let reason)): self = .failed("it refused to tell: \(reason)")
        case .replied(.unreadable(let reason)): self = .unbelievable(reason)
        case .replied(.holdPlaced), .replied(.settled), .replied(.holdReleased):
            self = .unbelievable("a reply that does not belong to the request")
        case .lost(let reason), .notReached(let reason): self = .unreachable(reason)
        }
    }
}
