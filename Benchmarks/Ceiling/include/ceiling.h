#ifndef HOLDFAST_CEILING_H
#define HOLDFAST_CEILING_H

#include <stddef.h>
#include <stdint.h>

// What PostgreSQL can do at most: two-phase commit over two databases by a client that keeps no log and decides nothing. Each
// transaction in flight has a connection of its own to each database; one thread drives them all, with libpq's pipelines.

/// The most transactions in flight.
#define CEILING_IN_FLIGHT_MAX 256
/// The most characters of a word.
#define CEILING_WORD_MAX 12
/// The bytes of a message.
#define CEILING_MESSAGE_BYTES 256

struct ceiling_plan {
    /// The two databases; they have the tables already.
    const char *uris[2];
    int in_flight;
    /// How long new transactions are begun; those in flight are finished.
    double seconds;
    /// A word of at most CEILING_WORD_MAX characters a-z, 0-9 that begins every key; no two runs on a cluster have the same.
    const char *word;
    /// Takes how long each transaction took, microseconds; what does not fit is left out.
    uint32_t *latencies;
    size_t latencies_max;
};

struct ceiling_result {
    /// Transactions that were committed in both databases.
    uint64_t transactions;
    size_t latencies;
    /// From the first BEGIN to the last COMMIT PREPARED.
    double seconds;
    /// What went wrong; empty if nothing.
    char message[CEILING_MESSAGE_BYTES];
};

/// Runs a plan; blocks until it is done. 0 if every transaction that was begun was committed in both databases; else the message
/// says what was wrong, and nothing may be said of the rest.
int ceiling_run(const struct ceiling_plan *plan, struct ceiling_result *result);

#endif
