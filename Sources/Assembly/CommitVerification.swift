import Coordinator
import NIOCore
import PostgresParticipant
import WAL

/// Looks for the commits that a database has lost, among the transactions of the log.
///
/// Transactions are asked about in parts, so that memory and statements stay bounded however long the history is.
struct CommitVerification<History: EndedHistory>: Sendable {
    let history: History
    let database: PostgresDatabase
    let loop: any EventLoop

    /// Transactions of one look: a statement's worth.
    static var partMax: Int { PostgresLimits.witnessesPerStatement }

    /// Records at the end of the log among which ``latestLost()`` looks: the commits of more payments than are ever in flight at once.
    static var latestRecords: UInt64 { 8192 }

    /// A commit of the latest ones that the database does not have; `nil` if it has all of them.
    ///
    /// What a database has is the beginning of what it had, in the order of its own commits. The log's order is nearly the same, so
    /// if anything is missing, something of the latest is.
    func latestLost() async throws -> LostCommit? {
        var lost: LostCommit? = try await searchActive().first
        if lost != nil { return lost }
        let next = try history.snapshot().nextLSN.rawValue
        try await searchEnded(from: LSN(rawValue: next > Self.latestRecords ? next - Self.latestRecords : 1)) {
            lost = lost ?? $0.first
        }
        return lost
    }

    /// Goes through everything that ended before now.
    ///
    /// - Parameters:
    ///   - first: where to begin in the log.
    ///   - found: called with the losses of each part. What it throws ends the search.
    /// - Returns: how many transactions were verified.
    @discardableResult
    func searchEnded(
        from first: LSN = LSN(rawValue: 1), _ found: ([LostCommit]) async throws -> Void
    ) async throws -> Int {
        let snapshot = try history.snapshot()
        var scan = try history.scanEnded(from: first, upTo: snapshot.nextLSN)
        var part: [ActiveTransaction] = []
        var verified = 0
        while let ended = try history.nextEnded(&scan) {
            try Task.checkCancellation()
            part += ended.filter { CommitAudit.concerns($0, at: database.index) }
            while part.count >= Self.partMax {
                verified += Self.partMax
                try await look(at: Array(part.prefix(Self.partMax)), snapshot.log, found)
                part.removeFirst(Self.partMax)
            }
        }
        try await look(at: part, snapshot.log, found)
        return verified + part.count
    }

    /// The unfinished transactions whose acknowledgement the database went back behind.
    func searchActive() async throws -> [LostCommit] {
        let snapshot = try history.snapshot()
        var rest = snapshot.active.filter { CommitAudit.concerns($0, at: database.index) }[...]
        var lost: [LostCommit] = []
        while !rest.isEmpty {
            try await look(at: Array(rest.prefix(Self.partMax)), snapshot.log) { lost += $0 }
            rest = rest.dropFirst(Self.partMax)
        }
        return lost
    }

    private func look(
        at part: [ActiveTransaction], _ log: LogID, _ found: ([LostCommit]) async throws -> Void
    ) async throws {
        guard !part.isEmpty else { return }
        let silent = DatabaseObservation(
            database: database.index, state: .unreachable("no answer within \(Observation.timeMax)"))
        let observation = await withTimeout(Observation.timeMax, on: loop, otherwise: silent) { done in
            database.observe(witnessesOf: part.map(\.transaction)) { done($0) }
        }
        switch observation.state {
        case .unreachable(let why): throw VerificationBroken(reason: "\(database.index) could not be asked: \(why)")
        case .seen(let sighting):
            let lost = CommitAudit.losses(among: part, at: database.index, log: log, sighting)
            if !lost.isEmpty { try await found(lost) }
        }
    }
}

/// The verification did not come to its end; it is begun anew later.
struct VerificationBroken: Error, CustomStringConvertible {
    let reason: String
    var description: String { reason }
}
