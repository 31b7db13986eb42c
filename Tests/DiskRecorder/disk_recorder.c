#define _GNU_SOURCE
#include "disk_recorder.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { descriptors_max = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int recording;
static char root[PATH_MAX];
static size_t root_bytes;
static unsigned sync_delay;
static unsigned char *buffer;
static size_t used, capacity;
static uint64_t number;
// The inode of each open descriptor below the directory, 0 for others.
static uint64_t inode_of[descriptors_max];

static void *real(const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) abort();
    return symbol;
}

#define REAL(type, name) \
    static __typeof__(type) function; \
    if (function == NULL) function = (__typeof__(type))real(name)

// With the lock held.
static uint64_t add(
    uint32_t kind, uint32_t flag, uint64_t file, uint64_t offset, uint64_t length, const struct iovec *parts, int count) {
    size_t bytes = 0;
    for (int index = 0; index < count; index++) bytes += parts[index].iov_len;
    size_t needed = used + sizeof(struct disk_record) + ((bytes + 7) & ~(size_t)7);
    if (needed > capacity) {
        size_t larger = needed * 2 + (1 << 20);
        unsigned char *moved = realloc(buffer, larger);
        if (moved == NULL) abort();
        buffer = moved;
        capacity = larger;
    }
    struct disk_record record = {kind, flag, ++number, file, offset, length, bytes};
    memcpy(buffer + used, &record, sizeof record);
    unsigned char *place = buffer + used + sizeof record;
    for (int index = 0; index < count; index++) {
        memcpy(place, parts[index].iov_base, parts[index].iov_len);
        place += parts[index].iov_len;
    }
    memset(place, 0, needed - (size_t)(place - buffer));
    used = needed;
    return number;
}

static uint64_t note(
    uint32_t kind, uint32_t flag, uint64_t file, uint64_t offset, uint64_t length, const void *data, size_t bytes) {
    struct iovec part = {(void *)(uintptr_t)data, bytes};
    pthread_mutex_lock(&lock);
    uint64_t mine = recording ? add(kind, flag, file, offset, length, &part, 1) : 0;
    pthread_mutex_unlock(&lock);
    return mine;
}

// The rest of a path that is the directory or below it; NULL for any other, and while nothing is recorded.
static const char *below(const char *path) {
    if (!recording || path == NULL || strncmp(path, root, root_bytes) != 0) return NULL;
    const char *rest = path + root_bytes;
    if (*rest == '\0') return rest;
    return *rest == '/' ? rest + 1 : NULL;
}

static uint64_t tracked(int descriptor) {
    if (!recording || descriptor < 0 || descriptor >= descriptors_max) return 0;
    return inode_of[descriptor];
}

static uint64_t inode(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 ? status.st_ino : 0;
}

void disk_recorder_start(const char *path, unsigned sync_delay_microseconds) {
    pthread_mutex_lock(&lock);
    strncpy(root, path, sizeof root - 1);
    root_bytes = strlen(root);
    sync_delay = sync_delay_microseconds;
    used = 0;
    number = 0;
    memset(inode_of, 0, sizeof inode_of);
    recording = 1;
    pthread_mutex_unlock(&lock);
}

void disk_recorder_stop(void) {
    pthread_mutex_lock(&lock);
    recording = 0;
    pthread_mutex_unlock(&lock);
}

void disk_recorder_mark(const char *text, size_t bytes) { note(DISK_MARK, 0, 0, 0, 0, text, bytes); }

const unsigned char *disk_recorder_data(size_t *bytes) {
    *bytes = used;
    return buffer;
}

// ---- names

