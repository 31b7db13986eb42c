import Coordinator
import Payments

/// The SQL of payments. What clients sent goes in as parameters only; a gid is made of our own identifiers.
enum Statements {
    /// What every pool connection prepares once, before its first payment.
    static let prepared: [Statement] = [
        .prepare(beginName, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"),
        .prepare(
            paymentName,
            """
            INSERT INTO transactions (request_id, tx_type, pan_masked, amount, currency, merchant, ref_request_id, status, \
            txn_id, auth_code, pan_token, token_key_id, request_hash, hash_key_id, log_id, log_epoch) \
            VALUES ($1, $2, $3, $4::numeric, $5, $6, $7, 'APPROVED', $8, $9, $10, $11::bigint, $12, $13::bigint, $14, \
            $15::numeric)
            """),
        .prepare(
            entryName,
            """
            INSERT INTO merchant_entries (txn_id, merchant, amount, currency, kind) VALUES ($1, $2, $3::numeric, $4, $5)
            """),
    ]

    private static let beginName: StaticString = "holdfast_begin"
    private static let paymentName: StaticString = "holdfast_payment"
    private static let entryName: StaticString = "holdfast_entry"

    static func steps(of role: BranchRole) -> [PrepareJudgement.Step] {
        [.begin] + (role.contains(.payment) ? [.payment] : [])
            + (role.contains(.merchantEntry) ? [.merchantEntry] : []) + [.prepare]
    }

    /// The pipeline that prepares a branch, in the order of ``steps(of:)``.
    ///
    /// - Parameters:
    ///   - gid: the branch's name.
    ///   - log: the name of the log, for the payment's row.
    static func prepare(_ order: PrepareOrder, gid: String, log: String) -> [Statement] {
        let intent = order.begin.intent
        let transaction = order.begin.transaction.description
        var statements: [Statement] = []
        statements.reserveCapacity(4)
        statements.append(.command(prepared: beginName, tag: "BEGIN"))
        if order.branch.role.contains(.payment) {
            let parameters = payment(order, transaction, log)
            statements.append(.command(prepared: paymentName, parameters, tag: "INSERT 0 1"))
        }
        if order.branch.role.contains(.merchantEntry) {
            var parameters = Parameters(capacity: 5, bytes: 192)
            parameters.append(transaction)
            parameters.append(intent.merchant.text)
            parameters.append(intent.amount.decimalText)
            parameters.append(intent.amount.currency.code)
            parameters.append(intent.kind.wireName)
            statements.append(.command(prepared: entryName, parameters, tag: "INSERT 0 1"))
        }
        statements.append(
            .command("PREPARE TRANSACTION \(literal(gid))", tag: "PREPARE TRANSACTION", endsSegment: true))
        return statements
    }

    private static func payment(_ order: PrepareOrder, _ transaction: String, _ log: String) -> Parameters {
        let intent = order.begin.intent
        var parameters = Parameters(capacity: 15, bytes: 576)
        parameters.append(intent.requestID.text)
        parameters.append(intent.kind.wireName)
        parameters.append(intent.maskedPAN.text)
        parameters.append(intent.amount.decimalText)
        parameters.append(intent.amount.currency.code)
        parameters.append(intent.merchant.text)
        parameters.append(intent.reference?.text)
        parameters.append(transaction)
        parameters.append(order.authorizationCode.isEmpty ? nil : order.authorizationCode)
        parameters.append(binary: intent.panToken.bytes)
        parameters.append(String(intent.panToken.keyID))
        parameters.append(binary: intent.requestHash.bytes)
        parameters.append(String(intent.requestHash.keyID))
        parameters.append(log)
        parameters.append(order.begin.epoch.description)
        return parameters
    }

    static func resolve(_ decision: Outcome, gid: String) -> [Statement] {
        switch decision {
        case .committed: [.command("COMMIT PREPARED \(literal(gid))", tag: "COMMIT PREPARED", endsSegment: true)]
        case .aborted: [.command("ROLLBACK PREPARED \(literal(gid))", tag: "ROLLBACK PREPARED", endsSegment: true)]
        }
    }

    /// First whether the branch is listed, then, in a later transaction with its own snapshot, whether its row is visible.
    static func whereabouts(of transaction: TransactionID, gid: String) -> [Statement] {
        [
            .query(
                "SELECT 1 FROM pg_catalog.pg_prepared_xacts WHERE gid = $1", Parameters(gid), endsSegment: true),
            .query(
                "SELECT 1 FROM transactions WHERE txn_id = $1 UNION ALL "
                    + "SELECT 1 FROM merchant_entries WHERE txn_id = $1 LIMIT 1",
                Parameters(transaction.description), endsSegment: true),
        ]
    }

    /// A commit that writes nothing but itself, and waits for what every commit of this session waits for.
    static let barrier = Statement.query(
        "SELECT pg_catalog.pg_logical_emit_message(true, 'holdfast', ''::text)::text", endsSegment: true)

    static let paymentColumns =
        "request_id, txn_id, tx_type, amount::text, currency, merchant, pan_masked, ref_request_id, status, auth_code, "
        + "pg_catalog.encode(request_hash, 'hex'), hash_key_id::text"

    /// The rows that keep a payment from being made.
    static func rows(of request: RequestID, or transaction: TransactionID) -> [Statement] {
        [
            .query(
                "SELECT \(paymentColumns) FROM transactions WHERE request_id = $1 OR txn_id = $2",
                Parameters(request.text, transaction.description), endsSegment: true)
        ]
    }

    static func row(of request: RequestID) -> [Statement] {
        [
            .query(
                "SELECT \(paymentColumns) FROM transactions WHERE request_id = $1", Parameters(request.text),
                endsSegment: true)
        ]
    }

    static let preparedList = Statement.query(
        """
        SELECT gid, owner, database, (EXTRACT(EPOCH FROM prepared) * 1000000)::bigint::text, \
        (database = pg_catalog.current_database())::text \
        FROM pg_catalog.pg_prepared_xacts ORDER BY prepared, gid
        """, endsSegment: true)

    static func witnesses(of transactions: ArraySlice<TransactionID>) -> Statement {
        let array = "{" + transactions.map(\.description).joined(separator: ",") + "}"
        return .query(
            "SELECT txn_id FROM transactions WHERE txn_id = ANY($1::text[]) UNION "
                + "SELECT txn_id FROM merchant_entries WHERE txn_id = ANY($1::text[])",
            Parameters(array), endsSegment: true)
    }

    /// A gid as a literal; PREPARE TRANSACTION takes no parameter.
    private static func literal(_ gid: String) -> String {
        precondition(
            gid.utf8.count <= PostgresLimits.gidBytesMax
                && gid.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                        UInt8(ascii: "_"):
                        true
                    default: false
                    }
                }, "a gid of ours has only a-z, 0-9 and _")
        return "'\(gid)'"
    }
}

