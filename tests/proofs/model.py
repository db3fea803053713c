"""What must be true of a municipality's shipments: the promises as a model, small enough to be seen to be right.

It is told what happened outside (what the bus was offered and answered, which receipts came, what a person decided)
and says what the journal must say. It shares no table with the product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final

from kpr_sender.model import MessageType, Transport
from kpr_sender.states import Cause, ShipmentState

S = ShipmentState

AFTER_ANSWER: Final = {
    Cause.RECEIPT_OK: S.DELIVERED,
    Cause.RECEIPT_OK_WITH_ERRORS: S.DELIVERED_WITH_ERRORS,
    Cause.RECEIPT_REJECTED: S.REJECTED,
    Cause.ERROR_QUEUE: S.FAULTED,
}
AFTER_DECISION: Final = {
    Cause.PERSON_ARRIVED: S.PUBLISHED,
    Cause.PERSON_NOT_ARRIVED: S.SEALED,
    Cause.PERSON_CANCELS: S.CANCELLED,
    Cause.PERSON_RESENDS: S.SEALED,
}
LET_GO: Final = {Cause.PERSON_NOT_ARRIVED, Cause.PERSON_RESENDS}
VERIFIED: Final = {S.DELIVERED, S.DELIVERED_WITH_ERRORS, S.REJECTED}
LOST: Final = {S.REJECTED, S.FAULTED, S.CANCELLED}
ARRIVED: Final = {S.DELIVERED, S.DELIVERED_WITH_ERRORS}
SIGNALS: Final = {Cause.ACKNOWLEDGED, Cause.MESSAGE_ERROR, Cause.BOUNCED, Cause.SIGNAL_NOTED}
"""What a mail says of a mail."""


class Belief(Enum):
    """What an inbound message is to us."""

    BELIEVED = "believed"
    KEPT = "kept, not believed"
    STRANGER = "FHI's to somebody else who delivers for us"
    FOREIGN = "another's"


@dataclass(frozen=True)
class Meaning:
    """What an inbound message says, told by whoever made it.

    Attributes:
        msg_id: The shipment it is about, as it was called when the message was made.
        message_id: The message-id that it names; empty where it names none.
        acceptable: What it would do if a person accepted it: FHI has signed it, and only its sender is another.
        reads: Whether it can be read, so that its own MsgId counts; else the journal goes by the message-id.
        digest: Of its bytes; empty on the error queue, where the journal keeps none.
        unnamed: It names no shipment, only FHI: it is shown with the oldest that waits.
        settled: Whether we may settle it.
    """

    belief: Belief
    settled: bool
    msg_id: str = ""
    cause: Cause | None = None
    digest: str = ""
    unnamed: bool = False
    message_id: str = ""
    reads: bool = True
    acceptable: Cause | None = None


@dataclass
class Letter:
    """One shipment.

    Attributes:
        payload: Which file it was made of.
        digests: Of the answers that are stored, by the MsgId that they are about; whether they are believed.
        acceptable: What a person's word would make of those that are not.
        earlier: The MsgIds and message-ids that it had before. The bus may be given it once under each message-id, and
            only a person's word gives it another.
        confirmed: A verified positive receipt for its present MsgId has come (G4).
        alarmed: FHI has answered somebody else who delivers for us, and no person has settled that. It is the pair's.
        vouched: A person has said that it has arrived.
        handed_over: The bus may have had it, under one message-id or another.
        transport: Which way it goes under its present ids.
        offered: A transfer was begun under its present ids.
        acknowledged: KPR's message server has said that it has it, under its present ids.
        released: How often a person's word let the very same mail go again, by its message-id.
        signals: Digests of the mails about its mails that are noted.
    """

    msg_id: str
    message_id: str
    type: MessageType
    payload: Path
    state: ShipmentState = S.SEALED
    needs_person: bool = False
    alarmed: bool = False
    settled: bool = False
    confirmed: bool = False
    vouched: bool = False
    handed_over: bool = False
    transport: Transport = Transport.AMQP
    offered: bool = False
    acknowledged: bool = False
    published_at: datetime | None = None
    arrived_at: datetime | None = None
    digests: dict[tuple[str, str], bool] = field(default_factory=dict)
    acceptable: dict[tuple[str, str], Cause] = field(default_factory=dict)
    earlier: list[tuple[str, str]] = field(default_factory=list)
    released: Counter[str] = field(default_factory=Counter)
    signals: set[str] = field(default_factory=set)

    @property
    def msg_ids(self) -> set[str]:
        return {self.msg_id, *(msg_id for msg_id, _ in self.earlier)}

    @property
    def message_ids(self) -> set[str]:
        return {self.message_id, *(message_id for _, message_id in self.earlier)}

    @property
    def may_be_published(self) -> bool:
        return self.state is S.SEALED and not self.needs_person and not self.alarmed

    @property
    def is_kept(self) -> bool:
        """Whether nothing takes its place but another file."""
        return self.state is S.DELIVERED or (self.state is S.DELIVERED_WITH_ERRORS and self.settled)

    @property
    def unbelieved(self) -> int:
        return sum(not believed for (about, _), believed in self.digests.items() if about == self.msg_id)

    @property
    def has_ended(self) -> bool:
        """Whether nobody need do anything any more."""
        return not self.alarmed and (self.settled or (self.state is S.DELIVERED and not self.needs_person))

    def answer(self, meaning: Meaning, at: datetime) -> None:
        """Let an answer take effect: once, and only where nothing contradicts it."""
        if meaning.cause in SIGNALS:
            self._signal(meaning, at)
            return
        if meaning.belief is Belief.STRANGER:
            self.digests["stranger", meaning.digest] = True
            self.alarmed = True
            return
        believed = meaning.belief is Belief.BELIEVED
        about = meaning.msg_id if meaning.reads and not meaning.unnamed else self.msg_id
        known = (about, meaning.digest)
        if meaning.digest and not meaning.reads and any(digest == meaning.digest for _, digest in self.digests):
            return  # it is stored, and shown with the MsgId that it came for
        if meaning.digest and (self.digests.get(known) or (known in self.digests and not believed)):
            return
        if meaning.digest:
            self.digests[known] = believed
        if not believed or meaning.cause is None:
            if meaning.acceptable is not None:
                self.acceptable[known] = meaning.acceptable
        elif meaning.cause is Cause.ERROR_QUEUE:
            if meaning.message_id == self.message_id and self.state in {S.SEALED, S.PUBLISHED, S.IN_DOUBT}:
                self.state, self.settled = S.FAULTED, False
        else:
            self._receipt(about, meaning.cause)

    def _signal(self, meaning: Meaning, at: datetime) -> None:
        """What a mail says of a mail: once, of the present one alone, and less than any verified receipt.

        What KPR's message server says, it signs: the later of an Acknowledgment and a MessageError counts. Nobody
        signs a bounce, which counts while nothing else is known.
        """
        if self.transport is not Transport.EDI or meaning.digest in self.signals:
            return
        self.signals.add(meaning.digest)
        if meaning.message_id != self.message_id:
            return
        waits = self.state in {S.PUBLISHED, S.IN_DOUBT}
        went_again = self.state is S.SEALED and self.offered and not self.needs_person
        if meaning.cause is Cause.ACKNOWLEDGED:
            if self.state in VERIFIED | {S.PUBLISHED, S.CANCELLED}:
                self.acknowledged = True
            elif self.state in {S.IN_DOUBT, S.FAULTED} or went_again:
                known, self.acknowledged = self.published_at, True
                self.told(S.PUBLISHED, known or at)
        elif (meaning.cause is Cause.MESSAGE_ERROR and (waits or went_again)) or (
            meaning.cause is Cause.BOUNCED and waits and not (self.state is S.PUBLISHED and self.acknowledged)
        ):
            self.state, self.settled = S.FAULTED, False

    def may_accept(self, known: tuple[str, str]) -> bool:
        """Whether an answer that is stored is a person's to accept."""
        return known in self.acceptable and not self.digests[known]

    def accept(self, known: tuple[str, str]) -> None:
        """A person says that an answer is FHI's, though its sender says another."""
        self.digests[known] = True
        self._receipt(known[0], self.acceptable[known])

    def _receipt(self, about: str, cause: Cause) -> None:
        """A verified receipt: for the present MsgId it counts in every state that has none."""
        if about != self.msg_id:
            if cause is not Cause.RECEIPT_REJECTED:  # the answer for which it was given up
                self.needs_person, self.settled = True, False
            return
        self.confirmed |= cause is Cause.RECEIPT_OK
        following = AFTER_ANSWER[cause]
        if self.state not in VERIFIED:
            self.state, self.settled = following, False
        elif self.state is not following:
            self.needs_person, self.settled = True, False

    def told(self, state: ShipmentState, at: datetime) -> None:
        """Let the bus's outcome, or the want of one, take effect."""
        self.state, self.settled = state, False
        self.published_at = at if state is S.PUBLISHED else self.published_at
        self.handed_over |= state in {S.PUBLISHED, S.IN_DOUBT}

    def is_overdue(self, limit: timedelta, now: datetime) -> bool:
        """Whether its receipt should have come; a clock that was set back makes nothing old."""
        since = max(filter(None, (self.published_at, self.arrived_at)), default=now)
        return self.state is S.PUBLISHED and now - since > limit

    def begin(self) -> None:
        """Let a transfer begin."""
        self.state, self.offered = S.PUBLISHING, True

    def decide(self, cause: Cause, at: datetime, ids: tuple[str, str], transport: Transport | None) -> None:
        """Let a person's decision take effect; ``ids`` are the MsgId and message-id that the journal has after it."""
        if cause is Cause.PERSON_SETTLES:
            if not self.alarmed:
                self.needs_person, self.settled = False, True
            self.alarmed = False  # alone, whatever else the shipment needs
            return
        if cause in LET_GO:
            self._let_go(cause, ids)
            self.transport = transport or self.transport
        known = self.published_at
        self.told(AFTER_DECISION[cause], at)
        if cause is Cause.PERSON_ARRIVED:
            self.vouched, self.arrived_at, self.published_at = True, at, known or at

    def _let_go(self, cause: Cause, ids: tuple[str, str]) -> None:
        """It goes again: under ids that the bus has not seen, and a MsgId that has no negative answer (G3).

        A mail has its message-id inside: as long as nobody has acknowledged it, it goes again as it is.
        """
        rejected, unseen = self.state is S.REJECTED, self.state is S.CANCELLED and not self.handed_over
        by_mail = self.transport is Transport.EDI
        as_it_is = by_mail and cause is Cause.PERSON_NOT_ARRIVED and not self.acknowledged
        keeps_id = as_it_is or (unseen and not by_mail)
        before = (self.msg_id, self.message_id)
        if ids == before and not keeps_id:
            return  # not yet: the journal does not have the decision
        assert (ids[0] != before[0]) == rejected, "a new MsgId after a negative receipt, and only then"
        assert (ids[1] != before[1]) != keeps_id, "a message-id that the bus may have seen is dropped there"
        self.earlier.append(before)
        self.released[self.message_id] += as_it_is
        self.offered, self.acknowledged = self.offered and as_it_is, False
        self.msg_id, self.message_id = ids
        self.needs_person = self.vouched = self.confirmed = False
        self.published_at = None