static int opened(int descriptor, const char *rest, int created) {
    int code = errno;
    if (descriptor >= 0 && descriptor < descriptors_max) inode_of[descriptor] = 0;
    if (descriptor >= 0 && rest != NULL) {
        struct stat status;
        if (descriptor >= descriptors_max || fstat(descriptor, &status) != 0) abort();
        if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) inode_of[descriptor] = status.st_ino;
        if (created) note(DISK_CREATE, 0, status.st_ino, 0, 0, rest, strlen(rest));
    }
    errno = code;
    return descriptor;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int (*)(const char *, int, ...), #name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list list; \
            va_start(list, flags); \
            mode = va_arg(list, mode_t); \
            va_end(list); \
        } \
        const char *rest = below(path); \
        int created = rest != NULL && (flags & O_CREAT) && access(path, F_OK) != 0; \
        int descriptor = function(path, flags, mode); \
        if (descriptor >= 0 && rest != NULL && (flags & O_TRUNC) && !created) abort(); \
        return opened(descriptor, rest, created); \
    }

OPEN(open)
OPEN(open64)

int close(int descriptor) {
    REAL(int (*)(int), "close");
    if (descriptor >= 0 && descriptor < descriptors_max) inode_of[descriptor] = 0;
    return function(descriptor);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int (*)(const char *, mode_t), "mkdir");
    int result = function(path, mode);
    int code = errno;
    const char *rest = below(path);
    if (result == 0 && rest != NULL) note(DISK_MKDIR, 0, inode(path), 0, 0, rest, strlen(rest));
    errno = code;
    return result;
}

char *mkdtemp(char *path) {
    REAL(char *(*)(char *), "mkdtemp");
    char *result = function(path);
    int code = errno;
    const char *rest = below(path);
    if (result != NULL && rest != NULL) note(DISK_MKDIR, 0, inode(path), 0, 0, rest, strlen(rest));
    errno = code;
    return result;
}

static void note_two(uint32_t kind, const char *from, const char *to) {
    const char *one = below(from), *other = below(to);
    if (one == NULL || other == NULL) return;
    struct iovec parts[] = {{(void *)(uintptr_t)one, strlen(one) + 1}, {(void *)(uintptr_t)other, strlen(other)}};
    uint64_t file = inode(to);
    pthread_mutex_lock(&lock);
    add(kind, 0, file, 0, 0, parts, 2);
    pthread_mutex_unlock(&lock);
}

int rename(const char *from, const char *to) {
    REAL(int (*)(const char *, const char *), "rename");
    int result = function(from, to);
    int code = errno;
    if (result == 0) note_two(DISK_RENAME, from, to);
    errno = code;
    return result;
}

int link(const char *from, const char *to) {
    REAL(int (*)(const char *, const char *), "link");
    int result = function(from, to);
    int code = errno;
    if (result == 0) note_two(DISK_LINK, from, to);
    errno = code;
    return result;
}

int unlink(const char *path) {
    REAL(int (*)(const char *), "unlink");
    int result = function(path);
    int code = errno;
    const char *rest = below(path);
    if (result == 0 && rest != NULL) note(DISK_UNLINK, 0, 0, 0, 0, rest, strlen(rest));
    errno = code;
    return result;
}

int rmdir(const char *path) {
    REAL(int (*)(const char *), "rmdir");
    int result = function(path);
    int code = errno;
    const char *rest = below(path);
    if (result == 0 && rest != NULL) note(DISK_RMDIR, 0, 0, 0, 0, rest, strlen(rest));
    errno = code;
    return result;
}

// ---- contents

// Before the write: what is under way may be on the disk.
static uint64_t writing(int descriptor, uint64_t offset, const struct iovec *parts, int count) {
    uint64_t file = tracked(descriptor);
    if (file == 0) return 0;
    int flags = fcntl(descriptor, F_GETFL);
    uint32_t synced = flags >= 0 && (flags & O_DSYNC) ? 1 : 0;
    pthread_mutex_lock(&lock);
    uint64_t mine = recording ? add(DISK_WRITE, synced, file, offset, 0, parts, count) : 0;
    pthread_mutex_unlock(&lock);
    return synced ? mine : 0;
}

// A write that is not whole, or failed, is none that a recording knows; no test of ours makes one.
static void written(uint64_t mine, ssize_t result, size_t bytes, int descriptor) {
    if (tracked(descriptor) != 0 && (result < 0 || (size_t)result != bytes)) abort();
    if (mine == 0) return;
    int code = errno;
    if (sync_delay > 0) usleep(sync_delay);
    note(DISK_SYNCED, 0, tracked(descriptor), mine, 0, NULL, 0);
    errno = code;
}

