import Coordinator
import PostgresParticipant
import Runtime

/// What a participant that a test cut off is said to have said.
private let injected = "injected"

/// A database before and behind which a test makes the process fail.
final class FaultyDatabase: DatabaseParticipant {
    private let inner: PostgresDatabase
    private let faults: FaultInjector

    init(_ inner: PostgresDatabase, _ faults: FaultInjector) {
        self.inner = inner
        self.faults = faults
    }

    var index: DatabaseIndex { inner.index }

    var isAvailable: Bool { inner.isAvailable }

    func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void) {
        if faults.fails(ParticipantPoint.prepareSend) { return completion(.no(.unavailable(injected))) }
        inner.prepare(order) { [faults] vote in
            completion(faults.fails(ParticipantPoint.prepareReply) ? .unknown(injected) : vote)
        }
        _ = faults.fails(ParticipantPoint.prepareSent)
    }

    func lookUp(_ order: LookUpOrder, completion: @escaping @Sendable (PriorPayment) -> Void) {
        if faults.fails(ParticipantPoint.lookUpSend) { return completion(.unknown(injected)) }
        inner.lookUp(order) { [faults] prior in
            completion(faults.fails(ParticipantPoint.lookUpReply) ? .unknown(injected) : prior)
        }
    }

    func resolve(_ order: ResolveOrder, completion: @escaping @Sendable (Resolution) -> Void) {
        let points: (send: ParticipantPoint, sent: ParticipantPoint, reply: ParticipantPoint) =
            switch order.decision {
            case .committed: (.commitPreparedSend, .commitPreparedSent, .commitPreparedReply)
            case .aborted: (.rollbackPreparedSend, .rollbackPreparedSent, .rollbackPreparedReply)
            }
        if faults.fails(points.send) { return completion(.open(injected)) }
        inner.resolve(order) { [faults] resolution in
            completion(faults.fails(points.reply) ? .open(injected) : resolution)
        }
        _ = faults.fails(points.sent)
    }
}

/// The network, likewise.
final class FaultyClearing: ClearingNetwork {
    private let inner: any ClearingNetwork
    private let faults: FaultInjector

    init(_ inner: any ClearingNetwork, _ faults: FaultInjector) {
        self.inner = inner
        self.faults = faults
    }

    func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void) {
        if faults.fails(ParticipantPoint.holdSend) { return completion(.no(.unavailable(injected))) }
        inner.prepare(order) { [faults] vote in
            completion(faults.fails(ParticipantPoint.holdReply) ? .unknown(injected) : vote)
        }
        _ = faults.fails(ParticipantPoint.holdSent)
    }

    func confirm(_ order: ResolveOrder, isRepeat: Bool, completion: @escaping @Sendable (Resolution) -> Void) {
        if faults.fails(ParticipantPoint.confirmSend) { return completion(.open(injected)) }
        inner.confirm(order, isRepeat: isRepeat) { [faults] resolution in
            completion(faults.fails(ParticipantPoint.confirmReply) ? .open(injected) : resolution)
        }
        _ = faults.fails(ParticipantPoint.confirmSent)
    }

    func reverse(_ order: ReversalOrder, completion: @escaping @Sendable (ReversalReply) -> Void) {
        if faults.fails(ParticipantPoint.reversalSend) { return completion(.failed(injected)) }
        inner.reverse(order) { [faults] reply in
            completion(faults.fails(ParticipantPoint.reversalReply) ? .failed(injected) : reply)
        }
    }
}

extension FaultInjector {
    /// A database with the points around its orders, where a test asked for any; else the database itself.
    func around(_ database: PostgresDatabase) -> any DatabaseParticipant {
        isOn ? FaultyDatabase(database, self) : database
    }

    /// The network with the points around its orders, where a test asked for any; else the network itself.
    func around(_ network: any ClearingNetwork) -> any ClearingNetwork {
        isOn ? FaultyClearing(network, self) : network
    }
}
