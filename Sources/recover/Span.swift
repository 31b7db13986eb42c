import ArgumentParser
import Coordinator

/// A span of time on the command line: a whole number with a unit (`90s`, `5m`, `2h`, `1h30m`); without one it is seconds.
struct Span: ExpressibleByArgument, Hashable, CustomStringConvertible {
    /// The longest that is taken.
    static let max = Milliseconds.seconds(3650 * 86_400)

    let milliseconds: Milliseconds

    init(_ milliseconds: Milliseconds) { self.milliseconds = milliseconds }

    init?(argument: String) {
        var total: Int64 = 0
        var rest = argument[...]
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let count = Int64(digits), let factor = Self.milliseconds(of: unit) else { return nil }
            // A number without a unit stands alone: `1h30` could be read in two ways.
            if unit.isEmpty, digits.count != argument.count { return nil }
            let (part, isTooLong) = count.multipliedReportingOverflow(by: factor)
            guard !isTooLong, part <= Self.max.count else { return nil }
            total += part
            guard total <= Self.max.count else { return nil }
        }
        milliseconds = Milliseconds(total)
    }

    private static func milliseconds(of unit: Substring) -> Int64? {
        switch unit {
        case "ms": 1
        case "", "s": 1000
        case "m": 60_000
        case "h": 3_600_000
        case "d": 86_400_000
        default: nil
        }
    }

    var description: String {
        milliseconds.count % 1000 == 0 ? "\(milliseconds.count / 1000)s" : "\(milliseconds.count)ms"
    }

    var defaultValueDescription: String { description }
}

/// How long ago something was, for people.
enum Age {
    static func text(since time: WallTime, now: WallTime) -> String {
        let seconds = max(0, now.microseconds(since: time) / 1_000_000)
        switch seconds {
        case ..<120: return "\(seconds)s"
        case ..<7200: return "\(seconds / 60)m"
        case ..<172_800: return "\(seconds / 3600)h"
        default: return "\(seconds / 86_400)d"
        }
    }
}
