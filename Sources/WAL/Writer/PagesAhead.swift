import Glibc

/// Pages behind the end of what LMDB uses, each in the page cache by itself, before LMDB writes to them.
///
/// LMDB writes neighbouring pages of a commit at once, and where the file grows all of them are neighbours. Linux keeps in one piece (a
/// large folio) what is written at once where nothing was, and whatever is written later to any page of it, most of the time a single
/// page, goes through the whole piece again: with pieces of 64 pages a quarter of the writer's time. So the file is made longer before,
/// within the blocks of the ``DiskReserve``, and its new pages are read ahead, which brings them in one by one (as of Linux 6.18; nothing
/// but speed depends on it). A commit does not change the size of the file then, besides.
///
/// Nothing is written, and nothing that exists is touched: the file grows, and LMDB uses no page behind the last one that its meta page
/// names, whatever that size is. Only for the one thread that commits, between two commits.
struct PagesAhead {
    private let descriptor: Int32
    private let fileBytesMax: @Sendable () -> Int
    /// How far pages were brought in; 0 before the first time.
    private var end = 0

    init(descriptor: Int32, fileBytesMax: @escaping @Sendable () -> Int = { FileSystem.fileBytesMax }) {
        self.descriptor = descriptor
        self.fileBytesMax = fileBytesMax
    }

    /// Sees to it that LMDB finds pages behind `usedBytes`. Where that fails, or the kernel has no memory to spare, the log works as well.
    ///
    /// - Parameter allocatedEnd: how far the file has blocks.
    mutating func prepare(usedBytes: Int, within allocatedEnd: Int) {
        guard end - usedBytes < LogLimits.pagesAheadBytesMin else { return }
        // What an earlier start has left behind its last page is brought in as well: once, for it need not be in memory.
        let start = max(end, usedBytes)
        let wanted = min(usedBytes + LogLimits.pagesAheadBytesMax, allocatedEnd, fileBytesMax())
        guard wanted > start, let size = FileSystem.size(of: descriptor) else { return }
        if wanted > size { guard FileSystem.extend(descriptor, from: size, to: wanted) == 0 else { return } }
        // "POSIX_FADV_WILLNEED initiates a nonblocking read of the specified region into the page cache": where nothing was written
        // there is nothing to read. The kernel cuts what is asked for to what the disk takes at once.
        for place in stride(from: start, to: wanted, by: LogLimits.readAheadBytes) {
            let bytes = min(LogLimits.readAheadBytes, wanted - place)
            _ = posix_fadvise(descriptor, off_t(place), off_t(bytes), POSIX_FADV_WILLNEED)
        }
        end = wanted
    }
}
