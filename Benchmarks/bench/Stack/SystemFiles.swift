import BenchmarkKit
import Foundation

/// What the system's files say.
enum SystemFiles {
    /// A file's text; what is not UTF-8 in it is replaced.
    static func text(_ path: String) throws -> String {
        // Not through FileManager: the files of /proc have no size.
        guard let handle = FileHandle(forReadingAtPath: path), let data = try? handle.readToEnd() else {
            throw BenchmarkFailure("cannot read \(path)")
        }
        return String(decoding: data, as: UTF8.self)
    }

    /// The end of a file's text, for messages; empty if there is none.
    static func tail(_ path: String) -> String { String(((try? text(path)) ?? "").suffix(2000)) }

    /// The bytes that a file takes on the disk.
    static func allocatedBytes(_ path: String) throws -> Int {
        var facts = stat()
        guard stat(path, &facts) == 0 else { throw BenchmarkFailure("cannot look at \(path)", errno) }
        return Int(facts.st_blocks) * 512
    }
}

extension BenchmarkFailure {
    /// - Parameter code: as errno has it; 0 says nothing.
    init(_ what: String, _ code: Int32) {
        self.init(code == 0 ? what : "\(what): \(String(cString: strerror(code)))")
    }
}
