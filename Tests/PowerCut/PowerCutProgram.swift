import ArgumentParser
import DiskModel
import Glibc
import Workload

@main
struct PowerCutProgram: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "PowerCut",
        abstract: "Cuts the power of a recorded disk at any moment and looks at what is left of the log.",
        subcommands: [Run.self, Images.self])
}

/// Records every scenario and cuts the power in each.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Records scenarios, cuts the power in each, and sees to it that disks that do not sync are noticed.")

    @Option(help: "How many images are examined in all.") var images = 2000
    @Option(help: "What payments and cuts follow from.") var seed: UInt64 = 1
    @Option(help: "Only this scenario; may be repeated.") var scenario: [String] = []
    @Option(help: "Where images are laid out: best a file system in memory.") var workspace = "/dev/shm"
    @Option(help: "Where the recordings of findings are kept.") var keep = ".build/power-cut"
    @Flag(help: "Leaves the broken disks out.") var withoutControls = false

    func validate() throws {
        guard images > 0 else { throw ValidationError("--images is at least 1") }
        for name in scenario where Scenario(rawValue: name) == nil {
            throw ValidationError(
                "--scenario is one of \(Scenario.allCases.map(\.rawValue).joined(separator: ", "))")
        }
    }

    func run() throws {
        let scenarios = scenario.isEmpty ? Scenario.allCases : scenario.compactMap { Scenario(rawValue: $0) }
        var campaign = try Campaign(
            seed: seed, images: max(1, images / scenarios.count), workspace: workspace, keep: keep)
        defer { campaign.tidy() }
        for scenario in scenarios { try campaign.run(scenario) }
        if !withoutControls { try campaign.runControls(scenarios.contains(.steady) ? .steady : scenarios[0]) }
        campaign.tell()
        if !campaign.isClean { throw ExitCode.failure }
    }
}

/// Examines images of one recording, in a process of its own: what LMDB makes of a bad page may be its end.
struct Images: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Examines images of one recording.")

    @Option(help: "The recording.") var recording: String
    @Option(help: "How many images are spread over the recording.") var images = 1000
    @Option(help: "What the cuts follow from.") var seed: UInt64 = 1
    @Option(help: "Examines the image of this number only.") var only: Int?
    @Option(help: "Which syncs the disk believes: all, none, without-synced-writes, without-file-syncs.")
    var syncs = Disk.Syncs.all.rawValue
    @Option(help: "One in so many images is cut again while it is gone on with; 0 for none.") var again: UInt64 = 10
    @Option(help: "Where images are laid out.") var workspace = "/dev/shm"
    @Option(help: "Writes the counts to this file.") var results: String?
    @Flag(help: "Leaves the laid out image where it is.") var leave = false

    func run() throws {
        guard let syncs = Disk.Syncs(rawValue: syncs) else { throw ValidationError("--syncs is not one of its values") }
        let tape = try TapeFile(recording)
        guard let scenario = Scenario(rawValue: tape.scenario) else {
            throw ValidationError("\(recording) is of the unknown scenario \(tape.scenario)")
        }
        let root = workspace + "/holdfast-power-cut-\(getpid())"
        var examiner = Examiner(root: root, scenario: scenario, cutsAgainEvery: again)
        var cuts = Cuts(tape.recording, disk: Disk(rootInode: tape.rootInode, syncs: syncs))
        var (examined, found) = (0, 0)
        let began = monotonicMicroseconds()
        for (number, place) in cuts.places(count: images, seed: seed).enumerated() {
            cuts.advance(to: place)
            if let only, only != number { continue }
            try noteProgress(number)
            var numbers = SeededNumbers(seed, UInt64(number))
            let cut = cuts.cut(seed: numbers.next())
            var findings = try examiner.findings(
                in: cuts.disk.image(cut), after: cuts.transcript, isDone: cuts.isDone, notes: cuts.notes,
                seed: numbers.next())
            examined += 1
            if findings.isEmpty, again > 0, numbers.next() % again == 0 {
                findings = try examiner.findingsOfKill(
                    cuts.disk, behind: cuts.last, after: cuts.transcript, seed: numbers.next())
            }
            guard !findings.isEmpty else { continue }
            found += 1
            complain("image \(number), cut behind operation \(place), \(cut):")
            for finding in findings { complain("  \(finding)") }
            // More of the same says no more.
            break
        }
        let seconds = Double(monotonicMicroseconds() - began) / 1_000_000
        if let results {
            if Files.exists(results) { unlink(results) }
            let text = "\(examined) \(examiner.secondCuts) \(found) \(Int(seconds * 1000))\n"
            try Files.write(Array(text.utf8), to: results)
        }
        if leave { complain("the image is in \(root)") } else { try Files.remove(root) }
        if found > 0 { throw ExitCode.failure }
    }

    /// So that whoever started this knows which image was its end.
    private func noteProgress(_ number: Int) throws {
        guard let results else { return }
        let descriptor = open(results + ".image", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure("cannot write \(results).image") }
        let bytes = Array("\(number)          \n".utf8)
        _ = pwrite(descriptor, bytes, bytes.count, 0)
        close(descriptor)
    }
}
