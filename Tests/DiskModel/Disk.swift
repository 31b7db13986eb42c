/// A disk as a power cut finds it: what is durable, and what may be there besides.
///
/// The assumptions are those of docs/internals/power-cut.md.
package struct Disk: Sendable {
    /// What of a program's syncs is believed. Anything but ``all`` is a broken disk, to see whether a test notices.
    package enum Syncs: String, Sendable, CaseIterable {
        case all
        /// None returns with anything done.
        case none
        /// Writes that should be synced by themselves wait for the next sync.
        case withoutSyncedWrites = "without-synced-writes"
        /// Syncs of files do nothing; writes that are synced by themselves, and syncs of directories, do.
        case withoutFileSyncs = "without-file-syncs"
    }

    /// A change of names that is on the disk as a whole or not at all.
    struct NameChange: Sendable {
        struct Part: Sendable {
            let directory: Int
            let name: String
            /// `nil` for a name that goes.
            let node: Int?
        }
        let number: UInt64
        let parts: [Part]
    }

    package enum Node: Sendable {
        case file(DiskFile)
        /// The names that are durable.
        case directory([String: Int])
    }

    package private(set) var nodes: [Int: Node] = [:]
    private(set) var pendingNames: [NameChange] = []
    /// The names that a program sees.
    private var live: [Int: [String: Int]] = [:]
    /// An inode's number is given to another file when the first is gone.
    private var nodeOfInode: [UInt64: Int] = [:]
    /// Syncs and synced writes that have not returned: the inode, and whether it is a write.
    private var underway: [UInt64: (node: Int, isWrite: Bool)] = [:]
    private var nextNode = 1
    private let syncs: Syncs
    package static let root = 0

    /// A disk with one directory, and nothing in it.
    package init(rootInode: UInt64, syncs: Syncs = .all) {
        self.syncs = syncs
        nodes[Self.root] = .directory([:])
        live[Self.root] = [:]
        nodeOfInode[rootInode] = Self.root
    }

    // MARK: what is there at first

    /// Adds a durable file or, without bytes, a directory.
    package mutating func add(_ path: String, inode: UInt64, bytes: [UInt8]?) {
        let (directory, name) = place(of: path)
        let node = make(inode, bytes.map { .file(DiskFile($0)) } ?? .directory([:]))
        live[directory, default: [:]][name] = node
        if case .directory(var names) = nodes[directory] {
            names[name] = node
            nodes[directory] = .directory(names)
        }
    }

    private mutating func make(_ inode: UInt64, _ node: Node) -> Int {
        let number = nextNode
        nextNode += 1
        nodes[number] = node
        nodeOfInode[inode] = number
        if case .directory = node { live[number] = [:] }
        return number
    }

    private func place(of path: String) -> (directory: Int, name: String) {
        var directory = Self.root
        let parts = path.split(separator: "/")
        for part in parts.dropLast() {
            guard let next = live[directory]?[String(part)] else {
                preconditionFailure("the recording has \(path) in a directory that is not there")
            }
            directory = next
        }
        return (directory, String(parts.last ?? ""))
    }

    private func node(at path: String) -> Int? {
        let (directory, name) = place(of: path)
        return live[directory]?[name]
    }

    // MARK: operations

    package mutating func take(_ operation: Operation) {
        let number = operation.number
        switch operation.action {
        case .create(let path, let inode): name(path, make(inode, .file(DiskFile())), number)
        case .makeDirectory(let path, let inode): name(path, make(inode, .directory([:])), number)
        case .link(let from, let to): name(to, node(at: from), number)
        case .unlink(let path), .removeDirectory(let path): name(path, nil, number)
        case .rename(let from, let to):
            let (source, target) = (place(of: from), place(of: to))
            change(
                [
                    NameChange.Part(directory: source.directory, name: source.name, node: nil),
                    NameChange.Part(directory: target.directory, name: target.name, node: node(at: from)),
                ], number)
        case .write(let inode, let offset, let bytes, let isSynced):
            guard let node = nodeOfInode[inode] else { return }
            withFile(node) { $0.write(bytes, at: offset, number: number) }
            if isSynced { underway[number] = (node, true) }
        case .truncate(let inode, let size):
            guard let node = nodeOfInode[inode] else { return }
            withFile(node) { $0.truncate(to: size, number: number) }
        case .extend(let inode, let size):
            guard let node = nodeOfInode[inode] else { return }
            withFile(node) { if size > $0.size { $0.truncate(to: size, number: number) } }
        case .sync(let inode): if let node = nodeOfInode[inode] { underway[number] = (node, false) }
        case .synced(let begun): finish(begun)
        case .allocate, .mark: break
        }
    }

    private mutating func withFile(_ node: Int, _ body: (inout DiskFile) -> Void) {
        guard case .file(var file) = nodes[node] else { return }
        // The file is taken out, so that it is changed where it is and not copied.
        nodes[node] = nil
        body(&file)
        nodes[node] = .file(file)
    }

    private mutating func name(_ path: String, _ node: Int?, _ number: UInt64) {
        let (directory, name) = place(of: path)
        change([NameChange.Part(directory: directory, name: name, node: node)], number)
    }

    private mutating func change(_ parts: [NameChange.Part], _ number: UInt64) {
        for part in parts { live[part.directory]?[part.name] = part.node }
        pendingNames.append(NameChange(number: number, parts: parts))
    }

    private mutating func finish(_ begun: UInt64) {
        guard let (node, isWrite) = underway.removeValue(forKey: begun), syncs != .none else { return }
        if isWrite {
            if syncs != .withoutSyncedWrites { withFile(node) { $0.syncWrite(begun) } }
            return
        }
        if case .directory = nodes[node] {
            let settled = pendingNames.filter { change in
                change.number < begun && change.parts.contains { $0.directory == node }
            }
            for change in settled { for part in change.parts { settle(part) } }
            let numbers = Set(settled.map(\.number))
            pendingNames.removeAll { numbers.contains($0.number) }
        } else if syncs != .withoutFileSyncs {
            withFile(node) { $0.sync(before: begun) }
        }
    }

    private mutating func settle(_ part: NameChange.Part) {
        guard case .directory(var names) = nodes[part.directory] else { return }
        names[part.name] = part.node
        nodes[part.directory] = .directory(names)
    }

    // MARK: cuts

    /// Numbers of the operations of which nobody knows whether they are on the disk, in their order.
    package var pendingNumbers: [UInt64] {
        var numbers = Set(pendingNames.map(\.number))
        for case .file(let file) in nodes.values { numbers.formUnion(file.pendingNumbers) }
        return numbers.sorted()
    }

    /// The names after a cut: of each directory that is reached, by node.
    package func names(keeps: (UInt64) -> Bool) -> [Int: [String: Int]] {
        var names: [Int: [String: Int]] = [:]
        for (number, node) in nodes { if case .directory(let durable) = node { names[number] = durable } }
        for change in pendingNames where keeps(change.number) {
            for part in change.parts { names[part.directory]?[part.name] = part.node }
        }
        return names
    }

    // MARK: a process that goes, and the next one

    /// What a program sees: after the end of one, the next.
    package var seen: [(path: String, bytes: [UInt8]?)] {
        var found: [(path: String, bytes: [UInt8]?)] = []
        descend { path, node in
            switch nodes[node] {
            case .file(let file): found.append((path, file.current))
            case .directory: found.append((path, nil))
            case nil: break
            }
        }
        return found
    }

    private func descend(_ visit: (String, Int) -> Void) {
        func descend(_ directory: Int, _ folder: String) {
            for (name, node) in (live[directory] ?? [:]).sorted(by: { $0.key < $1.key }) {
                let path = folder.isEmpty ? name : folder + "/" + name
                visit(path, node)
                descend(node, path)
            }
        }
        descend(Self.root, "")
    }

    /// The program has ended, and what it saw was laid out elsewhere: the files have other inodes there. What was not durable is not
    /// durable still.
    ///
    /// - Parameter inode: that of a path.
    package mutating func goOn(rootInode: UInt64, inode: (String) -> UInt64) {
        nodeOfInode = [rootInode: Self.root]
        underway = [:]
        var found: [UInt64: Int] = [:]
        descend { path, node in found[inode(path)] = node }
        nodeOfInode.merge(found) { first, _ in first }
    }
}
