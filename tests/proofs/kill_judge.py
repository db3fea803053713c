"""What a killed run, and the one after it, must leave: the bus's own ledger is right, the journal is examined."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kpr_sender.fault_points import FaultPoint
from kpr_sender.model import MessageType, Shipment
from kpr_sender.sandbox.ledger import LedgerLine
from kpr_sender.states import ShipmentState
from tests.helpers.figures import figure

_S = ShipmentState

_HELD_BY_BUS: Final = frozenset({_S.PUBLISHED, _S.DELIVERED, _S.DELIVERED_WITH_ERRORS, _S.REJECTED, _S.FAULTED})
_NOT_HELD_BY_BUS: Final = frozenset({_S.SEALED, _S.CANCELLED})
MAY_LEAVE_DOUBT: Final = frozenset(
    {
        FaultPoint.BEFORE_COMMIT,
        FaultPoint.AFTER_COMMIT,
        FaultPoint.AFTER_ATTACH,
        FaultPoint.BEFORE_TRANSFER,
        FaultPoint.MID_TRANSFER,
        FaultPoint.AFTER_TRANSFER,
        FaultPoint.AFTER_OUTCOME,
    }
)
"""Where a shipment may be in the middle of being published. Killed anywhere else, none may ever be in doubt."""


class Answer(enum.Enum):
    """What FHI says to one of the pair, and the state it must end in."""

    POSITIVE = ("", _S.DELIVERED)
    NEGATIVE = ("reject", _S.REJECTED)
    NONE = ("no-answer", _S.PUBLISHED)
    REFUSED = ("message-error", _S.FAULTED)
    RETURNED = ("bounce", _S.FAULTED)

    @property
    def is_receipt(self) -> bool:
        """Whether it is FHI's, and not a message server's."""
        return self in {Answer.POSITIVE, Answer.NEGATIVE}

    @property
    def fault(self) -> str:
        """The sandbox's name for it; nothing for what it does anyway."""
        return self.value[0]

    @property
    def state(self) -> ShipmentState:
        """What a shipment that the bus took must become."""
        return self.value[1]


Answers = dict[MessageType, Answer]


@dataclass
class Found:
    """What a number of cases amounted to.

    Attributes:
        runs: Cases that were killed at each of their stops.
        lost: Shipments that the bus does not have and nobody is told of, and answers that were forgotten.
        duplicated: Shipments that the bus has more than once, however often.
        misclassified: Shipments that are called what the bus's ledger belies.
        in_doubt: Shipments that end in doubt, and are reported so.
        dead_ends: Shipments that no person's word ends.
        wrong: Everything that is not as it must be, in words.
    """

    runs: int = 0
    lost: int = 0
    duplicated: int = 0
    misclassified: int = 0
    in_doubt: int = 0
    dead_ends: int = 0
    wrong: list[str] = field(default_factory=list)

    def require_nothing_wrong(self, name: str, **more: str) -> None:
        """Count it as a proof of this name, and fail where anything is not as it must be, or nothing was killed."""
        figure(
            name,
            **more,
            runs=self.runs,
            lost=self.lost,
            duplicated=self.duplicated,
            misclassified=self.misclassified,
            in_doubt=self.in_doubt,
            dead_ends=self.dead_ends,
        )
        assert not self.wrong, "\n".join(self.wrong)
        assert (self.lost, self.duplicated, self.misclassified, self.dead_ends) == (0, 0, 0, 0)
        assert self.runs, "it was killed"


