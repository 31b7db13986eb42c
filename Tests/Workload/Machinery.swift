import Coordinator
import Glibc
import Synchronization

/// From the log's thread to the one that asks it.
///
/// `@unchecked Sendable`: the stored values are touched between lock and unlock of `mutex` only, which never moves.
final class Mailbox<Element: Sendable>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var elements: [Element] = []

    init() {
        let results = (pthread_mutex_init(mutex, nil), pthread_cond_init(condition, nil))
        precondition(results == (0, 0), "cannot make a mutex or a condition: out of memory")
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func put(_ element: Element) {
        pthread_mutex_lock(mutex)
        elements.append(element)
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// What is here.
    func takeAll() -> [Element] {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        let taken = elements
        elements = []
        return taken
    }

    /// Waits until something is here.
    func wait() -> [Element] {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while elements.isEmpty { pthread_cond_wait(condition, mutex) }
        let taken = elements
        elements = []
        return taken
    }
}

/// The wall clock, which never stands still, so that the batches of a log differ in their times. The log reads it once a batch, before
/// the batch's answers.
final class WorkloadClock: Sendable {
    private let reading = Mutex<Int64>(0)

    var now: WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    func tick() -> WallTime {
        let now = now.microseconds
        return reading.withLock { value in
            value = max(value + 1, now)
            return WallTime(microseconds: value)
        }
    }

    /// What the last ``tick()`` said.
    var last: WallTime { WallTime(microseconds: reading.withLock { $0 }) }
}

func monotonicMicroseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
}

extension SeededNumbers {
    static func first(_ one: UInt64, _ other: UInt64) -> UInt64 {
        var numbers = SeededNumbers(one, other, 0xF1)
        return numbers.next()
    }
}
