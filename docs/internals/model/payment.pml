/*
 * One payment: a card network, DATABASES databases, and a coordinator that crashes up to CRASHES times.
 *
 * It follows Sources/Coordinator: the hold first, then the databases; a decision that is written once, an abort and its
 * reversal as one step of the log; the databases told before client and network; everything repeated until it is
 * proven. A restart takes up what the log says. What a process knows without having it in the log is lost with it, and
 * so are acknowledgements and END that had not become durable.
 *
 * Parts that a configuration adds:
 *   LOST     once, a restart finds a log that has lost its tail, or all of it: evidence decides, nothing is presumed
 *   HANDS    so many times somebody commits or rolls a prepared branch back by hand
 *   EXPIRY   the network may give a hold back by itself
 *   ORDERS   so many times an operator resolves what is parked, by the rules of ActiveTransaction.resolving
 *
 * BROKEN_x breaks the rule x; an assertion must then fail. REACH=n asks for an end that must be possible.
 */

#ifndef DATABASES
#define DATABASES 2
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef HANDS
#define HANDS 0
#endif
#ifndef ORDERS
#define ORDERS 0
#endif
#define OWN 0                       /* the database of the payment's row, the witness */
#define LAST (DATABASES - 1)

/* ---- The log. What is here is durable, except that a crash may take what was not forced. ---- */
#define NOTHING 0
#define BEGUN 1
#define COMMIT 2
#define ABORT 3
byte decision;
#define OPEN 1
#define CLOSED 2
#define REFUSED 3                   /* parked for an operator */
byte reversal;                      /* the task of an abort */
bit proven[DATABASES];              /* not forced */
bit confirmed;                      /* not forced: the network's acknowledgement */
bit taken[DATABASES], takenNetwork; /* forced: an operator takes what the participant did as it is */
bit ended;                          /* not forced */
bit parked[DATABASES], parkedNetwork;
bit broken;                         /* the tail is lost, and what it held is not settled */

/* ---- The coordinator's process. ---- */
bit first = 1;                      /* the process that began the payment */
byte crashes = CRASHES;
#define ASKED 1
#define YES 2
#define NO 3
#define UNKNOWN 4
byte hold;                          /* the network's vote */
bit fenced[DATABASES];              /* fenced in this epoch: older backends are gone, statements may be sent */

/* ---- Databases. ---- */
#define EMPTY 0
#define PREPARED 1
#define COMMITTED 2
#define ROLLED_BACK 3               /* refused counts as this */
byte branch[DATABASES];
bit preparing[DATABASES];           /* a PREPARE is on its way in a backend that lives */

/* ---- The network, and what is on its way there. Messages outlive who sent them. ---- */
#define UNHEARD 0
#define HELD 1
#define SETTLED 2
#define RELEASED 3                  /* given back, or an abort came first: a later hold is refused */
#define DECLINED_HOLD 4
byte network;
byte holds;
bit confirm, undo, undone, refusedUndo;

/* ---- The client. ---- */
#define APPROVED 1
#define DECLINED 2
byte told;

/* ---- What only the checks see. ---- */
byte written;                       /* the first decision */
bit lost, noTrace, turned, accepted, expired, byHand, tombstoned;
byte k, committed;

#define mayHold (hold != 0 && hold != NO)
#ifdef BROKEN_ONEWITNESS
#define witnessed (branch[LAST] == COMMITTED)
#else
#define witnessed (branch[OWN] == COMMITTED || branch[LAST] == COMMITTED)
#endif

#ifdef BROKEN_NOTERM
#define fence(i) fenced[i] = 1
#define settled(i) (fenced[i])
#else
#define fence(i) fenced[i] = 1; preparing[i] = 0
#define settled(i) (fenced[i] && !preparing[i])
#endif
#define absent(i) (branch[i] == EMPTY || branch[i] == ROLLED_BACK)
#ifdef BROKEN_ABSENTISDONE
#define judgeAbsent(i) proven[i] = 1
#else
#define judgeAbsent(i) parked[i] = 1
#endif

#define mayCrash if :: crashes > 0 -> crashes--; goto crashed :: true fi

/* The decision is a compare-and-set, and an abort and its task are one step. */
inline writeDecision(what, task) {
    if
#ifdef BROKEN_BLIND
    :: true ->
        decision = what;
        if :: written == NOTHING -> written = what :: else fi;
#else
    :: decision == BEGUN ->
        decision = what; written = what;
#endif
        if :: what == ABORT && (task) -> reversal = OPEN :: else fi
    :: else
    fi
}

