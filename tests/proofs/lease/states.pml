/* The rule book as the model has it: kpr_sender/states.py in the model's words. tests/proofs/test_model.py compares every
 * cell with the product's tables, and every change that spin meets with what the product makes of the same.
 */

#define SEALED 1
#define PUBLISHING 2
#define PUBLISHED 3
#define IN_DOUBT 4
#define DELIVERED 5
#define DELIVERED_WITH_ERRORS 6
#define REJECTED 7
#define FAULTED 8
#define CANCELLED 9
/* rows that take the place of a state's for some shipments */
#define SEALED_NEEDS_PERSON 10
#define PUBLISHED_SETTLED 11
#define CANCELLED_NEVER_THERE 12
#define EARLIER 13        /* about an id that the shipment has no more */
#define ROWS 14

#define PUBLISH_BEGINS 1
#define NOT_SENT 2
#define ACCEPTED 3
#define NO_OUTCOME 4
#define RECEIPT_OK 5
#define RECEIPT_OK_WITH_ERRORS 6
#define RECEIPT_REJECTED 7
#define ERROR_QUEUE 8
#define PERSON_ARRIVED 9
#define PERSON_NOT_ARRIVED 10
#define PERSON_CANCELS 11
#define PERSON_RESENDS 12
#define PERSON_SETTLES 13
#define REPLACED 14
#define RESTORED 15
#define RECEIPT_UNVERIFIED 16
#define RECEIPT_UNKNOWN 17
#define CAUSES 18

/* what a cell may be besides a state; 0 is: impossible */
#define IMPOSSIBLE 0
#define WAITS 20
#define AGAIN 21
#define CONTRADICTS 22
#define LESS 23
#define OF_EARLIER 24
#define SETTLES 25
#define ENDS_ALARM 26
#define ALARMS 27
#define NOTED 28
#define TAKEN_AS_SENT 29
#define TAKEN_AS_CANCELLED 30

#define CELL(row, cause, to) [row][cause] = to,

