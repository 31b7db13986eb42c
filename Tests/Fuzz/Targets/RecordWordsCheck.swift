import Coordinator

@testable import recover

/// What `recover` prints of a record, whatever the record says.
enum RecordWordsCheck {
    static func check(_ record: LogRecord, lsn: LSN, writtenAt: WallTime) throws {
        let line = RecordLine(record, lsn: lsn, writtenAt: writtenAt).printable
        let members = try Texts.jsonLine(line, "a record's line") as? [String: Any]
        try hold(members?["kind"] as? String == record.kind.rawValue, "a record's line names another kind")
        try hold(isPrintable(line), "a record's line holds what a terminal obeys")
        try hold(isPrintable(record.words.printable), "a record's words hold what a terminal obeys")
    }

    /// No control character and nothing that turns the writing round.
    static func isPrintable(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator: false
            default: !(0x202A...0x202E).contains(scalar.value) && !(0x2066...0x2069).contains(scalar.value)
            }
        }
    }
}

extension RecordWordsCheck {
    /// A prepared transaction as plans show it, whoever made it.
    static func prepared(_ prepared: PreparedTransaction) throws {
        let database = DatabaseIndex(rawValue: 1)
        let sighting = DatabaseObservation.Sighting(
            prepared: [prepared], witnessed: [], olderBackendsAlive: false)
        let snapshot = LogSnapshot(
            log: LogID(high: 1, low: 2),
            owner: FencePair(epoch: Epoch(rawValue: 2), incarnation: Incarnation(rawValue: 7)),
            nextLSN: LSN(rawValue: 1000), active: [], reversals: [], fences: [], quarantined: 0)
        let plan = RecoveryPlan(
            .init(snapshot: snapshot, liveEpoch: nil, observations: [database: .seen(sighting)], history: [:]))
        let json = try PlanDocument(plan, now: WallTime(microseconds: 0)).json
        try Texts.json(json, "a plan")
        try hold(isPrintable(json.filter { $0 != "\n" }), "a plan holds what a terminal obeys")
    }
}