@dataclass
class Pair:
    """One submission."""

    submission_id: str
    extract: int
    replaces: str | None
    letters: tuple[Letter, ...]

    @property
    def next(self) -> Letter | None:
        """The shipment that a run must try to publish."""
        return next((letter for letter in self.letters if letter.may_be_published), None)

    @property
    def blocks_replacement(self) -> bool:
        """Whether one of the pair could still arrive without our knowing."""
        return any(
            letter.state in {S.IN_DOUBT, S.PUBLISHING}
            or letter.alarmed
            or (letter.state is S.PUBLISHED and not letter.settled)
            or (letter.state is S.SEALED and not letter.may_be_published)
            for letter in self.letters
        )

    def exit_codes(self, last_error_code: int | None, *, overdue: bool) -> set[int]:
        """Return the exit codes that are right for this pair (README, exit codes)."""
        letters = [letter for letter in self.letters if not letter.settled]
        alarmed = any(letter.alarmed for letter in self.letters)
        if all(letter.state is S.DELIVERED and not letter.needs_person for letter in letters):
            return {82} if alarmed else {0}
        states = {letter.state for letter in letters}
        open_and_unbelieved = any(one.unbelieved > 0 and one.state in {S.SEALED, S.PUBLISHED} for one in letters)
        table = (
            (bool(states & {S.IN_DOUBT, S.PUBLISHING}), {83}),
            (open_and_unbelieved, {76}),
            (alarmed or any(letter.needs_person for letter in letters), {82}),
            (bool(states & LOST and states & ARRIVED), {82}),
            (S.DELIVERED_WITH_ERRORS in states, {82}),
            (S.CANCELLED in states and not states & {S.REJECTED, S.FAULTED}, {82}),
            (bool(states & {S.REJECTED, S.FAULTED}), {81}),
            (last_error_code is not None, {last_error_code or 0}),
            (overdue, {84}),
            (S.SEALED in states, {90}),
        )
        return next((codes for holds, codes in table if holds), {80})


