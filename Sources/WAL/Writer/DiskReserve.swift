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
    /// The end of what is known to be allocated.
    private var allocatedEnd = 0

    private typealias Allocate = @convention(c) (Int32, Int32, off_t, off_t) -> Int32

    /// `FALLOC_FL_KEEP_SIZE` of `linux/falloc.h`.
    private static let keepSize: Int32 = 0x01

    /// `fallocate(2)`. The C library declares it under `_GNU_SOURCE` only, which its Swift module is built without, so
    /// it is found by name; where it is missing there is no reserve.
    private static let fallocate: Allocate = {
        guard let program = dlopen(nil, RTLD_NOW), let symbol = dlsym(program, "fallocate") else {
            return { _, _, _, _ in
                errno = EOPNOTSUPP
                return -1
            }
        }
        // The C declaration: int fallocate(int fd, int mode, off_t offset, off_t len).
        return unsafeBitCast(symbol, to: Allocate.self)
    }()

    init(
        descriptor: Int32, reserveBytes: Int, mapBytes: Int, freeBytes: @escaping @Sendable (Int32) -> Int?
    ) {
        self.descriptor = descriptor
        self.reserveBytes = max(0, reserveBytes)
        self.mapBytes = mapBytes
        self.freeBytes = freeBytes
    }

    /// Sees to it that the whole reserve lies behind `usedBytes`.
    ///
    /// A file system that runs out of blocks in the middle leaves the file what it had got by then, and nothing for
    /// anybody else; so what is not there is not asked for.
    /// - Returns: whether the reserve is whole.
    mutating func cover(usedBytes: Int) -> Bool {
        guard reserveBytes > 0 else { return true }
        // Beyond the map nothing is ever written.
        let wanted = min(usedBytes + reserveBytes, mapBytes)
        guard wanted > max(usedBytes, allocatedEnd) else { return true }
        let generous = min(wanted + LogLimits.reserveSlackBytes, mapBytes)
        guard let held = FileSystem.allocatedBytes(of: descriptor), let free = freeBytes(descriptor)
        else { return false }
        if generous - held <= free, allocate(from: usedBytes, to: generous) { return true }
        return wanted - held <= free && allocate(from: usedBytes, to: wanted)
    }

    private mutating func allocate(from start: Int, to end: Int) -> Bool {
        while true {
            if Self.fallocate(descriptor, Self.keepSize, off_t(start), off_t(end - start)) == 0 {
                allocatedEnd = end
                return true
            }
            // ENOSPC and EFBIG are expected; a file system without fallocate (EOPNOTSUPP) cannot have a reserve.
            guard errno == EINTR else { return false }
        }
    }
}
