/// The rules of the code as functions over a file's path and text, so that each can be shown a file that breaks it.
enum Rules {
    /// Lines of a source file. The aim is 400; the rest is room for a last case that belongs there.
    static let fileLinesMax = 450

    // MARK: - Imports

    struct Import: Hashable {
        let module: String
        let line: Int
    }

    /// The modules that a file imports, whatever the access level, attribute or kind (`import struct X.Y` names `X`).
    static func imports(of text: String) -> [Import] {
        let pattern =
            /^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:typealias|struct|class|enum|protocol|actor|let|var|func)\s+)?(\w+)/
        var imports: [Import] = []
        for (index, line) in lines(of: SwiftText.code(of: text)).enumerated() {
            for statement in line.split(separator: ";") {
                guard let match = statement.firstMatch(of: pattern) else { continue }
                imports.append(Import(module: String(match.output.1), line: index + 1))
            }
        }
        return imports
    }

    /// A file belongs to a target of the table and imports only what the table allows that target.
    static func forbiddenImports(in file: SourceFile, table: [TargetRule]) -> [Violation] {
        guard let target = table.first(where: { file.path.hasPrefix($0.folder + "/") }) else {
            return [
                Violation(
                    path: file.path, line: 1,
                    message: "belongs to no target of ImportTable.swift; add the target there with what it may import")
            ]
        }
        return imports(of: file.text).filter { !target.allowed.contains($0.module) }.map {
            Violation(
                path: file.path, line: $0.line,
                message: "\(target.name) may not import \($0.module); it may import \(target.allowedText)")
        }
    }

    /// Tests are written for Swift Testing; `scripts/test` runs nothing else.
    static func xctest(in file: SourceFile) -> [Violation] {
        imports(of: file.text).filter { $0.module == "XCTest" }.map {
            Violation(
                path: file.path, line: $0.line,
                message: "XCTest tests would never be run; write them with Swift Testing (import Testing)")
        }
    }

    // MARK: - Durability

    /// Where ``Durable`` is declared, and with it the one way to make it.
    static let durableDeclaration = "Sources/Coordinator/Log/Durable.swift"

    /// The logs: the real one, and the one of a simulated world, which a test holds against it.
    static let logs = ["Sources/WAL/", "Sources/Simulation/Log/"]

    /// The receipt that allows to act on a record is made by the log alone, after the record is on the disk.
    static func forgedReceipts(in file: SourceFile) -> [Violation] {
        guard !logs.contains(where: file.path.hasPrefix) else { return [] }
        return codeLines(of: file).compactMap { line, code in
            guard code.contains(word(/\battestedByLog\b/)) else { return nil }
            if file.path == durableDeclaration, code.contains(/^\s*package\s+init\(attestedByLog\s/) { return nil }
            return Violation(
                path: file.path, line: line,
                message: "only Sources/WAL may attest that a record is durable (attestedByLog)")
        }
    }

    // MARK: - Form

    static func tooLong(_ file: SourceFile) -> [Violation] {
        let count = lines(of: file.text).count
        guard count > fileLinesMax else { return [] }
        return [
            Violation(
                path: file.path, line: count,
                message: "has \(count) lines; at most \(fileLinesMax) are allowed, so split it by concern")
        ]
    }

    /// What ends the process, or hides an error, on something that a user or a peer controls.
    static func bannedConstructs(in file: SourceFile) -> [Violation] {
        let code = SwiftText.code(of: file.text)
        let onOneLine = codeLines(of: file).flatMap { line, code -> [Violation] in
            var found: [Violation] = []
            func object(_ message: String) { found.append(Violation(path: file.path, line: line, message: message)) }
            if code.contains(word(/\btry!/)) {
                object("try! ends the process on an error; handle it or let it pass on")
            }
            if code.contains(word(/\bas!/)) { object("as! ends the process on another type; use as? and handle nil") }
            if code.contains(word(/\bfatalError\s*\(/)) {
                object(
                    "fatalError ends the process; throw, or trap an impossible state with preconditionFailure and its name"
                )
            }
            return found
        }
        let emptyCatches = code.matches(of: word(/\bcatch\b[^{}]*\{\s*\}/)).map { match in
            Violation(
                path: file.path, line: lineNumber(of: match.range.lowerBound, in: code),
                message: "an empty catch hides an error; handle it, or log why nothing is to be done")
        }
        return onOneLine + emptyCatches
    }

    // MARK: - Scripts

    /// The first line that every shell script has.
    static let shebangs: Set<String> = ["#!/usr/bin/env bash", "#!/bin/bash"]

    /// - Parameter isExecutable: whether the file's mode allows to run it.
    static func badScript(_ file: SourceFile, isExecutable: Bool) -> [Violation] {
        let first = lines(of: file.text).first.map(String.init) ?? ""
        // A helper in another language says so in its first line; without one the shell would be guessed.
        let isOtherLanguage = first.hasPrefix("#!") && !first.contains(word(/sh\b/))
        var found: [Violation] = []
        if !isOtherLanguage, !shebangs.contains(first) {
            found.append(
                Violation(
                    path: file.path, line: 1,
                    message: "begins with '\(first)'; a script begins with #!/usr/bin/env bash"))
        }
        if !isExecutable {
            found.append(Violation(path: file.path, line: 1, message: "is not executable; run: chmod +x \(file.path)"))
        }
        return found
    }

    // MARK: - Text

    /// `\b` between any two characters of which one is no part of a name. The default follows Unicode's rules for prose, where
    /// `a:b` is one word.
    private static func word<Output>(_ pattern: Regex<Output>) -> Regex<Output> { pattern.wordBoundaryKind(.simple) }

    static func lines(of text: String) -> [Substring] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    private static func codeLines(of file: SourceFile) -> [(Int, Substring)] {
        lines(of: SwiftText.code(of: file.text)).enumerated().map { ($0.offset + 1, $0.element) }
    }

    private static func lineNumber(of index: String.Index, in text: String) -> Int {
        text[..<index].count(where: { $0 == "\n" }) + 1
    }
}
