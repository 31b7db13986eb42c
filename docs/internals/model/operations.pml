/*
 * Operations on an earlier payment: an authorization, and two operations that name it, each a capture, a void or a
 * refund, begun at any time, also while the authorization is in doubt. The coordinator crashes up to CRASHES times.
 *
 * The rules that are checked here: an operation is taken only when the payment that it names has ended as committed,
 * else it is refused (or has to wait, which for the outcome is the same); the payment's state and remaining amount are
 * reserved in the operation's own BEGIN, one operation at a time a payment, until its END; the databases prepare before
 * the network is asked.
 *
 * The server refuses all three kinds as `invalid_state` today. This model is what the wire contract and the design
 * demand of them, so that the rules are proven before they are built. What payment.pml shows of one transaction by
 * itself is coarse here.
 *
 * BROKEN_x breaks the rule x; an assertion must then fail. REACH=n asks for something that must be possible.
 */

#ifndef CRASHES
#define CRASHES 1
#endif
#define FIRST 0                     /* the authorization; 1 and 2 are operations on it */
#define UNITS 2                     /* authorized */
#define CAPTURE 1
#define VOID 2
#define REFUND 3

/* The log. */
#define NOTHING 0
#define BEGUN 1
#define COMMIT 2
#define ABORT 3
byte decision[3];
bit ended[3], reversal[3];
byte kind[3], amount[3];
byte reserved;                      /* the operation that has the payment; 0 if none has */
byte volatileReserved;              /* of BROKEN_VOLATILE */

/* The database: rows of the three, and what the committed ones have made of the payment. */
#define EMPTY 0
#define PREPARED 1
#define COMMITTED 2
#define ROLLED_BACK 3
byte branch[3];
byte captured, refunded;
bit voided;

/* The network: its word on each, and its own account of the payment. */
#define UNHEARD 0
#define HELD 1
#define SETTLED 2
#define GIVEN_BACK 3
#define DECLINED 4
byte network[3];
byte networkCaptured, networkRefunded;
bit networkVoided;

byte crashes = CRASHES, epoch;
bit refusedEarly, parked;
byte k;

#define remains(op) ( \
    (kind[op] == CAPTURE && !voided && captured + amount[op] <= UNITS) || \
    (kind[op] == VOID && !voided && captured == 0) || \
    (kind[op] == REFUND && refunded + amount[op] <= captured))
#define networkAllows(op) ( \
    (kind[op] == CAPTURE && network[FIRST] == SETTLED && !networkVoided) || \
    (kind[op] == VOID && (network[FIRST] == SETTLED || network[FIRST] == HELD)) || \
    (kind[op] == REFUND && network[FIRST] == SETTLED))

#ifdef BROKEN_NOWAIT
#define isSettled (decision[FIRST] != NOTHING && decision[FIRST] != ABORT)
#else
#ifdef BROKEN_COMMITTING
#define isSettled (decision[FIRST] == COMMIT)
#else
#define isSettled (decision[FIRST] == COMMIT && ended[FIRST])
#endif
#endif

inline apply(op) {
    if
    :: kind[op] == CAPTURE -> captured = captured + amount[op]
    :: kind[op] == VOID -> voided = 1
    :: kind[op] == REFUND -> refunded = refunded + amount[op]
    fi
}

inline applyAtNetwork(op) {
    if
    :: kind[op] == CAPTURE -> networkCaptured = networkCaptured + amount[op]
    :: kind[op] == VOID -> networkVoided = 1; if :: network[FIRST] == HELD -> network[FIRST] = GIVEN_BACK :: else fi
    :: kind[op] == REFUND -> networkRefunded = networkRefunded + amount[op]
    fi
}

/* The decision is carried out, in the order of payment.pml, by whichever process is there. */
inline deliver(x) {
    if
    :: decision[x] == COMMIT ->
        atomic {
            if
            :: branch[x] == PREPARED -> branch[x] = COMMITTED; if :: x != FIRST -> apply(x) :: else fi
            :: else
            fi };
        atomic {
            if
            :: network[x] == HELD -> network[x] = SETTLED; if :: x != FIRST -> applyAtNetwork(x) :: else fi
            :: network[x] == SETTLED
            :: else -> parked = 1                       /* the network did otherwise */
            fi }
    :: decision[x] == ABORT ->
        atomic { if :: branch[x] == PREPARED -> branch[x] = ROLLED_BACK :: else fi };
        if
        :: reversal[x] -> atomic { reversal[x] = 0; if :: network[x] <= HELD -> network[x] = GIVEN_BACK :: else fi }
        :: else
        fi
    fi;
#ifdef BROKEN_KEPT
    ended[x] = 1
#else
    atomic {
        ended[x] = 1;
        if :: reserved == x -> reserved = 0 :: else fi;
        if :: volatileReserved == x -> volatileReserved = 0 :: else fi }
#endif
}

/* A process that ends takes its flows with it: each sees another epoch and leaves the rest to the restart. */
#define gone (epoch != mine)