@dataclass
class Model:
    """All submissions, the oldest first."""

    pairs: list[Pair] = field(default_factory=list)

    @property
    def letters(self) -> Iterator[Letter]:
        return iter({id(letter): letter for pair in self.pairs for letter in pair.letters}.values())

    def letter(self, msg_id: str) -> Letter:
        return next(letter for letter in self.letters if msg_id in letter.msg_ids)

    def pair_of(self, letter: Letter) -> Pair:
        return next(pair for pair in self.pairs if letter in pair.letters)

    def answered(self, msg_id: str, meaning: Meaning, at: datetime) -> None:
        """Let an answer to a shipment take effect, on its pair where it is an alarm."""
        letter = self.letter(msg_id)
        letter.answer(meaning, at)
        self._alarm_both(letter)

    def decided(
        self, msg_id: str, cause: Cause, at: datetime, ids: tuple[str, str], transport: Transport | None = None
    ) -> None:
        """Let a person's decision on a shipment take effect, on its pair where it ends an alarm."""
        letter = self.letter(msg_id)
        letter.decide(cause, at, ids, transport)
        self._alarm_both(letter)

    def _alarm_both(self, letter: Letter) -> None:
        for half in self._made_for(self.pair_of(letter)):
            half.alarmed = letter.alarmed

    def _made_for(self, pair: Pair) -> list[Letter]:
        return [letter for letter in pair.letters if self.pair_of(letter) is pair]

    def may_replace(self, payloads: tuple[Path, ...]) -> bool:
        """Whether the newest pair may be replaced by these files: none of them goes twice, what FHI has is kept."""
        pair = self.pairs[-1]
        known = [letter for letter in self.letters if letter.payload in payloads]
        return not pair.blocks_replacement and all(one in pair.letters and one.is_kept for one in known)

    def is_replaced(self, pair: Pair) -> bool:
        return any(other.replaces == pair.submission_id for other in self.pairs)

    def of_extract(self, extract: int) -> Pair | None:
        return next((pair for pair in self.pairs if pair.extract == extract), None)

    def replaced(self) -> None:
        """Let the newest pair be replaced: what the bus never had is given up."""
        for letter in self.pairs[-1].letters if self.pairs else ():
            if letter.state is S.SEALED:
                letter.state = S.CANCELLED

    def recovered(self) -> None:
        """Let a new run begin: what was being published is in doubt."""
        for letter in self.letters:
            if letter.state is S.PUBLISHING:
                letter.state, letter.handed_over = S.IN_DOUBT, True

    def may_decide(self, msg_id: str, cause: Cause) -> bool:
        """Whether this is a person's to decide now."""
        letter = self.letter(msg_id)
        if cause in LET_GO and self.is_replaced(self.pair_of(letter)):
            return False
        if cause is Cause.PERSON_SETTLES:
            calls = {
                S.PUBLISHED: letter.unbelieved > 0 or letter.needs_person,
                S.DELIVERED: letter.needs_person,
                **dict.fromkeys((S.DELIVERED_WITH_ERRORS, S.REJECTED, S.FAULTED, S.CANCELLED), True),
            }
            return letter.alarmed or (calls.get(letter.state, False) and not letter.settled)
        if cause is Cause.PERSON_RESENDS:
            return letter.state in {S.REJECTED, S.FAULTED} or (letter.state is S.CANCELLED and not letter.handed_over)
        if letter.state is S.SEALED:
            return cause is Cause.PERSON_CANCELS or (cause is Cause.PERSON_NOT_ARRIVED and letter.needs_person)
        if letter.state is S.CANCELLED:
            return cause is Cause.PERSON_NOT_ARRIVED and letter.handed_over
        return letter.state in {S.PUBLISHED, S.IN_DOUBT}

    def other_way(self, msg_id: str, transport: Transport) -> list[Letter]:
        """What a person's word sends another way, the named half first; nothing where that is not a person's to say."""
        letter = self.letter(msg_id)
        pair = self.pair_of(letter)
        halves = [one for one in self._made_for(pair) if one.state not in ARRIVED]
        with_fhi = any(one.state in {S.IN_DOUBT, S.PUBLISHED} for one in halves)
        if letter not in halves or with_fhi or self.is_replaced(pair):
            return []
        if letter.may_be_published and all(one.transport is transport for one in halves):
            return []
        if not all(one.may_be_published or self.may_decide(one.msg_id, Cause.PERSON_RESENDS) for one in halves):
            return []
        return [letter, *(one for one in halves if one is not letter and one.transport is not transport)]

    def way_on(self, letter: Letter) -> Cause | None:
        """What brings a shipment further that only a person can bring further; None where nobody need or can."""
        ways = (Cause.PERSON_RESENDS, Cause.PERSON_NOT_ARRIVED, Cause.PERSON_SETTLES, Cause.PERSON_CANCELS)
        open_ways = (cause for cause in ways if self.may_decide(letter.msg_id, cause))
        return None if letter.has_ended or letter.may_be_published else next(open_ways, None)

    def about(self, meaning: Meaning) -> list[Letter]:
        """Return the shipments that an inbound message may be about, those of the newest pair first."""
        if meaning.belief is Belief.FOREIGN:
            return []
        if meaning.belief is Belief.STRANGER:
            known = any(("stranger", meaning.digest) in letter.digests for letter in self.letters)
            return [] if known or not self.pairs else self._made_for(self.pairs[-1])[:1]
        if meaning.unnamed:
            if any(digest == meaning.digest for letter in self.letters for _, digest in letter.digests):
                return []  # it is stored, and shown where it was when it came first
            oldest_first = (letter for pair in self.pairs for letter in pair.letters)
            waiting = {S.PUBLISHED, S.IN_DOUBT}
            return [one for one in oldest_first if one.state in waiting and not one.settled][:1]
        return [self.letter(meaning.msg_id)]
