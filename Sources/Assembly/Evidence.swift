import ClearingParticipant
import Coordinator
import NIOCore
import Payments
import PostgresParticipant
import Runtime
import WAL

/// Gathers what a log that has lost its tail cannot say: what its databases hold of it, and what the network knows.
struct EvidenceGatherer {
    let databases: [PostgresDatabase]
    let loop: any EventLoop
    /// Asks the network about one transaction.
    let askNetwork: @Sendable (TransactionID) async -> ClearingStatus
    /// What the log knows of a request_id.
    let lookUp: @Sendable (RequestID) throws -> RequestEntry?

    /// Questions to the network at the same time.
    private static let questionsMax = 64

    /// - Parameter input: made of the looks that came before.
    func gather(_ input: RecoveryPlan.Input, _ loss: LogBreak) async -> TailEvidence {
        var evidence = TailEvidence(input, loss)
        await readRows(&evidence)
        if !evidence.listed.isEmpty {
            evidence.seen(await Observation.gather(databases, witnessesOf: evidence.listed, loop: loop))
        }
        evidence.told(await statuses(of: evidence.questions))
        return evidence
    }

    /// Committed payments, a page at a time.
    private func readRows(_ evidence: inout TailEvidence) async {
        for database in databases {
            var next: Int64? = 0
            while let position = next {
                let epoch = evidence.firstLostEpoch
                let page: Result<PaymentRowPage, PostgresReadError> = await withTimeout(
                    Self.pageTimeMax, on: loop, otherwise: .failure(PostgresReadError("no answer in time"))
                ) { done in database.paymentRows(since: epoch, after: position) { done($0) } }
                switch page {
                case .failure(let error):
                    evidence.cannotRead(database.index, error.reason)
                    next = nil
                case .success(let page):
                    for row in page.rows {
                        evidence.found(row, in: database.index, entry: try? lookUp(row.intent.requestID))
                    }
                    for transaction in page.unreadable { evidence.foundUnreadable(transaction, in: database.index) }
                    next = page.next
                }
            }
        }
    }

    private static let pageTimeMax = Milliseconds.seconds(30)

    /// How often one question is asked until it is answered.
    private static let attemptsMax = 3

    private func ask(about transaction: TransactionID) async -> ClearingStatus {
        var attempt = 1
        while true {
            let status = await askNetwork(transaction)
            guard case .unreachable = status, attempt < Self.attemptsMax else { return status }
            attempt += 1
        }
    }

    private func statuses(of transactions: [TransactionID]) async -> [TransactionID: ClearingStatus] {
        var statuses: [TransactionID: ClearingStatus] = [:]
        await withTaskGroup(of: (TransactionID, ClearingStatus).self) { group in
            var rest = transactions[...]
            func askNext() {
                guard let transaction = rest.popFirst() else { return }
                group.addTask { (transaction, await ask(about: transaction)) }
            }
            for _ in 0..<Self.questionsMax { askNext() }
            for await (transaction, status) in group {
                statuses[transaction] = status
                askNext()
            }
        }
        return statuses
    }
}
