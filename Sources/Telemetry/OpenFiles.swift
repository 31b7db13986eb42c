import Glibc

/// How many files and connections the process may have open at a time.
public enum OpenFiles {
    /// Raises the limit to `wanted`, as far as the process may.
    ///
    /// - Returns: what the limit is then, never more than `wanted`.
    public static func allow(_ wanted: Int) -> Int {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        // Asked with valid arguments it has no way to fail (getrlimit(2)).
        guard getrlimit(resource, &limit) == 0 else { return wanted }
        guard limit.rlim_cur < rlim_t(wanted) else { return wanted }
        var raised = limit
        raised.rlim_cur = min(rlim_t(wanted), limit.rlim_max)
        return Int(setrlimit(resource, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur)
    }
}