c_decl {
static const unsigned char TABLE[ROWS][CAUSES] = {

  CELL(SEALED, PUBLISH_BEGINS, PUBLISHING)
  CELL(SEALED, RECEIPT_OK, DELIVERED)
  CELL(SEALED, RECEIPT_OK_WITH_ERRORS, DELIVERED_WITH_ERRORS)
  CELL(SEALED, RECEIPT_REJECTED, REJECTED)
  CELL(SEALED, ERROR_QUEUE, FAULTED)
  CELL(SEALED, PERSON_CANCELS, CANCELLED)
  CELL(SEALED, REPLACED, TAKEN_AS_CANCELLED)
  CELL(SEALED, RESTORED, TAKEN_AS_SENT)
  CELL(SEALED, RECEIPT_UNVERIFIED, NOTED)
  CELL(SEALED, RECEIPT_UNKNOWN, ALARMS)

  CELL(PUBLISHING, NOT_SENT, SEALED)
  CELL(PUBLISHING, ACCEPTED, PUBLISHED)
  CELL(PUBLISHING, NO_OUTCOME, IN_DOUBT)
  CELL(PUBLISHING, RECEIPT_OK, WAITS)
  CELL(PUBLISHING, RECEIPT_OK_WITH_ERRORS, WAITS)
  CELL(PUBLISHING, RECEIPT_REJECTED, WAITS)
  CELL(PUBLISHING, ERROR_QUEUE, WAITS)
  CELL(PUBLISHING, RECEIPT_UNVERIFIED, NOTED)
  CELL(PUBLISHING, RECEIPT_UNKNOWN, ALARMS)

  CELL(PUBLISHED, RECEIPT_OK, DELIVERED)
  CELL(PUBLISHED, RECEIPT_OK_WITH_ERRORS, DELIVERED_WITH_ERRORS)
  CELL(PUBLISHED, RECEIPT_REJECTED, REJECTED)
  CELL(PUBLISHED, ERROR_QUEUE, FAULTED)
  CELL(PUBLISHED, PERSON_ARRIVED, PUBLISHED)
  CELL(PUBLISHED, PERSON_NOT_ARRIVED, SEALED)
  CELL(PUBLISHED, PERSON_CANCELS, CANCELLED)
  CELL(PUBLISHED, PERSON_SETTLES, SETTLES)
  CELL(PUBLISHED, RECEIPT_UNVERIFIED, NOTED)
  CELL(PUBLISHED, RECEIPT_UNKNOWN, ALARMS)

  CELL(IN_DOUBT, RECEIPT_OK, DELIVERED)
  CELL(IN_DOUBT, RECEIPT_OK_WITH_ERRORS, DELIVERED_WITH_ERRORS)
  CELL(IN_DOUBT, RECEIPT_REJECTED, REJECTED)
  CELL(IN_DOUBT, ERROR_QUEUE, FAULTED)
  CELL(IN_DOUBT, PERSON_ARRIVED, PUBLISHED)
  CELL(IN_DOUBT, PERSON_NOT_ARRIVED, SEALED)
  CELL(IN_DOUBT, PERSON_CANCELS, CANCELLED)
  CELL(IN_DOUBT, RECEIPT_UNVERIFIED, NOTED)
  CELL(IN_DOUBT, RECEIPT_UNKNOWN, ALARMS)

  CELL(DELIVERED, RECEIPT_OK, AGAIN)
  CELL(DELIVERED, RECEIPT_OK_WITH_ERRORS, CONTRADICTS)
  CELL(DELIVERED, RECEIPT_REJECTED, CONTRADICTS)
  CELL(DELIVERED, ERROR_QUEUE, LESS)
  CELL(DELIVERED, PERSON_SETTLES, SETTLES)
  CELL(DELIVERED, REPLACED, NOTED)
  CELL(DELIVERED, RECEIPT_UNVERIFIED, NOTED)
  CELL(DELIVERED, RECEIPT_UNKNOWN, ALARMS)

  CELL(DELIVERED_WITH_ERRORS, RECEIPT_OK, CONTRADICTS)
  CELL(DELIVERED_WITH_ERRORS, RECEIPT_OK_WITH_ERRORS, AGAIN)
  CELL(DELIVERED_WITH_ERRORS, RECEIPT_REJECTED, CONTRADICTS)
  CELL(DELIVERED_WITH_ERRORS, ERROR_QUEUE, LESS)
  CELL(DELIVERED_WITH_ERRORS, PERSON_SETTLES, SETTLES)
  CELL(DELIVERED_WITH_ERRORS, REPLACED, NOTED)
  CELL(DELIVERED_WITH_ERRORS, RECEIPT_UNVERIFIED, NOTED)
  CELL(DELIVERED_WITH_ERRORS, RECEIPT_UNKNOWN, ALARMS)

  CELL(REJECTED, RECEIPT_OK, CONTRADICTS)
  CELL(REJECTED, RECEIPT_OK_WITH_ERRORS, CONTRADICTS)
  CELL(REJECTED, RECEIPT_REJECTED, AGAIN)
  CELL(REJECTED, ERROR_QUEUE, LESS)
  CELL(REJECTED, PERSON_RESENDS, SEALED)
  CELL(REJECTED, PERSON_SETTLES, SETTLES)
  CELL(REJECTED, REPLACED, NOTED)
  CELL(REJECTED, RECEIPT_UNVERIFIED, NOTED)
  CELL(REJECTED, RECEIPT_UNKNOWN, ALARMS)

  CELL(FAULTED, RECEIPT_OK, DELIVERED)
  CELL(FAULTED, RECEIPT_OK_WITH_ERRORS, DELIVERED_WITH_ERRORS)
  CELL(FAULTED, RECEIPT_REJECTED, REJECTED)
  CELL(FAULTED, ERROR_QUEUE, AGAIN)
  CELL(FAULTED, PERSON_RESENDS, SEALED)
  CELL(FAULTED, PERSON_SETTLES, SETTLES)
  CELL(FAULTED, REPLACED, NOTED)
  CELL(FAULTED, RECEIPT_UNVERIFIED, NOTED)
  CELL(FAULTED, RECEIPT_UNKNOWN, ALARMS)

  CELL(CANCELLED, RECEIPT_OK, DELIVERED)
  CELL(CANCELLED, RECEIPT_OK_WITH_ERRORS, DELIVERED_WITH_ERRORS)
  CELL(CANCELLED, RECEIPT_REJECTED, REJECTED)
  CELL(CANCELLED, ERROR_QUEUE, LESS)
  CELL(CANCELLED, PERSON_NOT_ARRIVED, SEALED)
  CELL(CANCELLED, PERSON_SETTLES, SETTLES)
  CELL(CANCELLED, REPLACED, NOTED)
  CELL(CANCELLED, RECEIPT_UNVERIFIED, NOTED)
  CELL(CANCELLED, RECEIPT_UNKNOWN, ALARMS)

  CELL(SEALED_NEEDS_PERSON, RECEIPT_OK, DELIVERED)
  CELL(SEALED_NEEDS_PERSON, RECEIPT_OK_WITH_ERRORS, DELIVERED_WITH_ERRORS)
  CELL(SEALED_NEEDS_PERSON, RECEIPT_REJECTED, REJECTED)
  CELL(SEALED_NEEDS_PERSON, ERROR_QUEUE, FAULTED)
  CELL(SEALED_NEEDS_PERSON, PERSON_NOT_ARRIVED, SEALED)
  CELL(SEALED_NEEDS_PERSON, PERSON_CANCELS, CANCELLED)
  CELL(SEALED_NEEDS_PERSON, RESTORED, TAKEN_AS_SENT)
  CELL(SEALED_NEEDS_PERSON, RECEIPT_UNVERIFIED, NOTED)
  CELL(SEALED_NEEDS_PERSON, RECEIPT_UNKNOWN, ALARMS)

  CELL(PUBLISHED_SETTLED, RECEIPT_OK, DELIVERED)
  CELL(PUBLISHED_SETTLED, RECEIPT_OK_WITH_ERRORS, DELIVERED_WITH_ERRORS)
  CELL(PUBLISHED_SETTLED, RECEIPT_REJECTED, REJECTED)
  CELL(PUBLISHED_SETTLED, ERROR_QUEUE, FAULTED)
  CELL(PUBLISHED_SETTLED, PERSON_ARRIVED, PUBLISHED)
  CELL(PUBLISHED_SETTLED, PERSON_NOT_ARRIVED, SEALED)
  CELL(PUBLISHED_SETTLED, PERSON_CANCELS, CANCELLED)
  CELL(PUBLISHED_SETTLED, PERSON_SETTLES, SETTLES)
  CELL(PUBLISHED_SETTLED, REPLACED, NOTED)
  CELL(PUBLISHED_SETTLED, RECEIPT_UNVERIFIED, NOTED)
  CELL(PUBLISHED_SETTLED, RECEIPT_UNKNOWN, ALARMS)

  CELL(CANCELLED_NEVER_THERE, RECEIPT_OK, DELIVERED)
  CELL(CANCELLED_NEVER_THERE, RECEIPT_OK_WITH_ERRORS, DELIVERED_WITH_ERRORS)
  CELL(CANCELLED_NEVER_THERE, RECEIPT_REJECTED, REJECTED)
  CELL(CANCELLED_NEVER_THERE, ERROR_QUEUE, LESS)
  CELL(CANCELLED_NEVER_THERE, PERSON_RESENDS, SEALED)
  CELL(CANCELLED_NEVER_THERE, PERSON_SETTLES, SETTLES)
  CELL(CANCELLED_NEVER_THERE, REPLACED, NOTED)
  CELL(CANCELLED_NEVER_THERE, RECEIPT_UNVERIFIED, NOTED)
  CELL(CANCELLED_NEVER_THERE, RECEIPT_UNKNOWN, ALARMS)

  CELL(EARLIER, RECEIPT_OK, CONTRADICTS)
  CELL(EARLIER, RECEIPT_OK_WITH_ERRORS, CONTRADICTS)
  CELL(EARLIER, RECEIPT_REJECTED, AGAIN)
  CELL(EARLIER, ERROR_QUEUE, OF_EARLIER)
  CELL(EARLIER, RECEIPT_UNVERIFIED, NOTED)
  CELL(EARLIER, RECEIPT_UNKNOWN, ALARMS)
};

/* Every change that was met, once: printed when all is explored. */
#define CHANGES 65536
static unsigned long changes[CHANGES];
static void print_changes(void) {
  for (int i = 0; i < CHANGES; i++) if (changes[i]) printf("change %lx\n", changes[i]);
}
static void note_change(unsigned long before, unsigned long cause, unsigned long earlier, unsigned long after) {
  static int begun;
  if (!begun) { begun = 1; atexit(print_changes); }
  unsigned long change = before | after << 16 | cause << 32 | earlier << 40 | 1UL << 48;
  for (unsigned long i = change % 65521;; i = (i + 1) % CHANGES) {
    if (changes[i] == change) return;
    if (!changes[i]) { changes[i] = change; return; }
  }
}
}

