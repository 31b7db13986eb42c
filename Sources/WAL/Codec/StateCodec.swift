import Coordinator
import Payments

/// Values of the databases `active`, `requests`, `reversals`, `quarantine` and `meta`.
enum StateCodec {
    // MARK: active

    static func encode(_ active: ActiveTransaction) -> [UInt8] {
        var writer = ByteWriter(capacity: 512)
        encode(active, into: &writer)
        return Array(writer.written)
    }

    /// - Parameter beginning: an earlier value of the transaction up to the end of what tells how it began, which no step changes: that
    ///   part is taken over instead of being made again. Empty if there is none.
    /// - Returns: how many bytes of the value are its frame and that part.
    @discardableResult
    static func encode(
        _ active: ActiveTransaction, into writer: inout ByteWriter,
        beginningAs beginning: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) -> Int {
        var beginningBytes = beginning.count
        Envelope.seal(.activeTransaction, into: &writer) { writer in
            if beginning.isEmpty {
                writer.transaction(active.transaction)
                writer.position(active.begin)
                writer.beginBody(active.begin.record)
                beginningBytes = writer.written.count
            } else {
                writer.bytes(UnsafeRawBufferPointer(rebasing: beginning[Envelope.headerBytes...]))
            }
            switch active.decision {
            case .undecided: writer.integer(UInt8(1))
            case .commit(let commit):
                writer.integer(UInt8(2))
                writer.position(commit)
                writer.commitBody(commit.record)
            case .abort(let abort):
                writer.integer(UInt8(3))
                writer.position(abort)
                writer.abortBody(abort.record)
            }
            writer.proofs(active.acknowledged)
            precondition(active.parkings.count <= LogLimits.branchesMax, "more parkings than participants")
            writer.integer(UInt8(active.parkings.count))
            for parking in active.parkings {
                writer.position(parking)
                writer.parkedBody(parking.record)
            }
            writer.optional(active.proposal) {
                $0.position($1)
                $0.resolutionBody($1.record)
            }
        }
        assert(
            (try? decodeActive(writer.written, of: active.transaction)) == active,
            "a transaction's state reads back otherwise than it was written")
        return beginningBytes
    }

    /// - Parameter transaction: the key that the value was found under.
    static func decodeActive(
        _ value: UnsafeRawBufferPointer, of transaction: TransactionID
    ) throws(ValueFault) -> ActiveTransaction {
        var reader = try Envelope.open(value, as: .activeTransaction)
        guard try reader.transaction() == transaction else { throw .misplaced }
        let begin = try reader.durable { reader throws(ValueFault) in try reader.beginBody(transaction) }
        let decision = try reader.decision(transaction)
        var acknowledged: [Participant: Proof] = [:]
        for _ in 0..<Int(try reader.integer(UInt8.self)) {
            let participant = try reader.participant()
            let proof = try reader.member(Proof.self, .proof)
            guard acknowledged.updateValue(proof, forKey: participant) == nil else {
                throw .unknown(field: .acknowledged, number: UInt64(proof.rawValue))
            }
        }
        // Version 1 kept one parking: its optional's presence is the count.
        var parkings: [Durable<ParkedRecord>] = []
        for _ in 0..<Int(try reader.integer(UInt8.self)) {
            parkings.append(try reader.durable { reader throws(ValueFault) in try reader.parkedBody(transaction) })
        }
        let proposal =
            reader.version == 1
            ? nil
            : try reader.optional { reader throws(ValueFault) in
                try reader.durable { reader throws(ValueFault) in try reader.resolutionBody(transaction) }
            }
        try reader.finish()
        return ActiveTransaction(
            begin: begin, decision: decision, acknowledged: acknowledged, parkings: parkings, proposal: proposal)
    }

    // MARK: requests

    static func encode(_ entry: RequestEntry) -> [UInt8] {
        var writer = ByteWriter(capacity: 320)
        encode(entry, into: &writer)
        return Array(writer.written)
    }

