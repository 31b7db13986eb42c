/// What the databases and the network say of a lost tail: findings in, the input of a plan out.
///
/// The order in which its findings are gathered: the rows of payments that the log does not know, then the rows of what is listed as
/// prepared, by statements that are later than the lists, then the network's word.
public struct TailEvidence: Sendable {
    private struct Branches: Sendable {
        let epoch: Epoch
        var databases: Set<DatabaseIndex>
    }

    private struct FoundRow: Sendable {
        let row: WitnessRow
        let database: DatabaseIndex
    }

    private let known: Set<TransactionID>
    private let undecided: [TransactionID]
    /// What may be missing began in this epoch or a later one.
    public let firstLostEpoch: Epoch
    /// Branches of our log that neither an unfinished nor an ended transaction explains.
    private let prepared: [TransactionID: Branches]
    private var rows: [TransactionID: FoundRow] = [:]
    /// Rows that are there and cannot be read as payments.
    private var unreadableRows: [TransactionID: Set<DatabaseIndex>] = [:]
    /// Databases that could not be read to the end.
    private var unreadable: [DatabaseIndex: String] = [:]
    private var witnessed: [TransactionID: Set<DatabaseIndex>] = [:]
    private var statuses: [TransactionID: ClearingStatus] = [:]

    /// - Parameter input: made of the looks that came before; what they list is looked for among the rows of a later statement.
    public init(_ input: RecoveryPlan.Input, _ loss: LogBreak) {
        known = Set(input.snapshot.active.map(\.transaction))
        undecided = input.snapshot.active.filter { $0.decision == .undecided && !$0.isParked }.map(\.transaction)
        firstLostEpoch = loss.firstLostEpoch
        let explained = known.union(input.history.keys)
        var found: [TransactionID: Branches] = [:]
        for case .seen(let sighting) in input.observations.values {
            for prepared in sighting.prepared {
                guard let id = GlobalBranchID(prepared.gid), id.log == input.snapshot.log,
                    !explained.contains(id.transaction), case .seen(let own)? = input.observations[id.database],
                    !own.elsewhere.contains(prepared.gid)
                else { continue }
                found[id.transaction, default: Branches(epoch: id.epoch, databases: [])].databases.insert(id.database)
            }
        }
        prepared = found
    }

    /// A committed payment was read.
    ///
    /// - Parameter entry: what the log says of its request_id. One that cannot be read says nothing; one of the transaction itself says that
    ///   it ended.
    public mutating func found(_ row: WitnessRow, in database: DatabaseIndex, entry: RequestEntry?) {
        guard !known.contains(row.transaction), entry?.transaction != row.transaction else { return }
        rows[row.transaction] = FoundRow(row: row, database: database)
    }

    /// A row is there that cannot be read as a payment.
    public mutating func foundUnreadable(_ transaction: TransactionID, in database: DatabaseIndex) {
        guard !known.contains(transaction) else { return }
        unreadableRows[transaction, default: []].insert(database)
    }

    /// The database could not be read to the end.
    public mutating func cannotRead(_ database: DatabaseIndex, _ why: String) { unreadable[database] = why }

    /// Whose rows are to be looked for, now that the lists are read.
    public var listed: [TransactionID] { prepared.keys.sorted() }

    /// That look.
    public mutating func seen(_ observations: [DatabaseIndex: DatabaseObservation.State]) {
        for (index, state) in observations {
            switch state {
            case .unreachable(let why): unreadable[index] = why
            case .seen(let sighting):
                for transaction in sighting.witnessed { witnessed[transaction, default: []].insert(index) }
            }
        }
    }

    /// What the network is to be asked about.
    public var questions: [TransactionID] {
        Set(undecided).union(prepared.keys).union(rows.keys).sorted()
    }

    /// Its answers.
    public mutating func told(_ statuses: [TransactionID: ClearingStatus]) { self.statuses = statuses }

    /// The input of the plan with everything that was found.
    public func completing(_ input: RecoveryPlan.Input) -> RecoveryPlan.Input {
        var observations = input.observations
        for (index, why) in unreadable { observations[index] = .unreachable(why) }
        return RecoveryPlan.Input(
            snapshot: input.snapshot, liveEpoch: nil, observations: observations, history: input.history,
            statuses: statuses, lost: lost, actor: input.actor)
    }

    private var lost: [LostTransaction] {
        // What the network has confirmed and a database has committed is done, unless a branch of it is left.
        let rows = rows.filter { statuses[$0.key] != .settled || prepared[$0.key] != nil }
        return Set(prepared.keys).union(rows.keys).union(unreadableRows.keys).map { transaction in
            let row = rows[transaction]
            return LostTransaction(
                transaction: transaction, epoch: prepared[transaction]?.epoch ?? row?.row.epoch ?? firstLostEpoch,
                prepared: prepared[transaction]?.databases ?? [],
                witnessed: (witnessed[transaction] ?? []).union(row.map { [$0.database] } ?? [])
                    .union(unreadableRows[transaction] ?? []), row: row?.row, status: statuses[transaction])
        }
    }
}
