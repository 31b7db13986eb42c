import Coordinator
import Foundation
import Payments
import Simulation
import Synchronization
import Testing
import WAL

/// Goal: the simulated log takes and refuses exactly what the log on LMDB does, so that what the simulator finds is true of the real one.
@Suite("Simulation: the log agrees with the real one")
struct LogAgreementTests {
    private static let seeds: Range<UInt64> = 1..<13
    private static let steps = 250

    @Test(
        "Goal: the same random steps have the same receipts, refusals, look-ups, snapshots and histories",
        arguments: seeds)
    func agree(seed: UInt64) throws {
        let directory = NSTemporaryDirectory() + "holdfast-simulation-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let clock = Mutex(RandomSteps.start)
        let state = try StateDirectory.acquire(path: directory, allowUnsafeFileSystem: true)
        let real = try LMDBLog.open(
            in: state, configuration: LogConfiguration(mapBytes: 64 << 20, reserveBytes: 0, freeBytesMin: 0),
            incarnation: Incarnation(rawValue: 5), newLogID: RandomSteps.log,
            clock: { WallTime(microseconds: clock.withLock { $0 }) }, deliver: { $0() },
            failure: { preconditionFailure($0) }, monotonic: { UInt64(clock.withLock { $0 }) * 1000 })
        defer { real.close() }
        var simulated = LogImage(log: RandomSteps.log)
        simulated.takeOver(incarnation: Incarnation(rawValue: 5), now: WallTime(microseconds: RandomSteps.start))

        var count = AgeCount(simulated.age, startedAt: UInt64(RandomSteps.start) * 1000)
        var random = RandomSteps(seed: seed)
        var trimFrom = LSN(rawValue: 1)
        for number in 1...Self.steps {
            let now = clock.withLock { time in
                time += random.pause()
                return time
            }
            if random.isTrimDue {
                let retention = Milliseconds.seconds(20)
                let (time, next) = (UInt64(now) * 1000, simulated.nextLSN)
                var trimmed = LogImage.Trimmed()
                if let horizon = count.horizon(of: retention, askedAt: time, next: next, at: time) {
                    trimmed = simulated.trim(from: trimFrom, before: horizon, examineMax: 40)
                    trimFrom = trimmed.resume ?? LSN(rawValue: 1)
                }
                if let until = trimmed.until,
                    let age = count.written(next: next, hasAdvanced: false, trimmedUntil: until, at: time)
                {
                    simulated.age = age
                }
                let dropped = wait { done in real.trim(retention: retention, stepsMax: 40, completion: done) }
                #expect(dropped == trimmed.dropped)
            } else {
                let write = random.step(in: simulated)
                let next = simulated.nextLSN
                let expected = simulated.take(write, WallTime(microseconds: now))
                if simulated.nextLSN != next {
                    _ = count.written(next: next, hasAdvanced: true, trimmedUntil: nil, at: UInt64(now) * 1000)
                }
                let actual = wait { done in real.append(write, urgency: .forced, completion: done) }
                #expect(actual == expected, "step \(number): \(write.label)")
                guard actual == expected else { return }
            }
            try compare(real, simulated, random, whole: number % 25 == 0)
        }
    }

    private func wait<Value: Sendable>(_ body: (@escaping @Sendable (Value) -> Void) -> Void) -> Value {
        let result = Mutex<Value?>(nil)
        let done = DispatchSemaphore(value: 0)
        body { value in
            result.withLock { $0 = value }
            done.signal()
        }
        done.wait()
        guard let value = result.withLock({ $0 }) else { preconditionFailure("a completion without a value") }
        return value
    }

    private func compare(_ real: LMDBLog, _ simulated: LogImage, _ random: RandomSteps, whole: Bool) throws {
        for request in random.requests { #expect(try real.lookUp(request) == simulated.requests[request]) }
        guard whole else { return }
        let (first, second) = (try real.snapshot(), simulated.snapshot)
        #expect(first.owner == second.owner)
        #expect(first.nextLSN == second.nextLSN)
        #expect(first.active.sorted { $0.transaction < $1.transaction } == second.active)
        #expect(first.reversals.sorted { $0.transaction < $1.transaction } == second.reversals)
        #expect(first.fences.sorted { $0.database < $1.database } == second.fences)
        #expect(first.continuity == second.continuity)
        #expect(first.wholeSince == second.wholeSince)
        #expect(first.trimmedUntil == second.trimmedUntil)
        #expect(try real.ended(Set(random.transactions)) == simulated.ended(Set(random.transactions)))
        var scan = try real.scanEnded(from: LSN(rawValue: 1), upTo: first.nextLSN)
        var ended: [ActiveTransaction] = []
        while let more = try real.nextEnded(&scan) { ended += more }
        #expect(ended.sorted { $0.transaction < $1.transaction } == simulated.endedSince(LSN(rawValue: 1)))
    }
}

/// Steps that a coordinator, a database's client, recovery or an operator might take, and some that nobody would, of a few transactions.
struct RandomSteps {
    static let log = LogID(high: 1, low: 2)
    static let start: Int64 = 1_700_000_000_000_000

    private var generator: SystemlessGenerator
    /// As a server draws them: each is begun, or adopted, once.
    private(set) var transactions: [TransactionID] = []
    let requests: [RequestID]

    init(seed: UInt64) {
        generator = SystemlessGenerator(seed: seed)
        requests = (1...4).compactMap { RequestID("r\($0)") }
    }

    mutating func pause() -> Int64 { Int64.random(in: 1...3_000_000, using: &generator) }

    var isTrimDue: Bool {
        mutating get { Int.random(in: 0..<15, using: &generator) == 0 }
    }

