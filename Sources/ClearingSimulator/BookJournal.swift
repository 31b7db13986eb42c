import Glibc

/// Why the books cannot be opened or written. The message says what to do.
struct BookJournalError: Error, CustomStringConvertible {
    let message: String
    /// The system's error number; 0 if it is not the system that refused.
    let code: Int32
    /// Whether what is on disk is not known any more: only a new start can tell.
    let isFatal: Bool

    init(_ message: String, code: Int32 = 0, isFatal: Bool = false) {
        self.message = message
        self.code = code
        self.isFatal = isFatal
    }

    var description: String { code == 0 ? message : "\(message): \(String(cString: strerror(code)))" }
}

/// The books on disk: an append-only file of ``JournalLine``s, each written with one write(2) before its reply is sent, so
/// that a killed simulator has lost nothing that it said. (Against a crash of the machine, `sync` flushes each line.)
///
/// Not safe for use by two threads at once; its owner serialises.
final class BookJournal {
    private let descriptor: Int32
    /// Holds the lock that keeps a second simulator away from the same books.
    private let lockDescriptor: Int32
    private let path: String
    private let isSynchronous: Bool
    /// Where the next line goes, bytes.
    private var end: off_t

    /// What a start made of the file.
    struct Opening {
        let book: ClearingBook
        /// Whether an unfinished last line was dropped: its request was never answered.
        let droppedTornLine: Bool
    }

    /// Opens or makes the books, and rewrites them with one line a transaction.
    ///
    /// - Throws: ``BookJournalError`` if the file belongs to another simulator that runs, is damaged or cannot be written.
    static func open(path: String, isSynchronous: Bool) throws -> (BookJournal, Opening) {
        let lock = Glibc.open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else {
            throw BookJournalError("the lock file \(path).lock cannot be opened; choose another --books", code: errno)
        }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            throw BookJournalError("another simulator keeps its books in \(path); stop it or choose another --books")
        }
        do {
            let opening = try read(path)
            try compact(opening.book, path: path)
            let journal = try BookJournal(path: path, lockDescriptor: lock, isSynchronous: isSynchronous)
            return (journal, opening)
        } catch {
            release(lock)
            throw error
        }
    }

    private init(path: String, lockDescriptor: Int32, isSynchronous: Bool) throws {
        let descriptor = Glibc.open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BookJournalError("the books \(path) cannot be opened", code: errno) }
        let end = lseek(descriptor, 0, SEEK_END)
        guard end >= 0 else {
            let code = errno
            close(descriptor)
            throw BookJournalError("the books \(path) cannot be read; --books must name a plain file", code: code)
        }
        self.path = path
        self.descriptor = descriptor
        self.lockDescriptor = lockDescriptor
        self.isSynchronous = isSynchronous
        self.end = end
    }

    deinit {
        close(descriptor)
        Self.release(lockDescriptor)
    }

    /// Unlocks before it closes: a child process that is being started may hold a copy of the descriptor for a moment, and
    /// the lock lasts as long as any copy unless it is given back.
    private static func release(_ lock: Int32) {
        flock(lock, LOCK_UN)
        close(lock)
    }

    /// Writes the entry down. When it throws, the file is as it was before, or the error is fatal.
    func append(_ entry: ClearingEntry) throws {
        let line = JournalLine.encode(entry)
        assert(line.count <= SimulatorLimits.journalLineBytesMax, "a line longer than its parts allow")
        do {
            try Self.write(line, to: descriptor, path: path)
        } catch {
            // A part of the line may be there; the next one must not be appended to it.
            guard ftruncate(descriptor, end) == 0, lseek(descriptor, end, SEEK_SET) == end else {
                throw BookJournalError("the books \(path) are torn and cannot be cut back", code: errno, isFatal: true)
            }
            throw error
        }
        end += off_t(line.count)
        // A flush that failed is not tried again: the system may have dropped the pages and say yes the next time.
        if isSynchronous, fdatasync(descriptor) != 0 {
            throw BookJournalError("the books \(path) cannot be flushed", code: errno, isFatal: true)
        }
    }

    // MARK: Reading and rewriting

    private static func read(_ path: String) throws -> Opening {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return Opening(book: ClearingBook(), droppedTornLine: false) }
            throw BookJournalError("the books \(path) cannot be opened", code: errno)
        }
        defer { close(descriptor) }
        var reader = JournalReader(path: path)
        var block = [UInt8](repeating: 0, count: SimulatorLimits.journalBlockBytes)
        while true {
            let count = Glibc.read(descriptor, &block, block.count)
            if count == 0 { return try reader.finish() }
            if count < 0 {
                if errno == EINTR { continue }
                throw BookJournalError("the books \(path) cannot be read", code: errno)
            }
            try reader.take(block[..<count])
        }
    }

    /// Writes the book to a new file and puts that in the place of the old one, so that a crash leaves one of the two.
    private static func compact(_ book: ClearingBook, path: String) throws {
        let new = path + ".new"
        let descriptor = Glibc.open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw BookJournalError("\(new) cannot be made; choose another --books", code: errno)
        }
        defer { close(descriptor) }
        var block = Array((JournalLine.header + "\n").utf8)
        for entry in book.entries {
            block.append(contentsOf: JournalLine.encode(entry))
            if block.count >= SimulatorLimits.journalBlockBytes {
                try write(block, to: descriptor, path: new)
                block.removeAll(keepingCapacity: true)
            }
        }
        try write(block, to: descriptor, path: new)
        guard fsync(descriptor) == 0 else { throw BookJournalError("\(new) cannot be flushed", code: errno) }
        guard rename(new, path) == 0 else {
            throw BookJournalError("\(new) cannot be renamed to \(path)", code: errno)
        }
        try flushDirectory(of: path)
    }

    private static func flushDirectory(of path: String) throws {
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BookJournalError("\(directory) cannot be opened", code: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw BookJournalError("\(directory) cannot be flushed", code: errno) }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32, path: String) throws {
        try bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count >= 0 {
                    rest = rest.dropFirst(count)
                } else if errno != EINTR {
                    throw BookJournalError("the books \(path) cannot be written", code: errno)
                }
            }
        }
    }
}

