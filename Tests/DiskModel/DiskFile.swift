/// A file on a disk that keeps for certain only what was synced: its durable half, and what was written since.
package struct DiskFile: Sendable {
    /// The unit that a disk writes whole or not at all, bytes.
    package static let sectorBytes = 512

    /// What a sector became by a write.
    package struct Version: Sendable {
        package let number: UInt64
        package let bytes: [UInt8]
    }

    /// What it is for certain. May be longer or shorter than ``durableSize``.
    package private(set) var durable: [UInt8]
    package private(set) var durableSize: Int
    /// What each sector may be besides, oldest first.
    package private(set) var pending: [Int: [Version]] = [:]
    /// What the size may be besides, oldest first.
    package private(set) var pendingSizes: [(number: UInt64, size: Int)] = []
    /// What a program reads.
    package private(set) var current: [UInt8]

    package init(_ bytes: [UInt8] = []) {
        durable = bytes
        durableSize = bytes.count
        current = bytes
    }

    package var size: Int { current.count }

    mutating func write(_ bytes: ArraySlice<UInt8>, at offset: Int, number: UInt64) {
        guard !bytes.isEmpty else { return }
        let end = offset + bytes.count
        if end > current.count {
            current.append(contentsOf: [UInt8](repeating: 0, count: end - current.count))
            pendingSizes.append((number, end))
        }
        current.replaceSubrange(offset..<end, with: bytes)
        for sector in (offset / Self.sectorBytes)...((end - 1) / Self.sectorBytes) { note(sector, number) }
    }

    mutating func truncate(to size: Int, number: UInt64) {
        if size < current.count {
            current.removeLast(current.count - size)
            // The rest of the last sector is cut off with it.
            if size % Self.sectorBytes != 0 { note(size / Self.sectorBytes, number) }
        } else {
            current.append(contentsOf: [UInt8](repeating: 0, count: size - current.count))
        }
        pendingSizes.append((number, size))
    }

    private mutating func note(_ sector: Int, _ number: UInt64) {
        let start = sector * Self.sectorBytes
        var bytes = Array(current[start..<min(start + Self.sectorBytes, current.count)])
        bytes.append(contentsOf: [UInt8](repeating: 0, count: Self.sectorBytes - bytes.count))
        pending[sector, default: []].append(Version(number: number, bytes: bytes))
    }

    /// Everything that was written before an operation is durable.
    mutating func sync(before number: UInt64) {
        for (sector, versions) in pending { settle(sector, versions) { $0.number < number } }
        if let size = pendingSizes.last(where: { $0.number < number }) { durableSize = size.size }
        pendingSizes.removeAll { $0.number < number }
    }

    /// One write is durable: its sectors as it left them, and the size that it needs.
    mutating func syncWrite(_ number: UInt64) {
        for (sector, versions) in pending where versions.contains(where: { $0.number == number }) {
            settle(sector, versions) { $0.number <= number }
        }
        if let size = pendingSizes.last(where: { $0.number <= number }) {
            durableSize = max(durableSize, size.size)
            pendingSizes.removeAll { $0.number <= number }
        }
    }

    private mutating func settle(_ sector: Int, _ versions: [Version], _ isSettled: (Version) -> Bool) {
        guard let newest = versions.last(where: isSettled) else { return }
        Self.put(newest.bytes, at: sector, in: &durable)
        let left = versions.filter { !isSettled($0) }
        pending[sector] = left.isEmpty ? nil : left
    }

    static func put(_ bytes: [UInt8], at sector: Int, in file: inout [UInt8]) {
        let start = sector * sectorBytes
        if file.count < start + sectorBytes {
            file.append(contentsOf: [UInt8](repeating: 0, count: start + sectorBytes - file.count))
        }
        file.replaceSubrange(start..<(start + sectorBytes), with: bytes)
    }

    /// The contents after a cut.
    ///
    /// - Parameters:
    ///   - keeps: whether a write has reached a sector; the newest that has is what the sector is.
    ///   - keepsSize: likewise for the size.
    ///   - blank: what a sector is that was never made durable and that nothing has reached.
    package func contents(
        keeps: (UInt64, Int) -> Bool, keepsSize: (UInt64) -> Bool, blank: (Int) -> [UInt8]?
    ) -> [UInt8] {
        var bytes = durable
        let size = pendingSizes.last { keepsSize($0.number) }?.size ?? durableSize
        for (sector, versions) in pending {
            if let kept = versions.last(where: { keeps($0.number, sector) }) {
                Self.put(kept.bytes, at: sector, in: &bytes)
            } else if sector * Self.sectorBytes >= durable.count, let left = blank(sector) {
                Self.put(left, at: sector, in: &bytes)
            }
        }
        if bytes.count > size {
            bytes.removeLast(bytes.count - size)
        } else {
            bytes.append(contentsOf: [UInt8](repeating: 0, count: size - bytes.count))
        }
        return bytes
    }

    /// Numbers of the operations that are not durable.
    var pendingNumbers: Set<UInt64> {
        var numbers = Set(pendingSizes.map(\.number))
        for versions in pending.values { for version in versions { numbers.insert(version.number) } }
        return numbers
    }
}
