/// Text of others (names of prepared transactions, owners, reasons, evidence) may hold anything; a terminal must not obey it.
extension String {
    /// The text with everything written out that moves the cursor, changes colours or the direction of writing, or breaks the line.
    var printable: String { unicodeScalars.allSatisfy { !$0.isUnprintable } ? self : escaped(keeping: []) }

    /// Likewise, for text of several lines.
    var printableLines: String { escaped(keeping: ["\n"]) }

    /// JSON text whose strings hold nothing that a terminal obeys. Outside of strings JSON has no such characters but line feeds.
    var printableJSON: String {
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            if scalar.isUnprintable, scalar != "\n" {
                let digits = String(scalar.value, radix: 16)
                result.append(
                    contentsOf: ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    private func escaped(keeping kept: Set<Unicode.Scalar>) -> String {
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            if scalar.isUnprintable, !kept.contains(scalar) {
                result.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    /// How many columns of a terminal it takes; the text must be printable.
    var columns: Int {
        if utf8.allSatisfy({ $0 < 0x80 }) { return utf8.count }
        return reduce(0) { $0 + ($1.unicodeScalars.first.map(\.isWide) == true ? 2 : 1) }
    }

    /// The text in lines of at most so many columns, broken between words where that can be; one line at least.
    func wrapped(to width: Int) -> [String] {
        guard columns > width else { return [self] }
        var lines: [String] = []
        var line = ""
        var used = 0
        for word in split(separator: " ", omittingEmptySubsequences: false).map(String.init) {
            let isFirst = used == 0
            if used + (isFirst ? 0 : 1) + word.columns <= width {
                line += isFirst ? word : " " + word
                used += (isFirst ? 0 : 1) + word.columns
                continue
            }
            if !isFirst { lines.append(line) }
            (line, used) = ("", 0)
            for character in word {
                let wide = String(character).columns
                if used + wide > width, used > 0 {
                    lines.append(line)
                    (line, used) = ("", 0)
                }
                line.append(character)
                used += wide
            }
        }
        lines.append(line)
        return lines.map { String($0.reversed().drop { $0 == " " }.reversed()) }
    }

    /// The text in at most so many columns, with a mark where something was cut off.
    func clipped(to width: Int) -> String {
        guard columns > width else { return self }
        var used = 1
        var kept = ""
        for character in self {
            used += String(character).columns
            guard used <= width else { break }
            kept.append(character)
        }
        return width > 0 ? kept + "…" : ""
    }
}

extension Unicode.Scalar {
    /// Controls (C0, DEL, C1), line and paragraph separators, and the marks that turn the direction of writing. All are in the basic
    /// plane.
    fileprivate var isUnprintable: Bool {
        switch value {
        case 0..<0x20, 0x7F..<0xA0, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF, 0xFFF9...0xFFFB: true
        default: false
        }
    }

    /// Whether terminals give it two columns (the wide ranges of Unicode's annex 11, roughly).
    fileprivate var isWide: Bool {
        switch value {
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            true
        default: false
        }
    }
}
