import BenchmarkKit
import Coordinator
import Foundation
import Payments
import Synchronization
import WAL

/// A log with a long past: payments that were made and finished, one after the other at even steps of time, and their rows.
///
/// Everything follows from a payment's number, so that database and log agree.
struct LogHistory {
    static let log = LogID(high: 0x4245_4E43_4800_0000, low: 0x0000_0000_0000_0001)
    /// How far back it goes, milliseconds: within the retention, so that nothing of it is trimmed.
    private static let spanMilliseconds: Int64 = 20 * 3_600_000
    /// How long ago it ends, milliseconds.
    private static let endMilliseconds: Int64 = 60_000
    /// Payments whose steps wait for the log at the same time: with five steps each, fewer than the log refuses a beginning behind.
    private static let waitingMax = 2000
    private static let rowsPerStatement = 50_000

    let payments: Int
    private let startMilliseconds: Int64
    private let stepMilliseconds: Int64

    init(payments: Int) {
        self.payments = payments
        stepMilliseconds = max(1, Self.spanMilliseconds / Int64(max(1, payments)))
        startMilliseconds =
            Int64(Date().timeIntervalSince1970 * 1000) - Self.endMilliseconds - stepMilliseconds * Int64(payments)
    }

    private func milliseconds(_ number: Int) -> Int64 { startMilliseconds + Int64(number) * stepMilliseconds }

    /// As a server makes them: 48 bits of milliseconds first.
    private func transaction(_ number: Int) -> TransactionID {
        TransactionID(high: UInt64(milliseconds(number)) << 16, low: UInt64(number))
    }

    // MARK: The log

    /// Makes the log in a state directory that has none.
    func write(to stateDirectory: String) throws {
        let clock = HistoryClock(start: startMilliseconds, step: stepMilliseconds)
        let log = try LMDBLog.open(
            in: try StateDirectory.acquire(path: stateDirectory, allowUnsafeFileSystem: false),
            configuration: LogConfiguration(reserveBytes: 0), incarnation: Incarnation(rawValue: 1),
            newLogID: Self.log, clock: { clock.now }, deliver: { $0() },
            failure: { message in
                Progress.note("the log failed: \(message)")
                exit(1)
            })
        defer { log.close() }
        let room = DispatchSemaphore(value: Self.waitingMax)
        let refusals = Refusals()
        for number in 0..<payments {
            room.wait()
            clock.advance(to: number)
            let steps = try steps(number)
            for (index, step) in steps.enumerated() {
                let isLast = index == steps.count - 1
                log.append(step, urgency: isLast ? .forced : .lazy) { result in
                    if case .failure(let refusal) = result {
                        refusals.note("payment \(number), step \(index): \(refusal)")
                    }
                    if isLast { room.signal() }
                }
            }
        }
        for _ in 0..<Self.waitingMax { room.wait() }
        // A semaphore must not be freed below its first value.
        for _ in 0..<Self.waitingMax { room.signal() }
        if let refusal = refusals.first { throw BenchmarkFailure("the log took not all of the history: \(refusal)") }
    }

    private func steps(_ number: Int) throws -> [LogWrite] {
        guard let request = RequestID("history-\(number)"), let merchant = MerchantID("MERCHANT001"),
            let masked = MaskedPAN(masked: "411111******1111")
        else { throw BenchmarkFailure("a payment of the history is not well formed") }
        let transaction = transaction(number)
        let digest = (0..<32).map { UInt8(truncatingIfNeeded: number &+ $0) }
        let intent = PaymentIntent(
            requestID: request, kind: .authorization,
            amount: Money(minorUnits: Int64(1000 + number % 1000), currency: .usDollar), merchant: merchant,
            maskedPAN: masked, panToken: KeyedDigest(keyID: 7, bytes: digest),
            requestHash: KeyedDigest(keyID: 7, bytes: digest.reversed()), reference: nil)
        let database = Branch(participant: .database(DatabaseIndex(rawValue: 1)), role: [.payment, .merchantEntry])
        func acknowledged(_ participant: Participant) -> LogWrite {
            .acknowledged(
                AcknowledgedRecord(transaction: transaction, participant: participant, proof: .acknowledgement))
        }
        return [
            .begin(
                BeginRecord(
                    transaction: transaction, epoch: Epoch(rawValue: 1), intent: intent,
                    branches: [Branch(participant: .clearing), database],
                    deadline: WallTime(microseconds: (milliseconds(number) + 5000) * 1000))),
            .commit(CommitRecord(transaction: transaction, authorizationCode: "A1B2C3")),
            acknowledged(database.participant), acknowledged(.clearing),
            .end(EndRecord(transaction: transaction, requestID: request, outcome: .committed)),
        ]
    }

    // MARK: The rows

    /// Puts the rows into a database whose tables a server has made.
    func insertRows(into database: String, of cluster: Cluster) throws {
        for first in stride(from: 0, to: payments, by: Self.rowsPerStatement) {
            let numbers = "generate_series(\(first)::bigint, \(min(first + Self.rowsPerStatement, payments) - 1)) AS n"
            let transaction =
                "'visa_' || lpad(to_hex((\(startMilliseconds) + n * \(stepMilliseconds)) * 65536), 16, '0')"
                + " || lpad(to_hex(n), 16, '0')"
            try cluster.query(
                """
                INSERT INTO transactions (request_id, tx_type, pan_masked, amount, currency, merchant, status, created_at, txn_id,
                    auth_code, pan_token, token_key_id, request_hash, hash_key_id, log_id, log_epoch)
                SELECT 'history-' || n, 'AUTH', '411111******1111', 10 + (n % 1000) / 100.0, 'USD', 'MERCHANT001', 'APPROVED',
                    to_timestamp((\(startMilliseconds) + n * \(stepMilliseconds)) / 1000.0), \(transaction), 'A1B2C3',
                    decode(lpad('', 64, '0'), 'hex'), 7, decode(lpad('', 64, '0'), 'hex'), 7, '\(Self.log)', 1
                FROM \(numbers);
                INSERT INTO merchant_entries (txn_id, merchant, amount, currency, kind)
                SELECT \(transaction), 'MERCHANT001', 10 + (n % 1000) / 100.0, 'USD', 'AUTH' FROM \(numbers);
                """, database: database)
        }
        try cluster.query("VACUUM ANALYZE", database: database)
    }
}

/// The time of the payment that was asked for last: the log stamps its records with it.
private final class HistoryClock: Sendable {
    private let milliseconds: Atomic<Int64>
    private let start: Int64
    private let step: Int64

    init(start: Int64, step: Int64) {
        milliseconds = Atomic(start)
        self.start = start
        self.step = step
    }

    func advance(to number: Int) { milliseconds.store(start + Int64(number) * step, ordering: .relaxed) }

    var now: WallTime { WallTime(microseconds: milliseconds.load(ordering: .relaxed) * 1000) }
}

/// What the log did not take.
private final class Refusals: Sendable {
    private let text = Mutex<String?>(nil)

    func note(_ refusal: String) {
        text.withLock { text in
            if text == nil { text = refusal }
        }
    }

    var first: String? { text.withLock { $0 } }
}