#define moves_to(x) (0 < (x) && (x) <= CANCELLED)
#define LETS_GO(c) (c == PERSON_NOT_ARRIVED || c == PERSON_RESENDS)
#define HANDS_OVER(c) (c == ACCEPTED || c == NO_OUTCOME || c == PERSON_ARRIVED)
#define packed(x) (r[x].state | r[x].needs_person << 4 | r[x].settled << 5 | r[x].alarm << 6 | \
  r[x].handed_over << 7 | r[x].early << 8)

hidden byte cell;         /* scratch, inside one step */
hidden byte row;
hidden byte cause;
hidden byte about_earlier;
hidden int before;
hidden int after;

inline look_up(x) {       /* the cell of ``cause`` for a record as it is */
  if
  :: about_earlier -> row = EARLIER
  :: else ->
    if
    :: r[x].state == SEALED && r[x].needs_person -> row = SEALED_NEEDS_PERSON
    :: r[x].state == PUBLISHED && r[x].settled -> row = PUBLISHED_SETTLED
    :: r[x].state == CANCELLED && !r[x].handed_over -> row = CANCELLED_NEVER_THERE
    :: else -> row = r[x].state
    fi
  fi;
  c_code { cell = TABLE[row][cause]; };
  if
  :: !about_earlier && r[x].alarm && (cause == PUBLISH_BEGINS || cause == REPLACED) -> cell = IMPOSSIBLE
  :: !about_earlier && r[x].alarm && cause == PERSON_SETTLES -> cell = ENDS_ALARM
  :: else
  fi
}

