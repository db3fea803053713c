/* One shipment, two machines, one lease: what reaches the bus, whatever fails. docs/model.md explains it.
 *
 * Every option of a process is one atomic step, as in the product: a transaction, a look at the clock, a packet. Time goes
 * in ticks. A run is a holder from when it has taken the lease. Faults are bounded in number (FAULTS), not by kind.
 *
 * -D NO_FENCE and the like break one rule each: tests/proofs/test_model.py has the list, and what spin must find.
 */

#define LEASE 1           /* ticks: a session that is silent for so long is ended by the server */
#define PUBLISH 1         /* publish_timeout: a transfer without an outcome is broken off */
#define IDLE 1            /* idle_timeout: the bus ends a connection that is silent */

#ifndef FAULTS
#define FAULTS 2          /* crashes, stops, cuts, lost answers, refusals: in all */
#endif
#ifndef WORDS
#define WORDS 1           /* how often a person lets the content go again */
#endif
#ifndef ANSWERS
#define ANSWERS 1         /* of FHI's */
#endif
#ifndef FAILOVERS
#define FAILOVERS 1
#endif

#ifdef NOT_ARRIVED_TOO_EARLY
#define QUIET (LEASE + PUBLISH + IDLE - 1)
#else
#define QUIET (LEASE + PUBLISH + IDLE)
#endif
#ifdef BUS_WAITS_LONGER
#define BUS_IDLE (IDLE + 1)
#else
#define BUS_IDLE IDLE
#endif

/* -- what is stored ---------------------------------------------------------------------------------------------- */

typedef Record {          /* the shipment's row in a server's database, and its lease's */
  byte state;
  bit needs_person;
  bit settled;
  bit alarm;
  bit handed_over;
  byte early;             /* the answer that waits for the bus's outcome */
  byte message_id;        /* the present one; no number is used twice */
  byte msg_id;            /* the present one: the number of the first message-id that it had */
  byte msg_ids;           /* all that it had, a bit each */
  byte owner;             /* whose fence is the highest: machine + 1 */
  bit foreign;            /* publishing was begun under an earlier fence */
  byte quiet;             /* ticks before a person may let it go */
  bit lost;               /* it is in doubt because a holder or a database was lost */
  bit known               /* the journal names the timeline that it is on */
};

Record r[2];              /* of the first server, and of the standby once it has fallen behind */
byte primary;
byte standby;             /* 0: it follows; 1: it has fallen behind; 2: it has taken over */

/* -- machines ---------------------------------------------------------------------------------------------------- */

#define OUT 0             /* where a machine's run is: there is none */
#define HOLDS 1           /* it has taken the lease */
#define WORKS 2           /* it has recovered what was left, and has not done anything yet */
#define DONE 3            /* it has done something, and may end */
#define BEGUN 4           /* publishing is committed */
#define CHECKED 5         /* its last heartbeat is younger than the lease */
#define SENDING 6         /* the first byte is out */
#define ENDING 7          /* it knows the outcome */
#define STORED 8          /* an answer is stored, and not settled on the queue yet; 9: that in the second place */

#define NOTHING 0         /* how far a transfer has come */
#define FIRST 1           /* some bytes are out */
#define ALL 2             /* the last one has left the process */
#define THERE 3           /* the bus has it */
#define NEVER 4           /* it is certain that the bus will not have it */
#define UNKNOWN 5         /* cut off with the last byte out */

typedef Machine {
  byte at;
  bit session;            /* the server has its lease's session */
  byte age;               /* of its last heartbeat, by its own monotonic clock */
  bit stopped;            /* SIGSTOP */
  bit on;                 /* the server that it writes to */
  bit ahead;              /* its mark has a step that the standby does not have */
  byte link;              /* its transfer */
  byte sends;             /* under which message-id */
  byte since;             /* ticks since the first byte */
  byte silent;            /* ticks that the bus has heard nothing */
  byte outcome;
  byte flying;            /* a message-id + 1: it is on the way though its run has given up or is gone */
  byte flies              /* ticks */
};