inline decide(what, task) {
#ifdef BROKEN_SPLIT
    atomic { if :: decision == BEGUN -> decision = what; written = what; won = 1 :: else won = 0 fi };
    mayCrash;
    atomic { if :: won && what == ABORT && (task) -> reversal = OPEN :: else fi }
#else
    atomic { writeDecision(what, task) }
#endif
}

proctype Database(byte i) {
end:
    do
    :: atomic { preparing[i] ->
           preparing[i] = 0;
           if
           :: branch[i] == EMPTY -> if :: branch[i] = PREPARED :: branch[i] = ROLLED_BACK fi
           :: else
           fi }
    od
}

proctype Network() {
end:
    do
    :: atomic { holds > 0 ->
           holds--;
           if
           :: network == UNHEARD -> if :: network = HELD :: network = DECLINED_HOLD fi
           :: network == RELEASED -> tombstoned = 1
           :: else
           fi }
    :: atomic { confirm -> confirm = 0; if :: network == HELD -> network = SETTLED :: else fi }
    :: atomic { undo ->
           undo = 0;
           if
           :: network == HELD -> network = RELEASED; undone = 1
#ifdef BROKEN_NOTOMB
           :: network == UNHEARD -> undone = 1
#else
           :: network == UNHEARD -> network = RELEASED; undone = 1
#endif
           :: network == SETTLED -> refusedUndo = 1
           :: else -> undone = 1
           fi }
    :: atomic { undo -> undo = 0 }          /* lost on the way */
#ifdef EXPIRY
    :: atomic { network == HELD && !expired -> expired = 1; network = RELEASED }
#endif
    od
}

/* Somebody with psql. */
proctype Hands() {
    byte acts = HANDS, i;
end:
    do
    :: acts > 0 ->
        i = 0;
        if :: DATABASES > 1 -> i = LAST :: true fi;
        atomic {
            if
            :: branch[i] == PREPARED -> acts--; byHand = 1; if :: branch[i] = COMMITTED :: branch[i] = ROLLED_BACK fi
            :: acts = 0
            fi }
    :: acts == 0 -> break
    od
}

/* The deadline of the process that began. It decides beside the flow of votes. */
proctype Deadline() {
end:
    if
    :: atomic { first && decision == BEGUN -> writeDecision(ABORT, mayHold) }
#ifdef BROKEN_BLIND
    :: first && decision == BEGUN -> atomic { if :: first -> writeDecision(ABORT, 1) :: else fi }
#endif
    :: !first
    fi
}

/* Nothing of it is on its way, and it waits for an operator: TransactionMachine.waitsForOperator. */
#define open(i) (!proven[i] && !parked[i])
#define take(i) if :: parked[i] -> proven[i] = 1; taken[i] = 1 :: else fi
#define anyOpen (open(OWN) || open(LAST))
#define anyParked (parked[OWN] || parked[LAST] || parkedNetwork)
#define waitsForOperator (anyParked && (decision == BEGUN \
    || (decision == COMMIT && !anyOpen && (parked[OWN] || parkedNetwork || confirmed)) \
    || (decision == ABORT && !anyOpen && !undo && !undone && !refusedUndo)))

proctype Operator() {
    byte orders = ORDERS;
end:
    do
    :: atomic { orders > 0 && waitsForOperator && !broken && fenced[OWN] && fenced[LAST] ->
           orders--;
           if
           :: decision != BEGUN -> skip                             /* as logged: who is parked is asked again */
           :: decision != BEGUN ->                                  /* as logged, by force: taken as it is */
               accepted = 1; take(OWN); take(LAST);
               if :: parkedNetwork -> confirmed = 1; takenNetwork = 1 :: else fi
#ifdef BROKEN_TAKEBACK
           :: decision == COMMIT ->
#else
           :: decision == COMMIT && !proven[OWN] && !confirmed ->   /* turned round: never once APPROVED was said */
#endif
               turned = 1; accepted = 1; decision = ABORT; reversal = OPEN;
               if :: proven[LAST] -> taken[LAST] = 1 :: else fi
           :: decision == ABORT && !proven[OWN] ->                  /* its row is there */
               turned = 1; accepted = 1; decision = COMMIT; reversal = 0;
               if :: proven[LAST] -> taken[LAST] = 1 :: else fi
           :: decision == BEGUN -> decision = COMMIT; written = COMMIT
           :: decision == BEGUN ->
               accepted = 1; decision = ABORT; written = ABORT; reversal = OPEN; take(OWN); take(LAST)
           fi;
           parked[OWN] = 0; parked[LAST] = 0; parkedNetwork = 0 }
    od
}

