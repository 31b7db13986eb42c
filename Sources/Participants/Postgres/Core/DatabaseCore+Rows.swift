public import Coordinator
import Payments

/// What a database remembers of a log that has lost its tail.
extension DatabaseCore {
    func paymentRows(
        since epoch: Epoch, after position: Int64,
        _ completion: @escaping @Sendable (Result<PaymentRowPage, PostgresReadError>) -> Void
    ) {
        let statement = RowStatements.page(
            log: logID, since: epoch, after: position, limit: PostgresLimits.rowsPerPage)
        runControl([statement]) { report in
            guard report.failure == nil, let rows = report.results[0].rows else {
                return completion(.failure(PostgresReadError(report.failure ?? "no answer")))
            }
            let read = rows.map { (RowStatements.read($0)?.row, RowStatements.transaction($0)) }
            completion(
                .success(
                    PaymentRowPage(
                        rows: read.compactMap(\.0), unreadable: read.filter { $0.0 == nil }.compactMap(\.1),
                        next: rows.count < PostgresLimits.rowsPerPage
                            ? nil : rows.last.flatMap(RowStatements.position))))
        }
    }

    func newestPaymentRows(
        within window: Milliseconds,
        _ completion: @escaping @Sendable (Result<[WitnessRow], PostgresReadError>) -> Void
    ) {
        runControl([RowStatements.newest(log: logID, within: window, limit: PostgresLimits.newestRows)]) { report in
            guard report.failure == nil, let rows = report.results[0].rows else {
                return completion(.failure(PostgresReadError(report.failure ?? "no answer")))
            }
            completion(.success(rows.compactMap { RowStatements.read($0)?.row }))
        }
    }

    func fencingLogs(_ completion: @escaping @Sendable (Result<[LogID], PostgresReadError>) -> Void) {
        runControl([RowStatements.hasFences]) { [unowned self] report in
            guard report.failure == nil, let rows = report.results[0].rows else {
                return completion(.failure(PostgresReadError(report.failure ?? "no answer")))
            }
            guard rows.first?.first == "true" else { return completion(.success([])) }
            runControl([RowStatements.fencingLogs]) { report in
                guard report.failure == nil, let rows = report.results[0].rows else {
                    return completion(.failure(PostgresReadError(report.failure ?? "no answer")))
                }
                completion(.success(rows.compactMap { $0.first.flatMap { $0 }.flatMap { LogID($0) } }))
            }
        }
    }
}

/// A stretch of a log's payments as a database has them.
public struct PaymentRowPage: Sendable, Hashable {
    public let rows: [WitnessRow]
    /// Payments whose rows somebody has changed, so that they cannot be read as payments any more.
    public let unreadable: [TransactionID]
    /// Where to go on; `nil` at the end.
    public let next: Int64?
}

extension PostgresDatabase {
    /// The payments of this log whose rows are committed here, from an epoch on and not older than an authorization lives, a page at
    /// a time.
    ///
    /// - Parameter position: 0 for the first page, then ``PaymentRowPage/next``.
    public func paymentRows(
        since epoch: Epoch, after position: Int64,
        completion: @escaping @Sendable (Result<PaymentRowPage, PostgresReadError>) -> Void
    ) {
        submit({ core in core.paymentRows(since: epoch, after: position, completion) }) {
            completion(.failure($0))
        }
    }

    /// The newest payments of this log whose rows are committed here, a few.
    ///
    /// - Parameter window: how old they may be, by the database's clock.
    public func newestPaymentRows(
        within window: Milliseconds, completion: @escaping @Sendable (Result<[WitnessRow], PostgresReadError>) -> Void
    ) {
        submit({ core in core.newestPaymentRows(within: window, completion) }) { completion(.failure($0)) }
    }

    /// The logs that have fenced this database, ever.
    public func fencingLogs(completion: @escaping @Sendable (Result<[LogID], PostgresReadError>) -> Void) {
        submit({ core in core.fencingLogs(completion) }) { completion(.failure($0)) }
    }
}