Machine m[2];

/* -- the world --------------------------------------------------------------------------------------------------- */

byte faults = FAULTS;
byte words = WORDS;
byte answers = ANSWERS;
byte last_id;             /* message-ids that ever were */
byte msg_of[WORDS + 1];   /* the MsgId of each */
byte arrived;             /* which of them FHI has, a bit each */

typedef Answer {
  byte says;              /* 0: the place is free */
  byte id;                /* the message-id that it is about */
  bit stored
};
Answer queue[2];

byte copies;              /* of the content at the bus */
byte allowed = 1;         /* one; after a person's word one more than there were when it was said */
byte remains;             /* which exception of docs/guarantees.md has happened */
#define STOPPED_BEFORE_FIRST_BYTE 1
#define STILL_ON_THE_WAY 2

#include "states.pml"

#define runs(h) (!m[h].stopped)
#define mine(h) r[m[h].on]
#define fresh(h) (m[h].age < LEASE)
#define idle(h) (runs(h) && (m[h].at == WORKS || m[h].at == DONE))
#define answer_waits (queue[0].says || queue[1].says)
#define publishable(x) (r[x].state == SEALED && !r[x].needs_person && !r[x].alarm)
#define complete(x) (!r[x].alarm && !r[x].needs_person && \
  (r[x].settled || r[x].state == DELIVERED || r[x].state == CANCELLED))
#ifdef NO_TIMELINE
#define restored(h) (false)
#else
#define restored(h) (!mine(h).known || (standby == 2 && m[h].ahead))
#endif
#ifdef NO_FENCE
#define may_write(h) (true)
#else
#define may_write(h) (m[h].on == server_of(h) && mine(h).owner == h + 1)
#endif
#ifdef NO_MONOTONIC_CHECK
#define may_begin(h) (true)
#else
#define may_begin(h) (fresh(h))
#endif
#ifdef OLD_PRIMARY_GOES_ON
#define server_of(h) (m[h].on)
#define has_lease(h) (m[h].session && m[h].on == primary)
#else
#define server_of(h) (primary)
#define has_lease(h) (m[h].session)
#endif
#define lease_is_free (!has_lease(0) && !has_lease(1))

inline connect_again(h) { /* a run whose server is gone reaches the one that took over */
#if defined(NO_FENCE) || defined(RECONNECTS)
  m[h].on = server_of(h)
#else
  skip
#endif
}

inline leave(h) {         /* a run ends */
  m[h].at = OUT; m[h].age = 0; m[h].on = 0; m[h].outcome = 0; m[h].sends = 0;
  m[h].link = NOTHING; m[h].since = 0; m[h].silent = 0; m[h].stopped = 0
}

inline give_up(h) {       /* what the process has handed over may still be on the way */
  if
  :: m[h].link == ALL -> m[h].flying = m[h].sends + 1; m[h].flies = m[h].silent
  :: else
  fi;
  m[h].link = NOTHING; m[h].since = 0; m[h].silent = 0; m[h].sends = 0
}

inline wrote(h) {         /* a machine's mark follows what it writes */
  if
  :: standby == 1 && m[h].on == 0 -> m[h].ahead = 1
  :: else
  fi
}

inline copy_record() {    /* the standby falls behind: what is written from now on it does not have */
  r[1].state = r[0].state; r[1].needs_person = r[0].needs_person; r[1].settled = r[0].settled;
  r[1].alarm = r[0].alarm; r[1].handed_over = r[0].handed_over; r[1].early = r[0].early;
  r[1].message_id = r[0].message_id; r[1].msg_id = r[0].msg_id; r[1].msg_ids = r[0].msg_ids;
  r[1].owner = r[0].owner; r[1].foreign = r[0].foreign; r[1].quiet = r[0].quiet; r[1].lost = r[0].lost
}

