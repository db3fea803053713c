"""EDI as a bus: one mail out, and our mailbox in place of the queues. Nothing above the port knows which it is.

What is tried again is reaching the mail server, and a mail that it certainly does not have (promise G1). A mailbox may
be others', too (promise G8): looking takes nothing, so that it is bounded by no count; what is handed on is a mail of
the receiver's, or a server's report on one of ours, and everything else stays as it is.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Container, Iterator
from dataclasses import replace
from enum import Enum, auto
from typing import Final

from kpr_sender.bus.pauses import Pauses
from kpr_sender.bus.port import MAIL, Inbound, Outbound, Outcome, Source
from kpr_sender.ebxml import answers, read_mail
from kpr_sender.ebxml.answers import Acknowledgment, MessageError, PayloadMessage
from kpr_sender.ebxml.mail import TEXT_XML, mail_head
from kpr_sender.ebxml.read_mail import Mail, MailBounds
from kpr_sender.edi.port import InboundMail, Mailbox, MailEntry, MailNotRead, MailTooLarge, OutgoingMail
from kpr_sender.edi.seen_mails import SeenMails
from kpr_sender.edi.smtp import SmtpSender
from kpr_sender.errors import BusUnreachable
from kpr_sender.messages import apprec
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.safe_xml import looks_like_xml
from kpr_sender.messages.transport import FROM_HER_ID
from kpr_sender.model import MessageType
from kpr_sender.settings.edi import EdiSettings, MailboxKind
from kpr_sender.texts import Text

_FIRST_PAUSE: Final = 0.5  # seconds


class _Considered(Enum):
    """What became of a mail that was looked at."""

    KEPT = auto()  # to be handed on
    NOT_OURS = auto()
    GONE = auto()


class _AnyOf:
    """What is in one of several."""

    def __init__(self, *several: Container[str]) -> None:
        self._several = several

    def __contains__(self, key: object) -> bool:
        return any(key in one for one in self._several)


class EdiTransport:
    """A municipality's EDI account. One caller at a time for ``receive``; ``publish`` may come from another thread.

    Args:
        settings: The account.
        sender: Hands mails over.
        mailbox: Where answers come.
        her_ids: Ours and the receiver's.
        closing: Ends connecting and waiting within a second when set, for good. A mail that is under way goes on.
        monotonic: A clock that never jumps, in seconds.
        seen: The mails that need no second look; those of this run alone when not given.
    """

    def __init__(
        self,
        settings: EdiSettings,
        sender: SmtpSender,
        mailbox: Mailbox,
        *,
        her_ids: tuple[int, int],
        closing: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
        seen: SeenMails | None = None,
    ) -> None:
        self._settings = settings
        self._sender = sender
        self._mailbox = mailbox
        self._own_her_id, self._their_her_id = her_ids
        self._closing = closing
        self._monotonic = monotonic
        self._gate = threading.RLock()
        self._seen = SeenMails() if seen is None else seen
        self._waiting: deque[Inbound] = deque()
        self._look_at = monotonic()  # when the present pause is over; it outlives the call that began it
        self._pauses = Pauses(_FIRST_PAUSE, closing, monotonic)  # after looks that failed
        self._unreadable: BusUnreachable | None = None  # why the last look failed

    def connect(self) -> None:
        """Connect to the mail server and log in, as ``Bus.connect`` says."""
        for _ in self.attempts():
            return

    def attempts(self) -> Iterator[None]:
        """Yield for each attempt to publish one message, as ``Bus.attempts`` says."""
        pauses = Pauses(_FIRST_PAUSE, self._closing, self._monotonic)
        return pauses.attempts(self._reach_server, self._monotonic() + self._settings.reconnect_budget)

    def publish(self, message: Outbound) -> Outcome:
        """Hand over one mail, once, as ``Bus.publish`` says."""
        envelope = message.envelope
        mail = OutgoingMail(
            message_id=message.message_id,
            sender=envelope.reply_to,
            recipient=envelope.queue,
            head=mail_head(envelope.reply_to, envelope.queue, envelope.subject, envelope.content_type),
            body=message.body,
            may_begin=message.may_begin,
        )
        return self.submit(mail)

    def submit(self, mail: OutgoingMail) -> Outcome:
        """Hand over a mail of whatever kind, once; never raises for the server."""
        with self._gate:
            return self._sender.submit(mail)

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        """Return the next mail that may be an answer, as ``Bus.receive`` says; all of them are receipts to us."""
        if Source.RECEIPTS not in sources:
            self._closing.wait(timeout)
            return None
        end = self._monotonic() + timeout
        while not self._waiting and (timeout <= 0 or self._may_look_by(end)):
            self._look_once()
            if self._closing.is_set() or self._monotonic() >= end:
                break
        if self._waiting:
            return self._waiting.popleft()
        if self._unreadable is not None:
            raise self._unreadable
        return None

    def settle(self, inbound: Inbound) -> bool:
        """Take a mail of ours out of the mailbox, as ``Bus.settle`` says; what cannot be taken comes again."""
        if not isinstance(inbound.token, MailEntry):
            return False
        try:
            return self._mailbox.take(inbound.token)
        except BusUnreachable:
            return False

    def hold(self, inbound: Inbound) -> None:
        """Leave a mail as it is: nothing was taken. It is not handed on again in this run."""

    @property
    def held(self) -> int:
        """None: looking takes nothing."""
        return 0

    def detach(self) -> None:
        """Hang up at the mailbox."""
        self._mailbox.close()

    def close(self) -> None:
        """Hang up at both; for good. Safe to call twice."""
        self._closing.set()
        self._mailbox.close()
        with self._gate:
            self._sender.close()

    def _reach_server(self) -> None:
        with self._gate:
            self._sender.connect()

    def _may_look_by(self, end: float) -> bool:
        """Wait for the end of the present pause, no longer than to ``end``; return whether a look is due then."""
        left = self._look_at - self._monotonic()
        if left <= 0:
            return True
        stopped = self._closing.wait(min(left, max(0.0, end - self._monotonic())))
        return not stopped and self._look_at <= max(end, self._monotonic())

    def _look_once(self) -> None:
        """Look once; a look that fails is followed by a pause, each one longer than the one before."""
        try:
            self._look()
        except BusUnreachable as error:
            # What was broken off says nothing about the mailbox.
            self._unreadable = (self._unreadable or _stopped()) if self._closing.is_set() else error
            self._pauses.begin()
            self._look_at = self._pauses.over_at
        else:
            self._unreadable = None
            self._pauses.succeeded()
            self._look_at = self._monotonic() + self._settings.look_every

    def _look(self) -> None:
        """Look at all that is new, and keep what may be an answer; what cannot be read is tried again at each look.

        Raises:
            BusUnreachable: It could not be looked; or all the others were, and one that may be an answer is not read.
        """
        complete = False
        passed: dict[str, BusUnreachable | None] = {}  # why, for those that it is known of
        while not complete:
            if self._closing.is_set():
                raise _stopped()
            look = self._mailbox.look(_AnyOf(self._seen, passed))
            for entry in look.entries:
                try:
                    done = self._consider(entry)
                except MailNotRead as error:
                    passed[entry.key] = error.why
                    continue
                if done is not _Considered.GONE:
                    self._seen.add(entry.key, not_ours=done is _Considered.NOT_OURS)
                else:
                    passed[entry.key] = None
            complete = look.complete or not look.entries
            self._seen.forget_all_but(look.keys)
        self._seen.keep()
        for why in filter(None, passed.values()):
            raise why

    def _consider(self, entry: MailEntry) -> _Considered:
        """Keep a mail that may be an answer, leave one that is not."""
        if entry.head and not self._may_be_read(entry.head):
            self._mailbox.leave(entry)
            return _Considered.NOT_OURS
        too_large, raw = entry.size > self._settings.max_inbound, None
        if not too_large:
            try:
                raw = self._mailbox.fetch(entry)
            except MailTooLarge:
                too_large = True
        if too_large:
            self._waiting.append(_inbound(entry, b"", readable=False, too_large=True))
            return _Considered.KEPT
        if raw is None:
            return _Considered.GONE
        opened = self._holds_opened and looks_like_xml(raw)
        mail = None if opened else read_mail.read(raw, MailBounds(max_bytes=self._settings.max_inbound))
        if opened and _is_receipt(raw, self._their_her_id):
            says = {FROM_HER_ID: str(self._their_her_id)}  # so says who laid it there
            self._waiting.append(replace(_inbound(entry, raw), content_type=TEXT_XML, properties=says))
        elif isinstance(mail, Mail) and self._may_be_an_answer(mail):
            self._waiting.append(replace(_inbound(entry, raw), mail=mail))
        else:
            self._mailbox.leave(entry)
            return _Considered.NOT_OURS
        return _Considered.KEPT

    def _may_be_read(self, head: bytes) -> bool:
        return read_mail.may_be_read(head) or (self._holds_opened and looks_like_xml(head))

    @property
    def _holds_opened(self) -> bool:
        """Whether another message server lays things down there: also documents that it has opened already."""
        place = self._settings.mailbox
        return place is not None and place.kind is MailboxKind.FOLDER

    def _may_be_an_answer(self, mail: Mail) -> bool:
        """Tell whether a mail says that it is from the receiver to us, or names a mail of ours; verified it is not."""
        answer = answers.classify(mail, None)
        if isinstance(answer, PayloadMessage | Acknowledgment | MessageError):
            named = (answer.header.from_her_id, answer.header.to_her_id)
            return named == (self._their_her_id, self._own_her_id)
        return bool(getattr(answer, "message_ids", ()))


def _stopped() -> BusUnreachable:
    return BusUnreachable(  # stored, and shown by later runs
        Text("The mailbox was not looked at yet when the run was told to stop, or its time was up."),
        where="edi.mailbox",
    )


def _is_receipt(document: bytes, their_her_id: int) -> bool:
    """Tell whether a document may be the receiver's receipt for one of our types; it is signed by nobody any more."""
    try:
        answer = apprec.parse(document)
    except MessageRefused:
        return False
    return answer.original_type in set(MessageType) or their_her_id in answer.sender_her_ids


def _inbound(entry: MailEntry, raw: bytes, *, readable: bool = True, too_large: bool = False) -> InboundMail:
    return InboundMail(
        token=entry,
        source=Source.RECEIPTS,
        message_id=entry.key,
        correlation_id="",
        subject="",
        content_type=MAIL,
        properties={},
        body=raw,
        readable=readable,
        too_large=too_large,
    )
