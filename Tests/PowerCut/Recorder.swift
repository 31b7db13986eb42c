import DiskModel
import DiskRecorder
import Glibc
import Workload

/// Says the events of a workload to the recorder, so that their place among the writes and syncs is known.
final class RecordingSink: EventSink {
    func take(_ line: String) { line.withCString { disk_recorder_mark($0, strlen($0)) } }
}

/// The recorder of this process.
enum Recorder {
    /// What was recorded, and the directory's inode.
    struct Tape {
        let rootInode: UInt64
        let bytes: [UInt8]
    }

    /// Records what `body` does below an absolute path.
    static func record(below root: String, syncDelayMicroseconds: UInt32 = 0, _ body: () throws -> Void) rethrows
        -> Tape
    {
        disk_recorder_start(root, syncDelayMicroseconds)
        defer { disk_recorder_stop() }
        try body()
        disk_recorder_stop()
        var count = 0
        let data = disk_recorder_data(&count)
        return Tape(
            rootInode: Files.inode(root),
            bytes: Array(UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : count)))
    }
}

/// A recording in a file.
///
///     holdfast power cut 1 <scenario> <inode of the directory>
///     <the recorder's bytes>
struct TapeFile {
    let scenario: String
    let rootInode: UInt64
    let recording: Recording

    static func write(_ tape: Recorder.Tape, of scenario: String, to path: String) throws(Failure) {
        try Files.write(Array("holdfast power cut 1 \(scenario) \(tape.rootInode)\n".utf8) + tape.bytes, to: path)
    }

    init(_ path: String) throws(Failure) {
        let bytes = try Files.read(path)
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { throw Failure("\(path) is no recording") }
        let words = String(decoding: bytes[..<end], as: UTF8.self).split(separator: " ")
        guard words.count == 6, words[..<4].joined(separator: " ") == "holdfast power cut 1",
            let inode = UInt64(words[5])
        else { throw Failure("\(path) is no recording of this version") }
        scenario = String(words[4])
        rootInode = inode
        do throws(Recording.Unreadable) {
            recording = try Recording(Array(bytes[(end + 1)...]))
        } catch {
            throw Failure("\(path) cannot be read from byte \(error.offset) on")
        }
    }
}

/// Why the test itself cannot go on.
struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
