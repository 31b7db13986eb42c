import Coordinator
import NIOCore
import Synchronization

/// A database that votes and resolves as the test says; by default it votes yes and does what it is told.
final class ScriptedDatabase: DatabaseParticipant {
    let index: DatabaseIndex
    let votes: Desk<PrepareOrder, Vote>
    let lookUps: Desk<LookUpOrder, PriorPayment>
    let resolutions: Desk<ResolveOrder, Resolution>
    private let trace: Trace
    private let availability = Mutex(true)

    init(index: DatabaseIndex, loop: any EventLoop, trace: Trace) {
        self.index = index
        self.trace = trace
        votes = Desk(loop: loop, reply: .yes(authorizationCode: ""))
        lookUps = Desk(loop: loop, reply: .none)
        resolutions = Desk(loop: loop, reply: .done(.acknowledgement))
    }

    var isAvailable: Bool { availability.withLock { $0 } }

    func setAvailable(_ isAvailable: Bool) { availability.withLock { $0 = isAvailable } }

    func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void) {
        trace.note("prepare \(index)")
        votes.take(order, completion)
    }

    func lookUp(_ order: LookUpOrder, completion: @escaping @Sendable (PriorPayment) -> Void) {
        trace.note("look up \(index)")
        lookUps.take(order, completion)
    }

    func resolve(_ order: ResolveOrder, completion: @escaping @Sendable (Resolution) -> Void) {
        trace.note("resolve \(index) \(order.decision)")
        resolutions.take(order, completion)
    }
}

/// A card network that answers as the test says; by default it places holds and acknowledges everything.
final class ScriptedNetwork: ClearingNetwork {
    struct Confirmation: Sendable {
        let order: ResolveOrder
        let isRepeat: Bool
    }

    static let authorizationCode = "A1B2C3"

    let votes: Desk<PrepareOrder, Vote>
    let confirmations: Desk<Confirmation, Resolution>
    let reversals: Desk<ReversalOrder, ReversalReply>
    private let trace: Trace

    init(loop: any EventLoop, trace: Trace) {
        self.trace = trace
        votes = Desk(loop: loop, reply: .yes(authorizationCode: Self.authorizationCode))
        confirmations = Desk(loop: loop, reply: .done(.acknowledgement))
        reversals = Desk(loop: loop, reply: .acknowledged)
    }

    func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void) {
        trace.note("prepare clearing")
        votes.take(order, completion)
    }

    func confirm(_ order: ResolveOrder, isRepeat: Bool, completion: @escaping @Sendable (Resolution) -> Void) {
        trace.note("confirm clearing")
        confirmations.take(Confirmation(order: order, isRepeat: isRepeat), completion)
    }

    func reverse(_ order: ReversalOrder, completion: @escaping @Sendable (ReversalReply) -> Void) {
        trace.note("reverse")
        reversals.take(order, completion)
    }
}
