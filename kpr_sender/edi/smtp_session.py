"""One connection to a mail server, and one mail over it with the evidence how far it came.

The body and the dot that ends it are written apart (smtplib's ``data()`` sends them as one): a server that does not
have the dot does not have the mail. BDAT is never used: with it the last octet of the body ends the mail.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import socket
import ssl
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from kpr_sender.bus.port import Outcome, Reach, Verdict
from kpr_sender.deadline import Stopped, never
from kpr_sender.edi import smtp_replies
from kpr_sender.edi.dial import MailHost, cut_off, drain, on_this_machine, words_of
from kpr_sender.edi.port import OutgoingMail
from kpr_sender.edi.smtp_connection import CHUNK_SECONDS, NoSmtpReply, SmtpConnection, dot_stuffed, xtext
from kpr_sender.edi.smtp_replies import SmtpRefused, SmtpReply, Stage, required
from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.settings.edi import SmtpSecurity
from kpr_sender.texts import Text

_DOT: Final = b".\r\n"
_GO_ON: Final = 334  # RFC 4954: say the next part of the login
_GOODBYE_SECONDS: Final = 2.0
_MOST_DIGITS: Final = 20  # RFC 1870, 4


@dataclass(frozen=True, slots=True)
class Account:
    """How we log in; nobody does without a user.

    Attributes:
        attempt: Entered around each login; raises ``AccessRefused`` where it is not to be tried now.
    """

    user: str
    password: str = field(repr=False)
    attempt: AbstractContextManager[None]


class SmtpSession:
    """A connection that is ready for mail.

    Args:
        server: Where.
        security: ``starttls``, ``tls`` or ``none``.
        account: Our login.
        seconds: For connecting and logging in, and for each answer but the last.
        stopped: Ends connecting within a second.

    Raises:
        BusUnreachable, AccessRefused, ConfigInvalid: As ``Bus.connect`` says.
    """

    def __init__(
        self, server: MailHost, security: SmtpSecurity, account: Account, seconds: float, stopped: Stopped = never
    ) -> None:
        self._server = server
        self._seconds = seconds
        connected = server.dial(seconds, tls=security is SmtpSecurity.TLS, stopped=stopped)
        connected.settimeout(seconds)
        self._smtp = SmtpConnection(connected)
        try:
            if security is SmtpSecurity.NONE:
                server.require_safe(connected)
            with cut_off(connected, seconds, stopped):
                required(Stage.GREETING, self._smtp.reply())
                self._ehlo()
            if security is SmtpSecurity.STARTTLS:
                self._start_tls(stopped)
            if account.user:
                self._log_in(account)
        except SmtpRefused as refused:
            self.close()
            raise smtp_replies.refusal(refused, server.where) from None
        except OSError as error:
            self.close()
            raise server.unreachable(error) from None
        except BaseException:
            self.close()
            raise
        self.logged_in = bool(account.user)
        reached(FaultPoint.AFTER_ATTACH)

    @property
    def socket(self) -> socket.socket:
        """What it goes over."""
        return self._smtp.sock

    @property
    def size(self) -> int:
        """The largest mail that the server takes, in bytes; 0 where it does not say."""
        said = self._smtp.esmtp_features.get("size", "")
        return int(said) if said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS else 0

    def offers(self, extension: str) -> bool:
        """Tell whether the server offers an extension of SMTP."""
        return bool(self._smtp.has_extn(extension))

    def is_alive(self) -> bool:
        """Ask whether the server is still there. A connection that is not is closed."""
        try:
            required(Stage.MAIL, self._ask("NOOP"))
        except (SmtpRefused, OSError):
            self.close()
            return False
        return True

    def submit(self, mail: OutgoingMail, head: bytes, envelope_id: str, answer_seconds: float) -> Outcome:
        """Hand over one mail, once. Never raises for the server; after any outcome but *accepted* the session is over.

        Args:
            mail: The mail.
            head: Its header lines of this attempt, with the empty line.
            envelope_id: ENVID.
            answer_seconds: How long the answer to the end of the mail is waited for.
        """
        outcome = self._begun(mail, len(head) + len(mail.body), envelope_id) or self._sent(mail, head, answer_seconds)
        if outcome.verdict is not Verdict.ACCEPTED:
            self.close()
        return outcome

    def quit(self) -> None:
        """Say goodbye where that goes at once, and hang up."""
        with contextlib.suppress(OSError):
            self._ask("QUIT", seconds=_GOODBYE_SECONDS)
        self.close()

    def close(self) -> None:
        """Hang up. Safe to call twice."""
        self._smtp.close()

    def _ask(self, command: str, arguments: str = "", *, seconds: float | None = None) -> SmtpReply:
        connected: socket.socket | None = self._smtp.sock  # smtplib has none once it is closed
        if connected is None:
            raise NoSmtpReply(Text("the connection ended"))
        connected.settimeout(seconds or self._seconds)
        with cut_off(connected, seconds or self._seconds):
            return self._smtp.ask(command, arguments)

    def _ehlo(self) -> None:
        required(Stage.EHLO, SmtpReply.of(*self._smtp.ehlo()))

    def _start_tls(self, stopped: Stopped) -> None:
        if not self.offers("starttls"):
            raise AccessRefused(
                Text("The mail server offers no TLS (STARTTLS), and nothing is sent without."),
                where=self._server.where,
                next_step=Text("Check edi.smtp_port and edi.smtp_security; somebody on the way may have removed it."),
            )
        required(Stage.STARTTLS, self._ask("STARTTLS"))
        if self._smtp.forgotten:
            # CVE-2011-0411: what came before the handshake would be taken for what came after it.
            raise AccessRefused(
                Text("The mail server went on in clear text after STARTTLS; somebody may be on the way."),
                where=self._server.where,
            )
        encrypted = self._server.start_tls(self._smtp.sock, self._seconds, stopped)
        encrypted.settimeout(self._seconds)
        self._smtp.on(encrypted)
        with cut_off(encrypted, self._seconds, stopped):
            self._ehlo()

    def _log_in(self, account: Account) -> None:
        """Log in, once, by one mechanism: smtplib would try a wrong password with each that is offered."""
        connected = self._smtp.sock
        if not isinstance(connected, ssl.SSLSocket) and not on_this_machine(connected):
            raise ConfigInvalid(
                Text("A login is configured, and the connection to the mail server has no TLS: it is not sent."),
                where="edi.user",
                next_step=Text("Use TLS, or leave out edi.user where the server knows us without a login."),
            )
        offered = self._smtp.esmtp_features.get("auth", "").upper().split()
        with account.attempt:
            try:
                if "PLAIN" in offered:
                    words = _encoded(f"\0{account.user}\0{account.password}")
                    required(Stage.AUTH, self._ask("AUTH", f"PLAIN {words}"))
                elif "LOGIN" in offered:
                    for command in (f"AUTH LOGIN {_encoded(account.user)}", _encoded(account.password)):
                        reply = self._ask(command)
                        if reply.code != _GO_ON:
                            required(Stage.AUTH, reply)
                else:
                    raise AccessRefused(
                        Text("The mail server offers no login that we know (PLAIN, LOGIN)."),
                        where=self._server.where,
                        next_step=Text("Check edi.smtp_port and edi.smtp_security, or leave out edi.user."),
                    )
            except SmtpRefused as refused:
                raise smtp_replies.refusal(refused, self._server.where) from None

    def _begun(self, mail: OutgoingMail, length: int, envelope_id: str) -> Outcome | None:
        """Ask for leave to send; return how it ended where there is none."""
        where = self._server.where
        eight_bit = not mail.body.isascii()
        if (ended := self._cannot(length, eight_bit=eight_bit)) is not None:
            return ended
        options, notify = self._options(length, envelope_id, eight_bit=eight_bit)
        try:
            required(Stage.MAIL, self._ask("MAIL", f"FROM:<{mail.sender}>{options}"))
            required(Stage.RCPT, self._ask("RCPT", f"TO:<{mail.recipient}>{notify}"))
            reached(FaultPoint.BEFORE_TRANSFER)
            if not mail.may_begin():
                return smtp_replies.not_ours(where)
            required(Stage.DATA, self._ask("DATA"))
        except SmtpRefused as refused:
            return smtp_replies.not_sent(refused, Reach.NOT_BEGUN, 0, where)
        except OSError as error:
            return smtp_replies.lost(Reach.NOT_BEGUN, 0, words_of(error), where)
        return None

    def _cannot(self, length: int, *, eight_bit: bool) -> Outcome | None:
        """Return why the server would not take the mail, by what it says of itself."""
        if 0 < self.size < length:
            return smtp_replies.too_large(length, self.size, self._server.where)
        if eight_bit and not self.offers("8bitmime"):
            why = Text("The mail has bytes of 8 bits, and the mail server takes none (8BITMIME).")
            return smtp_replies.not_begun(ConfigInvalid(why, where=self._server.where))
        return None

    def _options(self, length: int, envelope_id: str, *, eight_bit: bool) -> tuple[str, str]:
        """Return what follows the addresses in MAIL and RCPT: only what the server offers."""
        options = f" SIZE={length}" if self.offers("size") else ""
        options += " BODY=8BITMIME" if eight_bit else ""
        if not self.offers("dsn"):
            return options, ""
        return f"{options} RET=HDRS ENVID={xtext(envelope_id)}", " NOTIFY=FAILURE"

    def _sent(self, mail: OutgoingMail, head: bytes, answer_seconds: float) -> Outcome:
        """Send the mail, then the dot, and wait for the answer."""
        where, smtp, sent = self._server.where, self._smtp, 0
        try:
            smtp.sock.settimeout(CHUNK_SECONDS)
            for chunk in itertools.chain((head,), dot_stuffed(mail.body)):
                smtp.sock.sendall(chunk)
                sent += len(chunk)
                reached(FaultPoint.MID_TRANSFER)
            drain(smtp.sock, CHUNK_SECONDS)
            if (reply := smtp.spoke_first()) is not None:
                return smtp_replies.not_sent(SmtpRefused(Stage.BODY, reply), Reach.INCOMPLETE, sent, where)
        except OSError as error:
            return smtp_replies.lost(Reach.INCOMPLETE, sent, words_of(error), where)
        return self._ended(sent, answer_seconds)

    def _ended(self, sent: int, answer_seconds: float) -> Outcome:
        """Send the dot, which makes it the server's mail, and wait for the answer."""
        where, smtp, left = self._server.where, self._smtp, 0
        try:
            smtp.sock.settimeout(CHUNK_SECONDS)
            while left < len(_DOT):
                left += smtp.sock.send(_DOT[left:])
        except OSError as error:
            if not left:
                # What raises has not taken a byte; and a TLS record that is not complete is nothing.
                return smtp_replies.lost(Reach.INCOMPLETE, sent, words_of(error), where)
            return smtp_replies.in_doubt(sent + left, "local:lost", words_of(error), where)
        reached(FaultPoint.AFTER_TRANSFER)
        try:
            smtp.sock.settimeout(answer_seconds)
            with cut_off(smtp.sock, answer_seconds):
                reply = smtp.reply()
        except OSError as error:
            return smtp_replies.in_doubt(sent + left, "local:lost", words_of(error), where)
        return smtp_replies.answered(reply, sent + left, where)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
