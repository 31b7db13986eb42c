import Foundation
import Glibc
import Synchronization
import Testing

@testable import Coordinator
@testable import PostgresParticipant

@Suite("PostgreSQL: the event loop", .timeLimit(.minutes(1)))
struct EventLoopTests {
    /// Two connected sockets.
    private final class Pair: Sendable {
        /// Watched by the tests.
        let near: Int32
        let far: Int32

        init() throws {
            var ends: [Int32] = [-1, -1]
            try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
            (near, far) = (ends[0], ends[1])
        }

        deinit {
            close(near)
            close(far)
        }

        /// Makes the near end readable, until ``receive()``.
        func send() {
            var byte: UInt8 = 1
            _ = write(far, &byte, 1)
        }

        func receive() {
            var byte: UInt8 = 0
            _ = read(near, &byte, 1)
        }
    }

    private final class Watcher: SocketWatcher {
        private let told: (Readiness) throws -> Void

        init(_ told: @escaping (Readiness) throws -> Void) { self.told = told }

        func socketIsReady(_ readiness: Readiness) {
            do { try told(readiness) } catch { Issue.record(error) }
        }
    }

    /// Runs `body` on a loop of its own, which ends when `body` has called the function that it is given.
    private func onLoop<Value: Sendable>(
        _ body: @escaping @Sendable (EventLoop, @escaping @Sendable (Value) -> Void) throws -> Void
    ) throws -> Value {
        let loop = try EventLoop()
        try loop.start(name: "test")
        defer { loop.submit { loop.stop() } }
        let outcome = Awaited<Result<Value, any Error>>()
        loop.submit {
            do { try body(loop) { outcome.set(.success($0)) } } catch { outcome.set(.failure(error)) }
        }
        return try outcome.get().get()
    }

    // MARK: Sockets

    @Test("A socket is told of what it is watched for, again and again until it is done")
    func levels() throws {
        let pair = try Pair()
        let told: [Readiness] = try onLoop { loop, finish in
            var told: [Readiness] = []
            var watch: EventLoop.Watch?
            pair.send()
            watch = try loop.watch(
                pair.near, .readable,
                Watcher { [unowned loop] readiness in
                    told.append(readiness)
                    let watch = try #require(watch)
                    switch told.count {
                    case 1: break
                    case 2: loop.update(watch, [.readable, .writable])
                    case 3: pair.receive()
                    default:
                        loop.update(watch, .readable)
                        _ = loop.schedule(after: Milliseconds(20)) { finish(told) }
                    }
                })
        }
        #expect(told == [.readable, .readable, [.readable, .writable], .writable])
    }

    @Test("The end of a connection is told unasked")
    func hangUp() throws {
        let pair = try Pair()
        let told: Readiness = try onLoop { loop, finish in
            _ = try loop.watch(pair.near, [], Watcher { finish($0) })
            shutdown(pair.far, Int32(SHUT_RDWR))
        }
        #expect(!told.isDisjoint(with: .failed))
    }

    @Test("All sockets that are ready are told, more than one wait tells of, though none of them is ever done")
    func many() throws {
        let pairs = try (0..<PostgresLimits.readySocketsPerWait + 10).map { _ in try Pair() }
        let told: Set<Int> = try onLoop { loop, finish in
            var told: Set<Int> = []
            for (number, pair) in pairs.enumerated() {
                pair.send()
                let watcher = Watcher { _ in
                    told.insert(number)
                    if told.count == pairs.count { finish(told) }
                }
                _ = try loop.watch(pair.near, .readable, watcher)
            }
        }
        #expect(told.count == pairs.count)
    }

    @Test("A socket that is unwatched is not told of what it was ready for, nor is the next one in its place")
    func staleEvents() throws {
        let pairs = try (0..<2).map { _ in try Pair() }
        let later = try Pair()
        let told: [String] = try onLoop { loop, finish in
            var told: [String] = []
            var watches: [EventLoop.Watch] = []
            for (own, pair) in pairs.enumerated() {
                pair.send()
                // Both are ready in the first wait; whichever is told first takes the other's place away.
                let watcher = Watcher { [unowned loop] _ in
                    told.append("first")
                    pair.receive()
                    loop.unwatch(watches[1 - own])
                    let watcher = Watcher { _ in
                        told.append("later")
                        later.receive()
                        finish(told)
                    }
                    _ = try loop.watch(later.near, .readable, watcher)
                    _ = loop.schedule(after: Milliseconds(20)) {
                        told.append("sent")
                        later.send()
                    }
                }
                watches.append(try loop.watch(pair.near, .readable, watcher))
            }
        }
        #expect(told == ["first", "sent", "later"])
    }

