# ruff: noqa: ARG002, N802 - aiosmtpd's signatures and names
"""The sandbox's mail server: aiosmtpd on loopback with STARTTLS, AUTH, SIZE and DSN, on a thread of its own.

The message server behind it runs on the same thread, so that neither needs a lock. The rules:

1. Nothing is taken without TLS and a login, from another address than the login's own, or for an address that nobody
   here has: as Helsenettet's servers are asked to (edi.md 7).
2. 250 is answered when the mail is on disk.
3. What ENVID and NOTIFY ask for (RFC 3461) is remembered for the report of a mail that cannot be delivered.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from kpr_sender.settings.sample_file import HOST

MAX_MAIL: Final = 51_200_000
"""The whole mail, in bytes: NHN's bound."""
_NAME: Final = "rehearsal.example"
_IDENT: Final = "kpr-sender sandbox"
_DSN_MAIL: Final = ("ENVID=", "RET=")
_DSN_RCPT: Final = ("NOTIFY=", "ORCPT=")
_DSN_BYTES: Final = 600  # ENVID may have 100 characters, ORCPT 500 (RFC 3461 4)
_BACKLOG: Final = 50
_CALL_TIMEOUT: Final = 30.0  # seconds
logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's: it would log addresses, and lines of mails
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AcceptedMail:
    """One complete mail, as the dialogue gave it.

    Attributes:
        sender: MAIL FROM.
        recipient: RCPT TO.
        envid: As given; empty where none was.
        wants_report: Whether a failed delivery is to be reported (NOTIFY).
        data: Headers and body, dots unstuffed.
    """

    sender: str
    recipient: str
    envid: str
    wants_report: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Disposition:
    """How the dialogue goes on.

    Attributes:
        reply: The line to answer; empty for no objection.
        drop: Whether the connection is dropped in place of it.
        hold: Whether the answer is held back until ``release_held``.
    """

    reply: str = ""
    drop: bool = False
    hold: bool = False


NO_OBJECTION: Final = Disposition()


class MailDecisions(Protocol):
    """Who decides. Called on the server's thread."""

    def admits(self, user: str, password: bytes) -> bool:
        """Tell whether a login is valid."""

    def at_stage(self, stage: str, sender: str, recipient: str) -> Disposition:
        """Decide at ``mail``, ``rcpt`` and ``data``; ``recipient`` is empty at the first."""

    def at_dot(self, mail: AcceptedMail) -> Disposition:
        """Take a complete mail."""

    def has_mailbox(self, address: str) -> bool:
        """Tell whether somebody here has an address."""


class _Dialogue(SMTP):
    """Adds RFC 3461's parameters, which aiosmtpd refuses, and drops connections on demand."""

    def __init__(self, handler: _Hooks, decisions: MailDecisions, **options: Any) -> None:
        self.decisions = decisions
        self.envid = ""
        self.notify = ""
        super().__init__(handler, **options)
        self.command_size_limits["MAIL"] = self.command_size_limit + _DSN_BYTES
        self.command_size_limits["RCPT"] = self.command_size_limit + _DSN_BYTES

    async def smtp_MAIL(self, arg: str | None) -> None:
        arg, found = _without(arg, _DSN_MAIL)
        self.envid = found.get("ENVID=", "")
        self.notify = ""
        await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:
        arg, found = _without(arg, _DSN_RCPT)
        self.notify = found.get("NOTIFY=", "").upper()
        await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:
        envelope = self.envelope
        if envelope is not None and envelope.rcpt_tos and not arg:
            decided = self.decisions.at_stage("data", envelope.mail_from or "", envelope.rcpt_tos[0])
            if decided.drop:
                await self.push("354 End data with <CR><LF>.<CR><LF>")
                await self._reader.readuntil(b"\r\n")
                await self.hang_up()
            if decided.reply:
                await self.push(decided.reply)
                return
        await super().smtp_DATA(arg)

    async def hang_up(self) -> None:
        """Drop the connection: aiosmtpd then cancels the task that calls this."""
        self.abort()
        await asyncio.Event().wait()

    def abort(self) -> None:
        """Drop the connection, without a word of TLS's."""
        for transport in (self._original_transport, self.transport):
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()


def _without(arg: str | None, names: tuple[str, ...]) -> tuple[str | None, dict[str, str]]:
    """Take parameters out of a command's argument."""
    if arg is None:
        return None, {}
    found, left = {}, []
    for word in arg.split(" "):
        name = next((name for name in names if word.upper().startswith(name)), None)
        if name is None:
            left.append(word)
        else:
            found[name] = word[len(name) :]
    return " ".join(left), found


