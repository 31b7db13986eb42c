@testable import Coordinator

/// What tells two worlds apart, packed: worlds with equal keys have the same futures.
///
/// Left out is what follows from the rest (the records' contents) or only grows (log positions). That nothing else is left out is a
/// test of its own.
struct WorldKey: Hashable {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    private var used = 0

    static func == (left: Self, right: Self) -> Bool { left.words == right.words }

    func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(words.3)
    }

    /// Four values of up to 4 bits go into 16, and so on; a value never straddles two words.
    private mutating func add(_ value: Int, bits: Int) {
        precondition(value >= 0 && value < 1 << bits, "\(value) does not fit into \(bits) bits")
        if used % 64 + bits > 64 { used += 64 - used % 64 }
        precondition(used + bits <= 256, "the key is full")
        let shifted = UInt64(value) << UInt64(used % 64)
        switch used / 64 {
        case 0: words.0 |= shifted
        case 1: words.1 |= shifted
        case 2: words.2 |= shifted
        default: words.3 |= shifted
        }
        used += bits
    }

    private mutating func add(_ flag: Bool) { add(flag ? 1 : 0, bits: 1) }

    private mutating func add(_ participants: Set<Participant>) {
        var bits = participants.contains(.clearing) ? 1 : 0
        for index in 0..<2 where participants.contains(World.participant(index)) { bits |= 2 << index }
        add(bits, bits: 3)
    }

    init(_ world: World) {
        addSurroundings(world)
        addLog(world)
        addMachine(world.machine)
    }

    private mutating func addSurroundings(_ world: World) {
        add(world.isUp)
        add(world.isFinished)
        add(world.isDeadlineDue)
        for flag in [world.hasBegun, world.hasCommitted, world.hasAborted] { add(flag) }
        for flag in [world.hasApproved, world.hasDeclined, world.hasAnswered] { add(flag) }
        add(world.isParked)
        add(world.isContradicted)
        add(world.crashes, bits: 2)
        add(world.losses, bits: 2)
        add(world.fulls, bits: 1)
        add(world.interferences, bits: 2)
        add(Int(world.network.state.rawValue), bits: 3)
        add(world.network.holds, bits: 2)
        add(world.network.attempts, bits: 2)
        add(world.network.isConfirming)
        add(world.network.isReversing)
        for database in world.databases {
            add(Int(database.state.rawValue), bits: 2)
            add(database.isPreparing)
            add(database.owesVote)
            add(database.owesLookUp)
            add(database.telling.map { $0 == .committed ? 2 : 1 } ?? 0, bits: 2)
        }
        var waiting: Set<Participant> = []
        for case .participant(let participant) in world.retries { waiting.insert(participant) }
        add(waiting)
        let writes = world.retries.compactMap { if case .log(let write, _) = $0 { code(write) } else { nil } }
        precondition(writes.count <= 1, "one step is refused at most")
        add(writes.first ?? 0, bits: 5)
    }

    private mutating func addLog(_ world: World) {
        add(code(world.log), bits: 6)
        add(world.logBeforeLastStep.map(code) ?? 0, bits: 6)
        add(Set(world.log.active?.acknowledged.keys.map(\.self) ?? []))
        add(world.log.active?.parkedParticipants ?? [])
        if case .abort(let decision)? = world.log.active?.decision { add(decision.record) }
        add(world.pending.count, bits: 3)
        for step in world.pending {
            add(code(step.write), bits: 5)
            if case .abort(let record) = step.write { add(record) }
        }
    }

    private mutating func add(_ abort: AbortRecord) { add(Int(abort.reason.rawValue), bits: 5) }

    private func code(_ log: ModelLog) -> Int {
        let decision =
            switch log.active?.decision {
            case nil: 0
            case .undecided: 1
            case .commit: 2
            case .abort: 3
            }
        return decision | (log.hasEnded ? 4 : 0) | (log.reversal == nil ? 0 : 8) | (log.isClaimReleased ? 16 : 0)
    }

    private func code(_ write: LogWrite) -> Int {
        switch write {
        case .begin: 1
        case .commit: 2
        case .abort(let record): 4 | (record.reversal == nil ? 0 : 1) | (record.claim == .released ? 2 : 0)
        case .acknowledged(let record): 8 | (World.number(record.participant).map { $0 + 1 } ?? 0)
        case .park(let record): 12 | (World.number(record.participant).map { $0 + 1 } ?? 0)
        case .end(let record): record.outcome == .committed ? 16 : 17
        case .closeReversal: 18
        case .reversalRefused, .parkReversal, .fenceAttempted, .fenceConfirmed, .databaseSeen, .resolve, .adopt,
            .reopen,
            .releaseReversal, .releaseQuarantined, .reconcile:
            19
        }
    }

    private mutating func addMachine(_ machine: TransactionMachine?) {
        guard let machine else { return add(0, bits: 4) }
        switch machine.state {
        case .beginning(let passed): add(passed == nil ? 1 : 2, bits: 4)
        case .preparing(let preparing):
            add(3, bits: 4)
            add(preparing)
        case .lookingUp(let preparing):
            add(10, bits: 4)
            add(preparing)
        case .deciding(let preparing):
            add(4, bits: 4)
            add(preparing)
        case .committing(let delivering):
            add(5, bits: 4)
            add(delivering)
        case .aborting(let delivering):
            add(6, bits: 4)
            add(delivering)
        case .ending: add(7, bits: 4)
        case .parkedUndecided: add(8, bits: 4)
        case .finished: add(9, bits: 4)
        }
        add(machine.hasAnswered)
    }

    private mutating func add(_ preparing: TransactionState.Preparing) {
        add(preparing.stagesLeft.count, bits: 2)
        add(preparing.outstanding)
        for participant in [.clearing, World.participant(0), World.participant(1)] {
            let vote =
                switch preparing.votes[participant] {
                case nil: 0
                case .yes: 1
                case .unknown: 2
                case .no(.declined): 3
                case .no(.unavailable): 4
                case .no(.contended): 5
                case .no(.conflict), .no(.madeBy): 6
                }
            add(vote, bits: 3)
        }
    }

    private mutating func add<Decision>(_ delivering: TransactionState.Delivering<Decision>) {
        add(delivering.outstanding)
        add(delivering.open)
        add(delivering.parked)
        for participant in [.clearing, World.participant(0), World.participant(1)] {
            add(delivering.attempts[participant] ?? 0, bits: 2)
        }
        add(delivering.resumed)
    }
}
