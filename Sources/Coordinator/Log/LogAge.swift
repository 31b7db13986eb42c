/// How long the log has been at work, all its starts together, and which records are how old by that.
///
/// The retention is counted in this time and not in the time of day, which somebody can set. It stands still while no server runs and
/// loses a few seconds with a crash, so what is kept is kept for the retention or longer, never shorter; and what is written in that
/// time bounds the log, because nothing is written while it stands still.
package struct LogAge: Sendable, Hashable {
    /// Every record before ``end`` was written when the log had this age, or earlier.
    package struct Mark: Sendable, Hashable {
        package let age: Milliseconds
        package let end: LSN

        package init(age: Milliseconds, end: LSN) {
            self.age = age
            self.end = end
        }
    }

    /// Places in the history whose age is remembered; with fewer than half of them the age of what is trimmed is rounded up by a small part of
    /// the retention.
    package static let marksMax = 96
    /// Between two of them at the least.
    package static let markSpacingMin = Milliseconds.seconds(1)

    package private(set) var age: Milliseconds
    /// Ages and places grow.
    package private(set) var marks: [Mark]
    /// No record that was dropped says a later time of day; `nil` if none was dropped yet.
    package private(set) var trimmedUntil: WallTime?

    package init(age: Milliseconds = .zero, marks: [Mark] = [], trimmedUntil: WallTime? = nil) {
        self.age = age
        self.marks = marks
        self.trimmedUntil = trimmedUntil
    }

    /// Whether it can be so. No log is 300,000 years old.
    package var isSound: Bool {
        age >= .zero && age.count < 1 << 53 && (marks.first?.age ?? .zero) >= .zero && (marks.last?.age ?? .zero) <= age
            && zip(marks, marks.dropFirst()).allSatisfy { $0.age < $1.age && $0.end < $1.end }
    }

    package mutating func advance(to later: Milliseconds) { age = max(age, later) }

    /// Notes that everything before `end` was written when the log was as old as given. The newest mark moves on until it is far enough
    /// from the one before it: more of them would be of no use.
    package mutating func mark(end: LSN, writtenBy written: Milliseconds) {
        guard let last = marks.last else { return marks.append(Mark(age: written, end: end)) }
        guard written >= last.age, end > last.end else { return }
        let before = marks.dropLast().last
        let isFarEnough = before.map { last.age.count - $0.age.count >= spacing } ?? true
        if written == last.age || !isFarEnough {
            marks[marks.count - 1] = Mark(age: written, end: end)
        } else {
            marks.append(Mark(age: written, end: end))
            if marks.count > Self.marksMax { thin() }
        }
    }

    /// The place before which every record was at least as old as the retention when the log was `asked` old; `nil` if none is known to
    /// have been.
    package func horizon(of retention: Milliseconds, asked: Milliseconds) -> LSN? {
        marks.last { asked.count - $0.age.count >= retention.count }?.end
    }

    /// Forgets the marks that tell no more than the horizon does.
    package mutating func forget(before horizon: LSN) { marks.removeAll { $0.end < horizon } }

    package mutating func noteTrimmed(until time: WallTime) { trimmedUntil = max(trimmedUntil ?? time, time) }

    /// Between two marks, milliseconds: a small part of what they span.
    private var spacing: Int64 {
        let span = age.count - (marks.first?.age.count ?? 0)
        return max(Self.markSpacingMin.count, span / Int64(Self.marksMax / 2))
    }

    /// Keeps about half of them; fewer only make what they tell coarser.
    private mutating func thin() {
        var kept: [Mark] = []
        for mark in marks {
            if let last = kept.last, mark.age.count - last.age.count < spacing { continue }
            kept.append(mark)
        }
        marks = kept
    }
}
