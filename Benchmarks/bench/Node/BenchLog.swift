import BenchmarkKit
import Foundation
import NIOCore
import NIOPosix
import Runtime
import WAL

/// The log of a state directory, opened as a node does it: what it completes comes on an event loop.
final class BenchLog: Sendable {
    let log: LMDBLog
    /// Where the log delivers.
    let loop: any EventLoop
    let loops: MultiThreadedEventLoopGroup
    private let directory: StateDirectory

    /// - Parameter threads: event loops in all; the first one is the log's.
    init(directory path: String, threads: Int) throws {
        directory = try StateDirectory.acquire(path: path)
        loops = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        let loop = loops.next()
        self.loop = loop
        log = try LMDBLog.open(
            in: directory, configuration: LogConfiguration(), incarnation: IdentifierSource.incarnation(),
            newLogID: IdentifierSource.logID(), clock: SystemClock.wall, deliver: { loop.execute($0) },
            failure: { message in
                Progress.note(message)
                exit(1)
            })
    }

    func close() {
        log.close()
        do {
            try loops.syncShutdownGracefully()
        } catch {
            Progress.note("\(error)")
        }
        directory.release()
    }
}