inline move(x) {
  r[x].state = cell;
  r[x].settled = 0;
  if
  :: HANDS_OVER(cause) -> r[x].handed_over = 1
  :: else
  fi;
  if
  :: LETS_GO(cause) -> r[x].needs_person = 0
  :: else
  fi
}

inline react(x) {         /* a cell that is no state */
  if
  :: cell == WAITS ->
    if
    :: r[x].early == 0 || r[x].early == cause || r[x].early == ERROR_QUEUE -> r[x].early = cause
    :: else ->
      if
      :: cause != ERROR_QUEUE -> r[x].needs_person = 1; r[x].settled = 0
      :: else
      fi
    fi
  :: cell == CONTRADICTS -> r[x].needs_person = 1; r[x].settled = 0
  :: cell == SETTLES -> r[x].needs_person = 0; r[x].settled = 1
  :: cell == ENDS_ALARM -> r[x].alarm = 0
  :: cell == ALARMS -> r[x].alarm = 1
  :: else
  fi
}

inline happens(x, what) { /* ``apply`` of the product; ``about_earlier`` is set before, and cleared here */
  cause = what;
  before = packed(x);
  look_up(x);
  if
  :: cell == TAKEN_AS_SENT -> r[x].state = IN_DOUBT; r[x].handed_over = 1; r[x].settled = 0
  :: cell == TAKEN_AS_CANCELLED -> r[x].state = CANCELLED; r[x].settled = 0
  :: moves_to(cell) ->
    move(x);
    if
    :: r[x].early ->
      cause = r[x].early;
      r[x].early = 0;
      look_up(x);
      if
      :: moves_to(cell) -> move(x)
      :: else -> react(x)
      fi;
      cause = what
    :: else
    fi
  :: else -> react(x)
  fi;
  after = packed(x);
  c_code { note_change(before, cause, about_earlier, after); };
  about_earlier = 0
}
