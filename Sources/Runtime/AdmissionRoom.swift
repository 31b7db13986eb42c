import Synchronization

/// Places for further payments, less the requests that are on their way to the coordinator's loop: who would find the last place taken
/// there is refused before it waits for that.
///
/// The loop says how many places there are; any thread may ask. Requests that come at the same moment from several threads may all see
/// the last place; the loop, which decides, refuses those that are too many.
final class AdmissionRoom: Sendable {
    private let places = Atomic(Int.max)
    private let onTheirWay = Atomic(0)

    /// In flight and in the queue together.
    func setPlaces(_ count: Int) { places.store(count, ordering: .relaxed) }

    /// A request is sent to the loop. Some need no place, which nobody knows before they are there.
    func depart() { onTheirWay.add(1, ordering: .relaxed) }

    /// It is there.
    func arrive() { onTheirWay.subtract(1, ordering: .relaxed) }

    var isTaken: Bool { onTheirWay.load(ordering: .relaxed) >= places.load(ordering: .relaxed) }
}