proctype Coordinator() {
    byte i, tries;
    bit maybe, no, seen;
#ifdef BROKEN_SPLIT
    bit won;
#endif

    /* BEGIN is durable before the network hears of it. */
#ifdef BROKEN_SENDFIRST
    hold = ASKED; holds = 1; mayCrash;
    decision = BEGUN; mayCrash;
#else
    decision = BEGUN; mayCrash;
    atomic { if :: decision == BEGUN -> hold = ASKED; holds = 1 :: else fi }; mayCrash;
    if :: hold == 0 -> goto deliver :: else fi;
#endif

    /* The network's vote: HoldAttempts. A refusal after an attempt of unknown outcome is unknown. */
    tries = 1;
vote:
    if
    :: holds == 0 && network == HELD -> hold = YES
    :: holds == 0 && (network == DECLINED_HOLD || network == RELEASED || (network == HELD && maybe)) ->
#ifdef BROKEN_DECLINEFINAL
        hold = NO
#else
        if :: maybe -> hold = UNKNOWN :: else -> hold = NO fi
#endif
    :: tries == 1 -> tries = 2; maybe = 1; atomic { if :: decision == BEGUN -> holds++ :: else fi }; goto vote
#ifdef BROKEN_UNKNOWNNO
    :: tries == 2 -> hold = NO
#else
    :: tries == 2 -> hold = UNKNOWN
#endif
    fi;
    mayCrash;
    if :: hold != YES -> goto abort :: else fi;

    /* The databases, at the same time. No step is taken once the deadline has decided. */
    atomic {
        if
        :: decision == BEGUN -> preparing[OWN] = 1; preparing[LAST] = 1
        :: else -> goto deliver
        fi };
    mayCrash;
    i = 0;
    do
    :: i < DATABASES ->
        if
        :: !preparing[i] && branch[i] == PREPARED -> skip
        :: !preparing[i] && branch[i] == ROLLED_BACK -> no = 1
        :: no = 1                                               /* unknown: the reply is lost, or late */
        fi;
        i++; mayCrash
    :: else -> break
    od;
    if :: no -> goto abort :: else fi;
    decide(COMMIT, 0); mayCrash;
#ifdef BROKEN_ACKLOG
    if :: decision == COMMIT -> told = APPROVED :: else fi; mayCrash;
#endif
    goto deliver;

abort:
    decide(ABORT, mayHold); mayCrash;
    goto deliver;

crashed:
    /* What was not forced may be lost; what a process knew is. */
    atomic {
        first = 0; hold = 0; undone = 0; refusedUndo = 0;
        fenced[OWN] = 0; fenced[LAST] = 0;
        if :: proven[OWN] = taken[OWN] :: true fi;
        if :: proven[LAST] = taken[LAST] :: true fi;
        if :: confirmed = takenNetwork :: true fi;
        if :: ended = 0 :: true fi };
#ifdef BROKEN_LAZY
    atomic { if :: decision == COMMIT -> decision = BEGUN :: true fi };    /* it was told, and not durable */
#endif
#ifdef LOST
    atomic {
        if
        :: !lost ->
            lost = 1; broken = 1;
            if :: decision = NOTHING :: decision > BEGUN -> decision = BEGUN :: true fi;
            if :: decision != ABORT -> reversal = 0 :: else fi;
            if :: decision <= BEGUN -> written = NOTHING :: else fi;
            proven[OWN] = 0; proven[LAST] = 0; confirmed = 0; ended = 0
        :: true
        fi };
#endif
    mayCrash;
    /* A database is fenced now, or is away and fenced when it returns. */
    if :: atomic { fence(OWN) } :: true fi;
    mayCrash;
    if
    :: broken -> skip
    :: else ->
        if
        :: decision == BEGUN && fenced[OWN] && branch[OWN] == COMMITTED -> parked[OWN] = 1
        :: else -> decide(ABORT, 1)
        fi
    fi;
    mayCrash;

deliver:
    atomic { if :: first -> fenced[OWN] = 1; fenced[LAST] = 1 :: else fi };
end:
    do
    /* -- fencing -- */
    :: atomic { !fenced[OWN] -> fence(OWN) }
    :: atomic { !fenced[LAST] -> fence(LAST) }

    /* -- a log without its tail: RecoveryPlan on evidence -- */
    :: atomic { broken && fenced[OWN] && fenced[LAST] && decision <= BEGUN && !anyParked ->
           seen = witnessed;
           if
#ifdef BROKEN_PRESUME
           :: decision = ABORT; reversal = OPEN
#else
           :: seen -> decision = COMMIT
           :: !seen && network == SETTLED && decision == BEGUN -> parkedNetwork = 1
           :: !seen && network == SETTLED && decision == NOTHING -> noTrace = 1
           :: !seen && network != SETTLED &&
               (decision == BEGUN || branch[OWN] == PREPARED || branch[LAST] == PREPARED) ->
               decision = ABORT; reversal = OPEN
           :: !seen && network != SETTLED && decision == NOTHING &&
               branch[OWN] != PREPARED && branch[LAST] != PREPARED -> noTrace = 1
#endif
           fi;
           broken = 0; written = decision }
    :: atomic { broken && decision > BEGUN -> broken = 0 }

    /* -- commit: databases in parallel -- */
    :: atomic { decision == COMMIT && fenced[OWN] && branch[OWN] == PREPARED && !parked[OWN] && !proven[OWN] ->
           branch[OWN] = COMMITTED; if :: proven[OWN] = 1 :: true fi }
    :: atomic { decision == COMMIT && fenced[LAST] && branch[LAST] == PREPARED && !parked[LAST] && !proven[LAST] ->
           branch[LAST] = COMMITTED; if :: proven[LAST] = 1 :: true fi }
    :: atomic { decision == COMMIT && fenced[OWN] && branch[OWN] == COMMITTED && !proven[OWN] && !parked[OWN] ->
           proven[OWN] = 1 }
    :: atomic { decision == COMMIT && fenced[LAST] && branch[LAST] == COMMITTED && !proven[LAST] && !parked[LAST] ->
           proven[LAST] = 1 }
    /* neither listed nor visible: a heuristic rollback */
    :: atomic { decision == COMMIT && fenced[OWN] && !proven[OWN] && !parked[OWN] && absent(OWN) -> judgeAbsent(OWN) }
    :: atomic { decision == COMMIT && fenced[LAST] && !proven[LAST] && !parked[LAST] && absent(LAST) ->
           judgeAbsent(LAST) }
    /* -- commit: the client, then the network -- */
    :: atomic { decision == COMMIT && proven[OWN] && told == 0 && !turned -> told = APPROVED }
#ifdef BROKEN_PARALLEL2
    :: atomic { decision == COMMIT && !confirmed && !parkedNetwork && !confirm && network == HELD -> confirm = 1 }
#else
    :: atomic { decision == COMMIT && proven[OWN] && !confirmed && !parkedNetwork && !confirm && network == HELD ->
           confirm = 1 }
#endif
    :: atomic { decision == COMMIT && proven[OWN] && !confirmed && !confirm && network == SETTLED -> confirmed = 1 }
    :: atomic { decision == COMMIT && proven[OWN] && !confirmed && !parkedNetwork && !confirm &&
           network != SETTLED && network != HELD -> parkedNetwork = 1 }
#ifdef BROKEN_BREAKER
    /* an open breaker gives the commit up */
    :: atomic { decision == COMMIT && !confirmed && !ended && network == HELD && !confirm ->
           decision = ABORT; reversal = OPEN; written = ABORT }
#endif

    /* -- abort: every branch that may be prepared -- */
#ifndef BROKEN_NOTERM
    :: atomic { decision == ABORT && fenced[OWN] && preparing[OWN] -> preparing[OWN] = 0 }   /* the backend is ended */
    :: atomic { decision == ABORT && fenced[LAST] && preparing[LAST] -> preparing[LAST] = 0 }
#endif
    :: atomic { decision == ABORT && settled(OWN) && !proven[OWN] && !parked[OWN] ->
           if
           :: branch[OWN] == PREPARED -> branch[OWN] = ROLLED_BACK; proven[OWN] = 1
           :: branch[OWN] == COMMITTED -> parked[OWN] = 1
           :: else -> proven[OWN] = 1
           fi }
    :: atomic { decision == ABORT && settled(LAST) && !proven[LAST] && !parked[LAST] ->
           if
           :: branch[LAST] == PREPARED -> branch[LAST] = ROLLED_BACK; proven[LAST] = 1
           :: branch[LAST] == COMMITTED -> parked[LAST] = 1
           :: else -> proven[LAST] = 1
           fi }
    :: atomic { decision == ABORT && told == 0 && !lost && !turned -> told = DECLINED }

    /* -- the reversal: sent until acknowledged; held back where a database has committed all the same -- */
    :: atomic { reversal == OPEN && !undo && !undone && !refusedUndo && !parked[OWN] && !parked[LAST] ->
           undo = 1;
#ifdef BROKEN_CLOSEFIRST
           reversal = CLOSED
#endif
       }
    :: atomic { reversal == OPEN && undone -> reversal = CLOSED; undone = 0 }
    :: atomic { reversal == OPEN && refusedUndo -> reversal = REFUSED; refusedUndo = 0 }

    /* -- END: when all is proven -- */
#ifdef BROKEN_ENDEARLY
    :: atomic { decision == COMMIT && !ended && !anyParked && proven[OWN] ->
           ended = 1; proven[LAST] = 1; confirmed = 1 }
#else
    :: atomic { decision == COMMIT && !ended && !anyParked && proven[OWN] && proven[LAST] && confirmed -> ended = 1 }
#endif
    :: atomic { decision == ABORT && !ended && !anyParked && proven[OWN] && proven[LAST] -> ended = 1 }

    :: atomic { crashes > 0 -> crashes--; goto crashed }
    od
}