proctype Authorization() {
    byte mine;
    atomic { mine = epoch; decision[FIRST] = BEGUN };
    atomic {
        if
        :: network[FIRST] == UNHEARD -> if :: network[FIRST] = HELD :: network[FIRST] = DECLINED :: true fi
        :: else                                         /* its reversal was there before it */
        fi };
    atomic { if :: !gone && decision[FIRST] == BEGUN && network[FIRST] == HELD -> branch[FIRST] = PREPARED :: else fi };
    atomic {
        if
        :: gone || decision[FIRST] != BEGUN -> skip
        :: !gone && decision[FIRST] == BEGUN && branch[FIRST] == PREPARED -> decision[FIRST] = COMMIT
        :: !gone && decision[FIRST] == BEGUN -> decision[FIRST] = ABORT; reversal[FIRST] = 1
        fi };
    if :: !gone -> deliver(FIRST) :: else fi
}

proctype Operation(byte op) {
    byte mine;
    atomic {
        if :: kind[op] = CAPTURE :: kind[op] = VOID :: kind[op] = REFUND fi;
        if :: amount[op] = 1 :: amount[op] = UNITS fi;
        mine = epoch };
end:
    decision[FIRST] != NOTHING;                         /* unknown_reference before that */
    /* BEGIN, with the reservation in the same step. */
    atomic {
        mine = epoch;
        if
        :: !isSettled -> refusedEarly = 1; goto done    /* invalid_state, or wait */
        :: isSettled && parked -> goto done
        :: isSettled && !parked ->
#ifdef BROKEN_NORESERVE
            skip
#else
#ifdef BROKEN_VOLATILE
            if :: volatileReserved != 0 || !remains(op) -> goto done :: else -> volatileReserved = op fi
#else
            if :: reserved != 0 || !remains(op) -> goto done :: else -> reserved = op fi
#endif
#endif
        fi;
#ifdef BROKEN_NORESERVE
        if :: !remains(op) -> goto done :: else fi;
#endif
        decision[op] = BEGUN };
    /* The database first. */
    atomic {
        if
        :: !gone && decision[op] == BEGUN -> if :: branch[op] = PREPARED :: branch[op] = ROLLED_BACK fi
        :: else
        fi };
    /* Then the network. */
    atomic {
        if
        :: !gone && decision[op] == BEGUN && branch[op] == PREPARED ->
            if :: networkAllows(op) -> network[op] = HELD :: else -> network[op] = DECLINED fi
        :: else
        fi };
    atomic {
        if
        :: gone || decision[op] != BEGUN -> skip
        :: !gone && decision[op] == BEGUN && branch[op] == PREPARED && network[op] == HELD -> decision[op] = COMMIT
        :: !gone && decision[op] == BEGUN -> decision[op] = ABORT; reversal[op] = (network[op] == HELD)
        fi };
#ifdef BROKEN_RELEASEEARLY
    atomic { if :: reserved == op -> reserved = 0 :: else fi };
#endif
    if :: !gone && decision[op] > BEGUN -> deliver(op) :: else fi;
done:
    skip
}

/* A crash, and the restart that aborts what is undecided and carries out what is decided. */
proctype Restart() {
    byte x;
end:
    do
    :: crashes > 0 ->
        atomic {
            crashes--; epoch++; volatileReserved = 0; x = 0;
            do
            :: x < 3 ->
                if :: decision[x] == BEGUN -> decision[x] = ABORT; reversal[x] = 1 :: else fi;
                x++
            :: else -> break
            od };
        x = 0;
        do
        :: x < 3 -> if :: decision[x] > BEGUN && !ended[x] -> deliver(x) :: else fi; x++
        :: else -> break
        od
    :: crashes == 0 -> break
    od
}

proctype Check() {
end:
    timeout ->
#ifndef REACH
    for (k : 0 .. 2) {
        assert(decision[k] == NOTHING || ended[k]);
        assert(branch[k] != PREPARED && network[k] != HELD);
        assert(!reversal[k])
    };
    assert(!parked);                                            /* nobody was made to do otherwise */
    for (k : 1 .. 2) {
        assert(branch[k] != COMMITTED || branch[FIRST] == COMMITTED);   /* nothing on a payment that was not made */
        assert((branch[k] == COMMITTED) == (network[k] == SETTLED))
    };
    assert(captured <= UNITS);                                  /* never more than was authorized */
    assert(refunded <= captured);                               /* nor more given back than was taken */
    assert(!(voided && captured > 0));
    assert(captured == networkCaptured && refunded == networkRefunded);     /* one account */
    assert(voided == networkVoided);
    assert(reserved == 0)                                       /* the payment is free again */
#else
    bit there;
    there =
#if REACH == 1          /* two captures, one after the other */
        (captured == UNITS && branch[1] == COMMITTED && branch[2] == COMMITTED);
#elif REACH == 2        /* a capture, and a refund of it */
        (captured > 0 && refunded > 0);
#elif REACH == 3        /* a void */
        (voided && networkVoided);
#elif REACH == 4        /* an operation on a payment in doubt, refused */
        (refusedEarly && decision[FIRST] == COMMIT);
#elif REACH == 5        /* an operation that a restart has committed */
        (crashes == 0 && branch[1] == COMMITTED && epoch > 0);
#endif
    assert(!there)
#endif
}

init { atomic { run Authorization(); run Operation(1); run Operation(2); run Restart(); run Check() } }
