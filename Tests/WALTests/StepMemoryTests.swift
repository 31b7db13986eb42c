import Coordinator
import Payments
import Testing

@testable import WAL

@Suite("What the writer remembers: never anything that the trees do not say")
struct StepMemoryTests {
    /// Goal: a writer that remembers states does to every tree, byte by byte, what one does that decodes them each time: with
    /// batches that are given up, with values that are changed behind its back, and with damage.
    @Test(arguments: 0..<12 as Range<UInt64>)
    func memoryChangesNothing(seed: UInt64) throws {
        let logs = [try TestLog(), try TestLog()]
        let mayDamage = seed % 3 == 0
        try Self.play(Course(seed: seed, mayDamage: mayDamage), on: logs)
        for test in logs { test.log.close() }
        guard !mayDamage else { return }
        for test in logs {
            let verification = try LogReader(path: test.directory.path).verify()
            #expect(verification.isSound, "seed \(seed): \(verification.findings.map(\.reason))")
            #expect(verification.records > 100)
        }
    }

    /// Takes every batch on two logs, on the second one with a memory: first only to give it up again.
    private static func play(_ course: Course, on logs: [TestLog]) throws {
        var course = course
        let stores = try logs.map { test in try #require(test.log.access.withLock { $0?.store }) }
        let memory = StepMemory()
        var next = try logs[0].log.snapshot().nextLSN
        for batch in 0..<80 {
            let writes = try course.writes(for: stores[0])
            let isCommitted = course.chance(3, of: 4)
            let places = "seed \(course.seed), batch \(batch)"
            for isCommitted in isCommitted ? [false, true] : [false, false] {
                let plain = try take(writes, stores[0], from: next, isCommitted: isCommitted, nil)
                let remembering = try take(writes, stores[1], from: next, isCommitted: isCommitted, memory)
                #expect(plain.outcomes == remembering.outcomes, "\(places)")
                #expect(plain.next == remembering.next, "\(places)")
                if isCommitted { next = plain.next }
            }
            if let change = course.change() { for store in stores { try change(store) } }
            #expect(try content(of: stores[0]) == content(of: stores[1]), "\(places)")
        }
    }

    /// Goal: an empty value is no state and no claim, whatever is remembered.
    @Test func emptyValueIsNothing() {
        let memory = StepMemory()
        let begin = Durable(attestedByLog: Sample.begin(1), lsn: LSN(rawValue: 2), writtenAt: Sample.startedAt)
        let state = ActiveTransaction(begin: begin, decision: .undecided, acknowledged: [:])
        StateCodec.encode(state).withUnsafeBytes { bytes in
            memory.note(state, storedAs: bytes)
            #expect(memory.state(of: state.transaction, storedAs: bytes) == state)
        }
        var nothing: UInt8 = 0
        withUnsafeBytes(of: &nothing) { byte in
            let empty = UnsafeRawBufferPointer(rebasing: byte[..<0])
            #expect(memory.state(of: state.transaction, storedAs: empty) == nil)
            #expect(!memory.isClaim(of: state.transaction, storedAs: empty))
        }
    }

    /// Goal: a claim is known again from the first step on, and is another's when other bytes are there.
    @Test func claimIsKnown() {
        let memory = StepMemory()
        func entry(_ transaction: UInt64) -> [UInt8] {
            StateCodec.encode(
                RequestEntry(
                    transaction: Sample.transaction(transaction), intent: Sample.intent(1), status: .preparing))
        }
        entry(1).withUnsafeBytes { bytes in
            #expect(!memory.isClaim(of: Sample.transaction(1), storedAs: bytes))
            memory.noteClaim(of: Sample.transaction(1), storedAs: bytes)
            #expect(memory.isClaim(of: Sample.transaction(1), storedAs: bytes))
            #expect(!memory.isClaim(of: Sample.transaction(2), storedAs: bytes))
        }
        entry(2).withUnsafeBytes { #expect(!memory.isClaim(of: Sample.transaction(1), storedAs: $0)) }
        memory.forget(Sample.transaction(1))
        entry(1).withUnsafeBytes { #expect(!memory.isClaim(of: Sample.transaction(1), storedAs: $0)) }
    }

    /// Goal: what is remembered is bounded, and what was let go is decoded again.
    @Test func memoryIsBounded() {
        let memory = StepMemory()
        var first: [UInt8] = []
        for number in 1...UInt64(LogLimits.decodedStatesMax + 1) {
            let begin = Durable(
                attestedByLog: Sample.begin(number), lsn: LSN(rawValue: number), writtenAt: Sample.startedAt)
            let state = ActiveTransaction(begin: begin, decision: .undecided, acknowledged: [:])
            let bytes = StateCodec.encode(state)
            if number == 1 { first = bytes }
            bytes.withUnsafeBytes { memory.note(state, storedAs: $0) }
        }
        first.withUnsafeBytes { #expect(memory.state(of: Sample.transaction(1), storedAs: $0) == nil) }
    }

    // MARK: parts

    /// Takes the steps in one transaction.
    ///
    /// - Parameter memory: without one nothing is kept from step to step.
    /// - Returns: what became of the steps, and the position after them.
    private static func take(
        _ writes: [LogWrite], _ store: LogStore, from first: LSN, isCommitted: Bool, _ memory: StepMemory?
    ) throws -> (outcomes: [String], next: LSN) {
        let txn = try WriteTransaction(store.environment)
        var context = StepContext(now: Sample.startedAt, nextLSN: first, memory: memory ?? StepMemory())
        var outcomes: [String] = []
        for write in writes {
            if memory == nil {
                try store.writeStates(txn, &context)
                context = StepContext(now: Sample.startedAt, nextLSN: context.nextLSN)
            }
            let outcome = try store.take(write, txn, &context)
            outcomes.append("\(outcome.receipt(writtenAt: Sample.startedAt))")
        }
        guard isCommitted else { return (outcomes, context.nextLSN) }
        try store.writeStates(txn, &context)
        try txn.put(store.meta, Keys.nextLSN, MetaCodec.encodeNext(context.nextLSN))
        try txn.commit()
        return (outcomes, context.nextLSN)
    }

    /// All keys and values but those of `meta`, which has the owner.
    private static func content(of store: LogStore) throws -> [[[UInt8]]] {
        let transaction = try ReadTransaction(store.environment)
        return try store.databases.filter { $0 != store.meta }.map { database in
            var damaged: [DamagedPlace] = []
            return try store.readAll(database, in: transaction.reading, &damaged) { key, value throws(ValueFault) in
                Array(key) + Array(value)
            }
        }
    }
}

/// Random steps, and what is done to a log behind its writer's back.
private struct Course {
    let seed: UInt64
    let mayDamage: Bool
    private var generator: SeededGenerator
    private var newest: UInt64 = 0

    init(seed: UInt64, mayDamage: Bool) {
        generator = SeededGenerator(seed: seed)
        self.seed = seed
        self.mayDamage = mayDamage
    }

    mutating func chance(_ share: Int, of all: Int) -> Bool { Int.random(in: 0..<all, using: &generator) < share }

    mutating func writes(for store: LogStore) throws -> [LogWrite] {
        let decisions = try decisions(in: store)
        return (0..<Int.random(in: 1...10, using: &generator)).map { _ in write(decisions) }
    }

    private func decisions(in store: LogStore) throws -> [TransactionID: ActiveTransaction.Decision] {
        let transaction = try ReadTransaction(store.environment)
        let active = try store.readUnfinished(in: transaction.reading).active
        return Dictionary(uniqueKeysWithValues: active.map { ($0.transaction, $0.decision) })
    }

    private mutating func write(_ decisions: [TransactionID: ActiveTransaction.Decision]) -> LogWrite {
        let number = UInt64.random(in: (newest > 8 ? newest - 8 : 1)...max(1, newest), using: &generator)
        switch Int.random(in: 0..<10, using: &generator) {
        case 0 where newest > 0: return .begin(Sample.begin(number + 1_000_000, request: "request-\(number)"))
        case 0, 1, 2:
            newest += 1
            return .begin(Sample.begin(newest))
        case 3, 4: return .commit(Sample.commit(number))
        case 5: return .abort(Sample.abort(number, claim: chance(1, of: 2) ? .declined : .released))
        case 6: return .acknowledged(Sample.acknowledged(number))
        case 7: return .acknowledged(Sample.acknowledged(number, .database(DatabaseIndex(rawValue: 1))))
        case 8: return .closeReversal(ReversalClosedRecord(transaction: Sample.transaction(number)))
        default:
            switch decisions[Sample.transaction(number)] {
            case .commit: return .end(Sample.end(number, .committed))
            case .abort: return .end(Sample.end(number, .aborted))
            case .undecided, .none: return .park(Sample.park(number))
            }
        }
    }

    /// Something that happens to an unfinished transaction's state without the writer: another good value, or a flipped bit.
    mutating func change() -> ((LogStore) throws -> Void)? {
        guard mayDamage, newest > 0, chance(1, of: 3) else { return nil }
        let number = UInt64.random(in: (newest > 4 ? newest - 4 : 1)...newest, using: &generator)
        let id = Sample.transaction(number)
        let ofRequest = chance(1, of: 3)
        let flips = chance(1, of: 2)
        return { store in
            let database = ofRequest ? store.requests : store.active
            let key = ofRequest ? Keys.request(Sample.intent(number).requestID) : Keys.transaction(id)
            let txn = try WriteTransaction(store.environment)
            guard var bytes = try txn.reading.get(database, key).map(Array.init) else { return }
            if flips || ofRequest {
                bytes[bytes.count - 1] ^= 0x10
            } else if var state = bytes.withUnsafeBytes({ try? StateCodec.decodeActive($0, of: id) }) {
                state.acknowledged[.clearing] = .witness
                bytes = StateCodec.encode(state)
            }
            try txn.put(database, key, bytes)
            try txn.commit()
        }
    }
}
