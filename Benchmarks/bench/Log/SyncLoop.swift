import BenchmarkKit
import Glibc

/// What the disk can do: writes so many bytes at the next place of a file whose blocks are there, and syncs them.
final class SyncLoop: Sendable {
    private let descriptor: Int32
    private let bytes: Int

    /// - Parameter bytes: the size of the file. It is written once, so that a sync has nothing to say about the file itself.
    init(path: String, bytes: Int) throws {
        self.bytes = bytes
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.failure("open") }
        let block = [UInt8](repeating: 1, count: 1 << 20)
        for offset in stride(from: 0, to: bytes, by: block.count)
        where pwrite(descriptor, block, block.count, off_t(offset)) != block.count {
            throw Self.failure("write")
        }
        guard fsync(descriptor) == 0 else { throw Self.failure("fsync") }
    }

    func close() { Glibc.close(descriptor) }

    /// - Returns: `rate`, steps a second; `p50` and `p99` of a batch.
    func run(_ shape: LogBench.BatchShape, seconds: Double) throws -> [String: Double] {
        let size = max(1, min(Int(shape.bytes), bytes / 2))
        let batch = [UInt8](repeating: 2, count: size)
        var (batches, offset, latencies) = (0, 0, Latencies())
        let began = Monotonic.now()
        let end = began + UInt64(seconds * 1e9)
        var last = began
        while last < end {
            if offset + size > bytes { offset = 0 }
            guard pwrite(descriptor, batch, size, off_t(offset)) == size else { throw Self.failure("write") }
            guard fdatasync(descriptor) == 0 else { throw Self.failure("fdatasync") }
            // The log's pages are whole, so the next batch begins at one.
            offset += (size + 4095) / 4096 * 4096
            batches += 1
            let now = Monotonic.now()
            latencies.record(nanoseconds: now - last)
            last = now
        }
        return [
            "rate": Double(batches) * shape.steps / Double(last - began) * 1e9, "p50": latencies.percentile(50),
            "p99": latencies.percentile(99),
        ]
    }

    private static func failure(_ call: String) -> BenchmarkFailure {
        BenchmarkFailure("\(call) failed: \(String(cString: strerror(errno)))")
    }
}