class _Hooks:
    """What aiosmtpd asks, for every connection."""

    def __init__(self, decisions: MailDecisions) -> None:
        self._decisions = decisions
        self.held: list[asyncio.Event] = []

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth_data: object
    ) -> AuthResult:
        """Tell whether a login is valid; aiosmtpd answers 535 where it is not."""
        if not isinstance(auth_data, LoginPassword):
            return AuthResult(success=False, handled=False)
        user = auth_data.login.decode("utf-8", "replace")
        admitted = self._decisions.admits(user, auth_data.password)
        return AuthResult(success=admitted, handled=False, auth_data=user)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-DSN", responses[-1]]

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, mail_options: list[str]
    ) -> str:
        login = session.auth_data
        if isinstance(login, str) and address.lower() != login.lower():
            return "553 5.7.1 Sender address rejected: not owned by the user"
        decided = self._decisions.at_stage("mail", address, "")
        if decided.reply:
            return decided.reply
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        if not self._decisions.has_mailbox(address):
            return "550 5.1.1 Recipient address rejected: nobody here has it"
        if envelope.rcpt_tos:
            return "452 4.5.3 One recipient at a time"
        decided = self._decisions.at_stage("rcpt", envelope.mail_from or "", address)
        if decided.reply:
            return decided.reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: _Dialogue, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        mail = AcceptedMail(
            sender=envelope.mail_from or "",
            recipient=envelope.rcpt_tos[0],
            envid=server.envid,
            wants_report="NEVER" not in server.notify,
            data=content if isinstance(content, bytes) else (content or "").encode(),
        )
        decided = self._decisions.at_dot(mail)
        if decided.drop:
            await server.hang_up()
        if decided.hold:
            self.held.append(waiting := asyncio.Event())
            await waiting.wait()
        return decided.reply


class MailServer:
    """The server and its thread, from ``start`` to ``close``.

    Args:
        decisions: Who decides.
        tls: With the server's certificate, for STARTTLS.
        port: 0 for any free one.
    """

    def __init__(self, decisions: MailDecisions, *, tls: ssl.SSLContext, port: int) -> None:
        self._decisions = decisions
        self._hooks = _Hooks(decisions)
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._dialogues: list[_Dialogue] = []
        self._thread: threading.Thread | None = None
        self.port = port
        """Where it listens, once it is started."""

    def start(self) -> None:
        """Bind the port and begin.

        Raises:
            OSError: The port is taken.
        """
        listener = socket.create_server((HOST, self.port), backlog=_BACKLOG)
        self.port = int(listener.getsockname()[1])
        self._server = self._loop.run_until_complete(self._loop.create_server(self._dialogue, sock=listener))
        self._thread = threading.Thread(target=self._loop.run_forever, name="kpr-sandbox-mail", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Drop every connection, free the port and join the thread. Safe to call twice."""
        if self._thread is None:
            return
        self.call(self._loop.stop)
        self._thread.join()
        self._thread = None
        self._loop.run_until_complete(self._end())
        self._loop.close()

    def call(self, what: Callable[[], object]) -> None:
        """Run something on the server's thread, soon. From any thread."""
        self._loop.call_soon_threadsafe(what)

    def call_later(self, seconds: float, what: Callable[[], object]) -> None:
        """Run something on the server's thread after a while. Only from that thread."""
        self._loop.call_later(seconds, what)

    def result_of(self, what: Callable[[], T]) -> T:
        """Run something on the server's thread and return what it returns; what it raises is raised. From any other."""
        result: Future[T] = Future()

        def run() -> None:
            try:
                result.set_result(what())
            except Exception as error:  # noqa: BLE001 - raised in the caller's thread
                result.set_exception(error)

        self.call(run)
        return result.result(_CALL_TIMEOUT)

    def release_held(self) -> None:
        """Answer what was held back. Only from the server's thread."""
        for waiting in self._hooks.held:
            waiting.set()
        self._hooks.held.clear()

    def _dialogue(self) -> _Dialogue:
        dialogue = _Dialogue(
            self._hooks,
            self._decisions,
            data_size_limit=MAX_MAIL,
            hostname=_NAME,
            ident=_IDENT,
            tls_context=self._tls,
            require_starttls=True,
            auth_required=True,
            authenticator=self._hooks.authenticate,
            loop=self._loop,
        )
        self._dialogues = [each for each in self._dialogues if each.transport is not None]
        self._dialogues.append(dialogue)
        return dialogue

    async def _end(self) -> None:
        self._server.close()
        for dialogue in self._dialogues:
            dialogue.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
