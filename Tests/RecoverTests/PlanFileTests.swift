import Assembly
import Coordinator
import Foundation
import Testing

@testable import recover

/// A plan file is whole, of this log and as it was written, or it is refused.
@Suite struct PlanFileTests {
    /// A directory of its own, removed with it.
    private final class Folder {
        let path = NSTemporaryDirectory() + "holdfast-plan-\(UInt64.random(in: 0 ... .max))"
        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit {
            do { try FileManager.default.removeItem(atPath: path) } catch { Issue.record(error) }
        }
        func file(_ text: String) throws -> String {
            let file = path + "/plan-\(UInt64.random(in: 0 ... .max))"
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            return file
        }
    }

    private let folder: Folder
    private let document = Samples.document(
        Samples.plan([Samples.undecided(1), Samples.committing(2)], at: Samples.seen([Samples.branch(1)])))

    init() throws { folder = try Folder() }

    /// The exit code of the refusal; `nil` if it was taken.
    private func refusal(_ path: String) -> Int32? {
        do {
            _ = try PlanFile.read(path)
            return nil
        } catch {
            return (error as? StartRefusal)?.exitCode
        }
    }

    @Test("Goal: what was written is read, by its owner alone, and nothing is written over")
    func roundTrip() throws {
        let path = folder.path + "/plan"
        try PlanFile.refuseTaken(path)
        try PlanFile.write(document, to: path)
        #expect(try PlanFile.read(path) == document)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(throws: StartRefusal.self) { try PlanFile.write(document, to: path) }
        #expect(throws: StartRefusal.self) { try PlanFile.refuseTaken(path) }
        #expect(throws: StartRefusal.self) { try PlanFile.write(document, to: folder.path + "/none/plan") }
    }

    @Test("Goal: what is no plan is wrong usage")
    func noPlan() throws {
        let json = try document.json
        #expect(refusal(folder.path + "/missing") == ProgramExit.usage)
        for text in [
            "", "{", "[]", "{}", #"{"kind":"holdfast-recovery-plan"}"#,
            json.replacingOccurrences(of: #""kind" : "holdfast-recovery-plan""#, with: #""kind" : "other""#),
            json.replacingOccurrences(of: #""version" : 1"#, with: #""version" : 2"#),
            String(json.dropLast(json.count / 2)),
        ] {
            let code = refusal(try folder.file(text))
            #expect(code == ProgramExit.usage, "\(text.prefix(60))")
        }
        let ofWhole = refusal(try folder.file(json))
        #expect(ofWhole == nil)
    }

    @Test("Goal: an entry that was edited, or is there twice, is wrong usage; one that was taken out is not missed")
    func edited() throws {
        let json = try document.json
        let edited = json.replacingOccurrences(of: #""decision" : "commit""#, with: #""decision" : "abort""#)
        #expect(edited != json)
        let ofEdited = refusal(try folder.file(edited))
        #expect(ofEdited == ProgramExit.usage)

        let data = Data(json.utf8)
        var object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let entries = try #require(object["transactions"] as? [[String: Any]])
        object["transactions"] = entries + [entries[0]]
        let twice = String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
        let ofTwice = refusal(try folder.file(twice))
        #expect(ofTwice == ProgramExit.usage)
        object["transactions"] = [entries[1]]
        let fewer = String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
        #expect(
            try PlanFile.read(try folder.file(fewer)).transactions.map(\.txnId) == [Samples.transaction(2).description])
    }

    @Test("Goal: a plan of another log is refused")
    func otherLog() throws {
        try PlanFile.check(document, isOf: Samples.log, "plan", stateDirectory: "state")
        #expect(throws: StartRefusal.self) {
            try PlanFile.check(document, isOf: LogID(high: 1, low: 2), "plan", stateDirectory: "state")
        }
    }
}