class Judge:
    """Judges one case: the ledger is right, the journal and the exit code are examined.

    Args:
        answers: What FHI says to each of the pair.
        found: Where it is noted.
        where: What was done, in words.
        acknowledged: Whether what FHI has is acknowledged to us, so that it does not stay in doubt.
    """

    def __init__(self, answers: Answers, found: Found, *, where: str, acknowledged: bool = False) -> None:
        self._answers = answers
        self._found = found
        self._where = where
        self._acknowledged = acknowledged
        self._doubtful: set[MessageType] = set()
        self._unheard: set[MessageType] = set()
        self.kills = 0

    def when_killed(self, shipments: dict[MessageType, Shipment], lines: Sequence[LedgerLine], at: FaultPoint) -> None:
        """Look at what a killed run left."""
        self.kills += 1
        self._compare(shipments, lines)
        publishing = {type_ for type_, shipment in shipments.items() if shipment.state is _S.PUBLISHING}
        if publishing and at not in MAY_LEAVE_DOUBT:
            self.object(f"{sorted(publishing)} is being published at {at}")
        if len(publishing) > 1:
            self.object("both are being published at once")
        self._doubtful |= publishing

    def at_end(self, shipments: dict[MessageType, Shipment], lines: Sequence[LedgerLine], exit_code: int) -> None:
        """Look at what became of the pair after the last start."""
        if set(shipments) != set(MessageType):
            self.object(f"the pair is {sorted(shipments)}")
            return
        self._compare(shipments, lines)
        for type_, shipment in shipments.items():
            received = [line for line in lines if line.type == type_]
            self._found.duplicated += max(0, len(received) - 1)
            self._unheard |= {type_} if not received else set()
            in_doubt = shipment.state is _S.IN_DOUBT
            self._found.in_doubt += in_doubt
            forgotten = self._answers[type_] is not Answer.NONE and shipment.state is not self._answers[type_].state
            self._found.lost += forgotten if received else not in_doubt
            unanswered = self._answers[type_] is Answer.NONE and not self._acknowledged
            may_doubt = type_ in self._doubtful and (not received or unanswered)
            if not (may_doubt if in_doubt else received and shipment.state is self._answers[type_].state):
                self.object(f"{type_} ends as {shipment.state}, received {len(received)} times")
            if [(line.msg_id, line.message_id, line.sha256) for line in received] not in (
                [],
                [(shipment.msg_id, shipment.message_id, shipment.sealed_sha256)],
            ):
                self.object(f"{type_}: the bus has other bytes, or another id, than the journal")
        if any(count > 1 for count in Counter(line.msg_id for line in lines).values()):
            self.object("a MsgId twice")
        expected = expected_exit_code({shipment.state for shipment in shipments.values()})
        if exit_code != expected:
            self.object(f"exit code {exit_code}, not {expected}")

    def when_decided(self, shipments: dict[MessageType, Shipment], lines: Sequence[LedgerLine], *, words: int) -> None:
        """Look at what is said of shipments that have, or had, several ids.

        Args:
            shipments: What the journal says.
            lines: What was taken.
            words: How often persons have let the fagmelding go again under the very same id.
        """
        taken = Counter(line.message_id for line in lines)
        known = {one for shipment in shipments.values() for one in _message_ids(shipment)}
        for shipment in shipments.values():
            let_go = words if shipment.type is MessageType.KPR_IPL else 0
            unsaid = shipment.state is _S.SEALED and taken[shipment.message_id] > let_go
            if unsaid or (shipment.state in _HELD_BY_BUS and not taken.keys() & _message_ids(shipment)):
                self._found.misclassified += 1
                self.object(f"{shipment.type} is called {shipment.state}")
        if taken.keys() - known:
            self._found.misclassified += 1
            self.object("the journal does not know all message-ids that the bus has")

    def when_settled(
        self,
        shipments: dict[MessageType, Shipment],
        lines: Sequence[LedgerLine],
        exit_code: int | None,
        *,
        again: bool,
        words: int,
    ) -> None:
        """Look at what became of the pair in the end: delivered or settled, and sent once for each person's word."""
        received = Counter(line.message_id for line in lines)
        under_old_ids = {shipments[MessageType.KPR_IPL].message_id: words}
        twice = sum(max(times - 1 - under_old_ids.get(one, 0), 0) for one, times in received.items())
        for type_, shipment in shipments.items():
            ids = _message_ids(shipment)
            sent = len(received.keys() & ids)
            twice += max(sent - len(ids), 0) + (max(sent - 1, 0) if not again or type_ is MessageType.KPR_IDE else 0)
            if not (shipment.state is _S.DELIVERED or shipment.settled):
                self._found.dead_ends += 1
                self.object(f"{type_} ends as {shipment.state}")
        self._found.duplicated += twice
        self._found.lost += 2 - len(shipments)
        if twice or exit_code != 0:
            self.object(f"exit code {exit_code}, {twice} times too often on the bus")

    def copies(self, files: Sequence[Path]) -> None:
        """Look at the receipts' copies for the archive: one for each answer."""
        answered = sum(answer.is_receipt for answer in self._answers.values())
        unheard = sum(self._answers[type_].is_receipt for type_ in self._unheard)
        if len(files) != answered - unheard:
            self.object(f"{len(files)} copies of {answered} receipts")

    def _compare(self, shipments: dict[MessageType, Shipment], lines: Sequence[LedgerLine]) -> None:
        received = {line.msg_id for line in lines}
        for shipment in shipments.values():
            claimed = _HELD_BY_BUS if shipment.msg_id not in received else _NOT_HELD_BY_BUS
            if shipment.state in claimed:
                self._found.misclassified += 1
                self.object(f"{shipment.type} is called {shipment.state}")
        if unknown := received - {shipment.msg_id for shipment in shipments.values()}:
            self._found.misclassified += 1
            self.object(f"the journal knows nothing of {len(unknown)} messages that the bus has")

    def object(self, what: str) -> None:
        """Note what is not as it must be."""
        self._found.wrong.append(f"killed at {self._where}: {what}")


def _message_ids(shipment: Shipment) -> set[str]:
    return {shipment.message_id, *(one.message_id for one in shipment.earlier)}


def expected_exit_code(states: set[ShipmentState]) -> int:
    """Return what ``docs/exit-codes.md`` promises for a pair in these states."""
    if _S.IN_DOUBT in states:
        return 83
    if states & {_S.REJECTED, _S.FAULTED}:
        return 82 if _S.DELIVERED in states else 81
    return 80 if _S.PUBLISHED in states else 0
