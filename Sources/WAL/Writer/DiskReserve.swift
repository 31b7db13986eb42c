import Glibc

/// Disk blocks allocated behind the end of the data file, for what must still be written when the disk is full.
///
/// `fallocate` with `FALLOC_FL_KEEP_SIZE` gives the file blocks without changing its size; LMDB's next pages fall into
/// them. On a full disk the reserve shrinks with every page of new growth, and admissions stop when it cannot be filled
/// up again.
struct DiskReserve {
    private let descriptor: Int32
    private let reserveBytes: Int
    private let mapBytes: Int
    private let freeBytes: @Sendable (Int32) -> Int?
    private let fileBytesMax: @Sendable () -> Int
    /// The end of what is known to be allocated; 0 without a reserve.
    private(set) var allocatedEnd = 0

    init(
        descriptor: Int32, reserveBytes: Int, mapBytes: Int, freeBytes: @escaping @Sendable (Int32) -> Int?,
        fileBytesMax: @escaping @Sendable () -> Int = { FileSystem.fileBytesMax }
    ) {
        self.descriptor = descriptor
        self.reserveBytes = max(0, reserveBytes)
        self.mapBytes = mapBytes
        self.freeBytes = freeBytes
        self.fileBytesMax = fileBytesMax
    }

    /// Sees to it that the whole reserve lies behind `usedBytes`.
    ///
    /// A file system that runs out of blocks in the middle leaves the file what it had got by then, and nothing for
    /// anybody else; so what is not there is not asked for. The first time what lies before `usedBytes` is allocated as
    /// well: a copy may have holes where the original had pages, and LMDB writes there again.
    /// - Returns: whether the reserve is whole.
    mutating func cover(usedBytes: Int) -> Bool {
        guard reserveBytes > 0 else { return true }
        // Beyond the map nothing is ever written.
        let wanted = min(usedBytes + reserveBytes, mapBytes)
        // Blocks beyond the limit on the size of files could be had and not written to.
        guard wanted <= max(usedBytes, fileBytesMax()) else { return false }
        guard wanted > max(usedBytes, allocatedEnd) else { return true }
        let start = allocatedEnd == 0 ? 0 : usedBytes
        let generous = min(wanted + LogLimits.reserveSlackBytes, mapBytes)
        guard let held = FileSystem.allocatedBytes(of: descriptor), let free = freeBytes(descriptor)
        else { return false }
        if generous - held <= free, allocate(from: start, to: generous) { return true }
        return wanted - held <= free && allocate(from: start, to: wanted)
    }

    private mutating func allocate(from start: Int, to end: Int) -> Bool {
        // ENOSPC is expected; a file system without fallocate (EOPNOTSUPP) cannot have a reserve.
        guard FileSystem.allocate(descriptor, from: start, to: end) == 0 else { return false }
        allocatedEnd = end
        return true
    }
}