    static func encode(_ entry: RequestEntry, into writer: inout ByteWriter) {
        Envelope.seal(.requestEntry, into: &writer) { writer in
            writer.transaction(entry.transaction)
            switch entry.status {
            case .preparing: writer.integer(UInt8(1))
            case .committing: writer.integer(UInt8(2))
            case .approved: writer.integer(UInt8(3))
            case .declined(let reason):
                writer.integer(UInt8(4))
                writer.integer(reason.rawValue)
            case .madeBy(let transaction):
                writer.integer(UInt8(5))
                writer.transaction(transaction)
            case .heuristic: writer.integer(UInt8(6))
            }
            writer.intent(entry.intent)
        }
        assert(
            (try? decodeRequest(writer.written, of: entry.intent.requestID)) == entry,
            "a request's entry reads back otherwise than it was written")
    }

    static func decodeRequest(
        _ value: UnsafeRawBufferPointer, of request: RequestID
    ) throws(ValueFault) -> RequestEntry {
        var reader = try Envelope.open(value, as: .requestEntry)
        let transaction = try reader.transaction()
        let number = try reader.integer(UInt8.self)
        let status: RequestEntry.Status
        switch number {
        case 1: status = .preparing
        case 2: status = .committing
        case 3: status = .approved
        case 4: status = .declined(try reader.member(DeclineReason.self, .reason))
        case 5: status = .madeBy(try reader.transaction())
        case 6: status = .heuristic
        default: throw .unknown(field: .status, number: UInt64(number))
        }
        let intent = try reader.intent()
        try reader.finish()
        guard intent.requestID == request else { throw .misplaced }
        return RequestEntry(transaction: transaction, intent: intent, status: status)
    }

    // MARK: reversals

    static func encode(_ task: ReversalTask) -> [UInt8] {
        let bytes = Envelope.seal(.reversalTask) { $0.task(task) }
        assert(
            bytes.withUnsafeBytes { (try? decodeReversal($0, of: task.transaction)) == task },
            "a reversal reads back otherwise than it was written")
        return bytes
    }

    static func decodeReversal(
        _ value: UnsafeRawBufferPointer, of transaction: TransactionID
    ) throws(ValueFault) -> ReversalTask {
        var reader = try Envelope.open(value, as: .reversalTask)
        let task = try reader.task()
        try reader.finish()
        guard task.transaction == transaction else { throw .misplaced }
        return task
    }
}

extension Participant {
    /// A fixed order: the databases by number, then the network.
    fileprivate var order: Int {
        switch self {
        case .database(let index): Int(index.rawValue)
        case .clearing: 256
        }
    }
}

extension ByteWriter {
    fileprivate mutating func position<Record>(_ durable: Durable<Record>) {
        integer(durable.lsn.rawValue)
        integer(durable.writtenAt.microseconds)
    }

    /// In a fixed order, so that equal states are equal bytes: the next one is looked for each time, which of the few that there are takes
    /// less than sorting them.
    fileprivate mutating func proofs(_ proofs: [Participant: Proof]) {
        precondition(proofs.count <= LogLimits.branchesMax, "more acknowledgements than participants")
        integer(UInt8(proofs.count))
        var last = -1
        for _ in 0..<proofs.count {
            var next: (participant: Participant, proof: Proof)?
            for (participant, proof) in proofs where participant.order > last {
                if let next, next.participant.order < participant.order { continue }
                next = (participant, proof)
            }
            guard let next else { preconditionFailure("two participants with one place in the order") }
            participant(next.participant)
            integer(next.proof.rawValue)
            last = next.participant.order
        }
    }
}

extension ByteReader {
    /// A record of the state with its position. It was read from an opened log, and a reader sees only what was synced.
    fileprivate mutating func durable<Record>(
        _ read: (inout ByteReader) throws(ValueFault) -> Record
    ) throws(ValueFault) -> Durable<Record> {
        let lsn = try lsn()
        let writtenAt = try time()
        return Durable(attestedByLog: try read(&self), lsn: lsn, writtenAt: writtenAt)
    }

    fileprivate mutating func decision(
        _ transaction: TransactionID
    ) throws(ValueFault) -> ActiveTransaction.Decision {
        let number = try integer(UInt8.self)
        switch number {
        case 1: return .undecided
        case 2: return .commit(try durable { reader throws(ValueFault) in try reader.commitBody(transaction) })
        case 3: return .abort(try durable { reader throws(ValueFault) in try reader.abortBody(transaction) })
        default: throw .unknown(field: .decision, number: UInt64(number))
        }
    }
}