/// Puts lines together from blocks, and entries from lines.
private struct JournalReader {
    let path: String
    private var book = ClearingBook()
    private var rest: [UInt8] = []
    private var lineNumber = 0
    /// A line that cannot be read is an unfinished one if it turns out to be the last.
    private var unreadableLine: Int?

    init(path: String) { self.path = path }

    mutating func take(_ block: ArraySlice<UInt8>) throws {
        var start = block.startIndex
        while let end = block[start...].firstIndex(of: UInt8(ascii: "\n")) {
            if rest.isEmpty {
                try take(line: block[start..<end])
            } else {
                rest.append(contentsOf: block[start..<end])
                try take(line: rest[...])
                rest.removeAll(keepingCapacity: true)
            }
            start = end + 1
        }
        rest.append(contentsOf: block[start...])
        guard rest.count <= SimulatorLimits.journalLineBytesMax else { throw damaged(lineNumber + 1) }
    }

    mutating func finish() throws -> BookJournal.Opening {
        guard lineNumber > 0 || rest.isEmpty else { throw notBooks }
        let isTorn = !rest.isEmpty || unreadableLine != nil
        guard unreadableLine == nil || rest.isEmpty else { throw damaged(lineNumber) }
        return BookJournal.Opening(book: book, droppedTornLine: isTorn)
    }

    private mutating func take(line: ArraySlice<UInt8>) throws {
        if let unreadableLine { throw damaged(unreadableLine) }
        lineNumber += 1
        if lineNumber == 1 {
            guard String(decoding: line, as: UTF8.self) == JournalLine.header else {
                throw notBooks
            }
            return
        }
        guard let entry = JournalLine.decode(line) else {
            unreadableLine = lineNumber
            return
        }
        guard book.entries.count < SimulatorLimits.transactionsMax || book.entry(entry.transaction) != nil else {
            throw BookJournalError(
                "the books \(path) hold more than \(SimulatorLimits.transactionsMax) transactions; begin new ones")
        }
        book.record(entry)
    }

    private var notBooks: BookJournalError {
        BookJournalError(
            "\(path) does not begin with \"\(JournalLine.header)\": it holds no books; choose another file")
    }

    private func damaged(_ line: Int) -> BookJournalError {
        BookJournalError(
            "the books \(path) are damaged in line \(line); keep a copy, then remove that line or the file")
    }
}
