import Testing

/// Each rule is shown text that breaks it and text that only looks like it: a rule that cannot fail proves nothing.
@Suite("The rules of the architecture")
struct RuleTests {
    private static let table = [
        TargetRule("Pure"), TargetRule("Shell", folder: "Sources/Shells/One", ours: ["Pure"], others: ["Glibc"]),
    ]

    private func lines(_ violations: [Violation]) -> [Int] { violations.map(\.line).sorted() }

    // MARK: - Imports

    @Test("Every form of an import is seen, and nothing else is taken for one")
    func importForms() {
        let text = """
            import A
            public import B
            @testable import C
            @preconcurrency internal import D.Sub
            import struct E.Name
            @_spi(Inner) package import F; private import G
            // import Comment
            /* import Block
            import Block */
            let import_ = "import Text"
              import H // why
            """
        #expect(
            Rules.imports(of: text) == [
                .init(module: "A", line: 1), .init(module: "B", line: 2), .init(module: "C", line: 3),
                .init(module: "D", line: 4), .init(module: "E", line: 5), .init(module: "F", line: 6),
                .init(module: "G", line: 6), .init(module: "H", line: 11),
            ])
    }

    @Test("A forbidden import is named with file, line and what is allowed")
    func forbiddenImport() throws {
        let file = SourceFile(path: "Sources/Pure/Deep/File.swift", text: "// why\n\npublic import Glibc\n")
        let violation = try #require(Rules.forbiddenImports(in: file, table: Self.table).first)
        #expect(violation.description.hasPrefix("Sources/Pure/Deep/File.swift:3: Pure may not import Glibc"))
        #expect(violation.message.contains("nothing but the standard library"))

        let allowed = SourceFile(path: "Sources/Shells/One/File.swift", text: "import Glibc\nimport Pure\n")
        #expect(Rules.forbiddenImports(in: allowed, table: Self.table).isEmpty)
        let mixed = SourceFile(path: "Sources/Shells/One/File.swift", text: "import Glibc\nimport Foundation\n")
        #expect(lines(Rules.forbiddenImports(in: mixed, table: Self.table)) == [2])
    }

    @Test("A folder that no target owns is noticed, also when its name begins like a target's")
    func unlistedTarget() {
        for path in ["Sources/New/File.swift", "Sources/PureToo/File.swift", "Sources/Shells/Two/File.swift"] {
            let violations = Rules.forbiddenImports(in: SourceFile(path: path, text: ""), table: Self.table)
            #expect(violations.count == 1, "\(path)")
        }
    }

    @Test("A test for another runner is noticed")
    func xctest() {
        let file = SourceFile(path: "Tests/T/T.swift", text: "import Testing\nimport XCTest\n")
        #expect(lines(Rules.xctest(in: file)) == [2])
        #expect(Rules.xctest(in: SourceFile(path: "Tests/T/T.swift", text: "import Testing\n")).isEmpty)
    }

    // MARK: - The manifest

    private static let manifest = """
        let package = Package(
            name: "p",
            products: [.executable(name: "one", targets: ["Shell"])],
            targets: [
                // .target(name: "Commented"),
                .target(name: "Pure"),
                .target(
                    name: "Shell",
                    dependencies: ["Pure", .product(name: "Glibc", package: "x")],
                    path: "Sources/Shells/One"),
                .testTarget(name: "ShellTests", dependencies: ["Shell"]),
            ]
        )
        """

    @Test("A manifest's targets are read with folder and dependencies")
    func manifestTargets() {
        #expect(
            PackageManifest(Self.manifest).targets == [
                .init(name: "Pure", folder: "Sources/Pure", isTest: false, targets: [], products: []),
                .init(
                    name: "Shell", folder: "Sources/Shells/One", isTest: false, targets: ["Pure"], products: ["Glibc"]),
                .init(name: "ShellTests", folder: "Tests/ShellTests", isTest: true, targets: ["Shell"], products: []),
            ])
        #expect(Rules.manifestDifferences(PackageManifest(Self.manifest), table: Self.table).isEmpty)
    }

    @Test(
        "A manifest that differs from the table is noticed",
        arguments: [
            ("name: \"Pure\")", "name: \"Pure\", dependencies: [\"Shell\"])", "Pure depends on Shell"),
            ("[\"Pure\", .product", "[.product", "Shell depends on Pure in ImportTable.swift only"),
            ("name: \"Glibc\"", "name: \"NIOCore\"", "Shell depends on NIOCore"),
            ("Sources/Shells/One", "Sources/Shells/Two", "Shell is in Sources/Shells/Two"),
            (".target(name: \"Pure\"),", "", "Pure of ImportTable.swift is not declared"),
            (".target(name: \"Pure\"),", ".target(name: \"Pure\"), .target(name: \"New\"),", "target New is not in"),
        ])
    func manifestDifference(part: String, replacement: String, expected: String) {
        let changed = Self.manifest.replacing(part, with: replacement)
        #expect(changed != Self.manifest)
        let violations = Rules.manifestDifferences(PackageManifest(changed), table: Self.table)
        #expect(violations.report.contains(expected), "\(violations.report)")
    }

    // MARK: - Durability

    @Test("A receipt made outside the log is noticed, however it is spelled")
    func forgedReceipt() {
        let text = """
            let a = Durable(attestedByLog: record, lsn: lsn, writtenAt: now)
            let b: Durable<Record> = .init(
                attestedByLog: record, lsn: lsn, writtenAt: now)
            let c = Durable<Record>.init(attestedByLog:lsn:writtenAt:)
            // Durable(attestedByLog: is the log's
            """
        #expect(lines(Rules.forgedReceipts(in: SourceFile(path: "Sources/Runtime/F.swift", text: text))) == [1, 3, 4])
        #expect(lines(Rules.forgedReceipts(in: SourceFile(path: "Sources/WALTools/F.swift", text: text))) == [1, 3, 4])
        #expect(Rules.forgedReceipts(in: SourceFile(path: "Sources/WAL/Deep/F.swift", text: text)).isEmpty)
    }

    @Test("The declaration is not a use, but its file may not use it either")
    func receiptDeclaration() {
        let declaration = "    package init(attestedByLog record: Record, lsn: LSN) {\n"
        let use = "        self.init(attestedByLog: record, lsn: lsn)\n"
        let file = SourceFile(path: Rules.durableDeclaration, text: declaration + use)
        #expect(lines(Rules.forgedReceipts(in: file)) == [2])
        #expect(lines(Rules.forgedReceipts(in: SourceFile(path: "Sources/Server/F.swift", text: declaration))) == [1])
    }

    // MARK: - Form

    @Test("The limit of a file's length is exact")
    func length() {
        let longest = String(repeating: "\n", count: Rules.fileLinesMax)
        #expect(Rules.tooLong(SourceFile(path: "Sources/A/F.swift", text: longest)).isEmpty)
        #expect(Rules.tooLong(SourceFile(path: "Sources/A/F.swift", text: longest + "x")).count == 1)
    }

    @Test(
        "Each banned construct is noticed",
        arguments: [
            "let x = try! f()", "f(label:try! g())", "let y = x as! Int", "fatalError()", "fatalError (\"why\")",
            "do { try f() } catch {}", "do { try f() } catch let error as E { }", "print(\"\\(try! f())\")",
            "do { try f() }\ncatch {\n    // nothing to do\n}", "do { try f() } catch is CancellationError {\n}",
        ])
    func banned(code: String) {
        let violations = Rules.bannedConstructs(in: SourceFile(path: "Sources/A/F.swift", text: "\n" + code + "\n"))
        #expect(violations.count == 1, "\(violations.report)")
        #expect(violations.allSatisfy { $0.line > 1 })
    }

    @Test(
        "What only looks like a banned construct is left alone",
        arguments: [
            "let x = try? f()", "if try !f() {}", "// try! is banned", "/* as! /* fatalError( */ try! */",
            "let s = \"try! as! fatalError(\"",
            "let s = \"\"\"\n try! \"quoted\" catch {}\n \"\"\"", "let s = #\"a \" try! \\(x) \"#",
            "do { try f() } catch { log(error) }", "let x = \"\\(f(\"a\"))\" // as! B", "myfatalError(1)",
            "if a { } else { }",
        ])
    func notBanned(code: String) {
        let violations = Rules.bannedConstructs(in: SourceFile(path: "Sources/A/F.swift", text: code))
        #expect(violations.isEmpty, "\(violations.report)")
    }

    @Test("Blanking keeps every line where it is, and code after a literal")
    func blanking() {
        let text = "a /* x\n y */ b \"c \\(d + \"e\") f\" g // h\ni \"\"\"\n j \\(k)\n \"\"\" l \"open\nm"
        let code = SwiftText.code(of: text)
        #expect(code.count(where: { $0 == "\n" }) == text.count(where: { $0 == "\n" }))
        #expect(code.count == text.count)
        #expect(code.filter { $0.isLetter } == "abdgiklm")
    }

    // MARK: - Scripts

    @Test("A script without its shell, or one that cannot be run, is noticed")
    func scripts() {
        func check(_ text: String, isExecutable: Bool = true) -> Int {
            Rules.badScript(SourceFile(path: "scripts/x", text: text), isExecutable: isExecutable).count
        }
        #expect(check("#!/usr/bin/env bash\necho\n") == 0)
        #expect(check("#!/usr/bin/env python3\nprint()\n") == 0)
        #expect(check("#!/bin/sh\necho\n") == 1)
        #expect(check("#!/usr/bin/env zsh\necho\n") == 1)
        #expect(check("echo\n") == 1)
        #expect(check("") == 1)
        #expect(check("#!/usr/bin/env bash\n", isExecutable: false) == 1)
        #expect(check("echo\n", isExecutable: false) == 2)
    }
}