inline forget_record() {
  r[0].state = 0; r[0].needs_person = 0; r[0].settled = 0; r[0].alarm = 0; r[0].handed_over = 0; r[0].early = 0;
  r[0].message_id = 0; r[0].msg_id = 0; r[0].msg_ids = 0; r[0].owner = 0; r[0].foreign = 0; r[0].quiet = 0;
  r[0].lost = 0; r[0].known = 0
}

inline reaches_bus(id) {
  copies++;
  arrived = arrived | (1 << (id));
#if defined(NO_STOP_EXCUSES)
  assert(copies <= allowed || remains & STILL_ON_THE_WAY)
#elif defined(NO_DOUBT_EXCUSES)
  assert(copies <= allowed || remains & STOPPED_BEFORE_FIRST_BYTE)
#else
  assert(copies <= allowed || remains)
#endif
}

inline let_go(h) {        /* a person's word: the content may go once more, under a message-id that nobody has seen */
  words--;
  allowed = copies + 1;
  if
  :: (m[0].flying || m[1].flying) && !mine(h).lost -> remains = remains | STILL_ON_THE_WAY
  :: else
  fi;
  last_id++;
  if
  :: mine(h).state == REJECTED -> mine(h).msg_id = last_id; mine(h).msg_ids = mine(h).msg_ids | (1 << last_id)
  :: else
  fi;
  msg_of[last_id] = mine(h).msg_id;
  mine(h).message_id = last_id
}

inline store(h, place) {   /* one transaction; bytes that are stored already change nothing */
  if
  :: queue[place].stored
  :: else ->
    queue[place].stored = 1;
    if
    :: queue[place].says == ERROR_QUEUE ->
      about_earlier = (queue[place].id != mine(h).message_id);
      happens(m[h].on, ERROR_QUEUE)
    :: else ->
      if
      :: mine(h).msg_ids & (1 << msg_of[queue[place].id]) ->
        about_earlier = (msg_of[queue[place].id] != mine(h).msg_id);
        happens(m[h].on, queue[place].says)
      :: else -> happens(m[h].on, RECEIPT_UNKNOWN)
      fi
    fi;
    wrote(h)
  fi
}

inline settle(place) {
  queue[place].says = 0; queue[place].id = 0; queue[place].stored = 0
}

inline decides(h, what) {
  happens(m[h].on, what);
  wrote(h);
  m[h].at = DONE
}

#define RECORD now.r[now.m[PRuns->h].on]
#define offers(what) c_expr { TABLE[ \
  RECORD.state == SEALED && RECORD.needs_person ? SEALED_NEEDS_PERSON : \
  RECORD.state == PUBLISHED && RECORD.settled ? PUBLISHED_SETTLED : \
  RECORD.state == CANCELLED && !RECORD.handed_over ? CANCELLED_NEVER_THERE : RECORD.state][what] }

