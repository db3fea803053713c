"""A register on the network: asked when needed, its entries cached in a file, the receiver checked for sending.

The cached entries decide whom we encrypt for, so the file is read only when nobody but its owner may write to it. What
is in it was fetched from one register for one environment; for any other there is nothing in it.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.cms.certificates import read_der
from kpr_sender.durable import write_file
from kpr_sender.errors import RegistryUnreachable
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.file_owners import keeps_owners
from kpr_sender.registry.counterpart_checks import objections
from kpr_sender.registry.files import configured_certificates
from kpr_sender.registry.port import (
    Counterpart,
    Provenance,
    RegisteredParty,
    RegisteredQueues,
    RegisterEntry,
    RemoteRegister,
    UnknownParty,
    Use,
)
from kpr_sender.regular_file import open_regular, read_bounded
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

FORMAT: Final = 1
_OTHERS_MAY_WRITE: Final = 0o022
_MAX_BYTES: Final = 1_000_000


def beside(journal: Path) -> Path:
    """Return the cache's file that belongs to a journal."""
    return journal.with_name(f"{journal.stem}-registry.json")


@dataclass(frozen=True, slots=True)
class Cache:
    """The register's last good entries by HER-id.

    Attributes:
        observe: Receives a warning when the file cannot be used or written: that costs a question, nothing else.
    """

    path: Path
    environment: str
    url: str
    observe: Observer

    def get(self, her_id: int) -> RegisterEntry | None:
        """Return the last good entry, with when it was fetched; None when there is none that can be trusted."""
        stored = self._read().get(str(her_id))
        if stored is None:
            return None
        try:
            return _from_json(stored, self.url)
        except (AttributeError, KeyError, TypeError, ValueError):
            self._warn(Text("is damaged; the register is asked anew"))
            return None

    def put(self, her_id: int, entry: RegisterEntry) -> None:
        """Store an entry."""
        self._write({**self._read(), str(her_id): _to_json(entry)})

    def forget(self, her_id: int) -> None:
        """Drop a party's entry: the register says now that it, or a certificate of it, is not there."""
        parties = self._read()
        if parties.pop(str(her_id), None) is not None:
            self._write(parties)

    def _read(self) -> dict[str, Any]:
        try:
            with open_regular(self.path) as file:
                about = os.fstat(file.fileno())
                if (
                    sys.platform != "win32"  # which has neither mode bits nor numeric owners
                    and (about.st_mode & _OTHERS_MAY_WRITE or about.st_uid != os.geteuid())
                    and keeps_owners(self.path)
                ):
                    self._warn(Text("may be written by others than its owner, or is another's; it is not used"))
                    return {}
                document = json.loads(read_bounded(file, _MAX_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            self._warn(Text("cannot be read; the register is asked anew"))
            return {}
        mine = isinstance(document, dict) and self._head().items() <= document.items()
        parties = document.get("parties") if mine else None
        return parties if isinstance(parties, dict) else {}

    def _head(self) -> dict[str, object]:
        return {"format": FORMAT, "environment": self.environment, "url": self.url}

    def _write(self, parties: dict[str, Any]) -> None:
        if not os.path.isdir(self.path.parent):  # noqa: PTH112 - never raises
            return  # the journal's folder is made by the journal; a mere check makes nothing
        try:
            write_file(self.path, json.dumps({**self._head(), "parties": parties}, indent=1).encode())
        except OSError as error:
            self._warn(
                Text("cannot be written ({reason}); the register's answers are not stored", reason=error.strerror)
            )

    def _warn(self, what: str) -> None:
        self.observe(Event(EventKind.WARNING, Text("{path} {what}.", path=self.path, what=what)))


def _to_json(entry: RegisterEntry) -> dict[str, Any]:
    period = {"valid_from": _written(entry.party.valid_from), "valid_to": _written(entry.party.valid_to)}
    return {
        "fetched_at": _written(entry.provenance.fetched_at),
        "party": asdict(entry.party) | period,
        "queues": asdict(entry.queues),
        "encryption": [_base64(one) for one in entry.encryption],
        "signing": [_base64(one) for one in entry.signing],
        "replaced_at": _written(entry.replaced_at),
    }


def _from_json(stored: dict[str, Any], url: str) -> RegisterEntry:
    party = RegisteredParty(**stored["party"])
    return RegisterEntry(
        party=replace(
            party, valid_from=_moment(stored["party"]["valid_from"]), valid_to=_moment(stored["party"]["valid_to"])
        ),
        queues=RegisteredQueues(**stored["queues"]),
        encryption=tuple(_certificate(one) for one in stored["encryption"]),
        signing=tuple(_certificate(one) for one in stored["signing"]),
        provenance=Provenance(url, _aware(stored["fetched_at"])),
        # Earlier versions did not store it: from the last time that they asked.
        replaced_at=_moment(stored.get("replaced_at", stored["fetched_at"])),
    )


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else _aware(text)


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment


def _base64(certificate: Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")


def _certificate(text: str) -> Certificate:
    return read_der(base64.b64decode(text, validate=True))


@dataclass(frozen=True, slots=True)
class CachedRegistry:
    """Entries from a register, or from its last good answers.

    Attributes:
        max_age: How old an entry may be before it is asked for again, in seconds.
        observe: Receives a warning when an old entry is used because the register cannot be reached.
    """

    register: RemoteRegister
    cache: Cache
    settings: Settings
    max_age: float
    now: Callable[[], datetime]
    observe: Observer

    def counterpart(self, her_id: int) -> Counterpart:
        """Return what is registered for a level 2 HER-id, with what speaks against sending to it.

        Raises:
            ConfigInvalid: The register does not know it, or a configured certificate's file is missing.
            AccessRefused: The register refuses our user or has no certificate; or its own is refused.
            RegistryUnreachable: It does not answer, and no earlier answer may be used.
        """
        entry = self.entry(her_id)
        found = entry.counterpart()
        # Earlier ones in the configuration are there to be accepted, whatever the register says.
        signing = dict.fromkeys((*found.signing, *configured_certificates(self.settings, Use.SIGNING)))
        against = tuple(objections(entry, self.settings, at=self.now()))
        return replace(found, signing=tuple(signing), objections=against)

    def entry(self, her_id: int) -> RegisterEntry:
        """Return a party's entry: the cached one while it is fresh, else the register's. Raises as ``counterpart``."""
        cached = self.cache.get(her_id)
        if cached is not None and (fresh := self._usable(cached, self.max_age)) is not None:
            return fresh
        try:
            return self._fetch(her_id, cached)
        except RegistryUnreachable as error:
            stale = None if cached is None else self._usable(cached, self.settings.registry.stale_for)
            if stale is None:
                raise
            self._warn(error, stale.provenance)
            return replace(stale, provenance=replace(stale.provenance, stale=True))
        except UnknownParty:
            self.cache.forget(her_id)
            raise

    def _fetch(self, her_id: int, cached: RegisterEntry | None) -> RegisterEntry:
        now = self.now()
        provenance = Provenance(self.settings.registry.url, now, now + timedelta(seconds=self.max_age))
        fetched = replace(self.register.fetch(her_id), provenance=provenance)
        entry = fetched.after(cached, at=now).at(now, previous_for=self.settings.registry.previous_for)
        if entry.complete:
            self.cache.put(her_id, entry)
        else:
            self.cache.forget(her_id)
        return entry

    def _usable(self, cached: RegisterEntry, seconds: float) -> RegisterEntry | None:
        """Return an entry that is not older than that, with until when it may be used."""
        fetched_at = cached.provenance.fetched_at
        if fetched_at is None:
            return None
        until = fetched_at + timedelta(seconds=seconds)
        # What was fetched in the future was fetched by another clock.
        if not fetched_at <= self.now() < until:
            return None
        usable = replace(cached, provenance=replace(cached.provenance, usable_until=until))
        return usable.at(self.now(), previous_for=self.settings.registry.previous_for)

    def _warn(self, error: RegistryUnreachable, provenance: Provenance) -> None:
        text = Text(
            "Adresseregisteret cannot be asked ({what}) Its answer of {fetched_at} UTC is used, until "
            "{usable_until} UTC.",
            what=error.what,
            fetched_at=format(provenance.fetched_at, "%Y-%m-%d %H:%M"),
            usable_until=format(provenance.usable_until, "%Y-%m-%d %H:%M"),
        )
        self.observe(Event(EventKind.WARNING, text))
