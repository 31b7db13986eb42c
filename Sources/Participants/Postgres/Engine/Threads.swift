import Glibc
import Synchronization

/// A thread could not be had.
struct ThreadError: Error, CustomStringConvertible {
    let call: String
    let code: Int32

    init(_ call: String, _ code: Int32) {
        self.call = call
        self.code = code
    }

    var description: String { "\(call) failed: \(String(cString: strerror(code))) (\(code))" }
}

/// A detached thread with a name, which leaves every signal to the process's other threads.
enum NamedThread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    static func start(name: String, _ run: @escaping @Sendable () -> Void) throws(ThreadError) {
        var everySignal = sigset_t()
        var previous = sigset_t()
        sigfillset(&everySignal)
        // A new thread inherits the mask.
        pthread_sigmask(SIG_BLOCK, &everySignal, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
        var thread = pthread_t()
        let body = Unmanaged.passRetained(
            Body {
                setName(name)
                run()
            })
        let code = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        guard code == 0 else {
            body.release()
            throw ThreadError("pthread_create", code)
        }
        pthread_detach(thread)
    }

    /// Names the calling thread for people, in 15 characters at most; without it everything works as well. Swift does not see
    /// pthread_setname_np, a GNU extension, which writes to the same file.
    private static func setName(_ name: String) {
        let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        defer { close(file) }
        let bytes = Array(name.utf8.prefix(15))
        _ = write(file, bytes, bytes.count)
    }
}

/// One thread for calls that block: a host's name, a request to cancel. Away from the event loop, which must not.
///
/// `@unchecked Sendable`: the semaphore is made for use by many threads (sem_overview(7)) and outlives them, the rest is
/// behind a lock.
final class BlockingWorker: @unchecked Sendable {
    private struct State {
        var calls: [@Sendable () -> Void] = []
        var isStopped = false
    }

    private let state = Mutex(State())
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    /// The thread keeps the worker alive until ``stop()`` and the end of the call that runs.
    func start(name: String) throws(ThreadError) {
        try NamedThread.start(name: name) { [self] in run() }
    }

    /// False if too many calls wait already, or the worker has stopped.
    func submit(_ call: @escaping @Sendable () -> Void) -> Bool {
        let isTaken = state.withLock { state in
            guard !state.isStopped, state.calls.count < PostgresLimits.blockingCallsMax else { return false }
            state.calls.append(call)
            return true
        }
        if isTaken { sem_post(semaphore) }
        return isTaken
    }

    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.calls.removeAll()
        }
        sem_post(semaphore)
    }

    private func run() {
        while true {
            sem_wait(semaphore)
            let call = state.withLock { state -> (@Sendable () -> Void)?? in
                if state.isStopped { return .none }
                return .some(state.calls.isEmpty ? nil : state.calls.removeFirst())
            }
            guard let call else { return }
            call?()
        }
    }
}
