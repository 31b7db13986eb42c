#include "ceiling.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

// A database that says nothing for so long has stopped, milliseconds.
#define SILENCE_MAX_MS 30000
#define EVENTS_MAX 64
#define TRANSACTION_CHARACTERS 32
#define NAME_BYTES 64
#define SQL_BYTES 160
#define LOG_ID "00000000000000000000000000000000"
#define PAYMENT_COLUMNS 15
#define ENTRY_COLUMNS 5

enum role { PAYMENT, ENTRY };

struct lane;

struct link {
    PGconn *connection;
    struct lane *lane;
    int database;
    // Statements whose success has not been read yet.
    int open;
    bool is_done;
    bool wants_write;
};

struct lane {
    struct link links[2];
    uint64_t number;
    uint64_t begun_at;
    bool is_committing;
    bool is_active;
};

struct run {
    const struct ceiling_plan *plan;
    struct ceiling_result *result;
    struct lane *lanes;
    int epoll;
    int active;
    uint64_t next_number;
    uint64_t end_at;
    bool has_failed;
};

static const char *const BEGIN_SQL = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
// As Holdfast's own.
static const char *const PAYMENT_SQL =
    "INSERT INTO transactions (request_id, tx_type, pan_masked, amount, currency, merchant, ref_request_id, status, "
    "txn_id, auth_code, pan_token, token_key_id, request_hash, hash_key_id, log_id, log_epoch) "
    "VALUES ($1, $2, $3, $4::numeric, $5, $6, $7, 'APPROVED', $8, $9, $10, $11::bigint, $12, $13::bigint, $14, "
    "$15::numeric)";
static const char *const ENTRY_SQL =
    "INSERT INTO merchant_entries (txn_id, merchant, amount, currency, kind) VALUES ($1, $2, $3::numeric, $4, $5)";

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// The first failure is told; after it nothing is begun.
__attribute__((format(printf, 2, 3))) static void fail(struct run *run, const char *format, ...) {
    if (run->has_failed) return;
    run->has_failed = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run->result->message, sizeof run->result->message, format, arguments);
    va_end(arguments);
    run->result->message[strcspn(run->result->message, "\n")] = '\0';
}

static void watch(struct run *run, struct link *link, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (link->wants_write ? EPOLLOUT : 0u), .data = {.ptr = link}};
    if (epoll_ctl(run->epoll, operation, PQsocket(link->connection), &event) != 0)
        fail(run, "epoll_ctl: %s", strerror(errno));
}

static void flush(struct run *run, struct link *link) {
    int left = PQflush(link->connection);
    if (left < 0) return fail(run, "database %d: %s", link->database + 1, PQerrorMessage(link->connection));
    if ((left == 1) == link->wants_write) return;
    link->wants_write = left == 1;
    watch(run, link, EPOLL_CTL_MOD);
}

static enum role role_of(const struct link *link) {
    // By turns, so that both databases do the same work.
    return (link->lane->number + (uint64_t)link->database) % 2 == 0 ? PAYMENT : ENTRY;
}

// 32 characters, as a transaction of Holdfast's is named.
static void name_transaction(const struct run *run, const struct link *link, char *name) {
    int digits = TRANSACTION_CHARACTERS - (int)strlen(run->plan->word);
    snprintf(name, NAME_BYTES, "%s%0*llu", run->plan->word, digits, (unsigned long long)link->lane->number);
}

// In no order, as clients' keys are: the halves of a number that is mixed with the run's word (splitmix64).
static void name_request(const struct run *run, const struct link *link, char *name) {
    uint64_t state = link->lane->number;
    for (const char *byte = run->plan->word; *byte; byte++) state = (state ^ (uint64_t)(unsigned char)*byte) * 0x100000001b3u;
    uint64_t halves[2];
    for (int i = 0; i < 2; i++) {
        uint64_t mixed = state += 0x9e3779b97f4a7c15u;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
        halves[i] = mixed ^ (mixed >> 31);
    }
    snprintf(name, NAME_BYTES, "pay-%016llx%016llx", (unsigned long long)halves[0], (unsigned long long)halves[1]);
}

