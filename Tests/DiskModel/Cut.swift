/// What of the operations that are not durable is on the disk after a cut.
package struct Cut: Sendable, CustomStringConvertible {
    /// How what is there is chosen.
    package enum Manner: String, Sendable, CaseIterable {
        case nothing
        case everything
        case allButOne = "all-but-one"
        case onlyOne = "only-one"
        case onlyLast = "only-last"
        case firstHalf = "first-half"
        case lastHalf = "last-half"
        /// Each operation by chance.
        case operations
        /// Each page of 4 KiB by chance.
        case pages
        /// Each sector by chance.
        case sectors
        /// Everything but some sectors.
        case mostSectors = "most-sectors"
        /// Some sectors only.
        case fewSectors = "few-sectors"
        /// Everything up to one operation, and a part of that one.
        case tornLast = "torn-last"
        /// Everything but a part of one operation.
        case tornOne = "torn-one"
    }

    package let manner: Manner
    private let seed: UInt64
    private let pending: [UInt64]
    /// The one that the manner is about.
    private let chosen: UInt64
    private let splitSector: Int
    private let keepsBefore: Bool
    private let namesApart: Bool
    private let sizesApart: Bool
    package let fillsWithGarbage: Bool

    /// - Parameter pending: the numbers of what is not durable, in their order.
    package init(manner: Manner, pending: [UInt64], seed: UInt64) {
        self.manner = manner
        self.pending = pending
        self.seed = seed
        let random = { (purpose: UInt64) in Self.random(seed, purpose, 0) }
        switch manner {
        // What was under way when the power went is what is torn.
        case .onlyLast, .tornLast: chosen = pending.last ?? 0
        default: chosen = pending.isEmpty ? 0 : pending[Int(random(1) % UInt64(pending.count))]
        }
        splitSector = Int(random(2) % 64)
        keepsBefore = random(3) & 1 == 0
        namesApart = random(4) % 4 == 0
        sizesApart = random(5) % 4 == 0
        fillsWithGarbage = random(6) % 4 == 0
    }

    package var description: String {
        "\(manner.rawValue) of \(pending.count) operations" + (namesApart ? ", names apart" : "")
            + (sizesApart ? ", sizes apart" : "") + (fillsWithGarbage ? ", garbage in new sectors" : "")
    }

    private static func random(_ seed: UInt64, _ one: UInt64, _ other: UInt64) -> UInt64 {
        var value = seed &+ 0x9E37_79B9_7F4A_7C15 &* (one &+ 1) &+ 0xD1B5_4A32_D192_ED03 &* (other &+ 1)
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// True in so many of a hundred cases.
    private func chance(_ percent: UInt64, _ one: UInt64, _ other: UInt64) -> Bool {
        Self.random(seed, one &+ 100, other) % 100 < percent
    }

    private func half(of number: UInt64) -> Bool {
        guard let place = pending.firstIndex(of: number) else { return false }
        return place < pending.count / 2
    }

    /// Whether an operation as a whole is there; of those that are torn, a part is.
    private func keepsOperation(_ number: UInt64) -> Bool {
        switch manner {
        case .nothing: false
        case .everything, .tornOne, .tornLast, .mostSectors: true
        case .allButOne: number != chosen
        case .onlyOne, .onlyLast: number == chosen
        case .firstHalf: half(of: number)
        case .lastHalf: !half(of: number)
        case .operations, .pages, .sectors: chance(50, number, 0)
        case .fewSectors: chance(10, number, 0)
        }
    }

    /// Whether a write has reached a sector.
    package func keeps(_ number: UInt64, sector: Int) -> Bool {
        switch manner {
        case .pages: chance(50, number, UInt64(sector / 8) + 1)
        case .sectors: chance(50, number, UInt64(sector) + 1)
        case .mostSectors: !chance(5, number, UInt64(sector) + 1)
        case .fewSectors: chance(5, number, UInt64(sector) + 1)
        case .tornOne, .tornLast: number != chosen || (sector % 64 < splitSector) == keepsBefore
        case .nothing, .everything, .allButOne, .onlyOne, .onlyLast, .firstHalf, .lastHalf, .operations:
            keepsOperation(number)
        }
    }

    package func keepsSize(_ number: UInt64) -> Bool {
        sizesApart ? chance(50, number, 1 << 40) : keepsOperation(number)
    }

    package func keepsName(_ number: UInt64) -> Bool {
        namesApart ? chance(50, number, 1 << 41) : keepsOperation(number)
    }

    /// What a new sector is that nothing has reached: zeros, or what was on the disk before.
    package func blank(_ sector: Int) -> [UInt8]? {
        guard fillsWithGarbage else { return nil }
        let byte = UInt8(truncatingIfNeeded: Self.random(seed, 7, UInt64(sector)))
        return [UInt8](repeating: byte, count: DiskFile.sectorBytes)
    }
}

extension Disk {
    /// What is there after a cut: directories without bytes, then files, each after the directory that it is in.
    package func image(_ cut: Cut) -> [(path: String, bytes: [UInt8]?)] {
        let names = names { cut.keepsName($0) }
        var found: [(path: String, bytes: [UInt8]?)] = []
        func descend(_ directory: Int, _ path: String) {
            for (name, node) in (names[directory] ?? [:]).sorted(by: { $0.key < $1.key }) {
                let path = path.isEmpty ? name : path + "/" + name
                switch nodes[node] {
                case .file(let file):
                    let bytes = file.contents(
                        keeps: { cut.keeps($0, sector: $1) }, keepsSize: { cut.keepsSize($0) },
                        blank: { cut.blank($0) })
                    found.append((path, bytes))
                case .directory:
                    found.append((path, nil))
                    descend(node, path)
                case nil: break
                }
            }
        }
        descend(Self.root, "")
        return found
    }
}
