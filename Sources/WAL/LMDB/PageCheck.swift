import Glibc

/// Checks the pages of a data file as LMDB 0.9 lays them out (mdb.c: "struct MDB_page", "struct MDB_node", "struct
/// MDB_meta"), reading the file itself, so that a page that would lead LMDB astray is named before LMDB follows it.
///
/// Beside a writer the pages of a picture stay as they are for as long as a read transaction holds that picture.
struct PageCheck {
    /// A page that is not as it should be.
    struct Fault: Hashable {
        let page: UInt64
        let reason: String
    }

    private(set) var faults: [Fault] = []
    /// Pages that hold something.
    private(set) var pages = 0

    private let descriptor: Int32
    private let pageBytes: Int
    /// The end of the pages that were ever used.
    private let end: UInt64
    /// One bit for each page that was reached.
    private var reached: [UInt64]

    private static let headerBytes = 16
    private static let nodeBytes = 8
    private static let metaMagic: UInt32 = 0xBEEF_C0DE
    private static let noPage = UInt64.max
    /// Pages from the root to the leaves; LMDB's own cursors go no deeper ("CURSOR_STACK").
    private static let depthMax = 32
    private enum Flags {
        static let branch: UInt16 = 1
        static let leaf: UInt16 = 2
        static let overflow: UInt16 = 4
        /// Set in memory only.
        static let dirty: UInt16 = 0x10
        static let bigData: UInt16 = 1
        static let subDatabase: UInt16 = 2
    }

    /// What a meta page says.
    private struct Meta {
        let transaction: UInt64
        let lastPage: UInt64
        /// The list of free pages, and the unnamed database, whose values are the named ones.
        let free: Tree
        let main: Tree
    }

    /// The root of a database.
    private struct Tree {
        let depth: Int
        let root: UInt64