    /// The upper half begins with the time.
    private mutating func newTransaction() -> TransactionID {
        let number = Int64(transactions.count + 1)
        let transaction = TransactionID(high: UInt64(Self.start / 1000 + number * 500) << 16, low: UInt64(number))
        transactions.append(transaction)
        return transaction
    }

    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &generator)]
    }

    private mutating func begin(_ transaction: TransactionID, _ known: RequestID? = nil) -> BeginRecord {
        let request = known ?? pick(requests)
        guard let masked = MaskedPAN(masked: "411111******1111") else { preconditionFailure("a mask") }
        let intent = PaymentIntent(
            requestID: request, kind: .authorization, amount: Money(minorUnits: 1, currency: .usDollar),
            merchant: .standard, maskedPAN: masked, panToken: KeyedDigest(keyID: 1, bytes: [1]),
            requestHash: KeyedDigest(keyID: 1, bytes: [2]), reference: nil)
        return BeginRecord(
            transaction: transaction, epoch: Epoch(rawValue: 1), intent: intent,
            branches: Placement.branches(of: intent, databases: 3), deadline: WallTime(microseconds: 0))
    }

    /// - Parameter image: so that many of the steps are of what is there.
    mutating func step(in image: LogImage) -> LogWrite {
        let known = image.active.keys.sorted()
        let isOld = known.isEmpty || Int.random(in: 0..<4, using: &generator) == 0
        let transaction =
            isOld ? transactions.suffix(12).randomElement(using: &generator) ?? newTransaction() : pick(known)
        let request = image.active[transaction]?.begin.record.intent.requestID ?? pick(requests)
        let index = DatabaseIndex(rawValue: UInt8.random(in: 1...3, using: &generator))
        let participant: Participant = pick([.clearing, .database(index)])
        let warrant = Warrant(pick(Authority.allCases), actor: pick(["Ada", " ada", "Grace"]), reason: "a test")
        switch Int.random(in: 0..<20, using: &generator) {
        case 0...4:
            // A repeated BEGIN is refused while the first one is unfinished.
            let isRepeat = image.active[transaction] != nil && Int.random(in: 0..<6, using: &generator) == 0
            return .begin(begin(isRepeat ? transaction : newTransaction()))
        case 5, 6: return .commit(CommitRecord(transaction: transaction, authorizationCode: "A1"))
        case 7, 8: return .abort(abort(transaction))
        case 9:
            return .acknowledged(
                AcknowledgedRecord(transaction: transaction, participant: participant, proof: pick(Proof.allCases)))
        case 10, 11:
            return .end(
                EndRecord(transaction: transaction, requestID: request, outcome: outcome(of: image.active[transaction]))
            )
        case 12:
            return .park(ParkedRecord(transaction: transaction, participant: participant, evidence: "a test"))
        case 13: return reversal(transaction, warrant)
        case 14: return fence(index)
        case 15, 16:
            return .resolve(
                ResolutionRecord(
                    transaction: transaction, outcome: pick(Outcome.allCases), isForced: pick([true, false]),
                    warrant: warrant), needsTwoPersons: pick([true, false]))
        case 17:
            let claimed = image.requests.values.first { $0.transaction == transaction }?.intent.requestID
            let isKnown = image.active[transaction] != nil || claimed != nil
            return .adopt(
                AdoptionRecord(
                    begin: isKnown ? begin(transaction, claimed) : begin(newTransaction()),
                    outcome: pick(Outcome.allCases), warrant: warrant))
        case 18:
            guard let ended = image.ended(Set(transactions)).values.min(by: { $0.transaction < $1.transaction }) else {
                return .reconcile(warrant)
            }
            return .reopen(
                ended,
                ReopenedRecord(
                    transaction: ended.transaction, database: index, isParked: pick([true, false]), evidence: "a test"))
        default:
            return .releaseQuarantined(QuarantineReleasedRecord(number: 1, wasRestored: true, warrant: warrant))
        }
    }

    private func outcome(of active: ActiveTransaction?) -> Outcome {
        if case .commit? = active?.decision { .committed } else { .aborted }
    }

    private mutating func abort(_ transaction: TransactionID) -> AbortRecord {
        let begin = begin(transaction)
        let task = ReversalTask(transaction: transaction, intent: begin.intent, createdAt: WallTime(microseconds: 9))
        return AbortRecord(
            transaction: transaction, reason: pick([.databaseError, .clearingDeclined]),
            claim: pick([.declined, .released, .madeBy(TransactionID(high: 9, low: 9))]),
            reversal: pick([nil, task]))
    }

    private mutating func reversal(_ transaction: TransactionID, _ warrant: Warrant) -> LogWrite {
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: .reversalRefused(ReversalRefusedRecord(transaction: transaction, refusals: 2, reason: "a test"))
        case 1: .closeReversal(ReversalClosedRecord(transaction: transaction))
        case 2: .parkReversal(ReversalParkedRecord(transaction: transaction, reason: "a test"))
        default: .releaseReversal(ReversalReleasedRecord(transaction: transaction, warrant: warrant))
        }
    }

    private mutating func fence(_ index: DatabaseIndex) -> LogWrite {
        let pair = FencePair(
            epoch: Epoch(rawValue: UInt64.random(in: 1...4, using: &generator)), incarnation: Incarnation(rawValue: 3))
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: return .fenceAttempted(index, pair)
        case 1:
            return .fenceConfirmed(index, DatabaseIdentity(systemIdentifier: 7, databaseOID: 8), pair)
        default:
            return .databaseSeen(
                index, DatabasePosition(timeline: 1, walBytes: UInt64.random(in: 1...4, using: &generator)))
        }
    }
}

/// Numbers from a seed.
struct SystemlessGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
