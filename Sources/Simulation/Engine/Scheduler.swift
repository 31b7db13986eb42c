/// A process, or whatever else can die. What was scheduled for it is dropped with it.
final class Life {
    private(set) var isAlive = true
    func end() { isAlive = false }
}

/// Virtual time: everything that happens is a step of the one queue, in the order of its time.
///
/// `@unchecked Sendable`: a simulation runs on one thread; the closures that carry it about are never called on another.
final class Scheduler: @unchecked Sendable {
    private struct Entry {
        let at: UInt64
        let order: UInt64
        let life: Life?
        let ticket: Ticket?
        let body: () -> Void

        func isBefore(_ other: Entry) -> Bool { at == other.at ? order < other.order : at < other.at }
    }

    /// Something scheduled that may be called off.
    final class Ticket: @unchecked Sendable {
        fileprivate(set) var isCancelled = false
        func cancel() { isCancelled = true }
    }

    /// Nanoseconds; begins above zero, as a machine's does.
    private(set) var now: UInt64 = 1_000_000_000
    /// Steps that were carried out.
    private(set) var steps = 0
    private var heap: [Entry] = []
    private var order: UInt64 = 0

    var pendingCount: Int { heap.count }

    func after(_ delay: UInt64, for life: Life?, ticket: Ticket? = nil, _ body: @escaping () -> Void) {
        at(now &+ delay, for: life, ticket: ticket, body)
    }

    func at(_ time: UInt64, for life: Life?, ticket: Ticket? = nil, _ body: @escaping () -> Void) {
        order += 1
        push(Entry(at: max(time, now), order: order, life: life, ticket: ticket, body: body))
    }

    /// Drops everything: nothing of this world happens any more.
    func removeAll() { heap = [] }

    /// Carries the next step out.
    ///
    /// - Returns: false if nothing is left.
    func step() -> Bool {
        while let entry = pop() {
            if let life = entry.life, !life.isAlive { continue }
            if let ticket = entry.ticket, ticket.isCancelled { continue }
            now = entry.at
            steps += 1
            entry.body()
            return true
        }
        return false
    }

    private func push(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].isBefore(heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private func pop() -> Entry? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var parent = 0
        while true {
            let left = 2 * parent + 1
            guard left < heap.count else { return first }
            let right = left + 1
            let least = right < heap.count && heap[right].isBefore(heap[left]) ? right : left
            guard heap[least].isBefore(heap[parent]) else { return first }
            heap.swapAt(least, parent)
            parent = least
        }
    }
}

/// Spans of virtual time, nanoseconds.
extension UInt64 {
    static func milliseconds(_ count: Int) -> UInt64 { UInt64(Swift.max(0, count)) * 1_000_000 }
    static func milliseconds(_ count: Double) -> UInt64 { UInt64(Swift.max(0, count) * 1_000_000) }
    static func seconds(_ count: Int) -> UInt64 { UInt64(Swift.max(0, count)) * 1_000_000_000 }
}