// As long as Holdfast's, since PostgreSQL's write-ahead log carries it.
static void name_branch(const struct run *run, const struct link *link, char *gid) {
    char name[NAME_BYTES];
    name_transaction(run, link, name);
    snprintf(gid, SQL_BYTES, "raw__%s_1_%s_%d", LOG_ID, name, link->database + 1);
}

static int send_insert(const struct run *run, const struct link *link) {
    static const char digest[32];
    char name[NAME_BYTES], request[NAME_BYTES];
    name_transaction(run, link, name);
    name_request(run, link, request);
    if (role_of(link) == ENTRY) {
        const char *values[ENTRY_COLUMNS] = {name, "MERCHANT001", "12.34", "USD", "AUTH"};
        return PQsendQueryPrepared(link->connection, "entry", ENTRY_COLUMNS, values, NULL, NULL, 0);
    }
    const char *values[PAYMENT_COLUMNS] = {
        request, "AUTH", "411111******1111", "12.34", "USD", "MERCHANT001", NULL, name, "A00001", digest, "1", digest, "1", LOG_ID,
        "1",
    };
    const int lengths[PAYMENT_COLUMNS] = {[9] = sizeof digest, [11] = sizeof digest};
    const int formats[PAYMENT_COLUMNS] = {[9] = 1, [11] = 1};
    return PQsendQueryPrepared(link->connection, "payment", PAYMENT_COLUMNS, values, lengths, formats, 0);
}

static void send_prepare(struct run *run, struct link *link) {
    char gid[SQL_BYTES], sql[SQL_BYTES + 32];
    name_branch(run, link, gid);
    snprintf(sql, sizeof sql, "PREPARE TRANSACTION '%s'", gid);
    link->is_done = false;
    link->open = 3;
    if (!PQsendQueryPrepared(link->connection, "begin", 0, NULL, NULL, NULL, 0) || !send_insert(run, link)
        || !PQsendQueryParams(link->connection, sql, 0, NULL, NULL, NULL, NULL, 0) || !PQpipelineSync(link->connection))
        return fail(run, "database %d: %s", link->database + 1, PQerrorMessage(link->connection));
    flush(run, link);
}

static void send_commit(struct run *run, struct link *link) {
    char gid[SQL_BYTES], sql[SQL_BYTES + 32];
    name_branch(run, link, gid);
    snprintf(sql, sizeof sql, "COMMIT PREPARED '%s'", gid);
    link->is_done = false;
    link->open = 1;
    if (!PQsendQueryParams(link->connection, sql, 0, NULL, NULL, NULL, NULL, 0) || !PQpipelineSync(link->connection))
        return fail(run, "database %d: %s", link->database + 1, PQerrorMessage(link->connection));
    flush(run, link);
}

static void begin_next(struct run *run, struct lane *lane, uint64_t now) {
    if (run->has_failed || now >= run->end_at) {
        lane->is_active = false;
        run->active--;
        return;
    }
    lane->number = run->next_number++;
    lane->begun_at = now;
    lane->is_committing = false;
    for (int i = 0; i < 2; i++) send_prepare(run, &lane->links[i]);
}

// A database has answered all that it was asked.
static void advance(struct run *run, struct lane *lane) {
    if (!lane->links[0].is_done || !lane->links[1].is_done) return;
    if (!lane->is_committing) {
        lane->is_committing = true;
        for (int i = 0; i < 2; i++) send_commit(run, &lane->links[i]);
        return;
    }
    uint64_t now = now_ns();
    run->result->transactions++;
    if (run->result->latencies < run->plan->latencies_max)
        run->plan->latencies[run->result->latencies++] = (uint32_t)((now - lane->begun_at) / 1000);
    begin_next(run, lane, now);
}

// A PREPARE in a failed transaction block answers success with another tag.
static bool is_expected(const struct link *link, const PGresult *result) {
    if (PQresultStatus(result) != PGRES_COMMAND_OK) return false;
    if (link->open != 1) return true;
    const char *wanted = link->lane->is_committing ? "COMMIT PREPARED" : "PREPARE TRANSACTION";
    return strcmp(PQcmdStatus((PGresult *)result), wanted) == 0;
}

