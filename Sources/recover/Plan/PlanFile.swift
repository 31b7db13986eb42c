import Assembly
import Coordinator
import Foundation

/// A plan in a file: written once, read and checked before it is applied.
enum PlanFile {
    /// The largest file that is read, bytes: far more than the plan of a million transactions in doubt.
    static let bytesMax = 1 << 30
    static let mode: mode_t = 0o600

    /// Writes the plan under a name that is not taken yet, and syncs it: a plan that is there is there whole.
    ///
    /// - Throws: ``StartRefusal`` if the name is taken or the file cannot be written.
    static func write(_ document: PlanDocument, to path: String) throws {
        let bytes = Array((try document.json + "\n").utf8)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            guard errno == EEXIST else { throw failure("cannot write the plan to \(path)", errno) }
            throw StartRefusal(
                "\(path) exists, and a plan is never written over another file; give a new name",
                exitCode: ProgramExit.failure)
        }
        defer { close(descriptor) }
        var offset = 0
        while offset < bytes.count {
            let written = bytes.withUnsafeBytes {
                Foundation.write(descriptor, $0.baseAddress! + offset, $0.count - offset)
            }
            if written >= 0 {
                offset += written
            } else if errno != EINTR {
                try giveUp(path, errno)
            }
        }
        if fsync(descriptor) != 0 { try giveUp(path, errno) }
        try syncDirectory(of: path)
    }

    /// Refuses early what ``write(_:to:)`` would refuse after the work.
    static func refuseTaken(_ path: String) throws {
        guard access(path, F_OK) == 0 else { return }
        throw StartRefusal(
            "\(path) exists, and a plan is never written over another file; give a new name",
            exitCode: ProgramExit.failure)
    }

    /// - Throws: ``StartRefusal`` with the code for wrong usage if it is no plan of this program, or was edited.
    static func read(_ path: String) throws -> PlanDocument {
        let data: Data
        do {
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            guard attributes[.type] as? FileAttributeType != .typeDirectory else {
                throw refusal("\(path) is a directory; --apply takes the file that --plan-out has written")
            }
            let size = attributes[.size] as? Int ?? 0
            guard size <= bytesMax else { throw refusal("\(path) is too large to be a plan") }
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch let refusal as StartRefusal {
            throw refusal
        } catch {
            throw refusal("the plan \(path) cannot be read: \(error.localizedDescription)")
        }
        return try document(in: data, path)
    }

    /// Likewise, of what a file holds.
    static func document(in data: Data, _ path: String) throws -> PlanDocument {
        guard let header = try? JSONDecoder().decode(Header.self, from: data), header.kind == PlanDocument.kind else {
            throw refusal("\(path) is not a plan; --plan-out FILE writes one")
        }
        guard header.version == PlanDocument.currentVersion else {
            throw refusal(
                "the plan \(path) has version \(header.version), this program carries out version "
                    + "\(PlanDocument.currentVersion); make a new one")
        }
        do {
            let document = try PlanDocument(json: data)
            try check(document, path)
            return document
        } catch let refusal as StartRefusal {
            throw refusal
        } catch {
            throw refusal("the plan \(path) is incomplete or was edited; make a new one")
        }
    }

    /// - Throws: ``StartRefusal`` if the plan is of another log.
    static func check(_ document: PlanDocument, isOf log: LogID, _ path: String, stateDirectory: String) throws {
        guard document.logId != log.description else { return }
        throw refusal(
            "the plan \(path) is of the log \(document.logId), the one in \(stateDirectory) is \(log); "
                + "apply it where it was made")
    }

    private struct Header: Decodable {
        let kind: String
        let version: Int
    }

    /// Each entry once, and each as it was written.
    private static func check(_ document: PlanDocument, _ path: String) throws {
        let log = document.logId
        let entries =
            document.transactions.map { ("transaction " + $0.txnId, $0.fingerprint, $0.basis(log: log)) }
            + document.reversals.map { ("reversal " + $0.txnId, $0.fingerprint, $0.basis(log: log)) }
            + document.prepared.map { ("branch " + $0.gid + " " + $0.seenFrom, $0.fingerprint, $0.basis(log: log)) }
            + (document.lost ?? []).map { ("lost transaction " + $0.txnId, $0.fingerprint, $0.basis(log: log)) }
        var names: Set<String> = []
        for (name, fingerprint, basis) in entries {
            guard Fingerprint.text(of: basis) == fingerprint else {
                throw refusal("the plan \(path) was edited: \(name) is not what it was made from; make a new one")
            }
            guard names.insert(name).inserted else {
                throw refusal("the plan \(path) was edited: \(name) is in it twice; make a new one")
            }
        }
    }

    private static func refusal(_ message: String) -> StartRefusal {
        StartRefusal(message, exitCode: ProgramExit.usage)
    }

    private static func failure(_ what: String, _ code: Int32) -> StartRefusal {
        StartRefusal("\(what): \(String(cString: strerror(code)))", exitCode: ProgramExit.failure)
    }

    /// A half of a plan is worse than none.
    private static func giveUp(_ path: String, _ code: Int32) throws -> Never {
        unlink(path)
        throw failure("cannot write the plan to \(path)", code)
    }

    private static func syncDirectory(of path: String) throws {
        let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot open \(directory) to sync it", errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("cannot sync \(directory)", errno) }
    }
}
