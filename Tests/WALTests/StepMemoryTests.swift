import Coordinator
import Glibc
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
        let (state, bytes) = Self.begun(1)
        bytes.withUnsafeBytes { bytes in
            let open = memory.note(state, storedAs: bytes)
            #expect(open.isState(storedAs: bytes) && open.state == state)
            let empty = UnsafeRawBufferPointer(rebasing: bytes[..<0])
            #expect(!open.isState(storedAs: empty))
            #expect(!memory.isClaim(of: state.transaction, storedAs: empty))
        }
    }

    /// Goal: a claim is known again from the first step on, and is another's when other bytes are there.
    @Test func claimIsKnown() throws {
        let memory = StepMemory()
        func entry(_ transaction: UInt64) -> [UInt8] {
            StateCodec.encode(
                RequestEntry(
                    transaction: Sample.transaction(transaction), intent: Sample.intent(1), status: .preparing))
        }
        let open = memory.put(Self.begun(1).state)
        entry(1).withUnsafeBytes { bytes in
            #expect(!memory.isClaim(of: Sample.transaction(1), storedAs: bytes))
            memory.noteClaim(of: Sample.transaction(1), storedAs: bytes)
            #expect(memory.isClaim(of: Sample.transaction(1), storedAs: bytes))
            #expect(!memory.isClaim(of: Sample.transaction(2), storedAs: bytes))
        }
        entry(2).withUnsafeBytes { #expect(!memory.isClaim(of: Sample.transaction(1), storedAs: $0)) }
        memory.end(open)
        try memory.writeChanges(put: { _, _ in }, delete: { _ in })
        entry(1).withUnsafeBytes { #expect(!memory.isClaim(of: Sample.transaction(1), storedAs: $0)) }
    }

    /// Goal: what a batch made of a transaction counts within that batch and no longer; it is written in the order of the tree.
    @Test func changeEndsWithItsBatch() throws {
        let memory = StepMemory()
        memory.beginBatch()
        let (state, bytes) = Self.begun(2)
        let open = bytes.withUnsafeBytes { memory.note(state, storedAs: $0) }
        memory.change(open) { $0.acknowledged[.clearing] = .witness }
        memory.put(Self.begun(1).state)
        guard case .changed(let same) = memory.find(state.transaction) else {
            Issue.record("a change was forgotten")
            return
        }
        #expect(same === open && same.state.acknowledged == [.clearing: .witness])

        memory.beginBatch()
        guard case .unchanged = memory.find(state.transaction) else {
            Issue.record("a batch that was given up counts")
            return
        }
        #expect(!bytes.withUnsafeBytes { open.isState(storedAs: $0) })

        let again = bytes.withUnsafeBytes { memory.note(state, storedAs: $0) }
        memory.end(again)
        guard case .ended = memory.find(state.transaction) else { Issue.record("it has ended"); return }
        for number: UInt64 in [5, 4] { memory.put(Self.begun(number).state) }
        var written: [String] = []
        func write() throws {
            written = []
            try memory.writeChanges { transaction, bytes throws(LMDBFailure) in
                #expect((try? StateCodec.decodeActive(bytes, of: transaction)) != nil)
                written.append("\(transaction) put")
            } delete: { transaction throws(LMDBFailure) in
                written.append("\(transaction) deleted")
            }
        }
        try write()
        #expect(
            written == ["\(state.transaction) deleted"] + [UInt64(4), 5].map { "\(Sample.transaction($0)) put" })
        try write()
        #expect(written.isEmpty)
    }

    /// Goal: what was written before there was no room for the rest is believed no more than the rest.
    @Test func roomEndsHalfway() throws {
        let memory = StepMemory()
        memory.beginBatch()
        let (state, bytes) = Self.begun(1)
        let open = memory.put(state)
        try memory.writeChanges(put: { _, _ in }, delete: { _ in })

        memory.beginBatch()
        for number: UInt64 in [2, 3] { memory.put(Self.begun(number).state) }
        memory.change(open) { $0.acknowledged[.clearing] = .witness }
        let full = LMDBFailure(code: ENOSPC, function: "mdb_put")
        #expect(throws: LMDBFailure.self) {
            try memory.writeChanges { transaction, _ throws(LMDBFailure) in
                if transaction == Sample.transaction(2) { throw full }
            } delete: { _ in
            }
        }

        memory.beginBatch()
        for number: UInt64 in 1...3 {
            guard case .unchanged(let open?) = memory.find(Sample.transaction(number)) else {
                Issue.record("\(number) counts as changed")
                continue
            }
            let before = number == 1 ? bytes : Self.begun(number).bytes
            #expect(!before.withUnsafeBytes { open.isState(storedAs: $0) })
        }
        // The next batch finds the value of before, and goes on from there.
        let again = bytes.withUnsafeBytes { memory.note(state, storedAs: $0) }
        memory.change(again) { $0.acknowledged[.clearing] = .absence }
        var expected = state
        expected.acknowledged[.clearing] = .absence
        try memory.writeChanges(
            put: { _, bytes in #expect(Array(bytes) == StateCodec.encode(expected)) }, delete: { _ in })
    }

    /// Goal: what is taken over from the value before makes the same bytes as making it anew.
    @Test func beginningIsTheSame() throws {
        let memory = StepMemory()
        memory.beginBatch()
        var (state, _) = Self.begun(1)
        let open = memory.put(state)
        func expectSame() throws {
            try memory.writeChanges(
                put: { _, bytes in #expect(Array(bytes) == StateCodec.encode(state)) }, delete: { _ in })
        }
        try expectSame()
        for participant in [
            Participant.clearing, .database(DatabaseIndex(rawValue: 200)), .database(DatabaseIndex(rawValue: 3)),
        ] {
            state.acknowledged[participant] = .acknowledgement
            memory.change(open) { $0.acknowledged[participant] = .acknowledgement }
            try expectSame()
        }
        // Another BEGIN of the same transaction takes nothing over.
        state = ActiveTransaction(
            begin: Durable(
                attestedByLog: Sample.begin(1, request: "another"), lsn: LSN(rawValue: 9), writtenAt: Sample.startedAt),
            decision: .undecided, acknowledged: [:])
        memory.put(state)
        try expectSame()
    }

    /// Goal: what is remembered is bounded, and what was let go is decoded again.
    @Test func memoryIsBounded() {
        let memory = StepMemory()
        func isKnown() -> Bool {
            if case .unchanged(nil) = memory.find(Sample.transaction(1)) { false } else { true }
        }
        for number in 1...UInt64(LogLimits.decodedStatesMax) {
            if number % 1000 == 0 { memory.beginBatch() }
            let (state, bytes) = Self.begun(number)
            _ = bytes.withUnsafeBytes { memory.note(state, storedAs: $0) }
        }
        #expect(isKnown())
        memory.beginBatch()
        #expect(!isKnown())
    }

    // MARK: parts

    private static func begun(_ number: UInt64) -> (state: ActiveTransaction, bytes: [UInt8]) {
        let begin = Durable(
            attestedByLog: Sample.begin(number), lsn: LSN(rawValue: number), writtenAt: Sample.startedAt)
        let state = ActiveTransaction(begin: begin, decision: .undecided, acknowledged: [:])
        return (state, StateCodec.encode(state))
    }

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
            // As bytes, because a dictionary is not printed in one order.
            if case .resumed(let state) = outcome {
                outcomes.append("\(StateCodec.encode(state))")
            } else {
                outcomes.append("\(outcome.receipt(writtenAt: Sample.startedAt))")
            }
        }
        // What is given up was written, or not.
        if isCommitted || writes.count.isMultiple(of: 2) { try store.writeStates(txn, &context) }
        guard isCommitted else { return (outcomes, context.nextLSN) }
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
        switch Int.random(in: 0..<12, using: &generator) {
        case 0 where newest > 0: return .begin(Sample.begin(number + 1_000_000, request: "request-\(number)"))
        case 0, 1, 2:
            newest += 1
            return .begin(Sample.begin(newest))
        case 3, 4: return .commit(Sample.commit(number))
        case 5: return .abort(Sample.abort(number, claim: chance(1, of: 2) ? .declined : .released))
        case 6: return .acknowledged(Sample.acknowledged(number))
        case 7: return .acknowledged(Sample.acknowledged(number, .database(DatabaseIndex(rawValue: 1))))
        case 8:
            // Of what has ended nobody adopts anything.
            newest += 1
            return .adopt(
                AdoptionRecord(
                    begin: Sample.begin(newest), outcome: chance(1, of: 2) ? .committed : .aborted,
                    warrant: Sample.warrant))
        case 9:
            return .resolve(
                Sample.resolution(number, chance(1, of: 2) ? .committed : .aborted, isForced: true),
                needsTwoPersons: chance(1, of: 4))
        case 10: return .closeReversal(ReversalClosedRecord(transaction: Sample.transaction(number)))
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
