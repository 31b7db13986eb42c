import Foundation
import Testing

/// What `make fuzz` runs for minutes, here for seconds: the corpora, and mutations of them from a fixed seed.
@Suite("Fuzz targets on their corpora")
struct FuzzTests {
    /// Mutations of each target's corpus.
    private static let mutations = 1500

    @Test("Goal: what was tried once, by hand or by libFuzzer, holds for ever", arguments: FuzzTarget.all)
    func corpus(target: FuzzTarget) throws {
        let inputs = try Corpus.inputs(of: target)
        try #require(inputs.count > 3, "the corpus of \(target.name) is missing")
        for (name, bytes) in inputs { judge(target, bytes, "fixtures/fuzz/\(target.name)/\(name)") }
    }

    @Test("Goal: a few thousand inputs near to known ones hold too", arguments: FuzzTarget.all)
    func mutations(target: FuzzTarget) throws {
        let inputs = try Corpus.inputs(of: target).map(\.bytes)
        var mutator = Mutator(seed: Mutator.seed, corpus: inputs, bytesMax: target.bytesMax)
        for round in 0..<Self.mutations {
            judge(target, mutator.next(), "round \(round) of seed \(Mutator.seed); set HOLDFAST_FUZZ_SEED to replay it")
        }
    }

    @Test("Goal: every corpus belongs to a target, is small, and has a dictionary or needs none")
    func corpora() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Corpus.root.path)
            .filter { !$0.hasSuffix(".dict") }
        #expect(Set(folders) == Set(FuzzTarget.all.map(\.name)))
        var bytes = 0
        for target in FuzzTarget.all {
            let inputs = try Corpus.inputs(of: target)
            #expect(
                inputs.count <= 400, "\(target.name) has \(inputs.count) inputs; scripts/fuzz minimize \(target.name)")
            bytes += inputs.reduce(0) { $0 + $1.bytes.count }
        }
        #expect(bytes <= 1 << 20, "\(bytes) bytes of corpora")
    }

    /// The goal of the machinery itself: a property that does not hold is reported.
    @Test("Goal: a finding is a failure, and quotes nothing of the input")
    func findings() {
        let target = FuzzTarget(name: "broken", bytesMax: 8) { input in try hold(input.count < 4, "four bytes") }
        #expect(throws: Finding.self) { try target.run([1, 2, 3, 4]) }
        #expect(throws: Never.self) { try target.run([1, 2, 3]) }
        #expect(Texts.cards(in: Array("a 4111111111111111 b 5555555555554444 c 4111111111111112".utf8)).count == 2)
    }

    private func judge(_ target: FuzzTarget, _ input: [UInt8], _ place: String) {
        do {
            try target.run(input)
        } catch {
            Issue.record("\(target.name): \(error) (\(place))")
        }
    }
}

/// fixtures/fuzz.
private enum Corpus {
    static let root: URL = {
        var folder = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        for _ in 0..<4 { folder.deleteLastPathComponent() }
        return folder.appendingPathComponent("fixtures/fuzz")
    }()

    /// In the order of their names.
    static func inputs(of target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let folder = root.appendingPathComponent(target.name)
        return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { name in
            (name, Array(try Data(contentsOf: folder.appendingPathComponent(name))))
        }
    }
}

/// Inputs near to those of a corpus, from a seed.
private struct Mutator {
    /// Fixed, so that a run of the tests is always the same; another one by HOLDFAST_FUZZ_SEED.
    static let seed = ProcessInfo.processInfo.environment["HOLDFAST_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1

    private var generator: SplitMix
    private let corpus: [[UInt8]]
    private let bytesMax: Int

    init(seed: UInt64, corpus: [[UInt8]], bytesMax: Int) {
        generator = SplitMix(state: seed)
        self.corpus = corpus.isEmpty ? [[]] : corpus
        self.bytesMax = bytesMax
    }

    mutating func next() -> [UInt8] {
        var bytes = corpus[below(corpus.count)]
        for _ in 0...below(4) { mutate(&bytes) }
        return Array(bytes.prefix(bytesMax))
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        let place = below(bytes.count + 1)
        let end = min(bytes.count, place + below(9))
        switch below(7) {
        case 0: if place < bytes.count { bytes[place] = UInt8(truncatingIfNeeded: generator.next()) }
        case 1: if place < bytes.count { bytes[place] ^= 1 << UInt8(below(8)) }
        case 2: bytes.removeSubrange(place..<end)
        case 3: bytes.insert(contentsOf: Array(bytes[place..<end]), at: place)
        case 4: if place < bytes.count { bytes[place] = [0, 0x7F, 0x80, 0xFF, 0x22, 0x5C][below(6)] }
        case 5:
            let other = corpus[below(corpus.count)]
            let from = below(other.count + 1)
            bytes = Array(bytes[..<place]) + other[from...]
        default: bytes.insert(UInt8(truncatingIfNeeded: generator.next()), at: place)
        }
    }

    private mutating func below(_ count: Int) -> Int { Int(generator.next() % UInt64(count)) }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a seed gives the same numbers everywhere.
private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

extension FuzzTarget: CustomTestStringConvertible {
    var testDescription: String { name }
}
