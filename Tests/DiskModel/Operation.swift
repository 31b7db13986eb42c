/// One thing that a program did to a disk, in the order in which it was begun.
package struct Operation: Sendable {
    package enum Action: Sendable {
        case create(path: String, inode: UInt64)
        case makeDirectory(path: String, inode: UInt64)
        case rename(from: String, to: String)
        case link(from: String, to: String)
        case unlink(path: String)
        case removeDirectory(path: String)
        /// `isSynced`: its descriptor makes each write durable by itself; it is, once ``synced(number:)`` says so.
        case write(inode: UInt64, offset: Int, bytes: ArraySlice<UInt8>, isSynced: Bool)
        case truncate(inode: UInt64, size: Int)
        /// Blocks for at least so many bytes, zeros where nothing was.
        case extend(inode: UInt64, size: Int)
        /// Blocks without a change of contents.
        case allocate
        case sync(inode: UInt64)
        /// The write or sync of that number has returned.
        case synced(number: UInt64)
        /// What the program said.
        case mark(String)
    }

    package let number: UInt64
    package let action: Action

    package init(number: UInt64, _ action: Action) {
        self.number = number
        self.action = action
    }
}

/// A program's operations below one directory.
package struct Recording: Sendable {
    package let operations: [Operation]

    /// What is wrong with a recording's bytes.
    package struct Unreadable: Error { package let offset: Int }

    /// Reads the recorder's own form: see `disk_recorder.h`.
    package init(_ bytes: [UInt8]) throws(Unreadable) {
        var operations: [Operation] = []
        var offset = 0
        let header = 48
        while offset < bytes.count {
            guard offset + header <= bytes.count else { throw Unreadable(offset: offset) }
            let start = offset
            let (kind, flag, words) = bytes.withUnsafeBytes { raw in
                (
                    raw.loadUnaligned(fromByteOffset: start, as: UInt32.self),
                    raw.loadUnaligned(fromByteOffset: start + 4, as: UInt32.self),
                    (0..<5).map { raw.loadUnaligned(fromByteOffset: start + 8 + 8 * $0, as: UInt64.self) }
                )
            }
            let count = Int(words[4])
            guard count >= 0, start + header + count <= bytes.count else { throw Unreadable(offset: start) }
            let data = bytes[(start + header)..<(start + header + count)]
            guard
                let action = Self.action(
                    kind, flag, inode: words[1], offset: words[2], length: words[3], data)
            else { throw Unreadable(offset: start) }
            operations.append(Operation(number: words[0], action))
            offset = start + header + (count + 7) / 8 * 8
        }
        self.operations = operations
    }

    /// The same, behind operations up to a number.
    package func following(_ number: UInt64) -> Recording {
        Recording(
            operations: operations.map { operation in
                var action = operation.action
                if case .synced(let begun) = action { action = .synced(number: begun + number) }
                return Operation(number: operation.number + number, action)
            })
    }

    private init(operations: [Operation]) { self.operations = operations }

    private static func action(
        _ kind: UInt32, _ flag: UInt32, inode: UInt64, offset: UInt64, length: UInt64, _ data: ArraySlice<UInt8>
    ) -> Operation.Action? {
        let text = String(decoding: data, as: UTF8.self)
        let two = data.split(separator: 0, maxSplits: 1).map { String(decoding: $0, as: UTF8.self) }
        switch kind {
        case 1: return .create(path: text, inode: inode)
        case 2: return .makeDirectory(path: text, inode: inode)
        case 3: return two.count == 2 ? .rename(from: two[0], to: two[1]) : nil
        case 4: return two.count == 2 ? .link(from: two[0], to: two[1]) : nil
        case 5: return .unlink(path: text)
        case 6: return .removeDirectory(path: text)
        case 7: return .write(inode: inode, offset: Int(offset), bytes: data, isSynced: flag != 0)
        case 8: return .truncate(inode: inode, size: Int(offset))
        case 9:
            // FALLOC_FL_KEEP_SIZE, or nothing; nobody allocates otherwise.
            switch flag {
            case 0: return .extend(inode: inode, size: Int(offset + length))
            case 1: return .allocate
            default: return nil
            }
        case 10: return .sync(inode: inode)
        case 11: return .synced(number: offset)
        case 12: return .mark(text)
        default: return nil
        }
    }
}
