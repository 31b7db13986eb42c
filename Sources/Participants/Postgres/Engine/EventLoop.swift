import CEpoll
import Coordinator
import Glibc
import Synchronization

/// What a watched socket is ready for.
struct Readiness: OptionSet {
    let rawValue: UInt32
    static let readable = Readiness(rawValue: EPOLLIN.rawValue)
    static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
    /// An error or a hang-up: comes unasked.
    static let failed = Readiness(rawValue: EPOLLERR.rawValue | EPOLLHUP.rawValue)
    /// Told when it becomes so, not as long as it is so.
    fileprivate static let once = Readiness(rawValue: EPOLLET.rawValue)
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
    struct Watch {
        fileprivate let slot: Int
        /// Tells it from those that had the slot before it, of which an event may still be pending.
        fileprivate let generation: UInt32
    }

    private struct Slot {
        var generation: UInt32
        var socket: Int32 = -1
        var interest: Readiness = []
        /// `nil` in a free slot.
        var watcher: (any SocketWatcher)?
    }

    private struct Mailbox {
        var tasks: [@Sendable () -> Void] = []
        /// The loop has been woken, or is going to look before it sleeps.
        var isWakePending = false
        var hasStopped = false
    }

    private let mailbox = Mutex(Mailbox())
    private let epoll: Int32
    /// An eventfd(2). Nothing reads it: each write to it is news to epoll.
    private let wake: Int32

    private var thread: pthread_t?
    private var timers = TimerHeap<() -> Void>()
    private var events = [epoll_event](repeating: epoll_event(), count: PostgresLimits.readySocketsPerWait)
    /// Slot 0 is the wake-up, which nobody needs to be told of.
    private var slots = [Slot(generation: 0)]
    private var freeSlots: [Int] = []
    private var isStopping = false
    /// Called once a round, when everything that was ready and due has been seen to; set before the start.
    var endOfRound: () -> Void = {}

    /// - Throws: ``ThreadError`` if there are no descriptors left.
    init() throws(ThreadError) {
        let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw ThreadError("epoll_create1", errno) }
        let wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wake >= 0 else {
            let code = errno
            close(epoll)
            throw ThreadError("eventfd", code)
        }
        self.epoll = epoll
        self.wake = wake
        try add(wake, [.readable, .once], Watch(slot: 0, generation: 0))
    }

    deinit {
        close(epoll)
        close(wake)
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
            // Fails only when nearly 2^64 of them have been counted.
            _ = eventfd_write(wake, 1)
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

    /// The socket is to be unwatched before it is closed or, if libpq has closed it, before another one is watched.
    ///
    /// - Throws: ``ThreadError`` if the system cannot watch it.
    func watch(_ socket: Int32, _ interest: Readiness, _ watcher: any SocketWatcher) throws(ThreadError) -> Watch {
        if freeSlots.isEmpty {
            freeSlots.append(slots.count)
            slots.append(Slot(generation: 0))
        }
        let slot = freeSlots[freeSlots.count - 1]
        let watch = Watch(slot: slot, generation: slots[slot].generation)
        try add(socket, interest, watch)
        freeSlots.removeLast()
        slots[slot] = Slot(generation: watch.generation, socket: socket, interest: interest, watcher: watcher)
        return watch
    }

    func update(_ watch: Watch, _ interest: Readiness) {
        guard slots[watch.slot].interest != interest else { return }
        slots[watch.slot].interest = interest
        // Fails for a socket that has been closed, which its watcher hears of from libpq.
        _ = control(EPOLL_CTL_MOD, slots[watch.slot].socket, interest, watch)
    }

    func unwatch(_ watch: Watch) {
        // Fails for a socket that has been closed, which epoll has forgotten.
        _ = control(EPOLL_CTL_DEL, slots[watch.slot].socket, [], watch)
        slots[watch.slot] = Slot(generation: watch.generation &+ 1)
        freeSlots.append(watch.slot)
    }

    private func add(_ descriptor: Int32, _ interest: Readiness, _ watch: Watch) throws(ThreadError) {
        guard control(EPOLL_CTL_ADD, descriptor, interest, watch) == 0 else { throw ThreadError("epoll_ctl", errno) }
    }

    private func control(_ operation: Int32, _ descriptor: Int32, _ interest: Readiness, _ watch: Watch) -> Int32 {
        var event = epoll_event(events: interest.rawValue, data: epoll_data_t(u64: watch.data))
        return epoll_ctl(epoll, operation, descriptor, &event)
    }

    /// Ends the thread after this round and the tasks submitted until then; later ones are not taken.
    func stop() { isStopping = true }

    private func run() {
        thread = pthread_self()
        while !isStopping {
            runTasks()
            while let action = timers.popDue(at: Self.now().nanoseconds) { action() }
            endOfRound()
            guard !isStopping else { break }
            wait()
        }
        mailbox.withLock { $0.hasStopped = true }
        // Each of these was promised an answer.
        runTasks()
        endOfRound()
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
        // From here on a submission wakes the loop; one before is seen in `tasks`.
        let mayExit = mailbox.withLock { mailbox in
            guard mailbox.tasks.isEmpty else { return false }
            mailbox.isWakePending = false
            return true
        }
        let count = epoll_wait(epoll, &events, Int32(PostgresLimits.readySocketsPerWait), mayExit ? timeout : 0)
        // Sockets come first, and what they cause to be submitted needs no wake: the loop looks before it sleeps.
        mailbox.withLock { $0.isWakePending = true }
        guard count > 0 else { return }
        for index in 0..<Int(count) { tell(events[index]) }
    }

    private func tell(_ event: epoll_event) {
        let watch = Watch(data: event.data.u64)
        // Who was told before may have unwatched this one since, and watched another in its slot.
        guard slots[watch.slot].generation == watch.generation else { return }
        slots[watch.slot].watcher?.socketIsReady(Readiness(rawValue: event.events))
    }

    /// Milliseconds until the next timer, rounded up; -1 is for ever.
    private var timeout: Int32 {
        guard let due = timers.nextDue else { return -1 }
        let now = Self.now().nanoseconds
        guard due > now else { return 0 }
        return Int32(clamping: (due - now + 999_999) / 1_000_000)
    }
}

extension EventLoop.Watch {
    /// What epoll gives back with each event.
    fileprivate var data: UInt64 { UInt64(generation) << 32 | UInt64(slot) }

    fileprivate init(data: UInt64) {
        slot = Int(data & 0xFFFF_FFFF)
        generation = UInt32(data >> 32)
    }
}
