/// The targets that a Package.swift declares, read from its text: a name, a folder, and dependencies as literals.
struct PackageManifest {
    struct Target: Hashable {
        let name: String
        let folder: String
        let isTest: Bool
        /// Dependencies given by name: targets of this package.
        let targets: Set<String>
        /// Dependencies given as `.product(name:package:)`.
        let products: Set<String>
    }

    let targets: [Target]

    init(_ text: String) {
        let manifest = text.replacing(/(?m)^\s*\/\/.*$/, with: "")
        targets = manifest.matches(of: /\.(target|executableTarget|systemLibrary|testTarget)\(/).compactMap { match in
            Self.target(
                kind: String(match.output.1), declaration: Self.parenthesized(manifest[match.range.upperBound...]))
        }
    }

    private static func target(kind: String, declaration: Substring) -> Target? {
        guard let name = declaration.firstMatch(of: /\bname:\s*"([^"]+)"/)?.output.1 else { return nil }
        let isTest = kind == "testTarget"
        let path = declaration.firstMatch(of: /\bpath:\s*"([^"]+)"/)?.output.1
        // A dependency stands in the list by its name alone, so its quote follows a bracket or a comma.
        var list = ""
        if let begin = declaration.firstMatch(of: /\bdependencies:\s*\[/)?.range.upperBound {
            list = "[" + declaration[begin...].prefix { $0 != "]" }
        }
        let folder = path.map(String.init) ?? "\(isTest ? "Tests" : "Sources")/\(name)"
        return Target(
            name: String(name), folder: folder,
            // Libraries and programs that only tests use live among them.
            isTest: isTest || folder.hasPrefix("Tests/"),
            targets: Set(list.matches(of: /[\[,]\s*"([^"]+)"/).map { String($0.output.1) }),
            products: Set(list.matches(of: /\.product\(\s*name:\s*"([^"]+)"/).map { String($0.output.1) }))
    }

    /// Up to the parenthesis that closes the one before `text`.
    private static func parenthesized(_ text: Substring) -> Substring {
        var depth = 1
        return text.prefix { character in
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            return depth > 0
        }
    }
}

extension Rules {
    /// The manifest and the table of imports say the same, so that the build enforces most of the table by itself.
    static func manifestDifferences(_ manifest: PackageManifest, table: [TargetRule]) -> [Violation] {
        func object(_ message: String) -> Violation { Violation(path: "Package.swift", line: 1, message: message) }
        let declared = manifest.targets.filter { !$0.isTest }
        var found: [Violation] = []
        for target in declared {
            guard let rule = table.first(where: { $0.name == target.name }) else {
                found.append(object("the target \(target.name) is not in ImportTable.swift"))
                continue
            }
            if rule.folder != target.folder {
                found.append(object("\(target.name) is in \(target.folder), in ImportTable.swift in \(rule.folder)"))
            }
            for name in target.targets.symmetricDifference(rule.ours).sorted() {
                let place = rule.ours.contains(name) ? "ImportTable.swift" : "Package.swift"
                found.append(object("\(target.name) depends on \(name) in \(place) only"))
            }
            for product in target.products.subtracting(rule.others).sorted() {
                found.append(object("\(target.name) depends on \(product), which ImportTable.swift does not allow it"))
            }
        }
        let missing = Set(table.map(\.name)).subtracting(declared.map(\.name))
        found += missing.sorted().map { object("the target \($0) of ImportTable.swift is not declared") }
        return found
    }
}
