/// Compares what the clients were told with what the participants hold. Everything must have come to rest before.
enum Checker {
    /// Rows from which on two databases must both have got some.
    static let rowsToSpread = 20

    /// What is wrong, one sentence each; empty if nothing is.
    static func violations(in evidence: Evidence) -> [String] {
        let index = Index(evidence)
        return unresolved(evidence) + index.duplicates() + rowsAgainstBook(evidence, index)
            + rowsAgainstEntries(evidence, index) + evidence.exchanges.grouped().flatMap { answers(to: $0, index) }
            + strangers(evidence) + spread(evidence)
    }

    /// Nothing is in doubt, nothing is held.
    private static func unresolved(_ evidence: Evidence) -> [String] {
        evidence.prepared.map { "prepared transaction \($0) is left" }
            + evidence.book.filter { $0.state == .held }.map { "the network still holds \($0.transactionID)" }
    }

    /// A payment is in the database exactly if the network has settled it, with the same amount.
    private static func rowsAgainstBook(_ evidence: Evidence, _ index: Index) -> [String] {
        var found: [String] = []
        for row in evidence.rows {
            if row.status != "APPROVED" { found.append("row \(row.requestID) is committed with status \(row.status)") }
            guard let booked = index.book[row.transactionID]?.first else {
                found.append("row \(row.requestID) (\(row.transactionID)): the network never heard of it")
                continue
            }
            if booked.state != .settled {
                found.append(
                    "row \(row.requestID) (\(row.transactionID)) is committed, the network says \(booked.state)")
            }
            if !Amount.areEqual(booked.amount, row.amount) {
                found.append("row \(row.requestID): amount \(row.amount), at the network \(booked.amount)")
            }
        }
        for booked in evidence.book
        where booked.state == .settled && index.rowsByTransaction[booked.transactionID] == nil {
            found.append("the network settled \(booked.transactionID), no database has it")
        }
        return found
    }

    /// Both rows of a payment are there, or none.
    private static func rowsAgainstEntries(_ evidence: Evidence, _ index: Index) -> [String] {
        var found: [String] = []
        for row in evidence.rows {
            guard let entry = index.entries[row.transactionID]?.first else {
                found.append("row \(row.requestID) (\(row.transactionID)) has no merchant entry")
                continue
            }
            if !Amount.areEqual(entry.amount, row.amount) || entry.merchant != row.merchant {
                found.append(
                    "row \(row.requestID): \(row.amount) for \(row.merchant), its entry: \(entry.amount) for \(entry.merchant)"
                )
            }
        }
        for entry in evidence.entries where index.rowsByTransaction[entry.transactionID] == nil {
            found.append("merchant entry \(entry.transactionID) has no payment")
        }
        return found
    }

    /// Everything that was answered to one request_id is true.
    private static func answers(to exchange: Exchange, _ index: Index) -> [String] {
        let payment = exchange.payment
        guard let requestID = payment.requestID else { return anonymousAnswers(exchange, index) }
        var found: [String] = []
        let row = index.rowsByRequest[requestID]?.first
        for outcome in exchange.outcomes {
            switch outcome {
            case .answer(let answer): found += contradiction(of: answer, to: row, requestID, index)
            case .lost: continue
            case .broken(let reason): found.append("\(requestID): \(reason)")
            }
        }
        let answers = exchange.answers
        if let last = answers.last, last.status == .pending, case .answer? = exchange.outcomes.last {
            found.append("\(requestID): still PENDING when the client gave up")
        }
        let approvals = Set(answers.filter { $0.status == .approved }.map(\.transactionID))
        if approvals.count > 1 { found.append("\(requestID) was approved as several transactions: \(approvals)") }
        let isUnknown = exchange.outcomes.count > answers.count || answers.contains { $0.status == .pending }
        if let row, approvals.isEmpty, !isUnknown {
            found.append("\(requestID) was refused and row \(row.transactionID) is there")
        }
        if let row {
            if !Amount.areEqual(row.amount, payment.amount) || row.maskedPAN != payment.maskedPAN {
                found.append("\(requestID): asked for \(payment.amount), row says \(row.amount) of \(row.maskedPAN)")
            }
        }
        return found
    }