static void receive(struct run *run, struct link *link) {
    PGconn *connection = link->connection;
    if (!PQconsumeInput(connection)) return fail(run, "database %d: %s", link->database + 1, PQerrorMessage(connection));
    while (!run->has_failed && !link->is_done && !PQisBusy(connection)) {
        PGresult *result = PQgetResult(connection);
        // The end of one statement's results.
        if (!result) continue;
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            link->is_done = true;
        } else if (is_expected(link, result)) {
            link->open--;
        } else {
            const char *message = PQresultErrorMessage(result);
            fail(run, "database %d: %s", link->database + 1, *message ? message : PQcmdStatus(result));
        }
        PQclear(result);
    }
    if (run->has_failed || !link->is_done) return;
    if (link->open != 0) return fail(run, "database %d left a statement unanswered", link->database + 1);
    if (link->lane->is_active) advance(run, link->lane);
}

static void loop(struct run *run) {
    struct epoll_event events[EVENTS_MAX];
    while (run->active > 0 && !run->has_failed) {
        int count = epoll_wait(run->epoll, events, EVENTS_MAX, SILENCE_MAX_MS);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail(run, "epoll_wait: %s", strerror(errno));
        if (count == 0) return fail(run, "the databases were silent for %d ms", SILENCE_MAX_MS);
        for (int i = 0; i < count && !run->has_failed; i++) {
            struct link *link = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) flush(run, link);
            if (events[i].events & ~(uint32_t)EPOLLOUT) receive(run, link);
        }
    }
}

static bool prepare_statements(struct run *run, PGconn *connection, int database) {
    const char *const statements[3][2] = {{"begin", BEGIN_SQL}, {"payment", PAYMENT_SQL}, {"entry", ENTRY_SQL}};
    for (int i = 0; i < 3; i++) {
        PGresult *result = PQprepare(connection, statements[i][0], statements[i][1], 0, NULL);
        bool is_prepared = PQresultStatus(result) == PGRES_COMMAND_OK;
        if (!is_prepared) fail(run, "database %d: %s", database + 1, PQerrorMessage(connection));
        PQclear(result);
        if (!is_prepared) return false;
    }
    return true;
}

static void connect_lane(struct run *run, struct lane *lane) {
    lane->is_active = true;
    for (int database = 0; database < 2 && !run->has_failed; database++) {
        struct link *link = &lane->links[database];
        *link = (struct link){.connection = PQconnectdb(run->plan->uris[database]), .lane = lane, .database = database};
        if (PQstatus(link->connection) != CONNECTION_OK)
            return fail(run, "database %d: %s", database + 1, PQerrorMessage(link->connection));
        if (!prepare_statements(run, link->connection, database)) return;
        if (PQsetnonblocking(link->connection, 1) != 0 || !PQenterPipelineMode(link->connection))
            return fail(run, "database %d: libpq makes no pipeline", database + 1);
        watch(run, link, EPOLL_CTL_ADD);
    }
}

int ceiling_run(const struct ceiling_plan *plan, struct ceiling_result *result) {
    *result = (struct ceiling_result){0};
    struct run run = {.plan = plan, .result = result, .epoll = -1};
    if (plan->in_flight < 1 || plan->in_flight > CEILING_IN_FLIGHT_MAX) {
        fail(&run, "in flight must be 1 to %d", CEILING_IN_FLIGHT_MAX);
        return -1;
    }
    if (strlen(plan->word) > CEILING_WORD_MAX) {
        fail(&run, "the word has more than %d characters", CEILING_WORD_MAX);
        return -1;
    }
    run.lanes = calloc((size_t)plan->in_flight, sizeof *run.lanes);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!run.lanes || run.epoll < 0) fail(&run, "no memory or no descriptor is left");
    for (int i = 0; i < plan->in_flight && !run.has_failed; i++) connect_lane(&run, &run.lanes[i]);
    uint64_t start = now_ns();
    if (!run.has_failed) {
        run.active = plan->in_flight;
        run.end_at = start + (uint64_t)(plan->seconds * 1e9);
        for (int i = 0; i < plan->in_flight; i++) begin_next(&run, &run.lanes[i], start);
        loop(&run);
    }
    result->seconds = (double)(now_ns() - start) / 1e9;
    for (int i = 0; run.lanes && i < plan->in_flight; i++)
        for (int database = 0; database < 2; database++) PQfinish(run.lanes[i].links[database].connection);
    if (run.epoll >= 0) close(run.epoll);
    free(run.lanes);
    return run.has_failed ? -1 : 0;
}