/* Whatever a run does, one step each. A machine has one run at a time. */
proctype Runs(byte h) {
end:
  do
  :: d_step { m[h].at == OUT && (h == 0 || r[primary].owner) && lease_is_free && !m[h].flying && (!complete(primary) || answer_waits) ->
      m[h].at = HOLDS; m[h].session = 1; m[h].age = 0; m[h].on = primary;
      r[primary].owner = h + 1;
      r[primary].foreign = (r[primary].state == PUBLISHING);
      if
      :: standby == 1 -> m[h].ahead = 1
      :: else
      fi
    }
  /* What an earlier run left in the middle of a transfer is in doubt. */
  :: d_step { runs(h) && m[h].at == HOLDS && !(restored(h)) && may_write(h) ->
      m[h].at = WORKS;
      if
      :: mine(h).state == PUBLISHING ->
        if
        :: mine(h).foreign -> mine(h).quiet = QUIET; mine(h).lost = 1
        :: else
        fi;
#ifdef RECOVERS_AS_NOT_SENT
        happens(m[h].on, NOT_SENT);
#else
        happens(m[h].on, NO_OUTCOME);
#endif
        mine(h).foreign = 0;
        wrote(h);
        m[h].at = DONE
      :: else
      fi
    }
  /* A person accepts a database that was restored or has failed over: nothing in it goes by itself. */
  :: d_step { runs(h) && m[h].at == HOLDS && restored(h) && may_write(h) ->
      if
      :: mine(h).state == SEALED -> happens(m[h].on, RESTORED)
      :: else
      fi;
      mine(h).known = 1; m[h].ahead = 0; mine(h).lost = 1;
#ifndef NO_WAIT_AFTER_FAILOVER
      mine(h).quiet = QUIET;
#endif
    }
  /* Publish: first the journal, then the bytes, then the outcome. */
  :: d_step { idle(h) && may_write(h) && publishable(m[h].on) && !m[h].flying ->
      happens(m[h].on, PUBLISH_BEGINS);
      mine(h).lost = 0; mine(h).quiet = 0;
      m[h].sends = mine(h).message_id;
      wrote(h);
      m[h].at = BEGUN
    }
  :: d_step { idle(h) && may_write(h) && publishable(m[h].on) && faults && m[h].at == WORKS ->
      faults--;           /* the answer to the commit is lost */
      happens(m[h].on, PUBLISH_BEGINS);
      mine(h).lost = 0; mine(h).quiet = 0;
      wrote(h);
      leave(h); m[h].session = 0
    }
  :: d_step { runs(h) && m[h].at == BEGUN && may_begin(h) -> m[h].at = CHECKED }
  :: d_step { runs(h) && m[h].at == BEGUN && !may_begin(h) -> m[h].at = ENDING; m[h].outcome = NOT_SENT; m[h].sends = 0 }
  :: d_step { runs(h) && m[h].at == CHECKED -> m[h].at = SENDING; m[h].link = FIRST }
  :: d_step { runs(h) && m[h].at == SENDING && m[h].link == FIRST -> m[h].link = ALL }
  :: d_step { runs(h) && m[h].at == SENDING && m[h].link == FIRST && (faults || m[h].since == PUBLISH) ->
      if
      :: m[h].since == PUBLISH
      :: else -> faults--
      fi;
      give_up(h); m[h].at = ENDING; m[h].outcome = NOT_SENT
    }
  :: d_step { runs(h) && m[h].at == SENDING && m[h].link == NEVER -> give_up(h); m[h].at = ENDING; m[h].outcome = NOT_SENT }
  :: d_step { runs(h) && m[h].at == SENDING && m[h].link == THERE -> give_up(h); m[h].at = ENDING; m[h].outcome = ACCEPTED }
  :: d_step { runs(h) && m[h].at == SENDING && m[h].link == UNKNOWN -> give_up(h); m[h].at = ENDING; m[h].outcome = NO_OUTCOME }
  :: d_step { runs(h) && m[h].at == SENDING && (m[h].link == THERE || m[h].link == ALL) &&
      (faults || m[h].since == PUBLISH) ->
      if                  /* the connection is lost, or it takes too long */
      :: m[h].since == PUBLISH
      :: else -> faults--
      fi;
      give_up(h); m[h].at = ENDING; m[h].outcome = NO_OUTCOME
    }
  :: d_step { runs(h) && m[h].at == ENDING ->
      connect_again(h);
      if
      :: may_write(h) && mine(h).state == PUBLISHING ->
        happens(m[h].on, m[h].outcome);
        mine(h).foreign = 0;
        wrote(h);
        m[h].at = DONE; m[h].outcome = 0
      :: else ->          /* a stale holder's outcome is evidence, and moves nothing */
        leave(h); m[h].session = 0
      fi
    }
  /* Answers: stored in one transaction, settled on the queue after it. */
  :: d_step { idle(h) && may_write(h) && queue[0].says -> store(h, 0); m[h].at = STORED }
  :: d_step { idle(h) && may_write(h) && queue[1].says -> store(h, 1); m[h].at = STORED + 1 }
  :: d_step { runs(h) && m[h].at == SENDING && may_write(h) && queue[0].says && !queue[0].stored -> store(h, 0) }
  :: d_step { runs(h) && m[h].at == STORED -> settle(0); m[h].at = DONE }
  :: d_step { runs(h) && m[h].at == STORED + 1 -> settle(1); m[h].at = DONE }
  /* A person's decisions, each a run of its own or within one. */
  :: d_step { idle(h) && may_write(h) && words && mine(h).quiet == 0 && offers(PERSON_NOT_ARRIVED) ->
      let_go(h); decides(h, PERSON_NOT_ARRIVED) }
  :: d_step { idle(h) && may_write(h) && words && mine(h).quiet == 0 && offers(PERSON_RESENDS) ->
      let_go(h); decides(h, PERSON_RESENDS) }
  :: d_step { idle(h) && may_write(h) && mine(h).state == IN_DOUBT && offers(PERSON_ARRIVED) ->
      decides(h, PERSON_ARRIVED) }
  :: d_step { idle(h) && may_write(h) && offers(PERSON_CANCELS) -> decides(h, PERSON_CANCELS) }
  :: d_step { idle(h) && may_write(h) && (!complete(m[h].on)) && (mine(h).alarm || offers(PERSON_SETTLES)) ->
      decides(h, PERSON_SETTLES) }
  /* It ends: by itself, or since it finds that it is not the holder any more. */
  :: d_step { runs(h) && m[h].at == DONE && may_write(h) -> leave(h); m[h].session = 0 }
  :: d_step { runs(h) && (m[h].at == HOLDS || m[h].at == WORKS || m[h].at == DONE || m[h].at >= STORED) && !may_write(h) ->
#if defined(RECONNECTS)
      if
      :: m[h].on != server_of(h) && m[h].at != HOLDS && r[server_of(h)].owner == h + 1 -> connect_again(h)
      :: else -> leave(h); m[h].session = 0
      fi
#else
      leave(h); m[h].session = 0
#endif
    }
  od
}