/// The SQL about rows with everything that is in them.
enum RowStatements {
    /// Both times are the database's own. Whether its clock is wrong now, or was when the newest row was made, nothing is left out by it.
    static func page(log: LogID, since epoch: Epoch, after position: Int64, limit: Int) -> Statement {
        .query(
            """
            SELECT \(columns) FROM transactions \
            WHERE log_id = $1 AND log_epoch >= $2::numeric AND id > $3::bigint \
            AND created_at > LEAST(pg_catalog.now(), (SELECT max(created_at) FROM transactions WHERE log_id = $1)) \
            - interval '\(PostgresLimits.authorizationDaysMax) days' \
            ORDER BY id LIMIT \(limit)
            """,
            Parameters(log.description, epoch.description, String(position)), endsSegment: true)
    }

    private static let columns = """
        id::text, txn_id, log_epoch::text, request_id, tx_type, amount::text, currency, merchant, pan_masked, \
        ref_request_id, pg_catalog.encode(pan_token, 'hex'), token_key_id::text, \
        pg_catalog.encode(request_hash, 'hex'), hash_key_id::text
        """

    /// By the index on `created_at`. Rows of the future were made before somebody set the clock back: they are not the newest.
    static func newest(log: LogID, within window: Milliseconds, limit: Int) -> Statement {
        .query(
            """
            SELECT \(columns) FROM transactions \
            WHERE log_id = $1 AND created_at <= pg_catalog.now() \
            AND created_at > pg_catalog.now() - interval '\(window.count) milliseconds' \
            ORDER BY created_at DESC LIMIT \(limit)
            """,
            Parameters(log.description), endsSegment: true)
    }

    static let hasFences = Statement.query(
        "SELECT (pg_catalog.to_regclass('holdfast_fence') IS NOT NULL)::text", endsSegment: true)

    static let fencingLogs = Statement.query("SELECT log_id FROM holdfast_fence", endsSegment: true)

    static func position(_ columns: [String?]) -> Int64? { columns.first.flatMap { $0 }.flatMap { Int64($0) } }

    static func transaction(_ columns: [String?]) -> TransactionID? {
        columns.dropFirst().first.flatMap { $0 }.flatMap { TransactionID($0) }
    }

    /// - Parameter columns: as ``page(log:since:after:limit:)`` asks for them.
    static func read(_ columns: [String?]) -> (position: Int64, row: WitnessRow)? {
        guard columns.count == 14, let position = columns[0].flatMap({ Int64($0) }),
            let transaction = columns[1].flatMap({ TransactionID($0) }),
            let epoch = columns[2].flatMap({ UInt64($0) }), let request = columns[3].flatMap({ RequestID($0) }),
            let kind = columns[4].flatMap({ OperationKind(wireName: $0) }),
            let currency = columns[6].flatMap({ Currency(code: $0) }),
            let amount = columns[5].flatMap({ Money(decimalText: $0, currency: currency) }),
            let merchant = columns[7].flatMap({ MerchantID($0) }),
            let masked = columns[8].flatMap({ MaskedPAN(masked: $0) }),
            let token = KeyedDigest(hex: columns[10], keyID: columns[11]),
            let hash = KeyedDigest(hex: columns[12], keyID: columns[13])
        else { return nil }
        // A reference that cannot be read is not the same as none.
        let reference = columns[9].flatMap { RequestID($0) }
        guard (reference == nil) == (columns[9] == nil) else { return nil }
        let intent = PaymentIntent(
            requestID: request, kind: kind, amount: amount, merchant: merchant, maskedPAN: masked, panToken: token,
            requestHash: hash, reference: reference)
        return (position, WitnessRow(transaction: transaction, epoch: Epoch(rawValue: epoch), intent: intent))
    }
}
