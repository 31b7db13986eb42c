import BenchmarkKit

/// What /proc/PID/status says of a process' memory, bytes.
struct MemoryFacts: Equatable {
    /// All that is resident, files that it maps included: of a server the pages of its log that it has looked at.
    let resident: Int
    /// What belongs to it alone: its heap and stacks. What leaks is here.
    let anonymous: Int

    init?(status text: String) {
        var values: [Substring: Int] = [:]
        for line in text.split(separator: "\n") {
            // "VmRSS:     1234 kB"
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count == 3, words[2] == "kB", let kibibytes = Int(words[1]) else { continue }
            values[words[0]] = kibibytes << 10
        }
        guard let resident = values["VmRSS:"], let anonymous = values["RssAnon:"] else { return nil }
        self.resident = resident
        self.anonymous = anonymous
    }

    static func of(_ pid: Int32) throws -> MemoryFacts {
        guard let facts = MemoryFacts(status: try SystemFiles.text("/proc/\(pid)/status")) else {
            throw BenchmarkFailure("process \(pid) has ended")
        }
        return facts
    }
}
