"""A mail server in the process (aiosmtpd), which says what it has; and the account that sends to it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from kpr_sender.edi.port import OutgoingMail
from kpr_sender.settings.edi import EdiSettings, SmtpSecurity
from kpr_sender.settings.secrets import Secret

OURS: Final = "kommune-kpr@example.no"
THEIRS: Final = "kpr@example.no"
PASSWORD: Final = "hunter2-pæss"
MESSAGE_ID: Final = "5f0d4c3e-0000-4000-8000-000000000001"
BODY: Final = b"..hei\r\n.\r\nPEd1ZA==\r\n"


def account(port: int, **changes: Any) -> EdiSettings:
    """Return an account at a server on loopback, without TLS and login."""
    given: dict[str, Any] = {
        "address": OURS,
        "receiver_address": THEIRS,
        "smtp_host": "localhost",
        "smtp_port": port,
        "smtp_security": SmtpSecurity.NONE,
        "connect_timeout": 10.0,
        "answer_timeout": 10.0,
    }
    return EdiSettings(**(given | changes))


def with_login(**changes: Any) -> dict[str, Any]:
    """Return what an account with a login has."""
    return {"user": OURS, "password": Secret(PASSWORD)} | changes


def outgoing(body: bytes = BODY, **changes: Any) -> OutgoingMail:
    """Return a mail."""
    head = (("From", OURS), ("To", THEIRS), ("Subject", "KPR_IPL"))
    given: dict[str, Any] = {"message_id": MESSAGE_ID, "sender": OURS, "recipient": THEIRS, "head": head, "body": body}
    return OutgoingMail(**(given | changes))


@dataclass
class SmtpServer:
    """What the server has, and what it is to say.

    Attributes:
        mails: What it has taken, or would not take but has.
        answers: Says something else than yes to MAIL, RCPT, DATA (before the mail) or the mail; by name.
        logins: User and password of each attempt.
    """

    port: int = 0
    mails: list[Envelope] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    sessions: int = 0
    loop: asyncio.AbstractEventLoop | None = None

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from, envelope.mail_options = address, options
        return self.answers.get("MAIL", "250 2.1.0 ok")

    async def handle_RCPT(  # noqa: N802 - the same
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 2.1.5 ok")

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        answer = self.answers.get("mail", "250 2.0.0 queued")
        if answer.startswith("250"):
            self.mails.append(envelope)
        return answer

    def authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, said: Any) -> AuthResult:
        assert isinstance(said, LoginPassword)
        self.logins.append((said.login, said.password))
        return AuthResult(success=(said.login, said.password) == (OURS.encode(), PASSWORD.encode()), handled=False)

    def settle(self) -> None:
        """Wait until it has dealt with what it has received."""
        assert self.loop is not None
        for _ in range(3):
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(10)


@contextlib.contextmanager
def smtp_server(
    *, implicit: ssl.SSLContext | None = None, kind: Callable[..., SMTP] = SMTP, **options: Any
) -> Iterator[SmtpServer]:
    """Serve on a free port of loopback, on a thread of its own.

    Args:
        implicit: TLS from the first byte.
        kind: aiosmtpd's protocol, or one that behaves otherwise.
        options: Of aiosmtpd's ``SMTP``.
    """
    server, loop = SmtpServer(), asyncio.new_event_loop()
    server.loop = loop
    if implicit is not None:
        options["auth_require_tls"] = False  # aiosmtpd knows of its own TLS only

    def protocol() -> SMTP:
        server.sessions += 1
        return kind(server, hostname="mail.example.no", authenticator=server.authenticate, loop=loop, **options)

    listening = loop.run_until_complete(loop.create_server(protocol, "127.0.0.1", 0, ssl=implicit))
    server.port = listening.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, name="smtp-server", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_ended(listening), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _ended(listening: asyncio.Server) -> None:
    listening.close()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.sleep(0)