/* When nothing moves any more. */
proctype Check() {
end:
    timeout ->
    for (k : 0 .. LAST) { committed = committed + (branch[k] == COMMITTED) }
#ifndef REACH
    /* what waits for an operator is left as it is; all else is over */
    assert(decision != BEGUN || anyParked);
    assert(ended || anyParked || noTrace || decision == NOTHING);
    assert(reversal != OPEN || parked[OWN] || parked[LAST]);
    if
    :: !anyParked && reversal != REFUSED && !accepted ->
        for (k : 0 .. LAST) { assert(branch[k] != PREPARED) }
        assert(committed == 0 || committed == DATABASES);           /* atomic over the databases */
        assert((committed == DATABASES) == (network == SETTLED));   /* and the network: no money without payment */
        assert(network != HELD || noTrace)                          /* one without a trace expires at the network */
    :: else
    fi;
    assert(told != APPROVED || decision == COMMIT);                 /* whatever crashed, was lost or was ordered */
    assert(told != APPROVED || branch[OWN] == COMMITTED || accepted);   /* or a person insists that it is made */
    /* hands and a lost log together: nobody can know */
    assert(told != DECLINED || decision != COMMIT || turned || (byHand && lost));
    assert(told != DECLINED || committed == 0 || anyParked || accepted || (byHand && lost));
    assert(decision != COMMIT || reversal == 0);                    /* no committed payment has a reversal */
    assert(decision == written || turned || accepted || noTrace || broken || decision == NOTHING ||
        (decision == BEGUN && anyParked));                       /* a decision is written once */
    assert(HANDS > 0 || lost || expired || !anyParked)              /* nothing is parked without a cause */
#else
    bit there;
    there =
#if REACH == 1          /* approved and ended */
        (told == APPROVED && ended);
#elif REACH == 2        /* declined, with a reversal that was acknowledged */
        (told == DECLINED && ended && reversal == CLOSED);
#elif REACH == 3        /* approved by a later process */
        (told == APPROVED && crashes == 0 && !first && ended);
#elif REACH == 4        /* a hold that arrived after its undoing, refused */
        (tombstoned && reversal == CLOSED);
#elif REACH == 5        /* declined without a reversal: nothing can be held */
        (told == DECLINED && ended && reversal == 0);
#elif REACH == 6        /* a lost log, the decision taken from the witness */
        (lost && told == APPROVED && ended && decision == COMMIT && !first);
#elif REACH == 7        /* a lost log, aborted on evidence */
        (lost && decision == ABORT && ended && reversal == CLOSED);
#elif REACH == 8        /* a lost log that left a hold without a trace */
        (noTrace && network == HELD);
#elif REACH == 9        /* rolled back by hand after COMMIT: parked */
        (byHand && decision == COMMIT && parked[LAST]);
#elif REACH == 10       /* committed by hand after ABORT: parked, its reversal held back or refused */
        (byHand && decision == ABORT && parked[OWN]);
#elif REACH == 11       /* committed by hand before any decision: parked undecided */
        (byHand && decision == BEGUN && parked[OWN]);
#elif REACH == 12       /* a hold that expired after COMMIT: parked */
        (expired && parkedNetwork && told == APPROVED);
#elif REACH == 13       /* an order turned a commit round */
        (turned && decision == ABORT && ended && reversal == CLOSED);
#elif REACH == 14       /* an order turned an abort round */
        (turned && decision == COMMIT && ended && network == SETTLED);
#elif REACH == 15       /* an order took it as it is */
        (accepted && !turned && ended && told == APPROVED);
#endif
    assert(!there)
#endif
}

init {
    atomic {
        for (k : 0 .. LAST) { run Database(k) };
        k = 0;
        run Network(); run Deadline(); run Coordinator(); run Check();
        if :: HANDS > 0 -> run Hands() :: else fi;
        if :: ORDERS > 0 -> run Operator() :: else fi
    }
}
