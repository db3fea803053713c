"""EDI in the process: a mail server without a socket, before the same message server as the sandbox's, and its mailbox.

Sender, transport and mailbox are the product's own; only the dialogue with the mail server is played. What that server
answers is told by the table that evaluates a real one's replies (``edi.smtp_replies``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Container
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from kpr_sender.bus.port import Inbound, Outcome, Reach, Source
from kpr_sender.edi import smtp_replies
from kpr_sender.edi.maildir import MaildirMailbox
from kpr_sender.edi.port import MailboxLook, OutgoingMail
from kpr_sender.edi.smtp import SmtpSender
from kpr_sender.edi.smtp_replies import SmtpRefused, SmtpReply, Stage
from kpr_sender.edi.smtp_session import SmtpSession
from kpr_sender.edi.transport import EdiTransport
from kpr_sender.errors import BusUnreachable
from kpr_sender.sandbox.edi_server import MessageServer, deliver
from kpr_sender.sandbox.edi_smtp import MAX_MAIL, AcceptedMail
from kpr_sender.sandbox.faults import FaultName, Faults
from kpr_sender.sandbox.in_process import PLACE
from kpr_sender.sandbox.registered import Registered
from kpr_sender.settings.edi import EdiSettings
from kpr_sender.texts import Text

_STAGES: Final = (("mail", Stage.MAIL), ("rcpt", Stage.RCPT), ("data", Stage.DATA))
_UNKNOWN: Final = "550 5.1.1 Recipient address rejected: nobody here has it"
_WRONG_LOGIN: Final = SmtpReply(535, "5.7.8 Authentication credentials invalid")
_LOST: Final = "local:lost"
_DROPPED: Final = "the connection ended"
_LONGEST_WAIT: Final = 0.5
"""So soon a wait is heard to be over, in seconds: nobody says it to a transport that is handed to a client."""


class InProcessPost:
    """What mail server and mailbox have in common: the message server behind both. From any thread.

    Args:
        server: KPR's message server.
        registered: Who is registered; knows the login.

    Attributes:
        reachable: False for mail server and mailbox that cannot be reached.
    """

    def __init__(self, server: MessageServer, registered: Registered) -> None:
        self.reachable = True
        self._server = server
        self._registered = registered
        self._one_at_a_time = threading.RLock()

    @property
    def faults(self) -> Faults:
        """What goes wrong now; what a fault held back is answered when it is switched off."""
        return self._server.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        with self._one_at_a_time:
            self._server.faults = self._registered.faults = faults
            self._server.answer()

    def put(self, mail: bytes) -> None:
        """Put a mail into the mailbox, as anybody may send one."""
        with self._one_at_a_time:
            deliver(self._server.maildir, mail)

    def waiting(self) -> int:
        """Return how many mails are in the mailbox."""
        with self._one_at_a_time:
            return sum(1 for name in ("new", "cur") for _ in (self._server.maildir / name).iterdir())

    def unacknowledged(self) -> tuple[str, ...]:
        """Return the eb:MessageId of every receipt whose acknowledgement has not come."""
        with self._one_at_a_time:
            return self._server.memory.unacknowledged()

    def connect(self, where: str) -> None:
        """Raise what keeps from a connection, as ``SmtpSender.connect`` does."""
        if not self.reachable:
            raise BusUnreachable(Text("The mail server cannot be reached: the test says so."), where=where)
        if self.faults.find(FaultName.REFUSE_LOGIN):
            raise smtp_replies.refusal(SmtpRefused(Stage.AUTH, _WRONG_LOGIN), where)

    def answer(self) -> None:
        """Answer what is due by now; raise where the mailbox cannot be reached."""
        if not self.reachable:
            raise BusUnreachable(Text("The mailbox cannot be reached: the test says so."), where=PLACE)
        with self._one_at_a_time:
            self._server.answer()

    def take(self, mail: OutgoingMail, head: bytes, envelope_id: str, where: str) -> Outcome:
        """Go through the dialogue about one mail, once."""
        with self._one_at_a_time:
            return self._refused(mail, head, where) or self._taken(mail, head, envelope_id, where)

    def _refused(self, mail: OutgoingMail, head: bytes, where: str) -> Outcome | None:
        """Ask for leave to send; return how it ended where there is none."""
        if (length := len(head) + len(mail.body)) > MAX_MAIL:
            return smtp_replies.too_large(length, MAX_MAIL, where)
        for name, stage in _STAGES:
            decided = self._server.at_stage(name, mail.sender, "" if stage is Stage.MAIL else mail.recipient)
            reply = decided.reply
            if stage is Stage.RCPT and not self._server.has_mailbox(mail.recipient):
                reply = _UNKNOWN
            if reply:
                return smtp_replies.not_sent(SmtpRefused(stage, _read(reply)), Reach.NOT_BEGUN, 0, where)
            if decided.drop:
                return smtp_replies.lost(Reach.INCOMPLETE, len(head), _DROPPED, where)
        return None if mail.may_begin() else smtp_replies.not_ours(where)

    def _taken(self, mail: OutgoingMail, head: bytes, envelope_id: str, where: str) -> Outcome:
        data = head + mail.body
        accepted = AcceptedMail(mail.sender, mail.recipient, envelope_id, wants_report=True, data=data)
        decided = self._server.at_dot(accepted)
        self._server.answer()
        if decided.drop or decided.hold:  # no time passes before an answer that is held back is given up
            return smtp_replies.in_doubt(len(data), _LOST, _DROPPED, where)
        return smtp_replies.answered(_read(decided.reply), len(data), where)


def _read(line: str) -> SmtpReply:
    code, _, text = line.partition(" ")
    return SmtpReply(int(code), text)


class _InProcessSession(SmtpSession):
    """A connection without a socket; there is nothing to hang up."""

    def __init__(self, post: InProcessPost, where: str) -> None:  # no base class's: it would connect
        self._post, self._where = post, where

    def submit(self, mail: OutgoingMail, head: bytes, envelope_id: str, answer_seconds: float) -> Outcome:
        """Hand over one mail, as ``SmtpSession.submit`` says; nothing is waited for."""
        del answer_seconds
        return self._post.take(mail, head, envelope_id, self._where)

    def quit(self) -> None:
        """Do nothing."""


class _InProcessSender(SmtpSender):
    """The product's sender, whose connection is in the process."""

    def __init__(self, settings: EdiSettings, post: InProcessPost) -> None:
        super().__init__(settings, login=nullcontext)
        self._post = post

    def _connected(self) -> SmtpSession:
        self._post.connect(self.where)
        return _InProcessSession(self._post, self.where)


class _InProcessMailbox(MaildirMailbox):
    """The mailbox that the message server answers into: what is due comes when it is looked at."""

    def __init__(self, path: Path, max_inbound: int, post: InProcessPost) -> None:
        super().__init__(path, max_inbound)
        self._post = post

    def look(self, known: Container[str] = frozenset()) -> MailboxLook:
        """Look at what lies there."""
        self._post.answer()
        return super().look(known)


class InProcessEdi(EdiTransport):
    """EDI as the bus's port, for one run of a client.

    Args:
        settings: The account.
        post: What stands behind it.
        mailbox: The Maildir that the message server answers into.
        her_ids: Ours and the receiver's.
    """

    def __init__(self, settings: EdiSettings, post: InProcessPost, mailbox: Path, her_ids: tuple[int, int]) -> None:
        super().__init__(
            settings,
            _InProcessSender(settings, post),
            _InProcessMailbox(mailbox, settings.max_inbound, post),
            her_ids=her_ids,
            closing=threading.Event(),
            monotonic=time.monotonic,
        )

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        """Return the next mail that may be an answer; None after half a second at most."""
        return super().receive(min(timeout, _LONGEST_WAIT), sources)
