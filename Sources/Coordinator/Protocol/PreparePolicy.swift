public import Payments

/// In which order the participants of an operation are asked to prepare.
///
/// A stage is asked when all of the stage before it voted yes; the branches of one stage are asked at the same time.
public enum PreparePolicy {
    /// For an authorization the network comes first: it is slow and keeps no list of what it holds, so the databases' locks and
    /// prepared slots are held for milliseconds and not for its latency. The other operations change a payment that exists:
    /// the databases reserve its state before the network is asked.
    public static func stages(of kind: OperationKind, branches: [Branch]) -> [[Branch]] {
        let network = branches.filter { $0.participant == .clearing }
        let databases = branches.filter { $0.participant != .clearing }
        let order =
            switch kind {
            case .authorization: [network, databases]
            case .capture, .refund, .reversal: [databases, network]
            }
        return order.filter { !$0.isEmpty }
    }
}