#define PWRITE(name) \
    ssize_t name(int descriptor, const void *data, size_t bytes, off_t offset) { \
        REAL(ssize_t (*)(int, const void *, size_t, off_t), #name); \
        struct iovec part = {(void *)(uintptr_t)data, bytes}; \
        uint64_t mine = writing(descriptor, (uint64_t)offset, &part, 1); \
        ssize_t result = function(descriptor, data, bytes, offset); \
        written(mine, result, bytes, descriptor); \
        return result; \
    }

PWRITE(pwrite)
PWRITE(pwrite64)

static uint64_t position(int descriptor) {
    if (fcntl(descriptor, F_GETFL) & O_APPEND) return (uint64_t)lseek(descriptor, 0, SEEK_END);
    return (uint64_t)lseek(descriptor, 0, SEEK_CUR);
}

ssize_t write(int descriptor, const void *data, size_t bytes) {
    REAL(ssize_t (*)(int, const void *, size_t), "write");
    if (tracked(descriptor) == 0) return function(descriptor, data, bytes);
    struct iovec part = {(void *)(uintptr_t)data, bytes};
    uint64_t mine = writing(descriptor, position(descriptor), &part, 1);
    ssize_t result = function(descriptor, data, bytes);
    written(mine, result, bytes, descriptor);
    return result;
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    REAL(ssize_t (*)(int, const struct iovec *, int), "writev");
    if (tracked(descriptor) == 0) return function(descriptor, parts, count);
    size_t bytes = 0;
    for (int index = 0; index < count; index++) bytes += parts[index].iov_len;
    uint64_t mine = writing(descriptor, position(descriptor), parts, count);
    ssize_t result = function(descriptor, parts, count);
    written(mine, result, bytes, descriptor);
    return result;
}

#define PWRITEV(name) \
    ssize_t name(int descriptor, const struct iovec *parts, int count, off_t offset) { \
        REAL(ssize_t (*)(int, const struct iovec *, int, off_t), #name); \
        size_t bytes = 0; \
        for (int index = 0; index < count; index++) bytes += parts[index].iov_len; \
        uint64_t mine = writing(descriptor, (uint64_t)offset, parts, count); \
        ssize_t result = function(descriptor, parts, count, offset); \
        written(mine, result, bytes, descriptor); \
        return result; \
    }

PWRITEV(pwritev)
PWRITEV(pwritev64)

#define FTRUNCATE(name) \
    int name(int descriptor, off_t size) { \
        REAL(int (*)(int, off_t), #name); \
        uint64_t file = tracked(descriptor); \
        if (file != 0) note(DISK_TRUNCATE, 0, file, (uint64_t)size, 0, NULL, 0); \
        return function(descriptor, size); \
    }

FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

#define FALLOCATE(name) \
    int name(int descriptor, int mode, off_t offset, off_t length) { \
        REAL(int (*)(int, int, off_t, off_t), #name); \
        int result = function(descriptor, mode, offset, length); \
        int code = errno; \
        uint64_t file = tracked(descriptor); \
        if (result == 0 && file != 0) \
            note(DISK_ALLOCATE, (uint32_t)mode, file, (uint64_t)offset, (uint64_t)length, NULL, 0); \
        errno = code; \
        return result; \
    }

FALLOCATE(fallocate)
FALLOCATE(fallocate64)

// ---- syncs

#define SYNC(name) \
    int name(int descriptor) { \
        REAL(int (*)(int), #name); \
        uint64_t file = tracked(descriptor); \
        if (file == 0) return function(descriptor); \
        uint64_t mine = note(DISK_SYNC, 0, file, 0, 0, NULL, 0); \
        int result = function(descriptor); \
        int code = errno; \
        if (sync_delay > 0) usleep(sync_delay); \
        if (result == 0) note(DISK_SYNCED, 0, file, mine, 0, NULL, 0); \
        errno = code; \
        return result; \
    }

SYNC(fsync)
SYNC(fdatasync)
