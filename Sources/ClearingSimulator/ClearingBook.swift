/// Everything that the network has heard of, in the order in which it heard of it.
struct ClearingBook: Sendable {
    private(set) var entries: [ClearingEntry] = []
    private var positions: [String: Int] = [:]
    private var settlementMax: UInt64 = 0

    /// The number that the next confirmation is given; never one that is in the books.
    var nextSettlement: UInt64 { settlementMax + 1 }

    /// `nil` for a transaction that was never heard of.
    func entry(_ transaction: String) -> ClearingEntry? { positions[transaction].map { entries[$0] } }

    /// What an event would lead to. Nothing changes before ``record(_:)``: the books on disk come first.
    func outcome(of event: ClearingEvent, for transaction: String) -> (entry: ClearingEntry, reply: ClearingReply) {
        var entry = entry(transaction) ?? ClearingEntry(unseen: transaction)
        let reply = entry.handle(event)
        return (entry, reply)
    }

    /// Puts the entry in the place of the one with the same transaction_id, if there is one.
    mutating func record(_ entry: ClearingEntry) {
        assert(entry.state != .unseen, "an unseen transaction is not in the books")
        settlementMax = max(settlementMax, entry.settlement)
        if let position = positions[entry.transaction] {
            entries[position] = entry
        } else {
            positions[entry.transaction] = entries.count
            entries.append(entry)
        }
    }
}