extension PaymentRow {
    /// - Parameter columns: in the order of ``Statements/paymentColumns``.
    init?(_ columns: [String?]) {
        guard columns.count == 12, let requestID = columns[0], let status = columns[8] else { return nil }
        self.init(
            requestID: requestID, transaction: columns[1].flatMap { TransactionID($0) }, kind: columns[2] ?? "",
            amount: columns[3] ?? "", currency: columns[4] ?? "", merchant: columns[5], maskedPAN: columns[6],
            reference: columns[7], status: status, authorizationCode: columns[9],
            requestHash: KeyedDigest(hex: columns[10], keyID: columns[11]))
    }
}

extension KeyedDigest {
    /// As `encode(..., 'hex')` and a number's text give it; `nil` if it is not there, or is no digest: a row that somebody has changed
    /// must not go into the log as it is.
    init?(hex: String?, keyID: String?) {
        guard let hex, let keyID = keyID.flatMap({ UInt32($0) }), hex.utf8.count == 2 * PostgresLimits.digestBytes
        else { return nil }
        var bytes: [UInt8] = []
        for digit in hex.utf8.enumerated() {
            guard let value = Self.value(ofDigit: digit.element) else { return nil }
            if digit.offset.isMultiple(of: 2) { bytes.append(value << 4) } else { bytes[bytes.count - 1] |= value }
        }
        self.init(keyID: keyID, bytes: bytes)
    }

    private static func value(ofDigit byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}

extension PreparedTransaction {
    /// Whether a line of ``Statements/preparedList`` is of another database of the cluster.
    static func isElsewhere(_ columns: [String?]) -> Bool { columns.last.flatMap { $0 } == "false" }

    /// - Parameter columns: as ``Statements/preparedList`` asks for them.
    init?(_ columns: [String?]) {
        guard columns.count == 5, let gid = columns[0], let time = columns[3].flatMap({ Int64($0) }) else { return nil }
        self.init(
            gid: gid, owner: columns[1] ?? "", databaseName: columns[2] ?? "", preparedAt: WallTime(microseconds: time))
    }
}
