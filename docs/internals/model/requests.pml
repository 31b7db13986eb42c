/*
 * One request_id, several transactions: the same payment is sent to two coordinators, A and B, that share the database
 * of its row, and again to A, while the first is in flight, when it has ended, and when its retention is over. Each
 * coordinator has a log of its own; the row is unique by request_id. What happens to one transaction by itself is the
 * subject of payment.pml and coarse here: a deadline or a crash shows as a transaction that is given up.
 *
 *   CONFLICT  B is sent another payment under the same request_id
 *
 * BROKEN_x breaks the rule x; an assertion must then fail. REACH=n asks for something that must be possible.
 */

#ifndef SUBMISSIONS
#define SUBMISSIONS 3               /* to A, over two connections; B gets one */
#endif
#define TRANSACTIONS 3
#define A 0
#define B 1
#define home(t) (t & 1)             /* 0 and 2 are A's, 1 is B's */
#ifdef CONFLICT
#define content(t) home(t)
#else
#define content(t) 0
#endif

/* The logs. */
#define NOTHING 0
#define BEGUN 1
#define COMMIT 2
#define ABORT 3
byte decision[TRANSACTIONS];
bit reversal[TRANSACTIONS];         /* open */
bit ended[TRANSACTIONS], trimmed[TRANSACTIONS];
byte claim[2];                      /* of the request_id: the transaction's number and 1; 0 if it is free */
#define FINAL 0
#define RELEASED 1
#define MADE_BY 2
byte disposition[TRANSACTIONS], maker[TRANSACTIONS];

/* The database and the network. */
#define EMPTY 0
#define PREPARED 1
#define COMMITTED 2
#define ROLLED_BACK 3
byte branch[TRANSACTIONS];
#define UNHEARD 0
#define HELD 1
#define SETTLED 2
#define GIVEN_BACK 3
byte network[TRANSACTIONS];

/* What only the checks see. */
bit approvedAt[2], declinedAt[2];   /* said by this coordinator within the retention */
bit met[TRANSACTIONS];
#ifndef REACH
hidden                              /* what no assertion asks for makes no states */
#endif
byte lookedUp, joined, contended, conflict, again;
bit rowBefore[TRANSACTIONS];         /* somebody's row was committed when it began */
byte k, rows, settled;

#define rowOf(u) (branch[u] == COMMITTED)
#define anyRow (rowOf(0) || rowOf(1) || rowOf(2))
#define heldByOther(t) ((t != 0 && branch[0] == PREPARED) || (t != 1 && branch[1] == PREPARED) \
    || (t != 2 && branch[2] == PREPARED))
#define theRow (rowOf(0) -> 0 : (rowOf(1) -> 1 : 2))
#define stands(t) (decision[t] != NOTHING && !ended[t] && !(decision[t] == ABORT && disposition[t] == RELEASED))
#define unfinished(c) (c == A -> stands(0) || stands(2) : stands(1))
#define fresh(c) (c == A -> (decision[0] == NOTHING || decision[2] == NOTHING) : decision[1] == NOTHING)

inline sayApproved(who, asked, row) {
    assert(rowOf(row));                                 /* APPROVED has a row */
    assert(content(row) == content(asked));             /* of the same payment */
    assert(!declinedAt[who]);                           /* the same answer within the retention */
    approvedAt[who] = 1
}

inline sayDeclined(who, asked) {
    assert(decision[asked] == ABORT);
    assert(!approvedAt[who]);                           /* likewise */
    assert(!met[asked]);                                /* who met another's key may be made there */
    assert(!rowBefore[asked]);                          /* what was made before is not declined, whoever made it */
    declinedAt[who] = 1
}

#ifdef BROKEN_TRIMUNFINISHED
#define mayDrop(t) (decision[t] != NOTHING)
#else
#define mayDrop(t) (ended[t] && !reversal[t])
#endif

/* A client of one coordinator. */
proctype Client(byte c, left) {
    byte t;
    bit isFree;
end:
    do
    :: left > 0 ->
        left--;
        atomic {
            if
            :: claim[c] != 0 ->
                t = claim[c] - 1; joined = 1;
                if
                :: decision[t] == COMMIT && rowOf(t) -> sayApproved(c, t, t)
                :: decision[t] == ABORT && disposition[t] == FINAL -> sayDeclined(c, t)
                :: decision[t] == ABORT && disposition[t] == MADE_BY -> sayApproved(c, t, maker[t])
                :: else                                 /* in flight: it waits, or is told PENDING */
                fi;
                isFree = 0
            :: else -> isFree = 1
            fi
#ifdef BROKEN_CLAIMLATE
        };
        atomic {
#endif
            if
            :: isFree && fresh(c) ->
                t = (decision[c] == NOTHING -> c : c + 2);
                if :: t >= 2 -> again = 1 :: else fi;
                assert(!unfinished(c));                 /* one at a time a coordinator */
                decision[t] = BEGUN; rowBefore[t] = anyRow;
#ifndef BROKEN_CLAIMLATE
                claim[c] = t + 1
#endif
            :: else
            fi }
#ifdef BROKEN_CLAIMLATE
        ; if :: isFree -> claim[c] = t + 1 :: else fi
#endif
    :: left == 0 -> break
    od
}

/* Says what becomes of the claim, in the same step. */
inline abort(how, by) {
    atomic {
        decision[t] = ABORT; disposition[t] = how; maker[t] = by;
        reversal[t] = mayHold;
        if :: how == RELEASED && claim[home(t)] == t + 1 -> claim[home(t)] = 0 :: else fi;
        if
        :: how == FINAL -> sayDeclined(home(t), t)
        :: how == MADE_BY -> sayApproved(home(t), t, by)
        :: how == RELEASED                              /* PENDING, or a refusal that claims nothing */
        fi }
}

