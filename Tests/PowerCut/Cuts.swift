import DiskModel
import Workload

/// Goes through a recording, from one cut to the next.
struct Cuts {
    private let operations: [Operation]
    private(set) var disk: Disk
    /// What was said up to the cut.
    private(set) var transcript: Transcript
    /// Whether the scenario had said that its work is done.
    private(set) var isDone = false
    private(set) var notes: Set<String> = []
    private var position = 0

    init(_ recording: Recording, disk: Disk, transcript: Transcript = Transcript()) {
        operations = recording.operations
        self.disk = disk
        self.transcript = transcript
    }

    /// Where to cut, in order: spread over everything that is done to the disk. A place is a number of operations that came before.
    func places(count: Int, seed: UInt64) -> [Int] {
        let doings = operations.indices.filter { index in
            if case .mark = operations[index].action { false } else { true }
        }
        guard !doings.isEmpty, count > 0 else { return [] }
        var numbers = SeededNumbers(seed, 0xC)
        var places: [Int] = []
        for index in 0..<count {
            let first = index * doings.count / count
            let width = max(1, doings.count / count)
            let doing = min(first + numbers.below(width), doings.count - 1)
            // With or without what was said about it.
            let next = doing + 1 < doings.count ? doings[doing + 1] : operations.count
            places.append(numbers.below(2) == 0 ? doings[doing] + 1 : next)
        }
        return places.sorted()
    }

    mutating func advance(to place: Int) {
        while position < min(place, operations.count) {
            let operation = operations[position]
            position += 1
            if case .mark(let line) = operation.action {
                if line == Scenario.done { isDone = true }
                guard let event = Event(line) else { continue }
                if case .note(let text) = event { notes.insert(text) }
                transcript.take(event)
            } else {
                disk.take(operation)
            }
        }
    }

    /// The number of the last operation.
    var last: UInt64 { operations.last?.number ?? 0 }

    func cut(seed: UInt64) -> Cut {
        var numbers = SeededNumbers(seed, 0xD)
        let manners = Cut.Manner.allCases
        return Cut(manner: manners[numbers.below(manners.count)], pending: disk.pendingNumbers, seed: numbers.next())
    }
}
