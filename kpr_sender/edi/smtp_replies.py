"""What a mail server's replies mean: which error a person sees, and whether it certainly does not have a mail.

RFC 5321, 4.2.1: the first digit alone says yes (2, 3), not now (4) or no (5). A server that said 4 or 5 does not have
the mail, whatever it was said to, the end of the mail included. An enhanced code (RFC 3463) says why.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kpr_sender.bus.port import Outcome, Reach, Verdict
from kpr_sender.errors import (
    AccessRefused,
    BusUnreachable,
    ConfigInvalid,
    InDoubt,
    InputRefused,
    KprError,
    LoginRefused,
)
from kpr_sender.privacy import foreign_text
from kpr_sender.texts import Text

_ENHANCED: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
_TOO_LARGE: Final = ("5.3.4", "5.2.3")  # RFC 3463: message too big for system; message length exceeds limit
_MAILBOX_FULL: Final = "5.2.2"
_WRONG_LOGIN: Final = 535
_LOGIN_NEEDED: Final = 530
_SIZE_EXCEEDED: Final = 552
_NOT_NOW: Final = 4
_NO: Final = 5
_STARTED: Final = 354
_NOT_OURS: Final = Text("another run may have the journal: nothing was begun")
_SMALLER: Final = Text('Send over Tjenestebuss (transport = "amqp"), or ask NHN for a larger limit.')


class Stage(enum.StrEnum):
    """What a reply answers."""

    GREETING = "greeting"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"
    BODY = "mail"
    """Nothing that was asked: it came before the mail ended."""
    DOT = "end of the mail"


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """One complete reply.

    Attributes:
        code: Three digits.
        text: The server's words, cleaned.
    """

    code: int
    text: str

    @property
    def refuses(self) -> bool:
        """Whether it says *not now* or *no*."""
        return self.code // 100 in (_NOT_NOW, _NO)

    @property
    def enhanced(self) -> str:
        """The enhanced code that it begins with; empty without one."""
        found = _ENHANCED.match(self.text)
        return found[1] if found else ""

    @property
    def condition(self) -> str:
        """What an outcome calls it."""
        return f"smtp:{self.code}"

    @classmethod
    def of(cls, code: int, words: bytes) -> SmtpReply:
        """Return the reply with these words, whatever is in them."""
        return cls(code, foreign_text(words.decode("utf-8", "replace")))


class SmtpRefused(Exception):
    """The server said no to a command, or something that no server says there."""

    def __init__(self, stage: Stage, reply: SmtpReply) -> None:
        super().__init__(stage)
        self.stage, self.reply = stage, reply


def required(stage: Stage, reply: SmtpReply) -> SmtpReply:
    """Return a reply that lets us go on.

    Raises:
        SmtpRefused: It is another.
    """
    wanted = reply.code == _STARTED if stage is Stage.DATA else reply.code // 100 == 2  # noqa: PLR2004 - RFC 5321, 4.2.1
    if not wanted:
        raise SmtpRefused(stage, reply)
    return reply


@dataclass(frozen=True, slots=True)
class _ReplyMeaning:
    """What replies mean to a person: the first row that applies counts."""

    applies: Callable[[Stage, SmtpReply], bool]
    error: type[KprError]
    sentence: Text
    next_step: Text | None = None


_ASK: Final = Text("Ask the mail server's operator with these words; nothing was sent.")
_LOGIN: Final = Text("Check edi.user and its password; a wrong one again and again may lock the account.")
_MEANINGS: Final = (
    _ReplyMeaning(
        lambda _stage, reply: reply.code // 100 == _NOT_NOW,
        BusUnreachable,
        Text("The mail server does not take the mail now"),
    ),
    _ReplyMeaning(
        lambda _stage, reply: reply.code // 100 != _NO,
        BusUnreachable,
        Text("The mail server answered what has no place there"),
    ),
    _ReplyMeaning(
        lambda _stage, reply: reply.enhanced == _MAILBOX_FULL, BusUnreachable, Text("The receiver's mailbox is full")
    ),
    _ReplyMeaning(
        lambda _stage, reply: reply.code == _SIZE_EXCEEDED or reply.enhanced in _TOO_LARGE,
        InputRefused,
        Text("The mail is larger than the mail server takes"),
        _SMALLER,
    ),
    _ReplyMeaning(
        lambda stage, reply: stage is Stage.AUTH and reply.code == _WRONG_LOGIN,
        LoginRefused,
        Text("The mail server refused the login"),
        _LOGIN,
    ),
    _ReplyMeaning(
        lambda stage, _reply: stage is Stage.AUTH, AccessRefused, Text("The mail server refused the login"), _LOGIN
    ),
    _ReplyMeaning(
        lambda stage, reply: stage in (Stage.GREETING, Stage.STARTTLS) or reply.code == _LOGIN_NEEDED,
        AccessRefused,
        Text("The mail server does not let us in"),
        Text("Check edi.smtp_port, edi.smtp_security and edi.user against what was ordered from NHN."),
    ),
    _ReplyMeaning(
        lambda stage, _reply: stage is Stage.MAIL,
        ConfigInvalid,
        Text("The mail server refuses our address as the sender's"),
        Text("Check edi.address: it must be the EDI account's, as Adresseregisteret has it."),
    ),
    _ReplyMeaning(
        lambda stage, _reply: stage is Stage.RCPT,
        ConfigInvalid,
        Text("The mail server refuses the receiver's address"),
        Text("Check edi.receiver_address against Adresseregisteret."),
    ),
    _ReplyMeaning(
        lambda _stage, reply: reply.enhanced.startswith("5.7."),
        AccessRefused,
        Text("The mail server's rules refuse the mail"),
        _ASK,
    ),
    _ReplyMeaning(lambda _stage, _reply: True, ConfigInvalid, Text("The mail server refused for good"), _ASK),
)


_IN_WORDS: Final = {Stage.GREETING: Text("greeting"), Stage.BODY: Text("mail"), Stage.DOT: Text("end of the mail")}
"""The stages that are no command of SMTP's."""


