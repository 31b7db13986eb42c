import DiskModel
import Glibc
import Workload

/// Scenarios, their recordings, and what came of them.
struct Campaign {
    /// A line of the table.
    private struct Row {
        let name: String
        var payments = 0
        var writes = 0
        var bytes = 0
        var syncs = 0
        var images = 0
        var secondCuts = 0
        var milliseconds = 0
        var outcome = ""
    }

    /// How an examination ended.
    private enum End { case clean, finding, died(signal: Int32) }

    private let seed: UInt64
    private let images: Int
    private let workspace: String
    private let keep: String
    private var rows: [Row] = []
    private(set) var isClean = true
    /// Images that a broken disk has to be noticed within.
    private static let controlImagesMax = 2000

    init(seed: UInt64, images: Int, workspace: String, keep: String) throws(Failure) {
        self.seed = seed
        self.images = images
        self.keep = keep
        self.workspace = workspace + "/holdfast-power-cut-\(getpid())"
        try Files.remove(self.workspace)
        try Files.makeDirectory(self.workspace)
        print("power cut: seed \(seed), \(images) images a scenario, laid out in \(workspace)")
    }

    func tidy() {
        do { try Files.remove(workspace) } catch { complain("\(error)") }
    }

    // MARK: scenarios

    mutating func run(_ scenario: Scenario) throws {
        var (row, tape) = try record(scenario)
        let end = try examine(tape, &row, images: images, .all)
        switch end {
        case .clean: row.outcome = "none"
        case .finding, .died:
            isClean = false
            row.outcome = "FOUND"
            if case .died(let signal) = end { row.outcome = "DIED of signal \(signal)" }
            try tellReplay(tape, scenario, end)
        }
        rows.append(row)
    }

    private func record(_ scenario: Scenario) throws -> (Row, String) {
        let root = workspace + "/disk"
        try Files.remove(root)
        try Files.makeDirectory(root)
        let tape = try scenario.record(seed: seed, below: root)
        try Files.remove(root)
        let path = "\(workspace)/\(scenario.rawValue).recording"
        if Files.exists(path) { unlink(path) }
        try TapeFile.write(tape, of: scenario.rawValue, to: path)
        return (Self.row(scenario, try TapeFile(path).recording), path)
    }

    private static func row(_ scenario: Scenario, _ recording: Recording) -> Row {
        var row = Row(name: scenario.rawValue)
        var payments: Set<UInt64> = []
        for operation in recording.operations {
            switch operation.action {
            case .write(_, _, let bytes, let isSynced):
                row.writes += 1
                row.bytes += bytes.count
                if isSynced { row.syncs += 1 }
            case .sync: row.syncs += 1
            case .mark(let line):
                if case .intent(_, let payment, .begin) = Event(line) { payments.insert(payment) }
            case .create, .makeDirectory, .rename, .link, .unlink, .removeDirectory, .truncate, .extend, .allocate,
                .synced:
                break
            }
        }
        row.payments = payments.count
        return row
    }

    private func examine(
        _ tape: String, _ row: inout Row, images: Int, _ syncs: Disk.Syncs, isQuiet: Bool = false
    ) throws(Failure) -> End {
        let results = tape + ".results"
        for path in [results, results + ".image"] where Files.exists(path) { unlink(path) }
        let status = try Child.run(
            [
                "images", "--recording", tape, "--images", "\(images)", "--seed", "\(seed)", "--syncs", syncs.rawValue,
                "--workspace", workspace, "--results", results,
            ], isQuiet: isQuiet)
        if Files.exists(results) {
            let counts = String(decoding: try Files.read(results), as: UTF8.self).split(separator: " ")
                .compactMap { Int($0.filter(\.isNumber)) }
            if counts.count == 4 {
                (row.images, row.secondCuts, _, row.milliseconds) = (counts[0], counts[1], 0, counts[3])
            }
        }
        switch status {
        case .exited(0): return .clean
        case .exited(1) where Files.exists(results): return .finding
        case .exited(let code): throw Failure("the examination of \(tape) ended with \(code)")
        case .killed(let signal): return .died(signal: signal)
        }
    }

    private func tellReplay(_ tape: String, _ scenario: Scenario, _ end: End) throws(Failure) {
        try Files.makeDirectory(keep)
        let kept = "\(keep)/\(scenario.rawValue)-\(seed)-\(getpid()).recording"
        try Files.write(try Files.read(tape), to: kept)
        let image =
            String(decoding: try Files.read(tape + ".results.image"), as: UTF8.self)
            .split(separator: " ").first ?? "0"
        print("replay: \(Child.program) images --recording \(kept) --images \(images) --seed \(seed) --only \(image)")
    }

    // MARK: broken disks

    /// A disk that does not do its syncs has to be noticed, or the examination proves nothing.
    mutating func runControls(_ scenario: Scenario) throws {
        let (row, tape) = try record(scenario)
        for syncs in Disk.Syncs.allCases where syncs != .all {
            var row = row
            let end = try examine(tape, &row, images: Self.controlImagesMax, syncs, isQuiet: true)
            let image =
                String(decoding: try Files.read(tape + ".results.image"), as: UTF8.self)
                .split(separator: " ").first ?? "0"
            row = Row(name: "broken disk: syncs \(syncs.rawValue)", images: (Int(image) ?? 0) + 1)
            switch end {
            case .clean:
                isClean = false
                row.outcome = "NOT NOTICED"
            case .finding: row.outcome = "noticed, as it must be"
            case .died(let signal): row.outcome = "noticed: signal \(signal)"
            }
            rows.append(row)
        }
    }

    // MARK: the table

    func tell() {
        let heads = ["scenario", "payments", "writes", "KiB", "syncs", "images", "cut again", "images/s", "findings"]
        var lines = [heads]
        for row in rows {
            let all = row.images + row.secondCuts
            let rate = row.milliseconds > 0 ? "\(all * 1000 / row.milliseconds)" : ""
            let isControl = row.writes == 0
            lines.append([
                row.name, isControl ? "" : "\(row.payments)", isControl ? "" : "\(row.writes)",
                isControl ? "" : "\(row.bytes / 1024)", isControl ? "" : "\(row.syncs)", "\(row.images)",
                isControl ? "" : "\(row.secondCuts)", rate, row.outcome,
            ])
        }
        let widths = heads.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        for line in lines {
            let cells = zip(line, widths).enumerated().map { index, cell in
                let blanks = String(repeating: " ", count: cell.1 - cell.0.count)
                return index == 0 || index == heads.count - 1 ? cell.0 + blanks : blanks + cell.0
            }
            print(cells.joined(separator: "  "))
        }
        let examined = rows.filter { $0.writes > 0 }
        let images = examined.reduce(0) { $0 + $1.images + $1.secondCuts }
        let milliseconds = examined.reduce(0) { $0 + $1.milliseconds }
        print("\(images) images in all, \(milliseconds > 0 ? images * 1000 / milliseconds : 0) a second")
    }
}
