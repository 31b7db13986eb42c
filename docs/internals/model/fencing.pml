/*
 * Who may work on a log's behalf: a server, and one that runs on a copy of its state directory, made at any time. One
 * database. Each start raises the epoch of its own directory and draws an incarnation, both written down as attempted;
 * compares and sets the pair in the database; ends the backends of older epochs; and writes the pair down as confirmed.
 * A new connection reads the pair before its first statement. Servers crash and start again at any step, STARTS times
 * each.
 *
 *   ALONE     there is no copy: then no start may be refused
 *
 * BROKEN_x breaks the rule x; an assertion must then fail. REACH=n asks for something that must be possible.
 */

#ifndef STARTS
#define STARTS 3
#endif
#define ORIGINAL 0
#define COPY 1
#define other(s) (1 - s)

/* The directories. A pair is a number: which start of all drew it. Its epoch is kept beside. */
byte epoch[2], confirmed[2], attempted[2];  /* attempted since it was last confirmed: a bit for each */
bit exists[2];

/* The database. */
byte pair, pairEpoch;               /* 0: never fenced */
bit connected[2];                   /* an open connection of that server, and the epoch in its name */
byte connectedEpoch[2];

/* What only the checks see. */
byte drawn;                         /* pairs are drawn once */
bit inUse[2];                       /* fenced, and older backends are gone */
bit refused[2], fencedOut[2], tookOver, worked[2];

#ifdef BROKEN_NOINCARNATION
#define isMine(s, p) (pairEpoch == epoch[s])
#define isKnown(s) (pairEpoch <= epoch[s])
#else
#define isMine(s, p) (pair == p)
#ifdef BROKEN_NOCAS
#define isKnown(s) true
#else
#ifdef BROKEN_FORGETATTEMPT
#define isKnown(s) (pair == confirmed[s])
#else
#define isKnown(s) (pair == confirmed[s] || (attempted[s] & (1 << pair)) != 0)
#endif
#endif
#endif

proctype Server(byte s) {
    byte starts = STARTS, mine;
end:
    exists[s];
start:
    if
    :: starts == 0 -> goto stopped
    :: starts > 0 -> starts--
    fi;
    /* The epoch and the pair are in the log before the database hears of them. */
    atomic { drawn++; mine = drawn; epoch[s]++; attempted[s] = attempted[s] | (1 << mine) };
    if :: goto crashed :: true fi;
    atomic {
        if
        :: isKnown(s) ->
            pair = mine; pairEpoch = epoch[s]; if :: connected[other(s)] -> tookOver = 1 :: else fi
        :: else -> refused[s] = 1; goto stopped
        fi };
    if :: goto crashed :: true fi;
#ifndef BROKEN_NOTERM
    atomic { if :: connected[other(s)] && connectedEpoch[other(s)] < epoch[s] -> connected[other(s)] = 0 :: else fi };
    if :: goto crashed :: true fi;
#endif
    atomic { confirmed[s] = mine; attempted[s] = 0 };
    atomic { if :: isMine(s, mine) -> inUse[s] = 1; inUse[other(s)] = 0 :: else fi };
endServing:
    do
    :: atomic { !connected[s] ->
           /* a new connection: the pair is read before the first statement */
           if
#ifndef BROKEN_NOCHECK
           :: !isMine(s, mine) -> fencedOut[s] = 1; goto crashed
           :: isMine(s, mine) ->
#else
           :: true ->
#endif
               connected[s] = 1; connectedEpoch[s] = epoch[s]
           fi }
    :: atomic { connected[s] ->                         /* a statement */
           assert(!inUse[other(s)]);                    /* never beside another that is in use */
           worked[s] = 1 }
    :: starts > 0 -> goto crashed
    od;
crashed:
    atomic { connected[s] = 0; inUse[s] = 0 };
    goto start;
stopped:
    atomic { connected[s] = 0; inUse[s] = 0 }
}

proctype Copying() {
end:
    if
#ifdef ALONE
    :: false
#else
    :: atomic { epoch[ORIGINAL] > 0 ->
           epoch[COPY] = epoch[ORIGINAL]; confirmed[COPY] = confirmed[ORIGINAL];
           attempted[COPY] = attempted[ORIGINAL]; exists[COPY] = 1 }
#endif
    fi
}

proctype Check() {
end:
    timeout ->
#ifndef REACH
#ifdef ALONE
    assert(!refused[ORIGINAL] && !fencedOut[ORIGINAL])
#else
    skip
#endif
#else
    bit there;
    there =
#if REACH == 1          /* a copy that is refused */
        refused[COPY];
#elif REACH == 2        /* a copy that takes over, and the original is fenced out */
        (worked[COPY] && worked[ORIGINAL] && fencedOut[ORIGINAL]);
#elif REACH == 3        /* the original, fenced out, is refused at its next start */
        (worked[COPY] && refused[ORIGINAL]);
#endif
    assert(!there)
#endif
}

init { atomic { exists[ORIGINAL] = 1; run Server(ORIGINAL); run Server(COPY); run Copying(); run Check() } }
