"""What is remembered between runs of others' messages: a small file beside the journal, and nothing of the messages.

A message is an HMAC-SHA256 of its message-id, or of its body, under a random key of the file's own, and a number of
takes. Whoever reads the file learns how many messages of others lay on each queue, and when.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kpr_sender.bus.port import QUEUE_NAMES, Inbound, Source, own_queues
from kpr_sender.documents import Document, document_at
from kpr_sender.errors import JournalUnwritable
from kpr_sender.inbound.looks import Looks, Seen
from kpr_sender.journal.port import JournalView
from kpr_sender.model import Submission, Transport, rfc3339
from kpr_sender.report import LastLook, NextLook, Report
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text, paragraph, quoted

_SCHEMA: Final = 1
_KEY_BYTES: Final = 32
_DECIDE: Final = Text(
    "What may be FHI's is in kpr-send receipts: once it is verified, accepted or discarded, one look more settles it."
)
_MOST_BYTES: Final = 50_000_000  # a million messages of others


def beside(journal: Path) -> Path:
    """Return the path of a journal's memory of looks."""
    return journal.with_name(f"{journal.name}.looks.json")


def last_look(settings: Settings, place: Path | Document, now: datetime) -> LastLook:
    """Return what the last look at a configuration's queues has left; nothing where that is not known.

    Whoever looks at a queue next says why it is not. ``place`` is where it is remembered.
    """
    if settings.transport is Transport.EDI:
        return LastLook()  # looking at a mailbox takes nothing, so that it is never paused
    try:
        memory = LookMemory.load(place)
    except JournalUnwritable:
        return LastLook()
    return LastLook(memory.looks[Source.RECEIPTS].answers, memory.next_look(own_queues(settings.bus), now))


def report_now(
    settings: Settings, journal: JournalView, submission: Submission, place: Path | Document, now: datetime
) -> Report:
    """Return what is known of a submission now, with what the last look at our queues has left."""
    return Report.of(settings, journal, submission, at=now, last_look=last_look(settings, place, now))


@dataclass(slots=True)
class LookMemory:
    """The looks at our queues as the last run left them; written anew after each.

    Attributes:
        looks: What is remembered of each queue.
    """

    place: Path | Document
    looks: Mapping[Source, Looks] = field(default_factory=lambda: dict.fromkeys(Source, Looks()))
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(_KEY_BYTES), repr=False)

    @classmethod
    def load(cls, path: Path | Document) -> LookMemory:
        """Read what is remembered; nothing where there is no file yet.

        Raises:
            JournalUnwritable: It cannot be read. Without it nobody knows how often the messages were taken.
        """
        place = document_at(path)
        try:
            value = json.loads(place.read(most=_MOST_BYTES))
            looks = {queue: _looks_of(value[queue]) for queue in Source if value["schema"] == _SCHEMA}
            return cls(place, {queue: looks[queue] for queue in Source}, bytes.fromhex(value["key"]))
        except FileNotFoundError:
            return cls(place)
        except OSError as error:
            raise _unusable(
                place,
                Text(
                    "{name}, which stores when the shared queue was looked at, cannot be read: {reason}.",
                    name=place.name,
                    reason=error.strerror,
                ),
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _unusable(
                place,
                Text(
                    "{name}, which stores when the shared queue was looked at, is not what this version writes.",
                    name=place.name,
                ),
            ) from None

    def seen(self, inbound: Inbound) -> Seen:
        """Return a message as it is remembered."""
        named = b"id:" + inbound.message_id.encode() if inbound.message_id else b"body:" + inbound.body
        content = hashlib.sha256(named).digest()
        return Seen(hmac.digest(self._key, content, "sha256").hex()[:32], inbound.deliveries)

    def next_look(self, queues: Collection[Source], now: datetime) -> NextLook | None:
        """Return when the first of these queues that is not looked at now is looked at again; None where none is."""
        due = ((at, one) for one in queues if (at := self.looks[one].next_at(now)) is not None and at > now)
        if (first := min(due, default=None)) is None:
            return None
        at, looks = first[0], self.looks[first[1]]
        text = Text(
            "{found}; it is looked at again from {at} on.", found=looks.text(QUEUE_NAMES[first[1]]), at=rfc3339(at)
        )
        return NextLook(at, looks.others + looks.doubted, text)

    def left_alone(self, queues: Collection[Source]) -> Text:
        """Return why these queues are not looked at by themselves now."""
        known = [(self.looks[queue], QUEUE_NAMES[queue]) for queue in queues]
        told = Text(
            "{found}. They were taken as often as is safe, and are not read any more, so that the bus does not "
            "drop them.",
            found=quoted(*(looks.text(name) for looks, name in known)),
        )
        return paragraph(told, _DECIDE if any(looks.doubted for looks, _ in known) else "")

    def keep(self, queue: Source, looks: Looks) -> None:
        """Remember of a queue, durably: the new file takes the old one's place at once and complete.

        Raises:
            JournalUnwritable: It cannot be written.
        """
        if looks == self.looks[queue]:
            return
        known = {**self.looks, queue: looks}
        values = {str(one): _value_of(known[one]) for one in Source}
        content = json.dumps({"schema": _SCHEMA, "key": self._key.hex(), **values}, separators=(",", ":"))
        try:
            document_at(self.place).write(content.encode())
        except OSError as error:
            raise _unusable(
                document_at(self.place),
                Text(
                    "{name}, which stores when the shared queue was looked at, cannot be written: {reason}.",
                    name=document_at(self.place).name,
                    reason=error.strerror,
                ),
            ) from None
        self.looks = known


def _value_of(looks: Looks) -> dict[str, Any]:
    return {
        "looked_at": None if looks.looked_at is None else looks.looked_at.isoformat(),
        "since": None if looks.since is None else looks.since.isoformat(),
        "others": looks.others,
        "answers": looks.answers,
        "doubted": looks.doubted,
        "highest": looks.highest,
        "delivered": looks.delivered,
        "takes": dict(looks.takes),
    }


def _looks_of(value: Mapping[str, Any]) -> Looks:
    return Looks(
        takes={str(key): int(number) for key, number in value["takes"].items()},
        looked_at=_time(value["looked_at"]),
        since=_time(value["since"]),
        others=int(value["others"]),
        answers=int(value["answers"]),
        doubted=int(value.get("doubted", 0)),  # an earlier version counted them as others'
        highest=int(value["highest"]),
        delivered=int(value["delivered"]),
    )


def _time(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


def _unusable(place: Document, what: Text) -> JournalUnwritable:
    return JournalUnwritable(
        what,
        where=place.where,
        next_step=Text(
            "Make room or fix the permissions. Delete the file only after the messages of others on the queue have "
            "been read by their owner: how often they were taken is not known without it."
        ),
    )