def refusal(refused: SmtpRefused, where: str) -> KprError:
    """Return what it means to a person that the server refused; ``where`` is host and port."""
    stage, reply = refused.stage, refused.reply
    meaning = next(one for one in _MEANINGS if one.applies(stage, reply))
    words = f"{reply.code} {reply.text}".rstrip()
    said = Text("{sentence} ({words}).", sentence=meaning.sentence, words=words)
    at = Text("{where}, {stage}", where=where, stage=_IN_WORDS.get(stage, stage.value))
    return meaning.error(said, where=at, next_step=meaning.next_step)


def not_sent(refused: SmtpRefused, reach: Reach, sent: int, where: str) -> Outcome:
    """Return the outcome of a mail that the server refused; ``sent`` in bytes."""
    reply = refused.reply
    return Outcome(Verdict.NOT_SENT, reach, sent, reply.condition, reply.text, refusal(refused, where))


def lost(reach: Reach, sent: int, words: str, where: str) -> Outcome:
    """Return the outcome of a mail whose end never left: the connection ended before, or the time was up."""
    error = BusUnreachable(
        Text("The connection to the mail server ended before the mail did ({words}).", words=words), where=where
    )
    return Outcome(Verdict.NOT_SENT, reach, sent, "local:lost", words, error)


def in_doubt(sent: int, condition: str, words: str, where: str) -> Outcome:
    """Return the outcome of a mail whose end may have left, and to which there is no answer."""
    error = InDoubt(
        Text("The mail was handed over, and the mail server did not say what became of it ({words}).", words=words),
        where=where,
    )
    return Outcome(Verdict.IN_DOUBT, Reach.HANDED_OVER, sent, condition, words, error)


def answered(reply: SmtpReply, sent: int, where: str) -> Outcome:
    """Evaluate the answer to the end of a mail. The one place that says *accepted*."""
    if reply.code == 250:  # noqa: PLR2004 - RFC 5321, 4.3.2: the only success after DATA
        return Outcome(Verdict.ACCEPTED, Reach.OUTCOME, sent)
    if reply.refuses:
        return not_sent(SmtpRefused(Stage.DOT, reply), Reach.OUTCOME, sent, where)
    return in_doubt(sent, reply.condition, reply.text, where)


def not_begun(error: KprError) -> Outcome:
    """Return the outcome of a mail of which nothing left, for a reason of ours."""
    return Outcome(Verdict.NOT_SENT, Reach.NOT_BEGUN, 0, error.code, error.what, error)


def not_connected(error: KprError) -> Outcome:
    """Return the outcome without a connection that is ready for mail."""
    return Outcome(Verdict.NOT_SENT, Reach.NO_CONNECTION, 0, error.code, error.what, error)


def too_large(length: int, limit: int, where: str) -> Outcome:
    """Return the outcome of a mail above a limit; both in bytes."""
    return not_begun(
        InputRefused(
            Text("The mail has {length} bytes, and the limit is {limit}.", length=length, limit=limit),
            where=where,
            next_step=_SMALLER,
        )
    )


def not_ours(where: str) -> Outcome:
    """Return the outcome of a mail that another run may be sending."""
    error = BusUnreachable(Text("{reason}.", reason=_NOT_OURS), where=where)
    return Outcome(Verdict.NOT_SENT, Reach.NOT_BEGUN, 0, "local:lease", _NOT_OURS, error)