/* It will not be made, and the database has not said whether it was made before: it is asked. */
inline giveUp() {
#ifdef BROKEN_NOLOOKUP
    abort(FINAL, 0)
#else
    if
    :: atomic { anyRow && content(theRow) == content(t) -> lookedUp = 1; abort(MADE_BY, theRow) }
    :: atomic { anyRow && content(theRow) != content(t) -> conflict = 1; abort(RELEASED, 0) }
    :: !anyRow -> abort(FINAL, 0)                       /* another may be committed between the two steps */
#ifdef BROKEN_LOOKUPFINAL
    :: abort(FINAL, 0)                                  /* it could not be asked */
#else
    :: abort(RELEASED, 0)
#endif
    fi
#endif
}

proctype Transaction(byte t) {
    bit mayHold;
end:
    decision[t] == BEGUN;
    /* The hold. */
    if
    :: network[t] = HELD; mayHold = 1
    :: mayHold = 0; giveUp(); goto deliver              /* a definite refusal */
    :: mayHold = 1; if :: network[t] = HELD :: true fi; giveUp(); goto deliver
    fi;
    /* The row. */
    if
#ifdef BROKEN_NOUNIQUE
    :: atomic { true -> branch[t] = PREPARED }
#else
    :: atomic { !anyRow && !heldByOther(t) -> branch[t] = PREPARED }
#ifdef BROKEN_UNIQUEISYES
    :: atomic { anyRow -> skip }
#endif
    :: atomic { !anyRow && !heldByOther(t) -> branch[t] = PREPARED }; giveUp(); goto deliver     /* unknown */
    :: atomic { anyRow && content(theRow) == content(t) ->
           met[t] = 1;
#ifdef BROKEN_UNIQUEISNO
           abort(FINAL, 0)
#else
           abort(MADE_BY, theRow)
#endif
       }; goto deliver
    :: atomic { anyRow && content(theRow) != content(t) ->
           conflict = 1; abort(RELEASED, 0) }; goto deliver
    :: atomic { heldByOther(t) ->                       /* the lock's timeout */
           contended = 1; met[t] = 1;
#ifdef BROKEN_CONTENDEDFINAL
           abort(FINAL, 0)
#else
           abort(RELEASED, 0)
#endif
       }; goto deliver
#endif
    :: giveUp(); goto deliver                           /* the deadline, or a crash */
    fi;
#ifdef BROKEN_EARLYANSWER
    atomic { approvedAt[home(t)] = 1 };                 /* a repeat is told what is not durable */
#endif
    if
    :: decision[t] = COMMIT
    :: abort(FINAL, 0)
    fi;

deliver:
    if
    :: decision[t] == COMMIT ->
#ifdef BROKEN_UNIQUEISYES
        atomic { if :: branch[t] == PREPARED -> branch[t] = COMMITTED :: else fi; sayApproved(home(t), t, theRow) };
#else
        atomic { branch[t] = COMMITTED; sayApproved(home(t), t, t) };
#endif
        network[t] = SETTLED
    :: else ->
        atomic { if :: branch[t] == PREPARED -> branch[t] = ROLLED_BACK :: else fi }
    fi;
    ended[t] = 1;
    atomic {
        if
        :: reversal[t] -> reversal[t] = 0; if :: network[t] == HELD -> network[t] = GIVEN_BACK :: else fi
        :: else
        fi }
}

/* Trimming: whenever the retention of what has ended is over. */
proctype Trimmer() {
    byte t;
end:
    do
    :: atomic { mayDrop(t) && !trimmed[t] ->
           trimmed[t] = 1;
           if
           :: claim[home(t)] == t + 1 -> claim[home(t)] = 0; approvedAt[home(t)] = 0; declinedAt[home(t)] = 0
           :: else
           fi }
    :: atomic { t < TRANSACTIONS - 1 -> t++ }
    od
}

proctype Check() {
end:
    timeout ->
    for (k : 0 .. TRANSACTIONS - 1) {
        rows = rows + (branch[k] == COMMITTED); settled = settled + (network[k] == SETTLED)
    };
#ifndef REACH
    assert(rows <= 1);                                  /* one effect in the database */
    assert(settled == rows);                            /* and at the network */
    for (k : 0 .. TRANSACTIONS - 1) {
        assert(branch[k] != PREPARED);
        assert(network[k] != HELD);
        assert((branch[k] == COMMITTED) == (network[k] == SETTLED));
        assert(decision[k] == NOTHING || ended[k])
    }
#else
    bit there;
    there =
#if REACH == 1          /* both coordinators said APPROVED, of one row */
        (approvedAt[A] && approvedAt[B] && rows == 1);
#elif REACH == 2        /* a key held by the other's prepared branch */
        (contended && approvedAt[A]);
#elif REACH == 3        /* a late repeat is answered by the row */
        (again && trimmed[0] && rowOf(0) && decision[2] == ABORT && disposition[2] == MADE_BY);
#elif REACH == 4        /* other content meets the row */
        (conflict && rowOf(0));
#elif REACH == 5        /* a repeat is answered from the log */
        (joined && approvedAt[A]);
#elif REACH == 6        /* the network refuses the hold of a late repeat, and the row answers all the same */
        (again && trimmed[0] && rowOf(0) && lookedUp && disposition[2] == MADE_BY && network[2] == UNHEARD);
#endif
    assert(!there)
#endif
}

init {
    atomic {
        run Client(A, SUBMISSIONS - 1); run Client(A, 1); run Client(B, 1);
        for (k : 0 .. TRANSACTIONS - 1) { run Transaction(k) };
        k = 0;
        run Trimmer(); run Check()
    }
}
