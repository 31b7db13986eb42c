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

    struct Evidence {
        var statuses: [TransactionID: ClearingStatus] = [:]
        var lost: [LostTransaction] = []
        /// Rows that are there and cannot be read as payments.
        var unreadableRows: [TransactionID: Set<DatabaseIndex>] = [:]
        /// Databases that could not be read to the end.
        var unreadable: [DatabaseIndex: String] = [:]
    }

    /// - Parameters:
    ///   - observations: made before; what they list is looked for among the rows of a later statement.
    func gather(
        _ snapshot: LogSnapshot, _ loss: LogBreak, observations: [DatabaseIndex: DatabaseObservation.State],
        history: [TransactionID: ActiveTransaction]
    ) async throws -> Evidence {
        var evidence = Evidence()
        let known = Set(snapshot.active.map(\.transaction))
        let prepared = Self.unexplained(observations, log: snapshot.log, known: known.union(history.keys))
        var rows = try await unknownRows(since: loss.firstLostEpoch, known: known, &evidence)
        let witnessed = await witnesses(of: Array(prepared.keys), &evidence)
        let undecided = snapshot.active.filter { $0.decision == .undecided && !$0.isParked }.map(\.transaction)
        let questions = Set(undecided).union(prepared.keys).union(rows.keys)
        evidence.statuses = await statuses(of: Array(questions))
        // What the network has confirmed and a database has committed is done, unless a branch of it is left.
        for (transaction, _) in rows where evidence.statuses[transaction] == .settled && prepared[transaction] == nil {
            rows[transaction] = nil
        }
        let unreadable = evidence.unreadableRows
        evidence.lost = Set(prepared.keys).union(rows.keys).union(unreadable.keys).map { transaction in
            let row = rows[transaction]
            return LostTransaction(
                transaction: transaction, epoch: prepared[transaction]?.epoch ?? row?.row.epoch ?? loss.firstLostEpoch,
                prepared: prepared[transaction]?.databases ?? [],
                witnessed: (witnessed[transaction] ?? []).union(row.map { [$0.database] } ?? [])
                    .union(unreadable[transaction] ?? []), row: row?.row,
                status: evidence.statuses[transaction])
        }
        return evidence
    }

    private struct Branches {
        let epoch: Epoch
        var databases: Set<DatabaseIndex>
    }

    /// Branches of our log that neither an unfinished nor an ended transaction explains.
    private static func unexplained(
        _ observations: [DatabaseIndex: DatabaseObservation.State], log: LogID, known: Set<TransactionID>
    ) -> [TransactionID: Branches] {
        var found: [TransactionID: Branches] = [:]
        for case .seen(let sighting) in observations.values {
            for prepared in sighting.prepared {
                guard let id = GlobalBranchID(prepared.gid), id.log == log, !known.contains(id.transaction),
                    case .seen(let own)? = observations[id.database], !own.elsewhere.contains(prepared.gid)
                else { continue }
                found[id.transaction, default: Branches(epoch: id.epoch, databases: [])].databases.insert(id.database)
            }
        }
        return found
    }

    private struct FoundRow {
        let row: WitnessRow
        let database: DatabaseIndex
    }

    /// Committed payments that the log does not know as made.
    private func unknownRows(
        since epoch: Epoch, known: Set<TransactionID>, _ evidence: inout Evidence
    ) async throws -> [TransactionID: FoundRow] {
        var found: [TransactionID: FoundRow] = [:]
        for database in databases {
            var next: Int64? = 0
            while let position = next {
                let page: Result<PaymentRowPage, PostgresReadError> = await withTimeout(
                    Self.pageTimeMax, on: loop, otherwise: .failure(PostgresReadError("no answer in time"))
                ) { done in database.paymentRows(since: epoch, after: position) { done($0) } }
                switch page {
                case .failure(let error):
                    evidence.unreadable[database.index] = error.reason
                    next = nil
                case .success(let page):
                    for row in page.rows where !known.contains(row.transaction) {
                        // An entry that cannot be read says nothing; one of the transaction itself says that it ended.
                        let entry = try? lookUp(row.intent.requestID)
                        if entry?.transaction == row.transaction { continue }
                        found[row.transaction] = FoundRow(row: row, database: database.index)
                    }
                    for transaction in page.unreadable where !known.contains(transaction) {
                        evidence.unreadableRows[transaction, default: []].insert(database.index)
                    }
                    next = page.next
                }
            }
        }
        return found
    }

    private static let pageTimeMax = Milliseconds.seconds(30)

    /// Where rows of the transactions are visible, by statements that are later than the lists.
    private func witnesses(
        of transactions: [TransactionID], _ evidence: inout Evidence
    ) async -> [TransactionID: Set<DatabaseIndex>] {
        guard !transactions.isEmpty else { return [:] }
        var found: [TransactionID: Set<DatabaseIndex>] = [:]
        let states = await Observation.gather(databases, witnessesOf: transactions, loop: loop)
        for (index, state) in states {
            switch state {
            case .unreachable(let why): evidence.unreadable[index] = why
            case .seen(let sighting):
                for transaction in sighting.witnessed { found[transaction, default: []].insert(index) }
            }
        }
        return found
    }

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
