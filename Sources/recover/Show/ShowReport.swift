import Assembly
import Coordinator
import Payments
import Telemetry

/// One transaction for people: its history, what the participants show now, and what recovery would do about it.
struct ShowReport {
    let transaction: TransactionID
    /// `nil` if the log has no record of it, or no more.
    let replay: HistoryReplay?
    /// `nil` if nobody was asked.
    let sight: TransactionSight?

    /// Whether anything is known of it at all.
    var isEmpty: Bool {
        replay == nil && judgement == nil && !(sight?.databases.values.contains(where: \.isTrace) ?? false)
    }

    func text(for terminal: Terminal) -> String {
        var parts = [heading(for: terminal)]
        if let replay {
            parts.append(timeline(replay).text(for: terminal))
            parts.append(state(replay).map { terminal.styled($0.printable, nil) }.joined(separator: "\n"))
        }
        if !participants.isEmpty { parts.append(participantTable.text(for: terminal)) }
        if let judgement {
            parts.append(
                terminal.styled("verdict: \(judgement.code)", judgement.style ?? .bold) + "\nwhy:     "
                    + judgement.evidence.printable + "\naction:  " + judgement.action.printable)
        }
        return parts.joined(separator: "\n\n")
    }

    private func heading(for terminal: Terminal) -> String {
        var line = terminal.styled("\(transaction)", .bold)
        if let begin = replay?.trace.begin?.record {
            let intent = IntentWords(begin.intent, of: begin.transaction)
            line +=
                "\n\(begin.intent.kind.wireName) \(intent.amount), card \(intent.card), request \(intent.request), "
                + "merchant \(intent.merchant.printable), epoch \(begin.epoch)"
        } else {
            line += replay == nil ? "\nthe log has no record of it, or no more" : "\nits first records are trimmed"
        }
        return line
    }

    private func timeline(_ replay: HistoryReplay) -> Table {
        var table = Table(.right("LSN"), "TIME", .right("AFTER"), .right("STEP"), .flexible("RECORD"))
        let first = replay.records[0].writtenAt
        var previous = first
        for place in replay.records {
            let time = place.writtenAt
            let fault = replay.faults[place.lsn]
            table.add(cells: [
                .init(place.lsn.description), .init(Timestamp.text(microseconds: time.microseconds)),
                .init(Elapsed.text(microseconds: time.microseconds(since: first))),
                .init(Elapsed.text(microseconds: time.microseconds(since: previous))),
                .init(
                    place.record.words + (fault.map { " (may not stand here: \($0))" } ?? ""), fault.map { _ in .red }),
            ])
            previous = time
        }
        return table
    }

    private func state(_ replay: HistoryReplay) -> [String] {
        var lines = ["state in the log: \(replay.trace.stage.rawValue)"]
        if let last = replay.records.last, replay.laterCount > 0 {
            lines[0] +=
                " as of record \(last.lsn); \(replay.laterCount) later record\(replay.laterCount == 1 ? "" : "s")"
        }
        for parking in replay.trace.parkings {
            lines.append("waits for an operator: \(parking.record.participant): \(parking.record.evidence)")
        }
        if let order = replay.trace.proposal?.record {
            lines.append(
                "waits for a second person: \(order.warrant.actor) proposed \(order.outcome)"
                    + "\(order.isForced ? " by force" : ""): \(order.warrant.reason)")
        }
        return lines
    }

    private var participantTable: Table {
        var table = Table("PARTICIPANT", "PART", "IN THE LOG", .flexible("NOW"))
        for row in participants { table.add(row.participant.description, row.part, row.logged, row.now ?? "not asked") }
        return table
    }
}

// MARK: Participants

extension ShowReport {
    struct ParticipantRow {
        let participant: Participant
        /// What it writes.
        let part: String
        let logged: String
        /// `nil` if it was not asked.
        let now: String?
    }

