/// Makes a failing world smaller as long as the same invariant fails: fewer faults, fewer payments, fewer steps.
public struct Minimiser {
    /// What is left, and its result, with the trace.
    public struct Found: Sendable {
        public let options: SimulationOptions
        public let result: SimulationResult
        public let runs: Int
    }

    /// Simulations that one search makes at the most, unless it is told otherwise.
    public static let runsMax = 400

    private var runs = 0
    private var best: SimulationOptions
    private let invariant: Invariant
    private let runsMax: Int

    private init(_ options: SimulationOptions, _ invariant: Invariant, runsMax: Int) {
        best = options
        self.invariant = invariant
        self.runsMax = runsMax
    }

    /// - Returns: `nil` if the world does not fail.
    public static func minimise(_ options: SimulationOptions, runsMax: Int = runsMax) -> Found? {
        let first = Simulation(options).run()
        guard let violation = first.violation else { return nil }
        var search = Minimiser(options, violation.invariant, runsMax: runsMax)
        search.shorten(to: min(options.stepsMax, violation.step))
        search.withoutFaults(first.faults)
        search.withoutPayments(first.payments)
        search.withoutFaults(first.faults)
        search.shortenFurther()
        search.best.keepsTrace = true
        return Found(options: search.best, result: Simulation(search.best).run(), runs: search.runs + 2)
    }

    /// Whether a smaller world still fails in the same way; then it is the best from here on.
    private mutating func take(_ options: SimulationOptions) -> Bool {
        guard runs < runsMax else { return false }
        runs += 1
        guard Simulation(options).run().violation?.invariant == invariant else { return false }
        best = options
        return true
    }

    private mutating func shorten(to steps: Int) {
        var shorter = best
        shorter.stepsMax = steps
        _ = take(shorter)
    }

    private mutating func withoutFaults(_ faults: Set<FaultKind>) {
        for kind in FaultKind.allCases where faults.contains(kind) && !best.without.contains(kind) {
            var smaller = best
            smaller.without.insert(kind)
            _ = take(smaller)
        }
    }

    /// Halves first, then quarters, down to single ones.
    private mutating func withoutPayments(_ count: Int) {
        // The numbers of the payments, whatever was left out before.
        var left = best.payments.map { $0.sorted() } ?? Array(0..<max(count, 64))
        var part = max(1, left.count / 2)
        while true {
            var start = 0
            while start < left.count {
                var fewer = left
                fewer.removeSubrange(start..<min(start + part, left.count))
                var smaller = best
                smaller.payments = Set(fewer)
                if !fewer.isEmpty, take(smaller) { left = fewer } else { start += part }
            }
            guard part > 1 else { return }
            part /= 2
        }
    }

    private mutating func shortenFurther() {
        var low = 0
        var high = best.stepsMax
        while high - low > 8, runs < runsMax {
            let middle = (low + high) / 2
            var shorter = best
            shorter.stepsMax = middle
            if take(shorter) { high = middle } else { low = middle }
        }
    }
}

extension SimulationOptions {
    /// The command that runs exactly this.
    public var command: String {
        var words = "swift run -c release simulate --seed \(seed) --steps \(stepsMax)"
        if !without.isEmpty { words += " --without " + without.map(\.rawValue).sorted().joined(separator: ",") }
        if let payments { words += " --payments " + payments.sorted().map(String.init).joined(separator: ",") }
        if let control { words += " --control \(control.rawValue)" }
        return words
    }
}
