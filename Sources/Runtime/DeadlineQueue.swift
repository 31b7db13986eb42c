import NIOCore

/// Times that all run equally long, so that they end in the order in which they began: a queue, and one timer of the loop for its
/// head. A timer of the loop's own for each would be searched for among all the others when it is taken back, and nearly all are.
///
/// What is over is let go of when it comes to the head. One that runs to its end holds back those behind it: a few dozen bytes
/// each, for no longer than the times run.
///
/// `@unchecked Sendable`: used on the loop only. Its closures may name its owner unowned: it does nothing after it was let go of.
final class DeadlineQueue<Key: Sendable>: @unchecked Sendable {
    private let loop: any EventLoop
    private let duration: TimeAmount
    private let isOver: (Key) -> Bool
    private let expire: (Key) -> Void
    private var entries = CircularBuffer<(due: NIODeadline, key: Key)>()
    private var hasTimer = false

    /// - Parameters:
    ///   - isOver: whether nobody waits for the end of this time any more.
    ///   - expire: called when a time ends that is not over.
    init(
        loop: any EventLoop, duration: TimeAmount, isOver: @escaping (Key) -> Bool, expire: @escaping (Key) -> Void
    ) {
        self.loop = loop
        self.duration = duration
        self.isOver = isOver
        self.expire = expire
    }

    /// Begins a time.
    func add(_ key: Key) {
        while let head = entries.first, isOver(head.key) { entries.removeFirst() }
        entries.append((loop.now + duration, key))
        if !hasTimer { setTimer() }
    }

    private func setTimer() {
        guard let head = entries.first else { return }
        hasTimer = true
        loop.scheduleTask(deadline: head.due) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        hasTimer = false
        let now = loop.now
        while let head = entries.first, head.due <= now || isOver(head.key) {
            entries.removeFirst()
            if !isOver(head.key) { expire(head.key) }
        }
        // Unless what expired has begun another.
        if !hasTimer { setTimer() }
    }
}
