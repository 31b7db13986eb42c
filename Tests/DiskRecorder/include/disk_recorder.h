// Records what this process does to the files below a directory.
//
// The calls of the C library that change files are defined here once more; a program that links this file calls these, its shared
// libraries too, and they call the real ones. Outside of the directory, and while nothing is recorded, they do nothing else.
#ifndef HOLDFAST_DISK_RECORDER_H
#define HOLDFAST_DISK_RECORDER_H

#include <stddef.h>
#include <stdint.h>

// The raw values are in files that were recorded and are not used again for something else.
enum disk_record_kind {
    // data is the path below the directory, file the inode.
    DISK_CREATE = 1,
    DISK_MKDIR = 2,
    // data is the path from and, behind a zero byte, the path to.
    DISK_RENAME = 3,
    DISK_LINK = 4,
    DISK_UNLINK = 5,
    DISK_RMDIR = 6,
    // data is what is written at offset; flag is 1 if the descriptor syncs each write, which is then done with DISK_SYNCED.
    DISK_WRITE = 7,
    // offset is the new size.
    DISK_TRUNCATE = 8,
    // offset and length of what is allocated, flag is the mode.
    DISK_ALLOCATE = 9,
    // A sync of a file or a directory begins.
    DISK_SYNC = 10,
    // The write or sync with the number in offset has returned.
    DISK_SYNCED = 11,
    // data is a line of the program's own.
    DISK_MARK = 12,
};

// One record, followed by `bytes` bytes of data and filled up to a multiple of eight.
struct disk_record {
    uint32_t kind;
    uint32_t flag;
    // 1 for the first.
    uint64_t number;
    // The inode of the file or directory.
    uint64_t file;
    uint64_t offset;
    uint64_t length;
    uint64_t bytes;
};

// Begins to record below an absolute path; what was recorded before is dropped. Every sync takes so many microseconds longer.
void disk_recorder_start(const char *root, unsigned sync_delay_microseconds);
// Ends it.
void disk_recorder_stop(void);
// Adds a line of the program's own.
void disk_recorder_mark(const char *text, size_t bytes);
// What was recorded; good until the next start.
const unsigned char *disk_recorder_data(size_t *bytes);

#endif
