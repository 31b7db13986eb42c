import Foundation

/// A file of the checkout: its path from the package's root, and its text.
struct SourceFile: Sendable {
    let path: String
    let text: String
}

/// What a rule has to object to, in the form that editors and terminals make a link of.
struct Violation: Sendable, Hashable, CustomStringConvertible {
    let path: String
    let line: Int
    let message: String

    var description: String { "\(path):\(line): \(message)" }
}

extension Collection<Violation> {
    /// One line each, for a test's message.
    var report: String { map(\.description).sorted().joined(separator: "\n") }
}

/// Reads the checkout that these tests were compiled in.
enum SourceTree {
    struct NotFound: Error, CustomStringConvertible {
        let description: String
    }

    /// The package's root: the nearest folder above this file that has a Package.swift.
    ///
    /// Links are resolved first, so that it is found from a build that only links to this folder, too.
    static func root(of file: String = #filePath) throws -> URL {
        var folder = URL(fileURLWithPath: file).resolvingSymlinksInPath().deletingLastPathComponent()
        while folder.path != "/" {
            if FileManager.default.fileExists(atPath: folder.appendingPathComponent("Package.swift").path) {
                return folder
            }
            folder.deleteLastPathComponent()
        }
        throw NotFound(
            description: "no folder above \(file) has a Package.swift; run the tests from a complete checkout")
    }

    static func text(of path: String, in root: URL) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    /// Paths from the root of the regular files below a folder, sorted. What begins with a dot below it is left out.
    static func paths(below folder: String, in root: URL) throws -> [String] {
        let base = root.appendingPathComponent(folder)
        guard let relative = FileManager.default.enumerator(atPath: base.path) else {
            throw NotFound(description: "the folder \(folder) cannot be read")
        }
        var paths: [String] = []
        for case let name as String in relative {
            guard !name.split(separator: "/").contains(where: { $0.hasPrefix(".") }) else { continue }
            var isFolder: ObjCBool = false
            let path = base.appendingPathComponent(name).path
            if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue {
                paths.append("\(folder)/\(name)")
            }
        }
        return paths.sorted()
    }

    static func swiftFiles(below folder: String, in root: URL) throws -> [SourceFile] {
        try paths(below: folder, in: root).filter { $0.hasSuffix(".swift") }
            .map { SourceFile(path: $0, text: try text(of: $0, in: root)) }
    }
}
