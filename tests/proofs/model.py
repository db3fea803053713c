"""What must be true of a municipality's shipments: the promises as a model, small enough to be seen to be right.

It is told what happened outside (what the bus was offered and answered, which receipts came, what a person decided)
and says what the journal must say. It shares no table with the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

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
}
LOST: Final = {S.REJECTED, S.FAULTED, S.CANCELLED}
ARRIVED: Final = {S.DELIVERED, S.DELIVERED_WITH_ERRORS}


class Belief(Enum):
    """What an inbound message is to us."""

    BELIEVED = "believed"
    KEPT = "kept, not believed"
    FOREIGN = "another's"


@dataclass(frozen=True)
class Meaning:
    """What an inbound message says, told by whoever made it.

    Attributes:
        msg_id: The shipment it is about.
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


@dataclass
class Letter:
    """One shipment.

    Attributes:
        allowed: How often the bus may be given it: once, and once more each time a person says it has not arrived.
        confirmed: A verified positive receipt has come (G4).
        vouched: A person has said that it has arrived.
    """

    msg_id: str
    message_id: str
    state: ShipmentState = S.SEALED
    needs_person: bool = False
    unbelieved: bool = False
    allowed: int = 1
    confirmed: bool = False
    vouched: bool = False
    published_at: datetime | None = None
    digests: dict[str, bool] = field(default_factory=dict)

    @property
    def may_be_published(self) -> bool:
        return self.state is S.SEALED and not self.needs_person

    def answer(self, meaning: Meaning) -> None:
        """Let an answer take effect: once, and only where nothing contradicts it."""
        believed = meaning.belief is Belief.BELIEVED
        if meaning.digest and (self.digests.get(meaning.digest) or (meaning.digest in self.digests and not believed)):
            return
        if meaning.digest:
            self.digests[meaning.digest] = believed
        if not believed or meaning.cause is None:
            self.unbelieved = True
            return
        self.confirmed |= meaning.cause is Cause.RECEIPT_OK
        following = AFTER_ANSWER[meaning.cause]
        if self.state in {S.PUBLISHED, S.IN_DOUBT}:
            self.state = following
        elif self.state is not following:
            self.needs_person = True

    def told(self, state: ShipmentState, at: datetime) -> None:
        """Let the bus's outcome, or the want of one, take effect."""
        self.state = state
        self.published_at = at if state is S.PUBLISHED else self.published_at

    def is_overdue(self, limit: timedelta, now: datetime) -> bool:
        """Whether its receipt should have come; a clock that was set back makes nothing old."""
        return self.state is S.PUBLISHED and self.published_at is not None and now - self.published_at > limit

    def decide(self, cause: Cause, at: datetime) -> None:
        """Let a person's decision take effect."""
        self.told(AFTER_DECISION[cause], at)
        self.allowed += cause is Cause.PERSON_NOT_ARRIVED
        self.vouched |= cause is Cause.PERSON_ARRIVED


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
            letter.state in {S.IN_DOUBT, S.PUBLISHING} or (letter.state is S.SEALED and letter.needs_person)
            for letter in self.letters
        )

    def exit_codes(self, last_error_code: int | None, *, overdue: bool) -> set[int]:
        """Return the exit codes that are right for this pair (README, exit codes)."""
        states = {letter.state for letter in self.letters}
        open_and_unbelieved = any(one.unbelieved and one.state in {S.SEALED, S.PUBLISHED} for one in self.letters)
        table = (
            (bool(states & {S.IN_DOUBT, S.PUBLISHING}), {83}),
            (open_and_unbelieved, {76}),
            (any(letter.needs_person for letter in self.letters), {82}),
            (states == {S.DELIVERED}, {0}),
            (bool(states & LOST and states & ARRIVED), {82}),
            (bool(states & {S.REJECTED, S.FAULTED}), {81}),
            (S.CANCELLED in states, {82}),
            (S.SEALED in states, {69 if last_error_code is None else last_error_code}),
            (S.DELIVERED_WITH_ERRORS in states, {82}),
            (last_error_code is not None, {last_error_code or 0}),
            (overdue, {84}),
        )
        return next((codes for holds, codes in table if holds), {80})


@dataclass
class Model:
    """All submissions, the oldest first."""

    pairs: list[Pair] = field(default_factory=list)

    @property
    def letters(self) -> Iterator[Letter]:
        return (letter for pair in self.pairs for letter in pair.letters)

    def letter(self, msg_id: str) -> Letter:
        return next(letter for letter in self.letters if letter.msg_id == msg_id)

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
                letter.state = S.IN_DOUBT

    def may_decide(self, msg_id: str, cause: Cause) -> bool:
        """Whether this is a person's to decide now."""
        letter = self.letter(msg_id)
        if letter.state is S.SEALED:
            return letter.needs_person and cause is Cause.PERSON_CANCELS
        pair = next(pair for pair in self.pairs if letter in pair.letters)
        replaced = any(other.replaces == pair.submission_id for other in self.pairs)
        sends_again = cause is Cause.PERSON_NOT_ARRIVED
        return letter.state in {S.PUBLISHED, S.IN_DOUBT} and not (sends_again and replaced)

    def about(self, meaning: Meaning) -> list[Letter]:
        """Return the shipments that an inbound message may be about, those of the newest pair first."""
        if meaning.belief is Belief.FOREIGN:
            return []
        if meaning.unnamed:
            oldest_first = (letter for pair in self.pairs for letter in pair.letters)
            return [letter for letter in oldest_first if letter.state in {S.PUBLISHED, S.IN_DOUBT}][:1]
        return [self.letter(meaning.msg_id)]
