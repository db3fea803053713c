"""Which mails in our mailbox were looked at and are not ours: known in a run, and remembered from one run to the next.

A run that begins anew every few minutes would otherwise have the server show the headers of each mail of others again.
What is remembered saves that and decides nothing else: it is forgotten after a day, with another mailbox or other
HER-ids, and where it cannot be read or written; then each mail is looked at once more. Remembered is an HMAC-SHA256 of
a mail's name in the mailbox (UIDL, UID) under a random key of the document's own, and nothing of the mail.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from kpr_sender.documents import Document
from kpr_sender.errors import KprError

DOCUMENT: Final = "mailbox"
"""The journal's document that remembers."""
_SCHEMA: Final = 1
_KEY_BYTES: Final = 32
_MOST_REMEMBERED: Final = 20_000
_MOST_BYTES: Final = 1_000_000
_REMEMBERED_FOR: Final = timedelta(days=1)  # a server may give a name to another mail, against RFC 1939
_UNUSABLE: Final = (OSError, KprError, ValueError, KeyError, TypeError, AttributeError)


class SeenMails:
    """The mails that need no second look. One caller at a time. Nothing is read before it is asked.

    Args:
        document: Where they are remembered; None remembers nothing from run to run.
        mailbox: Names the mailbox and for whom it is read: with another one nothing is remembered.
        now: The clock.
    """

    def __init__(
        self, document: Document | None = None, mailbox: str = "", now: Callable[[], datetime] = datetime.now
    ) -> None:
        self._document = document
        self._mailbox = mailbox
        self._now = now
        self._seen: set[str] = set()  # in this run
        self._others: set[str] = set()  # those of them that are not ours
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._since: datetime | None = None  # when the first of the remembered was seen; None before it was asked
        self._remembered: frozenset[str] = frozenset()

    def __contains__(self, key: object) -> bool:
        """Tell whether a mail needs no second look."""
        if key in self._seen:
            return True
        if self._document is None or not isinstance(key, str):
            return False
        if self._since is None:
            self._load(self._document)
        if not self._remembered or self._digest(key) not in self._remembered:
            return False
        self._seen.add(key)
        self._others.add(key)
        return True

    def add(self, key: str, *, not_ours: bool) -> None:
        """Say that a mail was looked at; only one that is not ours is remembered by later runs."""
        self._seen.add(key)
        if not_ours:
            self._others.add(key)

    def forget_all_but(self, there: Collection[str]) -> None:
        """Forget in this run what does not lie in the mailbox any more."""
        self._seen.intersection_update(there)
        self._others.intersection_update(there)

    def keep(self) -> None:
        """Remember what is known of the mailbox after a complete look."""
        if self._document is None:
            return
        if self._since is None:
            self._load(self._document)
        others = frozenset(sorted(map(self._digest, self._others))[:_MOST_REMEMBERED])
        if others == self._remembered or self._since is None:
            return
        value = {
            "schema": _SCHEMA,
            "key": self._key.hex(),
            "mailbox": self._digest(self._mailbox),
            "since": self._since.isoformat(),
            "mails": sorted(others),
        }
        with suppress(OSError, KprError):
            self._document.write(json.dumps(value, separators=(",", ":")).encode())
            self._remembered = others

    def _load(self, document: Document) -> None:
        self._since = self._now()
        with suppress(*_UNUSABLE):
            value = json.loads(document.read(most=_MOST_BYTES))
            key, since = bytes.fromhex(value["key"]), datetime.fromisoformat(value["since"])
            age, remembered = self._since - since, frozenset(map(str, value["mails"]))
            same = value["schema"] == _SCHEMA and value["mailbox"] == _digest(key, self._mailbox)
            if same and timedelta(0) <= age < _REMEMBERED_FOR:
                self._key, self._since, self._remembered = key, since, remembered

    def _digest(self, name: str) -> str:
        return _digest(self._key, name)


def _digest(key: bytes, name: str) -> str:
    return hmac.digest(key, name.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]
