/// Counts the places for prepared transactions that a cluster has for us, so that PREPARE does not find it full.
///
/// Orders wait in the order of their coming. A slot is held from before PREPARE until the branch is known to be gone.
struct PreparedSlots<Waiter: AnyObject> {
    private(set) var capacity = 0
    private(set) var taken = 0
    private var waiters = FIFO<Waiter>()
    /// Those that gave up are counted here until their turn comes.
    private var waiting: Set<ObjectIdentifier> = []

    var waitingCount: Int { waiting.count }

    /// Takes a slot; if there is none, `waiter` gets one from ``release()`` or ``resize(to:)`` later.
    mutating func acquire(_ waiter: Waiter) -> Bool {
        guard taken >= capacity || !waiting.isEmpty else {
            taken += 1
            return true
        }
        waiters.append(waiter)
        waiting.insert(ObjectIdentifier(waiter))
        return false
    }

    /// Stops waiting.
    mutating func withdraw(_ waiter: Waiter) {
        waiting.remove(ObjectIdentifier(waiter))
        // While no slot is given back, those that gave up must not pile up.
        guard waiters.count > 2 * waiting.count + 64 else { return }
        waiters.keep { waiting.contains(ObjectIdentifier($0)) }
    }

    /// Gives a slot back; the result has it now, if somebody waited.
    mutating func release() -> Waiter? {
        precondition(taken > 0, "a prepared slot was given back twice")
        taken -= 1
        return next()
    }

    /// Sets how many there are; call ``next()`` until it gives nothing.
    mutating func resize(to capacity: Int) { self.capacity = max(0, capacity) }

    /// Hands a free slot to the one that waited longest.
    mutating func next() -> Waiter? {
        guard taken < capacity else { return nil }
        while let waiter = waiters.popFirst() {
            guard waiting.remove(ObjectIdentifier(waiter)) != nil else { continue }
            taken += 1
            return waiter
        }
        return nil
    }
}
