/// How much of its room a log uses.
public struct LogUsage: Sendable, Hashable {
    /// Bytes that hold something; what was freed and waits to be used again is not among them.
    public var usedBytes: Int
    /// The file, bytes, up to the last page that was ever used.
    public var fileBytes: Int
    /// The upper bound of the file that its last owner set, bytes.
    public var mapBytes: Int
    /// How many commits the slowest reader is behind; `nil` if nobody reads.
    public var slowestReader: ReaderLag?

    package init(usedBytes: Int, fileBytes: Int, mapBytes: Int, slowestReader: ReaderLag?) {
        self.usedBytes = usedBytes
        self.fileBytes = fileBytes
        self.mapBytes = mapBytes
        self.slowestReader = slowestReader
    }
}

extension LogReader {
    /// How full the log is, and who keeps its pages from being used again.
    public func usage() throws(LogError) -> LogUsage {
        let slowest = try read { store, _ throws(LogError) in store.environment.slowestReader(exceptOwn: true) }
        return try read { store, reading throws(LogError) in
            do throws(LMDBFailure) {
                return LogUsage(
                    usedBytes: try store.bytesInUse(in: reading), fileBytes: store.environment.fileBytesUsed,
                    mapBytes: store.environment.mapBytes, slowestReader: slowest)
            } catch {
                throw LogError(error, doing: "cannot read the log in \(path)")
            }
        }
    }
}
