import Foundation

/// The command line of `crash`, as `make crash` uses it.
package enum CrashProgram {
    private struct Options {
        var seed: UInt64?
        var only: String?
        var share = 1
        var jobs = 2
        var soak: Duration?
    }

    private static let usage = """
        usage: crash [--seed N] [--only POINT[:N[:ACTION]]] [--share N] [--jobs N] [--soak 30m]

        Makes the programs fail at every point of server --list-faults and looks at what everybody holds afterwards.
          --seed N     what everything is drawn from; printed, and drawn if not given
          --only ...   one point, one hit or one fault instead of all
          --share N    each N-th plan of the matrix
          --jobs N     iterations at the same time, default 2
          --soak TIME  random plans for so long (90s, 30m, 2h) instead of the matrix; --seed with --only N replays its iteration N
        """

    /// - Returns: the exit code: 0 if everything held, 1 if not, 64 for wrong usage.
    package static func run(_ arguments: [String]) -> Int32 {
        do {
            guard let options = try parse(arguments) else {
                say(usage)
                return 0
            }
            let seed = options.seed ?? UInt64.random(in: 1...999_999)
            if let soak = options.soak {
                return try Soak(seed: seed, lasting: soak, only: options.only.flatMap { Int($0) }).run { say($0) }
            }
            return try runMatrix(options, seed)
        } catch let error as UsageError {
            FileHandle.standardError.write(Data("crash: \(error.what)\n\(usage)\n".utf8))
            return 64
        } catch {
            FileHandle.standardError.write(Data("crash: \(error)\n".utf8))
            return 1
        }
    }

    /// Line by line, also into a pipe.
    @Sendable private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

    private struct UsageError: Error { let what: String }

    private static func parse(_ arguments: [String]) throws -> Options? {
        var options = Options()
        var rest = arguments[...]
        while let flag = rest.popFirst() {
            if flag == "--help" || flag == "-h" { return nil }
            guard let value = rest.popFirst() else { throw UsageError(what: "\(flag) needs a value") }
            switch flag {
            case "--seed": options.seed = try number(value, flag).map { UInt64($0) }
            case "--only": options.only = value
            case "--share": options.share = try number(value, flag) ?? 1
            case "--jobs": options.jobs = try number(value, flag) ?? 1
            case "--soak": options.soak = try span(value)
            default: throw UsageError(what: "there is no \(flag)")
            }
        }
        return options
    }

    private static func number(_ text: String, _ flag: String) throws -> Int? {
        guard let number = Int(text), number >= 1 else { throw UsageError(what: "\(flag) takes a number from 1 on") }
        return number
    }

    private static func span(_ text: String) throws -> Duration {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600]
        let unit = text.last.flatMap { units[$0] }
        guard let number = Int(unit == nil ? text : String(text.dropLast())), number >= 1 else {
            throw UsageError(what: "--soak takes a time such as 90s, 30m or 2h")
        }
        return .seconds(number * (unit ?? 1))
    }

    private static func runMatrix(_ options: Options, _ seed: UInt64) throws -> Int32 {
        let matrix = try CrashMatrix(seed: seed, only: options.only, share: options.share)
        say(
            "crash: \(matrix.plans.count) iterations over \(Set(matrix.plans.map(\.fault.point)).count) points, seed \(seed), "
                + "\(options.jobs) at a time; programs in \(Settings.programDirectory)")
        let result = try matrix.run(jobs: options.jobs) { say($0) }
        say("\n" + CrashMatrix.table(result))
        let failures = result.failures
        say(
            "\n\(result.outcomes.count) iterations in \(Int(result.took.seconds)) s, "
                + String(format: "%.1f", result.perMinute) + " a minute; \(failures.count) failed; seed \(seed)")
        for (plan, _) in failures { say("FAILED: \(plan.replay)") }
        // One hit alone may not be reached; a point of the whole matrix must be.
        let isMissing = !result.missed.isEmpty && options.share == 1
        if !result.missed.isEmpty { say("never reached: \(result.missed.joined(separator: ", "))") }
        return failures.isEmpty && !isMissing ? 0 : 1
    }
}
