import ClearingParticipant
import Glibc

extension NodeSettings {
    /// Descriptors that the node needs at most, its clients' connections left out.
    public var descriptorsNeeded: Int {
        let databases = databases.reduce(0) { $0 + $1.poolSize + Descriptors.perDatabase }
        let loops = listener.threads + max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        return databases + ClearingLimits.connectionsMax + loops * Descriptors.perLoop + Descriptors.others
    }

    /// Numbers of descriptors.
    private enum Descriptors {
        /// The control connection, a probe, cancel requests, and epoll and its event.
        static let perDatabase = 8
        /// epoll, its timer and its event.
        static let perLoop = 3
        /// Standard streams, the log and its lock, listeners, operators' connections, and some more.
        static let others = 64
    }
}
