import Coordinator
import Glibc
import Synchronization

/// What a watched socket is ready for.
struct Readiness: OptionSet {
    let rawValue: Int16
    static let readable = Readiness(rawValue: Int16(POLLIN))
    static let writable = Readiness(rawValue: Int16(POLLOUT))
    /// An error or a hang-up: comes unasked.
    static let failed = Readiness(rawValue: Int16(POLLERR | POLLHUP | POLLNVAL))
}

/// Told on the loop's thread.
protocol SocketWatcher: AnyObject {
    func socketIsReady(_ readiness: Readiness)
}

/// One thread that waits for sockets, timers and tasks, for one database.
///
/// `@unchecked Sendable`: everything but `mailbox` and the constants is touched by the loop's thread alone, which
/// ``assertOnLoop()`` checks in debug builds.
final class EventLoop: @unchecked Sendable {
    typealias Timer = TimerHeap<() -> Void>.Token

    /// Names a watched socket until it is unwatched.
    struct Watch { fileprivate let slot: Int }

    private struct Mailbox {
        var tasks: [@Sendable () -> Void] = []
        /// A byte is in the pipe, or the loop is going to look before it sleeps.
        var isWakePending = false
        var hasStopped = false
    }

    private let mailbox = Mutex(Mailbox())
    private let wakeRead: Int32
    private let wakeWrite: Int32

    private var thread: pthread_t?
    private var timers = TimerHeap<() -> Void>()
    /// Slot 0 is the pipe; a free slot has a negative descriptor, which poll(2) passes over.
    private var descriptors: [pollfd]
    private var watchers: [(any SocketWatcher)?]
    private var freeSlots: [Int] = []
    private var isStopping = false

    /// - Throws: ``ThreadError`` if there are no descriptors left.
    init() throws(ThreadError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw ThreadError("pipe", errno) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        wakeRead = ends[0]
        wakeWrite = ends[1]
        descriptors = [pollfd(fd: wakeRead, events: Int16(POLLIN), revents: 0)]
        watchers = [nil]
    }

    deinit {
        close(wakeRead)
        close(wakeWrite)
    }

    /// Starts the thread, which keeps the loop alive until ``stop()``.
    func start(name: String) throws(ThreadError) {
        try NamedThread.start(name: name) { [self] in run() }
    }

    /// The clock of every deadline here: CLOCK_MONOTONIC.
    static func now() -> MonotonicTime {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    // MARK: From any thread

    /// Runs `task` on the loop, in the order of the calls. False if the loop has stopped; the task is dropped then.
    @discardableResult
    func submit(_ task: @escaping @Sendable () -> Void) -> Bool {
        let (isTaken, needsWake) = mailbox.withLock { mailbox in
            guard !mailbox.hasStopped else { return (false, false) }
            mailbox.tasks.append(task)
            defer { mailbox.isWakePending = true }
            return (true, !mailbox.isWakePending)
        }
        if needsWake {
            // A full pipe wakes as well as a new byte does.
            var byte: UInt8 = 1
            _ = write(wakeWrite, &byte, 1)
        }
        return isTaken
    }

    // MARK: On the loop

    func assertOnLoop() {
        assert(thread.map { pthread_equal($0, pthread_self()) != 0 } ?? false, "not on the database's thread")
    }

    func schedule(at time: MonotonicTime, _ action: @escaping () -> Void) -> Timer {
        timers.insert(action, due: time.nanoseconds)
    }

    func schedule(after delay: Milliseconds, _ action: @escaping () -> Void) -> Timer {
        schedule(at: Self.now() + delay, action)
    }

    func cancel(_ timer: Timer?) {
        if let timer { timers.cancel(timer) }
    }

    func watch(_ socket: Int32, _ interest: Readiness, _ watcher: any SocketWatcher) -> Watch {
        let descriptor = pollfd(fd: socket, events: interest.rawValue, revents: 0)
        guard let slot = freeSlots.popLast() else {
            descriptors.append(descriptor)
            watchers.append(watcher)
            return Watch(slot: descriptors.count - 1)
        }
        descriptors[slot] = descriptor
        watchers[slot] = watcher
        return Watch(slot: slot)
    }

    func update(_ watch: Watch, _ interest: Readiness) { descriptors[watch.slot].events = interest.rawValue }

    func unwatch(_ watch: Watch) {
        // Clearing `revents` keeps what is pending of this socket from a later one in the same slot.
        descriptors[watch.slot] = pollfd(fd: -1, events: 0, revents: 0)
        watchers[watch.slot] = nil
        freeSlots.append(watch.slot)
    }

    /// Ends the thread after this round and the tasks submitted until then; later ones are not taken.
    func stop() { isStopping = true }

    private func run() {
        thread = pthread_self()
        while !isStopping {
            runTasks()
            while let action = timers.popDue(at: Self.now().nanoseconds) { action() }
            guard !isStopping else { break }
            wait()
        }
        mailbox.withLock { $0.hasStopped = true }
        // Each of these was promised an answer.
        runTasks()
    }

    private func runTasks() {
        let tasks = mailbox.withLock { mailbox in
            var taken: [@Sendable () -> Void] = []
            swap(&taken, &mailbox.tasks)
            return taken
        }
        for task in tasks { task() }
    }

    private func wait() {
        // From here on a submission writes to the pipe; one before is seen in `tasks`.
        let mayExit = mailbox.withLock { mailbox in
            guard mailbox.tasks.isEmpty else { return false }
            mailbox.isWakePending = false
            return true
        }
        let count = poll(&descriptors, nfds_t(descriptors.count), mayExit ? timeout : 0)
        // Sockets come first, and what they cause to be submitted needs no wake: the loop looks before it sleeps.
        mailbox.withLock { $0.isWakePending = true }
        guard count > 0 else { return }
        if descriptors[0].revents != 0 { drainPipe() }
        for slot in 1..<descriptors.count where descriptors[slot].revents != 0 {
            let readiness = Readiness(rawValue: descriptors[slot].revents)
            descriptors[slot].revents = 0
            watchers[slot]?.socketIsReady(readiness)
        }
    }

    /// Milliseconds until the next timer, rounded up; -1 is for ever.
    private var timeout: Int32 {
        guard let due = timers.nextDue else { return -1 }
        let now = Self.now().nanoseconds
        guard due > now else { return 0 }
        return Int32(clamping: (due - now + 999_999) / 1_000_000)
    }

    private func drainPipe() {
        descriptors[0].revents = 0
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while read(wakeRead, buffer.baseAddress, buffer.count) == buffer.count {}
        }
    }
}
