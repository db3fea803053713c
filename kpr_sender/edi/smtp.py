"""Mail out: one sender for a municipality's EDI account, which answers as a bus does.

Trying again, and when, is the transport's: here everything happens once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from kpr_sender.bus.port import Outcome
from kpr_sender.deadline import Stopped, never
from kpr_sender.ebxml.mail import attempt_id, header_block
from kpr_sender.edi import smtp_replies
from kpr_sender.edi.dial import MailHost, handshake_of
from kpr_sender.edi.port import OutgoingMail, SmtpProbe
from kpr_sender.edi.smtp_session import Account, SmtpSession
from kpr_sender.errors import InternalError, KprError
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.settings.edi import EdiSettings, SmtpSecurity
from kpr_sender.texts import Text


class SmtpSender:
    """An EDI account's connection to its mail server. One caller at a time; nothing is connected before it is needed.

    Args:
        settings: Mail server, login and times.
        login: Entered around each login; raises ``AccessRefused`` where it is not to be tried now.
        stopped: Ends connecting within a second. A mail that is under way goes on.
        now: The clock, for the header Date.
        random: Returns what makes each attempt's Message-ID another.
    """

    def __init__(
        self,
        settings: EdiSettings,
        *,
        login: Callable[[], AbstractContextManager[None]] = nullcontext,
        stopped: Stopped = never,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._settings = settings
        self._login = login
        self._stopped = stopped
        self._now = now
        self._random = random
        self._session: SmtpSession | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def where(self) -> str:
        """What messages call the mail server."""
        return self._server.where

    def connect(self) -> None:
        """Connect and log in, in one attempt; does nothing while the server still answers.

        Raises:
            BusUnreachable: Not reached, or not within ``connect_timeout``.
            AccessRefused: Wrong login or certificate, or no TLS where it is required.
            ConfigInvalid: No TLS to another machine, a port that does not speak it, or an unusable CA file.
        """
        self._connected()

    def submit(self, mail: OutgoingMail) -> Outcome:
        """Hand over one mail, once, and wait for the answer. Never raises for the server.

        Where there is no connection, one attempt is made to connect. The verdict is by the rules of the bus's port:
        *accepted* for 250 to the end of the mail; *in doubt* where the end may have left and nothing came;
        *not sent* for all else, each reply of 4xx and 5xx included.
        """
        # Its own at each attempt: NHN does not process a second mail with a known Message-ID.
        attempt = attempt_id(mail.message_id, self._random())
        head = header_block(mail.head, at=self._now(), attempt=attempt, host=mail.sender.rpartition("@")[2])
        if not _is_sound(mail, head):
            why = Text("The sealed mail's lines do not end as a mail's do, or an address is none.")
            return smtp_replies.not_begun(InternalError(why))
        if (length := len(head) + len(mail.body)) > self._settings.max_mail_bytes:
            return smtp_replies.too_large(length, self._settings.max_mail_bytes, "edi.max_mail_bytes")
        try:
            session = self._connected()
        except KprError as error:
            return smtp_replies.not_connected(error)
        return session.submit(mail, head, attempt, self._settings.answer_timeout)

    def probe(self) -> SmtpProbe:
        """Connect, log in, and say what the server says of itself; no mail is sent. Raises as ``connect`` does."""
        session = self._connected()
        return SmtpProbe(
            handshake=handshake_of(session.socket),
            size=session.size,
            logged_in=session.logged_in,
            dsn=session.offers("dsn"),
        )

    def close(self) -> None:
        """Say goodbye and hang up. Safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            session.quit()

    @property
    def _server(self) -> MailHost:
        settings = self._settings
        return MailHost(
            settings.smtp_host,
            settings.smtp_port,
            keys="edi.smtp_host",
            tls_ca=settings.tls_ca,
            plain_elsewhere=settings.allow_plaintext and settings.smtp_security is SmtpSecurity.NONE,
        )

    def _connected(self) -> SmtpSession:
        """Return a session that is ready for mail; a server hangs up on one that was idle for some minutes."""
        if self._session is not None and self._session.is_alive():
            return self._session
        self._session = None
        reached(FaultPoint.BEFORE_CONNECT)
        settings = self._settings
        password = settings.password.reveal() if settings.user and settings.password is not None else ""
        account = Account(settings.user, password, self._login())
        self._session = SmtpSession(
            self._server, settings.smtp_security, account, settings.connect_timeout, self._stopped
        )
        return self._session


def _is_sound(mail: OutgoingMail, head: bytes) -> bool:
    """Tell whether each line of a mail ends with CRLF, and nothing else ends one: servers differ on all else."""
    names = mail.sender, mail.recipient
    return all(name.isascii() and name.isprintable() and not set(name) & set(" <>") for name in names) and all(
        part.endswith(b"\r\n") and part.count(b"\r") == part.count(b"\n") == part.count(b"\r\n")
        for part in (head, mail.body)
    )
