/// Timers by the time they are due, each of which can be taken back at once: most are, and a deadline of half a minute must
/// not leave its rest in memory for that long.
struct TimerHeap<Payload> {
    /// Names a timer; means nothing after it fired or was taken back.
    struct Token: Hashable {
        fileprivate let slot: Int
        fileprivate let generation: UInt64
    }

    private struct Slot {
        var payload: Payload?
        var generation: UInt64
        /// Its place in `heap`; -1 if free.
        var position: Int
    }

    /// Due times in nanoseconds and the slots they belong to: a binary heap.
    private var heap: [(due: UInt64, slot: Int)] = []
    private var slots: [Slot] = []
    private var freeSlots: [Int] = []

    var nextDue: UInt64? { heap.first?.due }
    var count: Int { heap.count }

    mutating func insert(_ payload: Payload, due: UInt64) -> Token {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = slots.count
            slots.append(Slot(payload: nil, generation: 0, position: -1))
        }
        slots[slot].payload = payload
        slots[slot].position = heap.count
        heap.append((due, slot))
        siftUp(heap.count - 1)
        return Token(slot: slot, generation: slots[slot].generation)
    }

    /// Takes a timer back; does nothing if it is gone already.
    mutating func cancel(_ token: Token) {
        guard slots[token.slot].generation == token.generation, slots[token.slot].position >= 0 else { return }
        _ = remove(at: slots[token.slot].position)
    }

    /// The earliest timer that is due at `now`; call until it gives `nil`.
    mutating func popDue(at now: UInt64) -> Payload? {
        guard let first = heap.first, first.due <= now else { return nil }
        return remove(at: 0)
    }

    private mutating func remove(at position: Int) -> Payload? {
        let slot = heap[position].slot
        let last = heap.count - 1
        if position != last {
            swap(position, last)
            heap.removeLast()
            siftDown(position)
            siftUp(position)
        } else {
            heap.removeLast()
        }
        let payload = slots[slot].payload
        slots[slot].payload = nil
        slots[slot].generation += 1
        slots[slot].position = -1
        freeSlots.append(slot)
        return payload
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].due < heap[parent].due else { return }
            swap(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].due < heap[least].due { least = child }
            guard least != parent else { return }
            swap(least, parent)
            parent = least
        }
    }

    private mutating func swap(_ one: Int, _ other: Int) {
        heap.swapAt(one, other)
        slots[heap[one].slot].position = one
        slots[heap[other].slot].position = other
    }
}
