import Foundation

/// Processor time that processes have used, from /proc.
public enum CPUTime {
    /// Of this process, microseconds.
    public static func own() -> Double {
        var usage = rusage()
        getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
        func microseconds(_ time: timeval) -> Double { Double(time.tv_sec) * 1e6 + Double(time.tv_usec) }
        return microseconds(usage.ru_utime) + microseconds(usage.ru_stime)
    }

    /// Of a process and its children, those included that have ended and were waited for; microseconds, by ticks of 10 ms. 0 if it is
    /// not there.
    public static func ofProcess(_ pid: Int32) -> Double {
        let children = (try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)) ?? ""
        return children.split(separator: " ").compactMap { Int32($0) }.reduce(ticks(of: pid)) { $0 + ticks(of: $1) }
    }

    private static func ticks(of pid: Int32) -> Double {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let name = text.lastIndex(of: ")")
        else { return 0 }
        // Behind the name: the state is field 3, utime, stime, cutime and cstime are 14 to 17.
        let fields = text[text.index(after: name)...].split(separator: " ")
        guard fields.count > 14 else { return 0 }
        return fields[11...14].compactMap { Double($0) }.reduce(0, +) * 1e6 / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}

extension Cluster {
    /// Processor time of all of PostgreSQL's processes so far, microseconds.
    public var cpuMicroseconds: Double { processes().first.map { CPUTime.ofProcess($0) } ?? 0 }
}