    /// Every participant of the transaction; where its BEGIN is not there, every one that shows something of it.
    var participants: [ParticipantRow] {
        guard let trace = replay?.trace, let begin = trace.begin?.record else {
            var rows = (sight?.databases ?? [:]).filter { $0.value.isTrace }.sorted { $0.key < $1.key }.map {
                ParticipantRow(participant: .database($0.key), part: "unknown", logged: "unknown", now: $0.value.words)
            }
            if let status = sight?.status {
                rows.append(
                    ParticipantRow(participant: .clearing, part: "hold", logged: "unknown", now: status.description))
            }
            return rows
        }
        return begin.branches.map { branch in
            switch branch.participant {
            case .clearing:
                ParticipantRow(
                    participant: branch.participant, part: "hold", logged: NetworkState(trace, begin).words,
                    now: sight?.status?.description)
            case .database(let index):
                ParticipantRow(
                    participant: branch.participant, part: branch.role.words,
                    logged: trace.words(of: branch.participant),
                    now: sight.map { $0.databases[index]?.words ?? "not configured" })
            }
        }
    }

    /// Databases with a part in it that could not be asked, or the network if it was asked in vain.
    var isPartlyUnreached: Bool {
        guard let sight else { return false }
        if case .unreachable? = sight.status { return true }
        let branches = replay?.trace.begin?.record.branches
        return sight.databases.contains { index, state in
            guard case .unreachable = state else { return false }
            return branches?.contains { $0.participant == .database(index) } ?? true
        }
    }
}

extension BranchRole {
    fileprivate var words: String {
        let parts = [
            contains(.payment) ? "payment" : nil, contains(.merchantEntry) ? "merchant's entry" : nil,
        ]
        return parts.compactMap(\.self).joined(separator: ", ")
    }
}

extension DatabaseSight {
    /// Whether something of the transaction is there.
    var isTrace: Bool {
        switch self {
        case .prepared, .committed: true
        case .absent, .unreachable: false
        }
    }

    /// For programs; never changed.
    var code: String {
        switch self {
        case .prepared: "prepared"
        case .committed: "committed"
        case .absent: "absent"
        case .unreachable: "unreachable"
        }
    }

    var words: String {
        switch self {
        case .prepared: "prepared"
        case .committed: "committed (its row is there)"
        case .absent: "neither prepared nor committed"
        case .unreachable(let why): "could not be reached: \(why)"
        }
    }
}

extension TransactionTrace {
    /// What the log knows of a database's part.
    fileprivate func words(of participant: Participant) -> String {
        if let proof = acknowledged[participant] { return TransactionVerdict.Finding.State.acknowledged(proof).words }
        if outcome != nil { return "done" }
        if parkings.contains(where: { $0.record.participant == participant }) { return "did otherwise" }
        switch decision {
        case .undecided: return "undecided"
        case .commit: return "to be committed"
        case .abort: return "to be rolled back"
        }
    }
}

extension NetworkState {
    /// What a transaction's records say of the network's part in it.
    init(_ trace: TransactionTrace, _ begin: BeginRecord) {
        guard begin.branches.contains(where: { $0.participant == .clearing }) else {
            self = .none
            return
        }
        switch (trace.reversal, trace.decision) {
        case (.open(let task), _): self = task.parkedReason == nil ? .reversalOpen : .reversalParked
        case (.closed, _): self = .reversed
        case (.none, .undecided): self = .mayHold
        case (.none, .commit):
            self = trace.outcome == .committed || trace.acknowledged[.clearing] != nil ? .confirmed : .toConfirm
        case (.none, .abort): self = .nothingHeld
        }
    }
}

/// A span between two records.
enum Elapsed {
    static func text(microseconds: Int64) -> String {
        let sign = microseconds < 0 ? "-" : ""
        let value = microseconds.magnitude
        switch value {
        case 0: return "0"
        case ..<1000: return "\(sign)\(value) µs"
        case ..<1_000_000: return "\(sign)\(tenths(value, of: 1000)) ms"
        case ..<120_000_000: return "\(sign)\(tenths(value, of: 1_000_000)) s"
        default:
            let seconds = value / 1_000_000
            return seconds < 7200
                ? "\(sign)\(seconds / 60)m \(seconds % 60)s" : "\(sign)\(seconds / 3600)h \(seconds / 60 % 60)m"
        }
    }

    private static func tenths(_ value: UInt64, of unit: UInt64) -> String {
        "\(value / unit).\(value % unit * 10 / unit)"
    }
}