        init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
            depth = Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 6, as: UInt16.self)))
            root = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 40, as: UInt64.self))
        }

        static let bytes = 48
    }

    /// Walks every tree of the picture that a meta page shows.
    ///
    /// - Parameter transaction: the picture's; `nil` for the newest.
    /// - Returns: `nil` if no meta page shows the picture (any more).
    static func run(descriptor: Int32, pageBytes: Int, transaction: UInt64?) -> PageCheck? {
        let metas = [0, 1].compactMap { meta(page: $0, descriptor, pageBytes) }
        let wanted = transaction.map { id in metas.first { $0.transaction == id } }
        guard let meta = wanted ?? metas.max(by: { $0.transaction < $1.transaction }) else { return nil }
        if let transaction, meta.transaction != transaction { return nil }
        guard let fileBytes = FileSystem.size(of: descriptor) else { return nil }
        var check = PageCheck(descriptor: descriptor, pageBytes: pageBytes, end: meta.lastPage &+ 1)
        guard meta.lastPage < UInt64(fileBytes / pageBytes) else {
            check.note(meta.lastPage, "the last page is beyond the end of the file")
            return check
        }
        check.pages = 2
        check.reached = [UInt64](repeating: 0, count: Int(check.end / 64) + 1)
        check.walk(meta.free, of: "the free list", isMain: false)
        check.walk(meta.main, of: "the root", isMain: true)
        return check
    }

    private init(descriptor: Int32, pageBytes: Int, end: UInt64) {
        self.descriptor = descriptor
        self.pageBytes = pageBytes
        self.end = end
        reached = []
    }

    private static func meta(page: Int, _ descriptor: Int32, _ pageBytes: Int) -> Meta? {
        guard let bytes = read(UInt64(page), descriptor, pageBytes) else { return nil }
        return bytes.withUnsafeBytes { bytes -> Meta? in
            let start = headerBytes
            func integer<Integer: FixedWidthInteger>(_ offset: Int, _: Integer.Type) -> Integer {
                Integer(littleEndian: bytes.loadUnaligned(fromByteOffset: start + offset, as: Integer.self))
            }
            guard integer(0, UInt32.self) == metaMagic else { return nil }
            return Meta(
                transaction: integer(128, UInt64.self), lastPage: integer(120, UInt64.self),
                free: Tree(bytes, at: start + 24), main: Tree(bytes, at: start + 24 + Tree.bytes))
        }
    }

    /// - Returns: `nil` if it cannot be read; then `errno` says why, or is 0 if the file ends before.
    private static func read(_ page: UInt64, _ descriptor: Int32, _ pageBytes: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: pageBytes)
        errno = 0
        let count = pread(descriptor, &bytes, pageBytes, off_t(page) * off_t(pageBytes))
        return count == pageBytes ? bytes : nil
    }

    private mutating func noteUnreadable(_ page: UInt64, _ code: Int32) {
        note(page, "it cannot be read: \(code == 0 ? "the file ends before" : String(cString: strerror(code)))")
    }

    private mutating func note(_ page: UInt64, _ reason: String) {
        guard faults.count < LogLimits.damagedListedMax else { return }
        faults.append(Fault(page: page, reason: reason))
    }

    // MARK: Trees

    private mutating func walk(_ tree: Tree, of name: String, isMain: Bool) {
        guard tree.root != Self.noPage else { return }
        guard (1...Self.depthMax).contains(tree.depth) else {
            return note(tree.root, "\(name) is said to be \(tree.depth) pages deep")
        }
        visit(tree.root, from: nil, levelsLeft: tree.depth, of: name, isMain: isMain)
    }

    private mutating func visit(
        _ page: UInt64, from parent: UInt64?, levelsLeft: Int, of name: String, isMain: Bool
    ) {
        guard reach(page, from: parent, of: name) else { return }
        guard let bytes = Self.read(page, descriptor, pageBytes) else {
            return noteUnreadable(page, errno)
        }
        let parts = bytes.withUnsafeBytes { parse($0, page, isLeaf: levelsLeft == 1, name) }
        for child in parts.children {
            visit(child, from: page, levelsLeft: levelsLeft - 1, of: name, isMain: isMain)
        }
        for run in parts.overflows { visit(overflow: run.page, from: page, dataBytes: run.bytes, of: name) }
        if isMain {
            for database in parts.databases { walk(database.tree, of: database.name, isMain: false) }
        }
    }

    /// - Returns: whether the page may be gone to.
    private mutating func reach(_ page: UInt64, from parent: UInt64?, of name: String) -> Bool {
        guard (2..<end).contains(page) else {
            note(parent ?? page, "\(name) leads from here to page \(page), which is none of its pages")
            return false
        }
        let (word, bit) = (Int(page / 64), UInt64(1) << (page % 64))
        guard reached[word] & bit == 0 else {
            note(parent ?? page, "\(name) leads from here to page \(page), and so does another page")
            return false
        }
        reached[word] |= bit
        pages += 1
        return true
    }

    private mutating func visit(
        overflow page: UInt64, from parent: UInt64, dataBytes: Int, of name: String
    ) {
        guard reach(page, from: parent, of: name) else { return }
        guard let bytes = Self.read(page, descriptor, pageBytes) else { return noteUnreadable(page, errno) }
        let (number, flags, count) = bytes.withUnsafeBytes { bytes in
            (
                UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 10, as: UInt16.self)) & ~Flags.dirty,
                Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
            )
        }
        let needed = (Self.headerBytes + dataBytes + pageBytes - 1) / pageBytes
        guard number == page, flags == Flags.overflow, count == needed, page + UInt64(count) <= end else {
            return note(page, "\(name): its header is not that of \(needed) pages of one value")
        }
        for following in page + 1..<page + UInt64(count) { _ = reach(following, from: page, of: name) }
    }

    // MARK: Pages

    private struct Parts {
        var children: [UInt64] = []
        var overflows: [(page: UInt64, bytes: Int)] = []
        var databases: [(name: String, tree: Tree)] = []
    }

    /// What the page leads to; nothing, with a note, if it is not well formed.
    private mutating func parse(
        _ bytes: UnsafeRawBufferPointer, _ page: UInt64, isLeaf: Bool, _ name: String
    ) -> Parts {
        func short(_ offset: Int) -> UInt16 {
            UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
        }
        func long(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        let (lower, upper) = (Int(short(12)), Int(short(14)))
        guard long(0) == page, short(10) & ~Flags.dirty == (isLeaf ? Flags.leaf : Flags.branch),
            lower >= Self.headerBytes, lower <= upper, upper <= pageBytes, lower % 2 == 0
        else {
            note(page, "\(name): its header is not that of \(isLeaf ? "a leaf" : "a branch")")
            return Parts()
        }
        var parts = Parts()
        for index in 0..<((lower - Self.headerBytes) / 2) {
            let node = Int(short(Self.headerBytes + 2 * index))
            let isWithin = node >= upper && node + Self.nodeBytes <= pageBytes
            let flags = isWithin ? short(node + 4) : 0
            let size = isWithin ? Int(short(node)) | Int(short(node + 2)) << 16 : 0
            let data = isWithin ? node + Self.nodeBytes + Int(short(node + 6)) : pageBytes + 1
            let stored = isLeaf ? (flags & Flags.bigData != 0 ? 8 : size) : 0
            guard data + stored <= pageBytes else {
                note(page, "\(name): its entry \(index) does not lie within it")
                return Parts()
            }
            if !isLeaf {
                parts.children.append(UInt64(size) | UInt64(flags) << 32)
            } else if flags & Flags.bigData != 0 {
                parts.overflows.append((long(data), size))
            } else if flags & Flags.subDatabase != 0, size == Tree.bytes {
                let key = bytes[(node + Self.nodeBytes)..<data]
                parts.databases.append((String(decoding: key, as: UTF8.self), Tree(bytes, at: data)))
            }
        }
        return parts
    }
}
