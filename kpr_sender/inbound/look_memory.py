"""What is remembered between runs of others' messages: a small file beside the journal, and nothing of the messages.

A message is an HMAC-SHA256 of its message-id, or of its body, under a random key of the file's own, and a number of
takes. Whoever reads the file learns how many messages of others lay on the queue, and when; and which person asked for
a look more, and why.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kpr_sender.bus.port import Inbound
from kpr_sender.durable import write_file
from kpr_sender.errors import JournalUnwritable
from kpr_sender.inbound.looks import Looks, Seen

_SCHEMA: Final = 1
_KEY_BYTES: Final = 32


def beside(journal: Path) -> Path:
    """Return the path of a journal's memory of looks."""
    return journal.with_name(f"{journal.name}.looks.json")


def answers_to_others(journal: Path) -> int:
    """Return how many answers to messages that are not in a journal lay on our queue at the last look, verified or not.

    0 also where that is not known: whoever looks at the queue next says why.
    """
    try:
        return LookMemory.load(beside(journal)).looks.answers
    except JournalUnwritable:
        return 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A person asked for a look that was not due.

    Attributes:
        emptied: The messages' owner said that the queue was read.
    """

    at: datetime
    by: str
    reason: str
    emptied: bool


@dataclass(slots=True)
class LookMemory:
    """The looks at our queues as the last run left them; written anew after each.

    Attributes:
        looks: What is remembered.
        asked: Which looks persons asked for, oldest first.
    """

    path: Path
    looks: Looks = field(default_factory=Looks)
    asked: tuple[Asked, ...] = ()
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(_KEY_BYTES), repr=False)

    @classmethod
    def load(cls, path: Path) -> LookMemory:
        """Read what is remembered; nothing where there is no file yet.

        Raises:
            JournalUnwritable: It cannot be read. Without it nobody knows how often the messages were taken.
        """
        try:
            value = json.loads(path.read_bytes())
            asked = tuple(
                Asked(datetime.fromisoformat(one["at"]), one["by"], one["reason"], one["emptied"])
                for one in value["asked"]
            )
            return cls(path, _looks_of(value), asked, bytes.fromhex(value["key"]))
        except FileNotFoundError:
            return cls(path)
        except OSError as error:
            raise _unusable(path, f"cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _unusable(path, "is not what this version writes") from None

    def seen(self, inbound: Inbound, *, answer: bool = False) -> Seen:
        """Return a message as it is remembered; ``answer`` as for ``Seen``."""
        named = b"id:" + inbound.message_id.encode() if inbound.message_id else b"body:" + inbound.body
        content = hashlib.sha256(named).digest()
        return Seen(hmac.digest(self._key, content, "sha256").hex()[:32], inbound.deliveries, answer)

    def keep(self, looks: Looks) -> None:
        """Remember, durably: the new file takes the old one's place at once and complete.

        Raises:
            JournalUnwritable: It cannot be written.
        """
        if looks != self.looks:
            self._write(looks, self.asked)

    def ask(self, asked: Asked) -> None:
        """Remember, durably, that a person asks for a look. Raises as ``keep`` does."""
        self._write(self.looks, (*self.asked, asked))

    def _write(self, looks: Looks, asked: tuple[Asked, ...]) -> None:
        content = json.dumps(_value_of(looks, asked, self._key), ensure_ascii=False, separators=(",", ":"))
        try:
            write_file(self.path, content.encode())
        except OSError as error:
            raise _unusable(self.path, f"cannot be written: {error.strerror}") from None
        self.looks, self.asked = looks, asked


def _value_of(looks: Looks, asked: tuple[Asked, ...], key: bytes) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "key": key.hex(),
        "looked_at": None if looks.looked_at is None else looks.looked_at.isoformat(),
        "since": None if looks.since is None else looks.since.isoformat(),
        "others": looks.others,
        "answers": looks.answers,
        "highest": looks.highest,
        "delivered": looks.delivered,
        "takes": dict(looks.takes),
        "asked": [
            {"at": one.at.isoformat(), "by": one.by, "reason": one.reason, "emptied": one.emptied} for one in asked
        ],
    }


def _looks_of(value: Mapping[str, Any]) -> Looks:
    if value["schema"] != _SCHEMA:
        raise ValueError("another schema")
    return Looks(
        takes={str(key): int(number) for key, number in value["takes"].items()},
        looked_at=_time(value["looked_at"]),
        since=_time(value["since"]),
        others=int(value["others"]),
        answers=int(value.get("answers", 0)),
        highest=int(value["highest"]),
        delivered=int(value["delivered"]),
    )


def _time(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


def _unusable(path: Path, why: str) -> JournalUnwritable:
    return JournalUnwritable(
        f"The memory of looks at the shared queue {why}.",
        where=str(path),
        next_step="Make room or fix the permissions. Delete the file only after the messages of others on the queue "
        "have been read by their owner: how often they were taken is not known without it.",
    )
