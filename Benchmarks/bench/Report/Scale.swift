import Foundation

/// How values become places along an axis, and where its ticks are.
struct Scale: Equatable {
    enum Kind {
        /// From zero.
        case linear
        case log2
        case log10
    }

    let kind: Kind
    let least: Double
    let most: Double
    let ticks: [Double]

    /// Ticks of a linear axis are about so many.
    private static let linearTicks = 5.0
    /// Mantissas of the ticks of an axis of powers of ten.
    private static let mantissas = [1.0, 2, 5]

    /// An axis that is read from the powers of two that occur; every value has its tick.
    static func powersOfTwo(_ values: [Double]) -> Scale {
        let ticks = Set(values).sorted()
        let least = ticks.first ?? 1
        return Scale(kind: .log2, least: least, most: max(ticks.last ?? 1, least * 2), ticks: ticks)
    }

    /// An axis from zero to a round number not below the greatest value.
    static func fromZero(_ values: [Double]) -> Scale {
        let greatest = max(values.filter(\.isFinite).max() ?? 1, .leastNormalMagnitude)
        let rough = greatest / linearTicks
        let power = pow(10, floor(log10(rough)))
        let step = [1, 2, 2.5, 5, 10].map { $0 * power }.first { $0 >= rough * 0.999_999 } ?? rough
        let count = (greatest / step).rounded(.up)
        return Scale(kind: .linear, least: 0, most: count * step, ticks: (0...Int(count)).map { Double($0) * step })
    }

    /// An axis from a round number not above the least value to one not below the greatest.
    static func powersOfTen(_ values: [Double]) -> Scale {
        let usable = values.filter { $0.isFinite && $0 > 0 }
        guard let low = usable.min(), let high = usable.max() else { return powersOfTen([1, 10]) }
        let powers = Int(floor(log10(low)))...Int(ceil(log10(high)))
        let marks = powers.flatMap { power in mantissas.map { $0 * pow(10, Double(power)) } }
        // A little slack, since a power of ten is not exact.
        let least = marks.last { $0 <= low * 1.000_001 } ?? low
        let most = max(marks.first { $0 >= high * 0.999_999 } ?? high, least * 2)
        return Scale(
            kind: .log10, least: least, most: most,
            ticks: marks.filter { $0 >= least * 0.999_999 && $0 <= most * 1.000_001 })
    }

    /// 0 at the axis' beginning, 1 at its end.
    func place(_ value: Double) -> Double {
        switch kind {
        case .linear: (value - least) / (most - least)
        case .log2, .log10: log2(max(value, .leastNormalMagnitude) / least) / log2(most / least)
        }
    }

    /// A tick's text: no more digits than it needs, thousands apart.
    static func text(_ value: Double) -> String {
        guard abs(value) < 1000 else {
            let whole = Int(value.rounded())
            return "\(whole / 1000)\u{202F}" + String(format: "%03d", whole % 1000)
        }
        var text = String(format: "%.3f", value)
        while text.last == "0" { text.removeLast() }
        if text.last == "." { text.removeLast() }
        return text
    }
}