/* The bus: it stores what reaches it, refuses it, or ends a connection that is silent. */
proctype Bus(byte h) {
end:
  do
  :: d_step { m[h].link == ALL -> m[h].link = THERE; m[h].silent = 0; reaches_bus(m[h].sends) }
  :: d_step { m[h].link == ALL && faults -> faults--; m[h].link = NEVER }
  :: d_step { (m[h].link == FIRST || m[h].link == ALL) && m[h].stopped && m[h].silent == BUS_IDLE ->
      if
      :: m[h].link == FIRST -> m[h].link = NEVER
      :: else -> m[h].link = UNKNOWN
      fi
    }
  :: d_step { m[h].flying -> reaches_bus(m[h].flying - 1); m[h].flying = 0; m[h].flies = 0 }
  :: d_step { m[h].flying -> m[h].flying = 0; m[h].flies = 0 }
  od
}

#define FREE(place) (queue[place].says == 0)
#define ANSWER(id_, what_) \
  :: d_step { answers && (arrived & (1 << id_)) && (FREE(0) || FREE(1)) -> \
      answers--; \
      if \
      :: FREE(0) -> queue[0].says = what_; queue[0].id = id_ \
      :: else -> queue[1].says = what_; queue[1].id = id_ \
      fi \
    }
#define ANY_ANSWER(id) ANSWER(id, RECEIPT_OK) ANSWER(id, RECEIPT_OK_WITH_ERRORS) ANSWER(id, RECEIPT_REJECTED) \
  ANSWER(id, ERROR_QUEUE)

/* FHI: it answers what it has, or not, as often and as contradictory as ANSWERS allow, and whenever. */
proctype Fhi() {
end:
  do
  ANY_ANSWER(0)
  ANY_ANSWER(1)
#if WORDS > 1
  ANY_ANSWER(2)
#endif
  od
}

