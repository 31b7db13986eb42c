import Foundation

/// Where and with what something was measured.
public struct Machine: Codable, Sendable, Equatable {
    public var processor: String
    public var cores: Int
    public var memoryBytes: UInt64
    public var kernel: String
    /// Of the folder where logs and clusters lay.
    public var fileSystem: String
    public var postgresql: String
    public var swift: String
    /// `release` or `debug`.
    public var build: String
    /// With `-dirty` behind it if the checkout had changes.
    public var commit: String

    enum CodingKeys: String, CodingKey {
        case processor, cores
        case memoryBytes = "memory_bytes"
        case kernel
        case fileSystem = "file_system"
        case postgresql, swift, build, commit
    }

    private static let unknown = "unknown"

    /// What can be found out here; `unknown` where nothing can.
    ///
    /// - Parameter directory: where the logs and clusters will lie.
    public static func detect(directory: String) -> Machine {
        Machine(
            processor: value(of: "model name", in: "/proc/cpuinfo") ?? unknown,
            cores: ProcessInfo.processInfo.activeProcessorCount,
            memoryBytes: ProcessInfo.processInfo.physicalMemory,
            kernel: (try? Tool.run("/bin/uname", ["-sr"]).text) ?? unknown,
            fileSystem: fileSystem(of: directory) ?? unknown,
            postgresql: (try? Tool.run(Tool.postgres("postgres"), ["--version"]).text) ?? unknown,
            swift: firstLine(try? Tool.run(Tool.find("swift"), ["--version"], timeout: .seconds(20)).text) ?? unknown,
            build: build, commit: commit() ?? unknown)
    }

    private static var build: String {
        #if DEBUG
            "debug"
        #else
            "release"
        #endif
    }

    /// One line for a table's head.
    public var summary: String {
        let gibibytes = Double(memoryBytes) / Double(1 << 30)
        return "\(processor), \(cores) cores, \(String(format: "%.1f", gibibytes)) GiB, \(kernel), \(fileSystem); "
            + "\(postgresql); \(swift); \(build) build of \(commit)"
    }

    private static func value(of name: String, in path: String) -> String? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            return line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        return nil
    }

    private static func firstLine(_ text: String?) -> String? {
        text?.split(separator: "\n").first.map(String.init)
    }

    /// The type of the file system that is mounted nearest above a folder.
    static func fileSystem(of directory: String) -> String? {
        let path = URL(fileURLWithPath: directory).resolvingSymlinksInPath().path
        guard let mounts = try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8) else { return nil }
        var nearest = (point: "", type: String?.none)
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2 else { continue }
            let point = String(fields[1])
            let isAbove = point == "/" || path == point || path.hasPrefix(point + "/")
            // Of two mounts on one point the later one is seen.
            if isAbove, point.count >= nearest.point.count { nearest = (point, String(fields[2])) }
        }
        return nearest.type
    }

    private static func commit() -> String? {
        guard let git = try? Tool.find("git"), let root = try? Tool.checkout(),
            let name = try? Tool.run(git, ["-C", root, "rev-parse", "--short=12", "HEAD"]).text
        else { return nil }
        let changes = try? Tool.run(git, ["-C", root, "status", "--porcelain", "--untracked-files=no"]).text
        return changes == "" ? name : name + "-dirty"
    }
}