    @Test("A socket that has taken the number of a closed one is heard when it is watched anew")
    func sameNumber() throws {
        let pair = try Pair()
        let other = try Pair()
        let told: String = try onLoop { loop, finish in
            let watch = try loop.watch(pair.near, .readable, Watcher { _ in finish("the closed one") })
            // As libpq does when it tries the next address.
            try #require(dup2(other.near, pair.near) == pair.near)
            loop.unwatch(watch)
            _ = try loop.watch(pair.near, .readable, Watcher { _ in finish("the new one") })
            other.send()
        }
        #expect(told == "the new one")
    }

    @Test("A socket that cannot be watched is an error and takes nobody's place")
    func unwatchable() throws {
        let pair = try Pair()
        let told: String = try onLoop { loop, finish in
            #expect(throws: ThreadError.self) { try loop.watch(-1, .readable, Watcher { _ in finish("nobody") }) }
            _ = try loop.watch(pair.near, .readable, Watcher { _ in finish("the open one") })
            pair.send()
        }
        #expect(told == "the open one")
    }

    // MARK: Timers

    @Test("A timer is never early, and what is left of its last millisecond is slept through")
    func timers() throws {
        let (wall, processor, early): (UInt64, UInt64, Int) = try onLoop { loop, finish in
            let start = (wall: Self.now(CLOCK_MONOTONIC), processor: Self.now(CLOCK_THREAD_CPUTIME_ID))
            var (left, early) = (100, 0)
            func next() {
                guard left > 0 else {
                    let wall = Self.now(CLOCK_MONOTONIC) - start.wall
                    return finish((wall, Self.now(CLOCK_THREAD_CPUTIME_ID) - start.processor, early))
                }
                left -= 1
                let due = MonotonicTime(nanoseconds: EventLoop.now().nanoseconds + 900_000)
                _ = loop.schedule(at: due) {
                    if EventLoop.now() < due { early += 1 }
                    next()
                }
            }
            next()
        }
        #expect(early == 0)
        #expect(processor < wall / 2, "\(processor) ns of \(wall) ns were spent on waiting")
    }

    /// A clock's reading, nanoseconds.
    private static func now(_ clock: Int32) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    // MARK: Tasks

    @Test("A task from another thread wakes the loop, each time")
    func wakes() throws {
        let loop = try EventLoop()
        try loop.start(name: "test")
        defer { loop.submit { loop.stop() } }
        for number in 0..<2000 {
            let ran = Awaited<Int>()
            loop.submit { ran.set(number) }
            #expect(try ran.get() == number)
        }
    }

    @Test("Of the tasks of several threads none is lost, and each thread's run in its order")
    func order() throws {
        let seen = Mutex([[Int]](repeating: [], count: 4))
        let _: Bool = try onLoop { loop, finish in
            // The loop has its turn in between: the threads wait for its end, not it for theirs.
            DispatchQueue.global().async {
                DispatchQueue.concurrentPerform(iterations: 4) { thread in
                    for number in 0..<1000 { loop.submit { seen.withLock { $0[thread].append(number) } } }
                }
                loop.submit { finish(true) }
            }
        }
        #expect(seen.withLock { $0 } == [[Int]](repeating: Array(0..<1000), count: 4))
    }

    @Test("A loop that ends runs every task that it took, and takes no more")
    func end() throws {
        let loop = try EventLoop()
        try loop.start(name: "test")
        let ran = Mutex(0)
        var taken = 0
        loop.submit { loop.stop() }
        while loop.submit({ ran.withLock { $0 += 1 } }) { taken += 1 }
        try eventually { ran.withLock { $0 } == taken }
        let isTaken = loop.submit {}
        #expect(!isTaken)
    }
}