    private static func contradiction(of answer: Answer, to row: PaymentRow?, _ requestID: String, _ index: Index)
        -> [String]
    {
        switch answer.status {
        case .approved:
            guard let row else { return ["\(requestID) was approved and has no row: \(answer)"] }
            guard row.transactionID == answer.transactionID else {
                return ["\(requestID) was approved as \(answer), its row is \(row.transactionID)"]
            }
        case .declined:
            guard let transaction = answer.transactionID else { return [] }
            if let row { return ["\(requestID) was declined for ever (\(answer)), row \(row.transactionID) is there"] }
            if let booked = index.book[transaction]?.first, booked.state == .settled {
                return ["\(requestID) was declined for ever (\(answer)), the network settled it"]
            }
        case .pending: break
        }
        return []
    }

    /// A request without a request_id of the client's: only its txn_id can be followed.
    private static func anonymousAnswers(_ exchange: Exchange, _ index: Index) -> [String] {
        exchange.answers.flatMap { answer -> [String] in
            guard let transaction = answer.transactionID else { return [] }
            let isMade = index.rowsByTransaction[transaction] != nil
            switch answer.status {
            case .approved: return isMade ? [] : ["\(transaction) was approved and has no row"]
            case .declined: return isMade ? ["\(transaction) was declined for ever and has a row"] : []
            case .pending: return []
            }
        }
    }

    /// Nothing is there that nobody asked for.
    private static func strangers(_ evidence: Evidence) -> [String] {
        let asked = Set(evidence.exchanges.map(\.payment.requestID))
        guard evidence.isComplete, !asked.contains(nil) else { return [] }
        return evidence.rows.filter { !asked.contains($0.requestID) }.map { "row \($0.requestID): nobody asked for it" }
    }

    private static func spread(_ evidence: Evidence) -> [String] {
        guard evidence.databases > 1, evidence.rows.count >= rowsToSpread else { return [] }
        return (1...evidence.databases).filter { number in !evidence.rows.contains { $0.database == number } }
            .map { "database \($0) has none of \(evidence.rows.count) rows" }
    }

    private struct Index {
        let rowsByRequest: [String: [PaymentRow]]
        let rowsByTransaction: [String: [PaymentRow]]
        let entries: [String: [MerchantRow]]
        let book: [String: [BookEntry]]

        init(_ evidence: Evidence) {
            rowsByRequest = Dictionary(grouping: evidence.rows, by: \.requestID)
            rowsByTransaction = Dictionary(grouping: evidence.rows, by: \.transactionID)
            entries = Dictionary(grouping: evidence.entries, by: \.transactionID)
            book = Dictionary(grouping: evidence.book, by: \.transactionID)
        }

        /// Each of them exists once, over all databases.
        func duplicates() -> [String] {
            rowsByRequest.filter { $0.value.count > 1 }.map { "\($0.value.count) rows of request \($0.key)" }
                + rowsByTransaction.filter { $0.value.count > 1 }.map { "\($0.value.count) rows of \($0.key)" }
                + entries.filter { $0.value.count > 1 }.map { "\($0.value.count) merchant entries of \($0.key)" }
                + book.filter { $0.value.count > 1 }.map { "\($0.value.count) book entries of \($0.key)" }
        }
    }
}

extension [Exchange] {
    /// All that happened to one request together, in order; without the conflicts: they say nothing of the payment.
    fileprivate func grouped() -> [Exchange] {
        var positions: [Payment: Int] = [:]
        var grouped: [Exchange] = []
        for var exchange in self {
            exchange.outcomes.removeAll { outcome in
                switch outcome {
                case .answer(let answer): answer.isRefusal("idempotency_conflict")
                case .lost, .broken: false
                }
            }
            guard !exchange.outcomes.isEmpty else { continue }
            if exchange.payment.requestID != nil, let position = positions[exchange.payment] {
                grouped[position].outcomes += exchange.outcomes
            } else {
                positions[exchange.payment] = grouped.count
                grouped.append(exchange)
            }
        }
        return grouped
    }
}

/// Decimal amounts as text.
enum Amount {
    /// Whether both are the same number: 12.3 and 12.30 are.
    static func areEqual(_ left: String, _ right: String) -> Bool { canonical(left) == canonical(right) }

    private static func canonical(_ text: String) -> String {
        var digits = text[...]
        while digits.count > 1, digits.first == "0", digits.dropFirst().first != "." { digits = digits.dropFirst() }
        guard digits.contains(".") else { return String(digits) }
        while digits.last == "0" { digits = digits.dropLast() }
        return String(digits.last == "." ? digits.dropLast() : digits)
    }
}
