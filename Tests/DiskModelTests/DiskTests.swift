import Testing

@testable import DiskModel

@Suite("A disk keeps what was synced, and may keep or lose the rest")
struct DiskTests {
    private static let root: UInt64 = 100

    /// Operations with their numbers.
    private static func disk(_ syncs: Disk.Syncs = .all, _ actions: [Operation.Action]) -> Disk {
        var disk = Disk(rootInode: root, syncs: syncs)
        for (index, action) in actions.enumerated() { disk.take(Operation(number: UInt64(index) + 1, action)) }
        return disk
    }

    private static func bytes(_ value: UInt8, _ count: Int) -> ArraySlice<UInt8> {
        [UInt8](repeating: value, count: count)[...]
    }

    /// What the file may be, over many cuts.
    private static func outcomes(_ disk: Disk, _ path: String = "f") -> Set<[UInt8]?> {
        var found: Set<[UInt8]?> = []
        for manner in Cut.Manner.allCases {
            for seed in 0..<200 as Range<UInt64> {
                let cut = Cut(manner: manner, pending: disk.pendingNumbers, seed: seed)
                found.insert(disk.image(cut).first { $0.path == path }?.bytes)
            }
        }
        return found
    }

    @Test("Goal: a file whose contents and name were synced is there, whatever the cut")
    func synced() {
        let disk = Self.disk(
            .all,
            [
                .create(path: "f", inode: 1), .write(inode: 1, offset: 0, bytes: Self.bytes(7, 700), isSynced: false),
                .sync(inode: 1), .synced(number: 3), .sync(inode: Self.root), .synced(number: 5),
            ])
        #expect(disk.pendingNumbers.isEmpty)
        #expect(Self.outcomes(disk) == [Array(Self.bytes(7, 700))])
    }

    @Test("Goal: a sync covers what was written before it began, and nothing before it has returned")
    func syncUnderWay() {
        var actions: [Operation.Action] = [
            .create(path: "f", inode: 1), .sync(inode: Self.root), .synced(number: 2),
            .write(inode: 1, offset: 0, bytes: Self.bytes(1, 512), isSynced: false), .sync(inode: 1),
            .write(inode: 1, offset: 0, bytes: Self.bytes(2, 512), isSynced: false),
        ]
        let (nothing, one, two) = ([UInt8](), Array(Self.bytes(1, 512)), Array(Self.bytes(2, 512)))
        let zeros = Array(Self.bytes(0, 512))
        #expect(Self.outcomes(Self.disk(.all, actions)).isSuperset(of: [nothing, one, two, zeros]))
        actions.append(.synced(number: 5))
        #expect(Self.outcomes(Self.disk(.all, actions)) == [one, two])
    }

    @Test("Goal: a write is torn between sectors and nowhere else")
    func torn() {
        let disk = Self.disk(
            .all,
            [
                .create(path: "f", inode: 1), .write(inode: 1, offset: 0, bytes: Self.bytes(1, 1024), isSynced: false),
                .sync(inode: 1), .synced(number: 3), .sync(inode: Self.root), .synced(number: 5),
                .write(inode: 1, offset: 0, bytes: Self.bytes(2, 1024), isSynced: false),
            ])
        func whole(_ first: UInt8, _ second: UInt8) -> [UInt8] {
            Array(Self.bytes(first, 512) + Self.bytes(second, 512))
        }
        #expect(Self.outcomes(disk) == [whole(1, 1), whole(1, 2), whole(2, 1), whole(2, 2)])
    }

    @Test("Goal: a write that is synced by itself takes its sectors with it, and leaves other writes open")
    func syncedWrite() {
        let actions: [Operation.Action] = [
            .create(path: "f", inode: 1), .sync(inode: Self.root), .synced(number: 2),
            .write(inode: 1, offset: 0, bytes: Self.bytes(1, 1024), isSynced: false),
            .write(inode: 1, offset: 8, bytes: Self.bytes(2, 8), isSynced: true), .synced(number: 5),
        ]
        let first = Array(Self.bytes(1, 8) + Self.bytes(2, 8) + Self.bytes(1, 496))
        for outcome in Self.outcomes(Self.disk(.all, actions)) {
            #expect(outcome.map { Array($0.prefix(512)) } == first)
        }
        #expect(Self.outcomes(Self.disk(.all, actions)).count > 1)
        #expect(Self.outcomes(Self.disk(.withoutSyncedWrites, actions)).contains([]))
    }

    @Test("Goal: a name is lost until its directory is synced; a rename is there as a whole or not at all")
    func names() {
        var actions: [Operation.Action] = [.makeDirectory(path: "d", inode: 2), .create(path: "d/f", inode: 1)]
        #expect(Self.outcomes(Self.disk(.all, actions), "d/f") == [nil, []])
        actions += [.sync(inode: Self.root), .synced(number: 3), .sync(inode: 2), .synced(number: 5)]
        #expect(Self.outcomes(Self.disk(.all, actions), "d/f") == [[]])
        actions.append(.rename(from: "d/f", to: "g"))
        let disk = Self.disk(.all, actions)
        for manner in Cut.Manner.allCases {
            for seed in 0..<50 as Range<UInt64> {
                let image = disk.image(Cut(manner: manner, pending: disk.pendingNumbers, seed: seed)).map(\.path)
                #expect(image.filter { $0 == "g" || $0 == "d/f" }.count == 1)
            }
        }
        actions += [.sync(inode: Self.root), .synced(number: 8)]
        #expect(Self.outcomes(Self.disk(.all, actions), "g") == [[]])
    }

    @Test("Goal: a disk that does not sync may lose everything", arguments: [Disk.Syncs.none, .withoutFileSyncs])
    func broken(_ syncs: Disk.Syncs) {
        let disk = Self.disk(
            syncs,
            [
                .create(path: "f", inode: 1), .sync(inode: Self.root), .synced(number: 2),
                .write(inode: 1, offset: 0, bytes: Self.bytes(7, 512), isSynced: false), .sync(inode: 1),
                .synced(number: 5),
            ])
        #expect(Self.outcomes(disk).contains([]))
    }

    @Test("Goal: an inode's number that is used again is another file")
    func inodeUsedAgain() {
        let disk = Self.disk(
            .all,
            [
                .create(path: "f", inode: 1), .write(inode: 1, offset: 0, bytes: Self.bytes(1, 4), isSynced: false),
                .sync(inode: 1), .synced(number: 3), .sync(inode: Self.root), .synced(number: 5),
                .unlink(path: "f"), .create(path: "g", inode: 1),
            ])
        #expect(Self.outcomes(disk) == [nil, Array(Self.bytes(1, 4))])
        #expect(Self.outcomes(disk, "g") == [nil, []])
    }

    @Test("Goal: a recording that is cut short or says something unknown is refused, not read in part")
    func recordings() {
        #expect(throws: Recording.Unreadable.self) { try Recording([1, 2, 3]) }
        #expect(throws: Recording.Unreadable.self) { try Recording([UInt8](repeating: 9, count: 48)) }
    }
}
