"""When a queue that others share may be looked at again (promise G8). Pure: values in, values out.

A message that is taken and given back counts as one delivery at the broker, and one that was delivered too often is
dropped or dead-lettered: HITS 1216 has ten reads for every queue, RabbitMQ 4 counts to 20 on a quorum queue. An owner
that reads its queue has its messages soon, so that there is nothing to take a second time; where nobody does, each
further look is a longer time away, and the fifth is the last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from kpr_sender.errors import UsageError
from kpr_sender.journal.admission import require_clean
from kpr_sender.model import rfc3339
from kpr_sender.texts import Text
from kpr_sender.wording import all_of

PAUSES: Final[Mapping[int, timedelta]] = MappingProxyType(
    {1: timedelta(minutes=1), 2: timedelta(minutes=10), 3: timedelta(hours=1), 4: timedelta(hours=24)}
)
"""How long nothing is looked at, by the highest number of takes among the messages that were there."""
LAST_TAKE: Final = 5
"""The look after which the queue is left alone, until a person asks for another."""
ASSUMED_LIMIT: Final = 10
"""How many deliveries a message outlives where nobody says: HITS 1216's number. AMQP tells a reader of no limit."""
_HALF_USED: Final = ASSUMED_LIMIT // 2
_LAST_ASKED_FOR: Final = 8
"""The last take that a person can ask for: the ninth is the last but one that the message outlives."""
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A message of others at one look.

    Attributes:
        key: The keyed hash of its message-id; of its body where it has none.
        deliveries: How often the broker says that it was delivered before; 0 where it does not count.
        answer: Whether it claims to be the receiver's answer to a message that is not ours.
        doubted: Whether it may be the receiver's answer to us, which cannot be verified or evaluated yet.
    """

    key: str
    deliveries: int
    answer: bool = False
    doubted: bool = False


@dataclass(frozen=True, slots=True)
class Looks:
    """What is remembered of the looks at our queues.

    Attributes:
        takes: How often we took which message of others.
        looked_at: When the last look that found any ended; None where none lie there as far as is known.
        since: When the first look of those found any that still lay there at the last one.
        others: How many of others lay there at the last look.
        answers: How many of those claim to be the receiver's answers to messages that are not ours.
        doubted: How many lay there besides that may be the receiver's answers to us. They count like others'.
        highest: The highest number of takes among all of them.
        delivered: The highest number of deliveries among them by the broker's count, the last look's included.
    """

    takes: Mapping[str, int] = field(default_factory=dict)
    looked_at: datetime | None = None
    since: datetime | None = None
    others: int = 0
    answers: int = 0
    doubted: int = 0
    highest: int = 0
    delivered: int = 0

    @property
    def over(self) -> bool:
        """Whether the queue is not attached any more by itself."""
        return self.highest >= LAST_TAKE or self.delivered >= _HALF_USED

    def text(self, queue: str) -> Text:
        """Return what lay there at the last look, as a clause without a full stop; ``queue`` is what it is called."""
        at = "" if self.looked_at is None else f" ({rfc3339(self.looked_at)})"
        found = (_of_others(self.others), self.others), (_doubted(self.doubted), self.doubted)
        what = all_of(text for text, count in found if count)
        if self.since is None:
            return Text("{what} lay on our {queue} at the last look{at}", what=what, queue=queue, at=at)
        return Text(
            "{what} lay on our {queue} at the last look{at}, some since {since}",
            what=what,
            queue=queue,
            at=at,
            since=rfc3339(self.since),
        )

    def next_at(self, now: datetime) -> datetime | None:
        """Return from when on the queue may be looked at: ``now`` where it may at once, None where never by itself.

        A clock that was set back makes it at once: the number of takes bounds it all the same.
        """
        if self.over:
            return None
        if self.looked_at is None or self.looked_at > now:
            return now
        return max(now, self.looked_at + PAUSES[self.highest])

    def allows_another(self) -> bool:
        """Whether a person may ask for one look more without a word from the messages' owner."""
        return self.highest < _LAST_ASKED_FOR and self.delivered < _LAST_ASKED_FOR

    def after(self, seen: Collection[Seen], now: datetime) -> Looks:
        """Return what is remembered after a look, which takes each message it finds once.

        One that finds none of the messages taken before starts the counts anew: somebody reads the queue. Where it
        finds some, the others stay in mind: their owner may have them in hand, or they stood behind ``held_cap``.

        Args:
            seen: What was there of others.
            now: When it ended.
        """
        if not seen:
            return Looks()
        found = {one.key for one in seen}
        again = not found.isdisjoint(self.takes)
        before = self.takes if again else {}
        takes = {key: number for key, number in before.items() if key not in found}
        takes |= {key: before.get(key, 0) + 1 for key in found}
        return Looks(
            takes=dict(list(takes.items())[-_REMEMBERED:]),
            looked_at=now,
            since=(self.since or now) if again else now,
            others=sum(not one.doubted for one in seen),
            answers=sum(one.answer for one in seen),
            doubted=sum(one.doubted for one in seen),
            highest=max(takes[key] for key in found),
            delivered=max(one.deliveries + 1 if one.deliveries else 0 for one in seen),
        )


def _of_others(count: int) -> Text:
    return Text("{count} message of others", plural="{count} messages of others", count=count)


def _doubted(count: int) -> Text:
    return Text(
        "{count} message that may be an answer of FHI's",
        plural="{count} messages that may be answers of FHI's",
        count=count,
    )


def require_reason(reason: str, by: str, *, look_anyway: bool, emptied: bool) -> None:
    """Require that one look more is a named person's decision, with a reason, and that nothing else has one.

    Raises:
        UsageError: It is incomplete, or it holds a national id.
    """
    complete = bool(reason.strip() and by.strip()) if look_anyway else not (emptied or reason or by)
    if not complete:
        raise UsageError(
            Text(
                "One look more is a person's decision: --look-anyway goes with --reason TEXT and --by NAME, and "
                "those and --emptied go with it alone."
            ),
        )
    require_clean(reason, by)
