import Glibc

/// One operating system thread with a name. LMDB binds a write transaction to the thread that began it.
struct WriterThread: Sendable {
    private let thread: pthread_t

    /// At most 15 characters are kept by the kernel.
    static let name = "holdfast-log"

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts the thread. It takes no signals: they belong to the threads that the program has for them.
    init(_ run: @escaping @Sendable () -> Void) throws(LogError) {
        let body = Unmanaged.passRetained(Body(run))
        var thread = pthread_t()
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        // A new thread inherits the mask of the one that makes it.
        pthread_sigmask(SIG_SETMASK, &all, &before)
        let code = pthread_create(
            &thread, nil,
            { context in
                WriterThread.nameThisThread()
                guard let context else { return nil }
                Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
        guard code == 0 else {
            body.release()
            throw FileSystem.failure("cannot start the log's writer thread", code)
        }
        self.thread = thread
    }

    /// The kernel takes a thread's name from a file of its own (`proc(5)`, comm). A thread without its name works as
    /// well.
    private static func nameThisThread() {
        let descriptor = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        let bytes = Array(name.utf8)
        _ = write(descriptor, bytes, bytes.count)
        close(descriptor)
    }

    var isCurrent: Bool { pthread_equal(thread, pthread_self()) != 0 }
    /// Waits for its end. Once, and not on the thread itself.
    func join() { pthread_join(thread, nil) }
    /// Lets it end by itself. Instead of ``join()``.
    func detach() { pthread_detach(thread) }
}
