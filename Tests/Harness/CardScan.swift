import Foundation

/// Looks for card numbers where none may be.
enum CardScan {
    /// Which of `paths` (files, or directories with all below) hold one of `cards` in the clear.
    static func filesHolding(_ cards: Set<String>, in paths: [String]) throws -> [String] {
        // Shorter numbers could be there by chance.
        let patterns = cards.filter { $0.count >= 12 && $0.allSatisfy(\.isNumber) }
        guard !patterns.isEmpty else { throw HarnessError("no card numbers to look for") }
        let result = try Tool.run(
            Tool.locate("grep"), ["-r", "-a", "-l", "-F", "-f", "-"] + paths, environment: ["LC_ALL": "C"],
            input: patterns.joined(separator: "\n"))
        switch result.status {
        case .code(0): return result.output.split(separator: "\n").map(String.init)
        case .code(1): return []
        case .code, .signal: throw HarnessError("grep: \(result)")
        }
    }
}