/* The database server: it ends a session that is silent, or any; its standby falls behind and takes over. */
proctype Database() {
end:
  do
  :: d_step { m[0].session && m[0].age >= LEASE -> m[0].session = 0; if :: m[0].at == OUT -> m[0].age = 0 :: else fi }
  :: d_step { m[1].session && m[1].age >= LEASE -> m[1].session = 0; if :: m[1].at == OUT -> m[1].age = 0 :: else fi }
  :: d_step { m[0].session && m[0].at && faults -> faults--; m[0].session = 0 }
  :: d_step { m[1].session && m[1].at && faults -> faults--; m[1].session = 0 }
#if FAILOVERS
  :: d_step { standby == 0 -> standby = 1; copy_record() }
  :: d_step { standby == 1 -> standby = 2; primary = 1;
      queue[0].stored = 0; queue[1].stored = 0;
#ifndef OLD_PRIMARY_GOES_ON
      m[0].session = 0; m[1].session = 0;
      forget_record();
#endif
#ifdef SNAPSHOT
      r[1].known = 1
#else
      r[1].known = 0
#endif
    }
#endif
  od
}

/* Time and processes. Time stands still where the next thing is due. */
#define due(h) ((runs(h) && m[h].at == SENDING && m[h].since == PUBLISH) || (runs(h) && m[h].at == CHECKED) || \
  ((m[h].link == FIRST || m[h].link == ALL) && m[h].stopped && m[h].silent == BUS_IDLE) || \
  (m[h].flying && m[h].flies == BUS_IDLE))
#define ages(h) ((m[h].at || m[h].session) && m[h].age < LEASE && (m[h].stopped || !m[h].session || m[h].at == OUT))
#define passes(h) (ages(h) || (m[h].at == SENDING && m[h].since < PUBLISH) || m[h].flying || \
  (m[h].stopped && (m[h].link == FIRST || m[h].link == ALL)))

inline grows_older(h) {
  if
  :: ages(h) -> m[h].age++
  :: else
  fi;
  if
  :: m[h].at == SENDING && m[h].since < PUBLISH -> m[h].since++
  :: else
  fi;
  if                      /* what runs is heard: it sends heartbeats on the bus, too */
  :: m[h].stopped && (m[h].link == FIRST || m[h].link == ALL) -> m[h].silent++
  :: else -> m[h].silent = 0
  fi;
  if
  :: m[h].flying -> m[h].flies++
  :: else
  fi;
  if
  :: m[h].at == CHECKED -> remains = remains | STOPPED_BEFORE_FIRST_BYTE
  :: else
  fi
}

inline crash(h) {
  faults--;
  give_up(h);
  leave(h)
}

proctype World() {
end:
  do
  :: d_step { !due(0) && !due(1) && (passes(0) || passes(1) || r[primary].quiet) ->
      grows_older(0);
      grows_older(1);
      if
      :: r[primary].quiet -> r[primary].quiet--
      :: else
      fi
    }
  :: d_step { m[0].at && faults -> crash(0); m[0].session = 0 }
  :: d_step { m[0].at && faults && m[0].session -> crash(0) } /* the machine: the server does not notice */
  :: d_step { m[1].at && faults -> crash(1); m[1].session = 0 }
  :: d_step { m[1].at && faults && m[1].session -> crash(1) }
  :: d_step { m[0].at && runs(0) && faults -> faults--; m[0].stopped = 1 }
  :: d_step { m[1].at && runs(1) && faults -> faults--; m[1].stopped = 1 }
  :: d_step { m[0].stopped -> m[0].stopped = 0 }
  :: d_step { m[1].stopped -> m[1].stopped = 0 }
  od
}

proctype Watch() {
end:
  do
  :: timeout -> assert(complete(primary)); break
  od
}

init {
  atomic {
    r[0].state = SEALED; r[0].msg_ids = 1; r[0].known = 1;
    run Runs(0); run Runs(1); run Bus(0); run Bus(1); run Fhi(); run Database(); run World(); run Watch()
  }
}
