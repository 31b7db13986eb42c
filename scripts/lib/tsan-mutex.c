// Linked into everything that is built with the thread sanitizer (scripts/sanitize).
//
// Synchronization.Mutex takes and gives its lock in our own, instrumented code as long as nobody else wants it. Where somebody does, it
// calls into the Swift library, which is not instrumented: the sanitizer does not see that lock, and reports a race on everything that a
// contended mutex guards. These functions stand in for the library's, call them, and tell the sanitizer what they did.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))

extern void __tsan_acquire(void *address);
extern void __tsan_release(void *address);

// A program that cannot find the library's function would hang or race: it ends.
static void *library(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL) abort();
    return function;
}

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

SWIFT void holdfast_lock(uint32_t thread, SELF void *self) __asm__(LOCK);
SWIFT bool holdfast_try_lock(SELF void *self) __asm__(TRY_LOCK);
SWIFT void holdfast_unlock(SELF void *self) __asm__(UNLOCK);

SWIFT void holdfast_lock(uint32_t thread, SELF void *self) {
    static void (*lock)(uint32_t, SELF void *) SWIFT;
    if (lock == NULL) lock = library(LOCK);
    lock(thread, self);
    __tsan_acquire(self);
}

SWIFT bool holdfast_try_lock(SELF void *self) {
    static bool (*try_lock)(SELF void *) SWIFT;
    if (try_lock == NULL) try_lock = library(TRY_LOCK);
    bool is_taken = try_lock(self);
    if (is_taken) __tsan_acquire(self);
    return is_taken;
}

SWIFT void holdfast_unlock(SELF void *self) {
    static void (*unlock)(SELF void *) SWIFT;
    if (unlock == NULL) unlock = library(UNLOCK);
    __tsan_release(self);
    unlock(self);
}
