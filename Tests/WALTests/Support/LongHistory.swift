import Coordinator
import Foundation
import Payments

@testable import WAL

/// A log with a long past: payments that were made and finished, one after the other at even steps.
///
/// Everything follows from a payment's number, so that rows for them can be made elsewhere. The records are put into the log in large
/// transactions and not by steps, which would take many minutes for a million of them; the log's own verification tells whether the
/// result is one that steps could have left.
struct LongHistory {
    /// Records of one payment.
    static let recordsPerPayment = 5
    /// Payments of one write transaction.
    private static let paymentsPerCommit = 10_000

    let payments: Int
    /// When the first payment was made.
    let start: WallTime
    let stepMilliseconds: Int64

    func time(_ number: Int) -> WallTime {
        WallTime(microseconds: start.microseconds + Int64(number) * stepMilliseconds * 1000)
    }

    /// As a server makes them: 48 bits of milliseconds first.
    func transaction(_ number: Int) -> TransactionID {
        TransactionID(high: UInt64(time(number).microseconds / 1000) << 16, low: UInt64(number))
    }

    private func request(_ number: Int) -> String { "history-\(number)" }

    /// Makes the log in a directory that has none, and adds the payments to it.
    func write(to path: String, log id: LogID, mapBytes: Int = 64 << 30) throws {
        let start = start
        let log = try LMDBLog.open(
            in: try StateDirectory.acquire(path: path, allowUnsafeFileSystem: true),
            configuration: LogConfiguration(mapBytes: mapBytes, reserveBytes: 0, freeBytesMin: 0),
            incarnation: Incarnation(rawValue: 1), newLogID: id, clock: { start }, deliver: { $0() },
            failure: { message in fatalError(message) })
        defer { log.close() }
        guard let store = log.access.withLock({ $0?.store }) else { return }
        var next = try log.snapshot().nextLSN
        for first in stride(from: 0, to: payments, by: Self.paymentsPerCommit) {
            let txn = try WriteTransaction(store.environment)
            for number in first..<min(first + Self.paymentsPerCommit, payments) {
                try append(number, store, txn, &next)
            }
            try txn.put(store.meta, Keys.nextLSN, MetaCodec.encodeNext(next))
            try txn.commit()
        }
    }

    private func append(
        _ number: Int, _ store: LogStore, _ txn: borrowing WriteTransaction, _ next: inout LSN
    ) throws {
        let transaction = transaction(number)
        let time = time(number)
        let intent = Sample.intent(UInt64(number), request: request(number))
        var context = StepContext(now: time, nextLSN: next)
        let database = Branch(participant: .database(DatabaseIndex(rawValue: 1)), role: [.payment, .merchantEntry])
        let records: [LogRecord] = [
            .begin(
                BeginRecord(
                    transaction: transaction, epoch: Epoch(rawValue: 1), intent: intent,
                    branches: [Branch(participant: .clearing), database],
                    deadline: WallTime(microseconds: time.microseconds + 5_000_000))),
            .commit(CommitRecord(transaction: transaction, authorizationCode: "A1B2C3")),
            .acknowledged(
                AcknowledgedRecord(
                    transaction: transaction, participant: database.participant, proof: .acknowledgement)),
            .acknowledged(
                AcknowledgedRecord(transaction: transaction, participant: .clearing, proof: .acknowledgement)),
            .end(EndRecord(transaction: transaction, requestID: intent.requestID, outcome: .committed)),
        ]
        for record in records { _ = try store.append(record, txn, &context) }
        let entry = RequestEntry(transaction: transaction, intent: intent, status: .approved)
        try txn.put(store.requests, Keys.request(intent.requestID), StateCodec.encode(entry))
        next = context.nextLSN
    }
}

extension LMDBLog {
    /// One ended transaction.
    func ended(_ transaction: TransactionID) throws -> ActiveTransaction? { try ended([transaction])[transaction] }
}
