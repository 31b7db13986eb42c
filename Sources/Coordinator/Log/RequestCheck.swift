/// Whether the log's answer about a request_id agrees with what the history says of the transaction that claimed it.
public enum RequestCheck {
    /// What an entry must say for an unfinished transaction.
    ///
    /// - Parameter entry: the one under the transaction's request_id; `nil` if there is none.
    /// - Returns: what is wrong.
    public static func fault(of trace: TransactionTrace, entry: RequestEntry?) -> String? {
        if trace.isPartial { return nil }
        // The request_id of an adopted transaction may not be known, or be another's by now.
        if trace.isAdopted, entry?.transaction != trace.transaction { return nil }
        // So may that of one which has given it up, whatever an operator made of it afterwards.
        if trace.hasReleasedRequest, entry?.transaction != trace.transaction { return nil }
        if let outcome = trace.outcome { return fault(ofEnded: trace, outcome, entry: entry) }
        let own = entry?.transaction == trace.transaction ? entry : nil
        let isParked = !trace.parkings.isEmpty
        switch trace.decision {
        case .undecided:
            return fault(own, isParked ? [.heuristic] : [.preparing], "is not decided", trace)
        case .commit:
            // The entry itself may say no more than that it is open.
            return fault(
                own, [isParked ? .heuristic : .preparing, .committing], "is decided to commit", trace)
        case .abort(let abort):
            return fault(own, abort.record, isParked: isParked, trace)
        }
    }

    /// Likewise for a transaction that has ended.
    private static func fault(
        ofEnded trace: TransactionTrace, _ outcome: Outcome, entry: RequestEntry?
    ) -> String? {
        let own = entry?.transaction == trace.transaction ? entry : nil
        switch outcome {
        case .committed: return fault(own, [.approved], "is committed", trace)
        case .aborted: return trace.abort.flatMap { fault(own, $0, isParked: false, trace) }
        }
    }

    private static func fault(
        _ own: RequestEntry?, _ abort: AbortRecord, isParked: Bool, _ trace: TransactionTrace
    ) -> String? {
        switch abort.claim {
        case .declined:
            return fault(own, [.declined(abort.reason)] + (isParked ? [.heuristic] : []), "is aborted", trace)
        case .madeBy(let other):
            return fault(own, [.madeBy(other)] + (isParked ? [.heuristic] : []), "is another's", trace)
        case .released:
            if isParked, own?.status == .heuristic { return nil }
            return own == nil ? nil : "it is of \(trace.transaction), which has given the request_id up"
        }
    }

    private static func fault(
        _ own: RequestEntry?, _ allowed: [RequestEntry.Status], _ what: String, _ trace: TransactionTrace
    ) -> String? {
        guard let own else { return "it is missing or another's, and \(trace.transaction) \(what)" }
        return allowed.contains(own.status) ? nil : "it says \(own.status.name), and \(trace.transaction) \(what)"
    }

    /// What is wrong with an entry of a transaction that has finished.
    public static func fault(of entry: RequestEntry, finished outcome: Outcome) -> String? {
        switch (outcome, entry.status) {
        case (.committed, .approved), (.aborted, .declined), (.aborted, .madeBy): nil
        case (.committed, _): "it says \(entry.status.name), and \(entry.transaction) is committed"
        case (.aborted, _): "it says \(entry.status.name), and \(entry.transaction) is aborted"
        }
    }
}

extension RequestEntry.Status {
    /// A word for people.
    public var name: String {
        switch self {
        case .preparing: "preparing"
        case .committing: "committing"
        case .approved: "approved"
        case .declined(let reason): "declined (\(reason.wireName))"
        case .madeBy(let other): "made by \(other)"
        case .heuristic: "heuristic"
        }
    }

    /// Whether its transaction has to be unfinished.
    public var isUnfinished: Bool {
        switch self {
        case .preparing, .committing: true
        case .approved, .declined, .madeBy, .heuristic: false
        }
    }
}
