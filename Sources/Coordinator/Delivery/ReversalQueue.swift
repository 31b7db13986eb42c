/// Open reversals by the time they are due: store and forward, until acknowledged.
///
/// Transport failures and an open breaker never use up attempts: they are retried for ever with backoff. Only definite refusals
/// count; at the limit the task is parked for an operator, never dropped.
public struct ReversalQueue: Sendable {
    public struct Settings: Sendable, Hashable {
        /// Definite refusals after which a task is parked, 1 or more.
        public let refusalsMax: Int
        public let backoff: Backoff
        /// Reversals on their way at the same time.
        public let inFlightMax: Int

        public init(refusalsMax: Int, backoff: Backoff, inFlightMax: Int) {
            precondition(refusalsMax >= 1 && inFlightMax >= 1, "limits of the reversal queue are 1 or more")
            self.refusalsMax = refusalsMax
            self.backoff = backoff
            self.inFlightMax = inFlightMax
        }
    }

    private struct Entry: Sendable {
        var task: ReversalTask
        /// Sends so far, by this process.
        var attempts: Int
        /// `nil` while it is on its way.
        var due: MonotonicTime?
        /// Whether an earlier process may have sent it.
        let mayHaveBeenSent: Bool
        /// Taken out while its order was on its way: not sent again, whatever the reply.
        var isWithdrawn = false
    }

    private struct Due: Comparable, Sendable {
        let at: MonotonicTime
        let transaction: TransactionID
        static func < (left: Self, right: Self) -> Bool {
            left.at == right.at ? left.transaction < right.transaction : left.at < right.at
        }
    }

    private let settings: Settings
    private var entries: [TransactionID: Entry] = [:]
    private var schedule = Heap<Due>()
    private var inFlight = 0
    /// Put back because the breaker was open.
    private var postponed: Set<TransactionID> = []

    public init(settings: Settings) { self.settings = settings }

    /// Tasks that are neither closed nor parked.
    public var openCount: Int { entries.count }

    /// The earliest time that anything may be sent; `nil` if nothing waits or all places are taken.
    public var nextDue: MonotonicTime? { inFlight < settings.inFlightMax ? schedule.first?.at : nil }

    /// Takes a task from the log, due at once. A parked one is left alone; one that is here already is not taken twice.
    public mutating func enqueue(_ task: ReversalTask, at now: MonotonicTime, mayHaveBeenSent: Bool) {
        if entries[task.transaction]?.isWithdrawn == true { entries[task.transaction]?.isWithdrawn = false }
        guard task.parkedReason == nil, entries[task.transaction] == nil else { return }
        entries[task.transaction] = Entry(task: task, attempts: 0, due: now, mayHaveBeenSent: mayHaveBeenSent)
        schedule.insert(Due(at: now, transaction: task.transaction))
    }

    /// What became of a task that was to be taken out of the queue.
    public enum Withdrawal: Sendable, Hashable {
        case withdrawn
        /// Its order is on its way; it is not sent again after the reply.
        case inFlight
        case notHere
    }

    /// Takes a task out, because an operator decided otherwise.
    public mutating func withdraw(_ transaction: TransactionID) -> Withdrawal {
        guard let entry = entries[transaction] else { return .notHere }
        guard entry.due != nil else {
            entries[transaction]?.isWithdrawn = true
            return .inFlight
        }
        entries[transaction] = nil
        postponed.remove(transaction)
        return .withdrawn
    }

    /// Makes a task due now and forgets its refusals, because an operator wants it sent. One that is on its way stays there.
    ///
    /// - Returns: whether it is here.
    public mutating func hasten(_ transaction: TransactionID, at now: MonotonicTime) -> Bool {
        guard var entry = entries[transaction] else { return false }
        entry.task.refusals = 0
        if let due = entry.due, due > now {
            entry.due = now
            postponed.remove(transaction)
            schedule.insert(Due(at: now, transaction: transaction))
        }
        entries[transaction] = entry
        return true
    }

    public func isInFlight(_ transaction: TransactionID) -> Bool {
        entries[transaction].map { $0.due == nil } ?? false
    }

    /// The next order to send; call until it gives `nil`.
    public mutating func takeDue(at now: MonotonicTime) -> ReversalOrder? {
        guard inFlight < settings.inFlightMax, let first = schedule.first, first.at <= now else { return nil }
        _ = schedule.removeFirst()
        // What was made due earlier stands in the schedule twice; only the time that holds counts.
        guard var entry = entries[first.transaction], entry.due == first.at else { return takeDue(at: now) }
        postponed.remove(first.transaction)
        let isRepeat = entry.attempts > 0 || entry.mayHaveBeenSent
        entry.attempts += 1
        entry.due = nil
        entries[first.transaction] = entry
        inFlight += 1
        return ReversalOrder(task: entry.task, isRepeat: isRepeat)
    }

    /// Puts back an order that was not sent because the breaker is open; it uses up nothing.
    public mutating func postpone(_ transaction: TransactionID, until: MonotonicTime) {
        guard var entry = entries[transaction], entry.due == nil else { return }
        inFlight -= 1
        guard !entry.isWithdrawn else {
            entries[transaction] = nil
            return
        }
        entry.attempts -= 1
        entry.due = until
        entries[transaction] = entry
        postponed.insert(transaction)
        schedule.insert(Due(at: until, transaction: transaction))
    }

    /// The breaker has closed: what was put back for it is due at once.
    public mutating func releasePostponed(at now: MonotonicTime) {
        for transaction in postponed {
            guard var entry = entries[transaction], let due = entry.due, due > now else { continue }
            entry.due = now
            entries[transaction] = entry
            schedule.insert(Due(at: now, transaction: transaction))
        }
        postponed = []
    }

    /// Takes the network's reply and says what to write.
    public mutating func replied(
        _ transaction: TransactionID, _ reply: ReversalReply, at now: MonotonicTime
    ) -> LogWrite? {
        guard var entry = entries[transaction], entry.due == nil else { return nil }
        inFlight -= 1
        if entry.isWithdrawn {
            entries[transaction] = nil
            // What the network has undone is undone; the log may have dropped the task already.
            guard case .acknowledged = reply else { return nil }
            return .closeReversal(ReversalClosedRecord(transaction: transaction))
        }
        switch reply {
        case .acknowledged:
            entries[transaction] = nil
            return .closeReversal(ReversalClosedRecord(transaction: transaction))
        case .failed:
            retry(&entry, at: now)
            return nil
        case .refused(let reason):
            entry.task.refusals += 1
            if entry.task.refusals >= settings.refusalsMax {
                entries[transaction] = nil
                return .parkReversal(ReversalParkedRecord(transaction: transaction, reason: reason))
            }
            retry(&entry, at: now)
            return .reversalRefused(
                ReversalRefusedRecord(transaction: transaction, refusals: entry.task.refusals, reason: reason))
        }
    }

    private mutating func retry(_ entry: inout Entry, at now: MonotonicTime) {
        let transaction = entry.task.transaction
        let due = now + settings.backoff.delay(afterAttempt: entry.attempts, spread: transaction.low)
        entry.due = due
        entries[transaction] = entry
        schedule.insert(Due(at: due, transaction: transaction))
    }
}
