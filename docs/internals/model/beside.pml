/*
 * The periodic pass beside a running server: payments begin, are decided and end while it looks at the database and at
 * the log, and the database may go back in time. Two payments, one database, PASSES passes. Another program's prepared
 * transaction lies there too.
 *
 * The rules: the prepared list first, the log after it, the list again, and only what both lists show counts; what is
 * in flight belongs to the server; a branch of an ended transaction means that the database went back, and is carried
 * out again; a commit whose row is gone is found by comparing the history with the rows, and waits for an operator;
 * what is foreign is never touched.
 *
 * BROKEN_x breaks the rule x; an assertion must then fail. REACH=n asks for something that must be possible.
 */

#ifndef PASSES
#define PASSES 2
#endif
#define PAYMENTS 2

/* The log. */
#define NOTHING 0
#define BEGUN 1
#define COMMIT 2
#define ABORT 3
byte decision[PAYMENTS];
bit proven[PAYMENTS], ended[PAYMENTS], parked[PAYMENTS];
bit regressed;                      /* the database went back, and its commits are not verified yet */

/* The database. */
#define EMPTY 0
#define PREPARED 1
#define COMMITTED 2
#define ROLLED_BACK 3
byte branch[PAYMENTS];
byte foreign = PREPARED;

/* What only the checks see. */
bit wentBack[PAYMENTS], done[PAYMENTS], again[PAYMENTS], cutShort;
byte k;

#define isActive(t) (decision[t] != NOTHING && !ended[t])

/* A payment, and whoever carries it on when it is unfinished again. */
proctype Payment(byte t) {
    bit mayVote = 1;
    decision[t] = BEGUN;
    if :: branch[t] = PREPARED :: mayVote = 0 fi;
    atomic {
        if
        :: decision[t] == BEGUN && mayVote -> decision[t] = COMMIT
        :: decision[t] == BEGUN -> decision[t] = ABORT
        :: decision[t] != BEGUN
        fi };
end:
    do
    :: atomic { isActive(t) && !proven[t] && !parked[t] ->
           if
           :: decision[t] == COMMIT && branch[t] == PREPARED -> branch[t] = COMMITTED; proven[t] = 1
           :: decision[t] == COMMIT && branch[t] == COMMITTED -> proven[t] = 1
           :: decision[t] == COMMIT && branch[t] != PREPARED && branch[t] != COMMITTED -> parked[t] = 1
           :: decision[t] == ABORT && branch[t] == COMMITTED -> parked[t] = 1
           :: decision[t] == ABORT && branch[t] != COMMITTED ->
               if :: branch[t] == PREPARED -> branch[t] = ROLLED_BACK :: else fi;
               proven[t] = 1
           fi }
    :: atomic { isActive(t) && proven[t] && !parked[t] -> ended[t] = 1; done[t] = 1 }
    od
}

/* A restore, or a failover to a replica that lagged. */
proctype Past() {
    byte t;
end:
    if
    :: atomic { done[0] && branch[0] == COMMITTED ->
           wentBack[0] = 1; regressed = 1; if :: branch[0] = PREPARED :: branch[0] = EMPTY fi }
    :: atomic { done[0] && decision[0] == ABORT && branch[0] == ROLLED_BACK ->
           wentBack[0] = 1; regressed = 1; branch[0] = PREPARED }
    :: atomic { done[1] && branch[1] == COMMITTED && branch[0] == COMMITTED ->
           wentBack[0] = 1; wentBack[1] = 1; regressed = 1;
           if :: branch[0] = PREPARED :: branch[0] = EMPTY fi; if :: branch[1] = PREPARED :: branch[1] = EMPTY fi }
    :: done[0] && done[1]           /* or never */
    fi
}

proctype Pass() {
    byte passes = PASSES, t;
    bit listed[PAYMENTS], listedAgain[PAYMENTS], unfinished[PAYMENTS];
end:
    do
    :: passes > 0 || regressed || (branch[0] == PREPARED && ended[0]) || (branch[1] == PREPARED && ended[1]) ->
        if :: passes > 0 -> passes-- :: else fi;
        /* Commits of a database that went back are compared with its rows. */
#ifndef BROKEN_NOAUDIT
        if
        :: regressed ->
            t = 0;
            do
            :: t < PAYMENTS ->
                atomic {
                    if
                    :: decision[t] == COMMIT && ended[t] && branch[t] == PREPARED ->
                        again[t] = 1; proven[t] = 0; ended[t] = 0
                    :: decision[t] == COMMIT && ended[t] && branch[t] != PREPARED && branch[t] != COMMITTED ->
                        again[t] = 1; proven[t] = 0; ended[t] = 0; parked[t] = 1
                    :: decision[t] == COMMIT && !ended[t] && proven[t] && branch[t] != COMMITTED -> proven[t] = 0
                    :: else
                    fi };
                t++
            :: else -> break
            od;
            regressed = 0
        :: else
        fi;
#else
        regressed = 0;
#endif
        /* The prepared list, the log, and the list again. */
#ifdef BROKEN_LOGFIRST
        atomic { unfinished[0] = isActive(0); unfinished[1] = isActive(1) };
#endif
        atomic { listed[0] = (branch[0] == PREPARED); listed[1] = (branch[1] == PREPARED) };
#ifndef BROKEN_LOGFIRST
        atomic { unfinished[0] = isActive(0); unfinished[1] = isActive(1) };
#endif
#ifdef BROKEN_ONELIST
        atomic { listedAgain[0] = listed[0]; listedAgain[1] = listed[1] };
#else
        atomic { listedAgain[0] = (branch[0] == PREPARED); listedAgain[1] = (branch[1] == PREPARED) };
#endif
        t = 0;
        do
        :: t < PAYMENTS ->
            atomic {
                if
                :: listed[t] && listedAgain[t] && !unfinished[t] ->
                    assert(wentBack[t]);            /* no payment in flight is taken for one that came back */
                    if :: ended[t] -> again[t] = 1; proven[t] = 0; ended[t] = 0 :: else fi
                :: else
                fi };
#ifdef BROKEN_LIVEABORT
            atomic { if :: decision[t] == BEGUN && listed[t] -> decision[t] = ABORT; cutShort = 1 :: else fi };
#endif
            t++
        :: else -> break
        od;
#ifdef BROKEN_FOREIGN
        foreign = ROLLED_BACK
#endif
    od
}

proctype Check() {
end:
    timeout ->
#ifndef REACH
    for (k : 0 .. PAYMENTS - 1) {
        assert(ended[k] || parked[k]);
        assert(branch[k] != PREPARED);                              /* nothing is left in doubt */
        assert(decision[k] != COMMIT || branch[k] == COMMITTED || parked[k]);       /* no commit is lost silently */
        assert(decision[k] != ABORT || branch[k] != COMMITTED);
        assert(!parked[k] || wentBack[k])
    };
    assert(!cutShort);                                              /* what is in flight is the server's to decide */
    assert(foreign == PREPARED)
#else
    bit there;
    there =
#if REACH == 1          /* carried out again */
        (again[0] && ended[0] && branch[0] == COMMITTED);
#elif REACH == 2        /* lost: it waits for an operator */
        (again[0] && parked[0]);
#elif REACH == 3        /* an aborted branch that came back, rolled back again */
        (again[0] && ended[0] && decision[0] == ABORT);
#elif REACH == 4        /* nothing to do */
        (!again[0] && !again[1] && ended[0] && ended[1]);
#endif
    assert(!there)
#endif
}

init { atomic { run Payment(0); run Payment(1); run Past(); run Pass(); run Check() } }
