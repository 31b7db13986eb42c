import Glibc

/// Pages behind the end of what LMDB uses, each in the page cache by itself, before LMDB writes to them.
///
/// LMDB writes neighbouring pages of a commit at once, and where the file grows all of them are neighbours. Linux keeps in one piece (a
/// large folio) what is written at once where nothing was, and whatever is written later to any page of it, most of the time a single
/// page, goes through the whole piece again: with pieces of 64 pages a third of what a commit costs. So the file is made longer before,
/// and its new pages are read, one by one. A commit does not change the size of the file then, besides.
///
/// Nothing is written, and nothing that exists is touched: only what lies behind the end of the file, and LMDB uses no page behind the
/// last one that its meta page names, whatever that size is. Only for the one thread that commits, between two commits.
struct PagesAhead {
    private let descriptor: Int32
    private let mapBytes: Int
    private let fileBytesMax: @Sendable () -> Int
    /// How far there are pages; 0 before the first look.
    private var end = 0

    init(
        descriptor: Int32, mapBytes: Int, fileBytesMax: @escaping @Sendable () -> Int = { FileSystem.fileBytesMax }
    ) {
        self.descriptor = descriptor
        self.mapBytes = mapBytes
        self.fileBytesMax = fileBytesMax
    }

    /// Sees to it that LMDB finds pages behind `usedBytes`. Where that fails, or the kernel has no memory to spare, the log works as well.
    mutating func prepare(usedBytes: Int) {
        guard end - usedBytes < LogLimits.pagesAheadBytesMin else { return }
        // The file may be longer than what is used: after a commit that ended half-way, or after an earlier start.
        guard let size = FileSystem.size(of: descriptor) else { return }
        end = size
        let wanted = min(usedBytes + LogLimits.pagesAheadBytesMax, mapBytes, fileBytesMax())
        guard wanted > size, FileSystem.extend(descriptor, from: size, to: wanted) == 0 else { return }
        // "POSIX_FADV_WILLNEED initiates a nonblocking read of the specified region into the page cache": of pages that were never
        // written there is nothing to read.
        _ = posix_fadvise(descriptor, off_t(size), off_t(wanted - size), POSIX_FADV_WILLNEED)
        end = wanted
    }
}
