import Foundation
import Testing

/// The checkout keeps the rules. That the rules notice what breaks them is shown in ``RuleTests``.
@Suite("The architecture of this checkout")
struct ArchitectureTests {
    let root: URL

    init() throws { root = try SourceTree.root() }

    private func sources() throws -> [SourceFile] {
        let files = try SourceTree.swiftFiles(below: "Sources", in: root)
        // An empty list would keep every rule.
        try #require(files.count > 30, "found only \(files.count) sources below \(root.path)")
        return try files + SourceTree.swiftFiles(below: "Benchmarks", in: root)
    }

    @Test("Each target imports only what the table allows it")
    func imports() throws {
        let violations = try sources().flatMap { Rules.forbiddenImports(in: $0, table: ImportTable.targets) }
        #expect(violations.isEmpty, "\(violations.report)")
    }

    @Test("Package.swift and the table of imports agree")
    func manifest() throws {
        let manifest = PackageManifest(try SourceTree.text(of: "Package.swift", in: root))
        try #require(manifest.targets.count > 10)
        let violations = Rules.manifestDifferences(manifest, table: ImportTable.targets)
        #expect(violations.isEmpty, "\(violations.report)")
    }

    @Test("The table says what the design says: a pure core, each C library behind one target, the log behind one")
    func table() throws {
        // Of what is delivered; benchmarks measure single parts from inside.
        func users(of module: String) -> [String] {
            ImportTable.targets.filter { $0.folder.hasPrefix("Sources/") && $0.allowed.contains(module) }.map(\.name)
        }
        let rules = Dictionary(uniqueKeysWithValues: ImportTable.targets.map { ($0.name, $0) })
        #expect(try #require(rules["Payments"]).allowed == [])
        #expect(try #require(rules["Coordinator"]).allowed == ["Payments"])
        #expect(users(of: "CChecksum") == ["WAL"])
        #expect(users(of: "CEpoll") == ["PostgresParticipant"])
        #expect(users(of: "CLMDB") == ["WAL"])
        #expect(users(of: "CPostgres") == ["PostgresParticipant"])
        #expect(users(of: "WAL") == ["Assembly"])
        #expect(users(of: "AsyncHTTPClient") == ["ClearingParticipant", "Assembly"])
    }

    @Test("Only the log attests that a record is durable")
    func receipts() throws {
        let files = try sources()
        let violations = files.flatMap(Rules.forgedReceipts(in:))
        #expect(violations.isEmpty, "\(violations.report)")
        // The rule is about a word: were it renamed, the rule would hold of nothing.
        let users = files.filter { $0.text.contains("Durable(attestedByLog:") }
        #expect(!users.isEmpty, "nobody attests; has attestedByLog been renamed?")
        #expect(
            files.contains { $0.path == Rules.durableDeclaration && $0.text.contains("package init(attestedByLog ") })
    }

    @Test("No source file is longer than can be read in one go")
    func lengths() throws {
        let violations = try sources().flatMap(Rules.tooLong(_:))
        #expect(violations.isEmpty, "\(violations.report)")
    }

    @Test("No source ends the process on, or hides, an error that somebody else controls")
    func bannedConstructs() throws {
        let violations = try sources().flatMap(Rules.bannedConstructs(in:))
        #expect(violations.isEmpty, "\(violations.report)")
    }

    @Test("Tests are written for the runner that runs them")
    func testFrameworks() throws {
        let files = try SourceTree.swiftFiles(below: "Tests", in: root)
        try #require(files.count > 10)
        let violations = files.flatMap(Rules.xctest(in:))
        #expect(violations.isEmpty, "\(violations.report)")
    }

    @Test("Scripts are executable and name their shell")
    func scripts() throws {
        // Sources that a script compiles are none.
        let paths = try (SourceTree.paths(below: "scripts", in: root) + SourceTree.paths(below: ".ci", in: root))
            .filter { !$0.hasSuffix(".swift") && !$0.hasSuffix(".c") }
        for expected in ["scripts/setup", "scripts/run", "scripts/test", "scripts/pg-cluster", ".ci/run"] {
            #expect(paths.contains(expected), "\(expected) is missing")
        }
        let violations = try paths.flatMap { path in
            Rules.badScript(
                SourceFile(path: path, text: try SourceTree.text(of: path, in: root)),
                isExecutable: FileManager.default.isExecutableFile(atPath: root.appendingPathComponent(path).path))
        }
        #expect(violations.isEmpty, "\(violations.report)")
    }
}
