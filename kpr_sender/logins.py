"""Remembers a refused login beside the journal, so that no run repeats it until the account or token is locked.

cron comes every ten minutes, and a wrong password is wrong each time: buses and registers lock the account after a few,
a token after three wrong PINs. For a while the same login is therefore refused here, before anybody is asked. What is
stored is a slow, salted digest, never the secret (promise G6).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from kpr_sender.documents import Document, document_at
from kpr_sender.errors import AccessRefused, KprError, LoginRefused
from kpr_sender.settings.edi import EdiSettings
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.values import BusSettings, RegistrySettings
from kpr_sender.texts import Text, paragraph

PAUSE: Final = timedelta(minutes=15)
"""How long a refused login is not repeated: a job of every ten minutes then tries four times an hour at most."""

_MOST_BYTES: Final = 65_536
_ROUNDS: Final = 200_000  # a tenth of a second, spent only where a login was refused


@dataclass(frozen=True, slots=True)
class Login:
    """One login, as it would be made now.

    Attributes:
        service: Whose: remembered under this name.
        where: What errors call it.
        names: User and address; with another one it is another login.
        secret: Reads the secret.
    """

    service: str
    where: str
    names: tuple[str, ...]
    secret: Callable[[], str] = field(repr=False)

    @classmethod
    def to_bus(cls, settings: BusSettings) -> Self:
        """Return the login to the bus."""
        where = f"{settings.host}:{settings.port}"
        return cls("bus", where, (where, settings.username), settings.password.reveal)

    @classmethod
    def to_mail_server(cls, settings: EdiSettings) -> Self:
        """Return the login to the mail server that takes our mail."""
        where = f"{settings.smtp_host}:{settings.smtp_port}"
        return cls("mail server", where, (where, settings.user), _revealed(settings.password))

    @classmethod
    def to_mailbox(cls, settings: EdiSettings) -> Self:
        """Return the login to our mailbox."""
        where, user = str(settings.mailbox), settings.mailbox_user or settings.user
        return cls("mailbox", where, (where, user), _revealed(settings.mailbox_password or settings.password))

    @classmethod
    def to_register(cls, settings: RegistrySettings) -> Self:
        """Return the login to the register, or to the HelseID before it."""
        if (client := settings.helseid) is not None:
            return cls("HelseID", client.url, (client.url, client.client_id), client.client_key.reveal)
        return cls("register", settings.url, (settings.url, settings.user), settings.password.reveal)

    def digest(self, salt: bytes) -> str:
        """Return what the login is recognised by. Raises what reading the secret does."""
        whole = "\0".join((*self.names, self.secret())).encode()
        return hashlib.pbkdf2_hmac("sha256", whole, salt, _ROUNDS).hex()


def _revealed(secret: Secret | None) -> Callable[[], str]:
    return (lambda: "") if secret is None else secret.reveal


Attempt = Callable[[Login], AbstractContextManager[None]]
"""Entered around one attempt to log in; raises ``AccessRefused`` where it is not to be made now."""


def unremembered(_login: Login) -> AbstractContextManager[None]:
    """Let every login be tried."""
    return nullcontext()


def beside(journal: Path) -> Path:
    """Return the file that belongs to a journal."""
    return journal.with_name(f"{journal.name}.logins.json")


@dataclass(slots=True)
class RefusedLogins:
    """The logins that were refused lately.

    Where its place cannot be read or written only this run remembers: that keeps nobody from working.

    Attributes:
        now: The clock; aware datetimes.
        anyway: Whether each login is tried once, whatever is remembered: for a person who asks whether it works.
    """

    place: Path | Document
    now: Callable[[], datetime]
    anyway: bool = False
    _unwritten: dict[str, Any] = field(default_factory=dict, repr=False)
    _tried: set[str] = field(default_factory=set, repr=False)

    @contextmanager
    def attempt(self, login: Login) -> Iterator[None]:
        """Let one login be tried, and remember whether it was refused; one that works is remembered no more.

        Raises:
            AccessRefused: The same login was refused less than ``PAUSE`` ago.
        """
        if not self.anyway or login.service in self._tried:
            self._require_due(login)
        self._tried.add(login.service)
        try:
            yield
        except LoginRefused:
            with suppress(KprError):  # the secret is gone meanwhile: the refusal is what counts
                salt = secrets.token_bytes(16)
                entry = {"at": self.now().isoformat(), "salt": salt.hex(), "digest": login.digest(salt)}
                self._store({**self._known(), login.service: entry})
            raise
        if login.service in self._known():
            self._store({service: entry for service, entry in self._known().items() if service != login.service})

    def _require_due(self, login: Login) -> None:
        try:
            entry = self._known()[login.service]
            refused_at, salt = datetime.fromisoformat(entry["at"]), bytes.fromhex(entry["salt"])
            over = not refused_at <= self.now() < refused_at + PAUSE  # what comes from the future had another clock
        except (KeyError, TypeError, ValueError):
            return
        if over or not hmac.compare_digest(str(entry["digest"]), login.digest(salt)):
            return
        raise AccessRefused(
            Text(
                "This login was refused at {utc} and is not repeated before {utc_2}: more attempts may lock the "
                "account.",
                utc=_utc(refused_at),
                utc_2=_utc(refused_at + PAUSE),
            ),
            where=login.where,
            next_step=paragraph(
                Text("Correct user, password or PIN: another login is tried at once."),
                ""
                if self.anyway
                else Text("kpr-send doctor tries this one once more, and when it works all runs go on."),
            ),
        )

    def _known(self) -> dict[str, Any]:
        """Return what is remembered, read anew: another process may have lifted it."""
        with suppress(OSError, ValueError, RecursionError):
            found = json.loads(document_at(self.place).read(most=_MOST_BYTES))
            return {**(found if isinstance(found, dict) else {}), **self._unwritten}
        return self._unwritten

    def _store(self, refused: dict[str, Any]) -> None:
        self._unwritten = refused
        with suppress(OSError):
            if refused:
                document_at(self.place).write(json.dumps(refused).encode())
            else:
                document_at(self.place).remove()
            self._unwritten = {}


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
