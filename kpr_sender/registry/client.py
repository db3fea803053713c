"""How a register is asked, and what both its interfaces write alike: certificates and dates."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kpr_sender.cms.certificates import read_der
from kpr_sender.deadline import Stopped, never
from kpr_sender.errors import AccessRefused, ConfigInvalid, RegistryUnreachable, foreign_bytes
from kpr_sender.http_client import HttpAnswer, HttpClient, NoAnswer
from kpr_sender.net import verifying
from kpr_sender.privacy import foreign_text
from kpr_sender.settings.values import RegistrySettings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_BYTES: Final = 2_000_000
"""Largest answer that is read. Adresseregisteret's are some ten kilobytes."""

_LONGEST_ADDRESS: Final = 500
_ORGANISATION: Final = re.compile(r"[0-9]{9}")
_REDIRECTS: Final = range(300, 400)
_FAILURES: Final = range(500, 600)


class RegistryClient(HttpClient):
    """Asks a register, or HelseID; a context manager.

    Args:
        timeout: Bound on one question, in seconds.
        stopped: Breaks a question off within a second.

    Raises:
        ConfigInvalid: The file cannot be read or holds no certificate.
    """

    def __init__(self, ca_file: Path | None, timeout: float, stopped: Stopped = never) -> None:
        tls = verifying(ca_file, key="registry.ca_file")
        super().__init__(seconds=timeout, max_bytes=MAX_BYTES, tls=tls, stopped=stopped)

    def ask(
        self,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        login: tuple[str, str] | None = None,
    ) -> HttpAnswer:
        """Ask one question, as ``HttpClient.ask`` does.

        Raises:
            RegistryUnreachable: No connection, or no complete answer within the bounds.
            AccessRefused: The server's certificate is refused.
            ConfigInvalid: The register redirects.
        """
        try:
            answer = super().ask(url, body, headers, login=login)
        except NoAnswer as error:
            if error.certificate_flaw:
                raise AccessRefused(
                    Text(
                        "The register's certificate cannot be verified ({certificate_flaw}).",
                        certificate_flaw=error.certificate_flaw,
                    ),
                    where=url,
                    next_step=Text(
                        "Check registry.url, registry.ca_file and this machine's clock; do not switch the check off."
                    ),
                ) from None
            raise RegistryUnreachable(Text("No usable answer: {error}.", error=error), where=url) from None
        if answer.status in _REDIRECTS:
            raise ConfigInvalid(
                Text(
                    "The register redirects (HTTP {status}); credentials are not sent to another address.",
                    status=answer.status,
                ),
                where=url,
                next_step=Text("Check registry.url."),
            )
        return answer


def clock_ahead_of_us(settings: RegistrySettings, now: Callable[[], datetime]) -> timedelta | None:
    """Return how far the register's clock is ahead of ours, to about a second; None where it does not tell.

    A wrong clock makes certificates and tokens look expired, or not yet valid. Any answer will do, also one that
    refuses the question: HTTP servers put the time on all of them (RFC 9110 6.6.1).
    """
    with RegistryClient(settings.ca_file, settings.timeout) as client:
        asked = now()
        answer = client.ask(settings.url)
        answered = now()
    try:
        with foreign_bytes(ValueError()):  # a year or zone without bounds overflows
            theirs = parsedate_to_datetime(answer.headers.get("date", ""))
            # A time without a zone is GMT, as all of HTTP's are. It has whole seconds: the middle of one is meant.
            meant = (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)) + timedelta(seconds=0.5)
            return meant - (asked + (answered - asked) / 2)
    except ValueError:
        return None


def unreadable(answer: HttpAnswer, why: str) -> RegistryUnreachable:
    """Return the error for an answer that is not what was asked for; ``why`` follows a colon."""
    if answer.status in _FAILURES:  # so has a SOAP fault, which is read before
        return RegistryUnreachable(Text("The register failed (HTTP {status}).", status=answer.status), where=answer.url)
    return RegistryUnreachable(Text("The register's answer cannot be read: {why}.", why=why), where=answer.url)


class UnreadableError(Exception):
    """An answer is not what the register's description says; a clause that quotes nothing of it."""


def registered_certificate(text: str) -> tuple[Certificate, ...]:
    """Read a certificate, base64 of DER; none where nothing is written."""
    written = "".join(text.split())
    try:
        return (read_der(base64.b64decode(written, validate=True)),) if written else ()
    except ValueError:
        raise UnreadableError(Text("the certificate in it is damaged")) from None


def registered_name(text: str) -> str:
    """Return a party's name as it may be shown and stored."""
    return foreign_text(text)


def registered_address(text: str) -> str:
    """Return the address of a queue, which is used as it stands."""
    if len(text) > _LONGEST_ADDRESS:
        raise UnreadableError(
            Text("an address in it has more than {longest_address} characters", longest_address=_LONGEST_ADDRESS)
        )
    if not (text.isascii() and text.isprintable()):  # JSON may hold NUL, ESC and half of a surrogate pair
        raise UnreadableError(Text("an address in it has other than printable ASCII characters"))
    return text


def registered_organisation(*texts: str) -> str:
    """Return the first that is an organisation number, or nothing; the register writes -1 for none."""
    return next((text for text in texts if _ORGANISATION.fullmatch(text)), "")


def registered_moment(text: str) -> datetime | None:
    """Read when a period begins or ends; None where nothing is written.

    Written without a time zone it is Norwegian time by all appearance: an hour or two do not matter to a period of
    years.
    """
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise UnreadableError(Text("a date in it is none")) from None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
