import Dispatch
import Foundation
import Synchronization

/// A folder for the files of one benchmark, removed at the end, also after an interruption.
public final class Workspace: Sendable {
    public let path: String

    /// - Parameter parent: an existing folder on the disk to measure on. Other accounts must be able to pass through it.
    public init(in parent: String) throws {
        path = "\(parent)/holdfast-bench-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0 ... .max))"
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o711])
        } catch {
            throw BenchmarkFailure("cannot make \(path): \(error.localizedDescription); name another --directory")
        }
        let path = path
        Interruption.atEnd(path) { Self.remove(path) }
    }

    /// Makes a folder in it.
    public func folder(_ name: String) throws -> String {
        let folder = "\(path)/\(name)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    /// Removes it with everything in it.
    public func remove() { Interruption.perform(path) }

    private static func remove(_ path: String) {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            Progress.note("\(path) could not be removed: \(error.localizedDescription)")
        }
    }
}

/// What is to be done when somebody interrupts a benchmark: clusters are stopped, folders removed.
///
/// What an interruption ends makes the measuring thread fail and clean up as well; each deed is done by one of the two, and by the
/// interruption's thread only when the other one has finished the deed that it is at.
public enum Interruption {
    /// Held while a deed is done, or something is begun that needs one. The interruption's thread never gives it back.
    private static let turn = Mutex(())
    private static let deeds = Mutex<[(name: String, deed: @Sendable () -> Void)]>([])
    private static let hasBegun = Atomic(false)
    private static let sources = Mutex<[any DispatchSourceSignal]>([])

    /// Notes what to do at an interruption; the last noted is done first.
    public static func atEnd(_ name: String, _ deed: @escaping @Sendable () -> Void) {
        deeds.withLock { $0.append((name, deed)) }
        sources.withLock { sources in
            if sources.isEmpty { sources = [SIGINT, SIGTERM, SIGHUP].map(watch) }
        }
    }

    /// Does it now, unless an interruption has begun, which does it; then this does not return.
    public static func perform(_ name: String) {
        turn.withLock { _ in
            let deed = deeds.withLock { deeds in
                deeds.lastIndex { $0.name == name }.map { deeds.remove(at: $0).deed }
            }
            deed?()
        }
    }

    /// Begins something and notes what ends it, with no interruption in between.
    public static func begin<Thing: Sendable>(_ body: () throws -> Thing) throws -> Thing {
        try turn.withLock { _ in try body() }
    }

    /// It has been done, or need not be done any more. Does not return once an interruption has begun: whoever tidies up because
    /// something ended under its hands would be in the way of what is done at the interruption.
    public static func forget(_ name: String) {
        while hasBegun.load(ordering: .acquiring) { sleep(1) }
        deeds.withLock { deeds in deeds.removeAll { $0.name == name } }
    }

    private static func watch(_ number: Int32) -> any DispatchSourceSignal {
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler {
            // A second signal finds the first one at work.
            guard !hasBegun.exchange(true, ordering: .acquiringAndReleasing) else { return }
            turn.withLock { _ in
                for (_, deed) in deeds.withLock({ $0 }).reversed() { deed() }
                exit(128 + number)
            }
        }
        source.resume()
        return source
    }
}
