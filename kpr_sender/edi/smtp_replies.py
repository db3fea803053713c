"""What a mail server's replies mean: which error a person sees, and whether it certainly does not have a mail.

RFC 5321, 4.2.1: the first digit alone says yes (2, 3), not now (4) or no (5). A server that said 4 or 5 does not have
the mail, whatever it was said to, the end of the mail included. An enhanced code (RFC 3463) says why.
"""

from __future__ import annotations

import enum
import re
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
class Reply:
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
    def of(cls, code: int, lines: list[bytes]) -> Reply:
        """Return the reply of these lines, whatever is in them."""
        return cls(code, foreign_text(b" ".join(lines).decode("utf-8", "replace")))


class Refused(Exception):
    """The server said no to a command, or something that no server says there."""

    def __init__(self, stage: Stage, reply: Reply) -> None:
        super().__init__(stage)
        self.stage, self.reply = stage, reply


def required(stage: Stage, reply: Reply) -> Reply:
    """Return a reply that lets us go on.

    Raises:
        Refused: It is another.
    """
    wanted = reply.code == _STARTED if stage is Stage.DATA else reply.code // 100 == 2  # noqa: PLR2004 - RFC 5321, 4.2.1
    if not wanted:
        raise Refused(stage, reply)
    return reply


def refusal(refused: Refused, where: str) -> KprError:
    """Return what it means to a person that the server refused; ``where`` is host and port."""
    stage, reply = refused.stage, refused.reply
    where = f"{where}, {stage}"
    words = f"{reply.code} {reply.text}".rstrip()
    if reply.code // 100 == _NOT_NOW:
        return BusUnreachable(Text("The mail server does not take the mail now ({words}).", words=words), where=where)
    if reply.code // 100 != _NO:
        return BusUnreachable(Text("The mail server answered what no rule knows ({words}).", words=words), where=where)
    if reply.enhanced == _MAILBOX_FULL:
        return BusUnreachable(Text("The receiver's mailbox is full ({words}).", words=words), where=where)
    if reply.code == _SIZE_EXCEEDED or reply.enhanced in _TOO_LARGE:
        return InputRefused(
            Text("The mail is larger than the mail server takes ({words}).", words=words),
            where=where,
            next_step=Text("Send over Tjenestebuss (transport = \"amqp\"), or ask NHN for a larger limit."),
        )
    if stage is Stage.AUTH:
        kind = LoginRefused if reply.code == _WRONG_LOGIN else AccessRefused
        return kind(
            Text("The mail server refused the login ({words}).", words=words),
            where=where,
            next_step=Text("Check edi.user and its password; a wrong one again and again may lock the account."),
        )
    if stage in (Stage.GREETING, Stage.STARTTLS) or reply.code == _LOGIN_NEEDED:
        return AccessRefused(
            Text("The mail server does not let us in ({words}).", words=words),
            where=where,
            next_step=Text("Check edi.smtp_port, edi.smtp_security and edi.user against what NHN ordered for you."),
        )
    if stage in (Stage.MAIL, Stage.RCPT):
        return _address_refused(stage, words, where)
    if stage in (Stage.DATA, Stage.BODY, Stage.DOT) and reply.enhanced.startswith("5.7."):
        return AccessRefused(
            Text("The mail server's rules refuse the mail ({words}).", words=words),
            where=where,
            next_step=Text("Ask the mail server's operator with these words; nothing was sent."),
        )
    return ConfigInvalid(
        Text("The mail server refused for good ({words}).", words=words),
        where=where,
        next_step=Text("Ask the mail server's operator with these words; nothing was sent."),
    )


def _address_refused(stage: Stage, words: str, where: str) -> ConfigInvalid:
    if stage is Stage.MAIL:
        return ConfigInvalid(
            Text("The mail server refuses our address as the sender's ({words}).", words=words),
            where=where,
            next_step=Text("Check edi.address: it must be the EDI account's, as Adresseregisteret has it."),
        )
    return ConfigInvalid(
        Text("The mail server refuses the receiver's address ({words}).", words=words),
        where=where,
        next_step=Text("Check edi.receiver_address against Adresseregisteret."),
    )


def not_sent(refused: Refused, reach: Reach, sent: int, where: str) -> Outcome:
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


def answered(reply: Reply, sent: int, where: str) -> Outcome:
    """Evaluate the answer to the end of a mail. The one place that says *accepted*."""
    if reply.code == 250:  # noqa: PLR2004 - RFC 5321, 4.3.2: the only success after DATA
        return Outcome(Verdict.ACCEPTED, Reach.OUTCOME, sent)
    if reply.refuses:
        return not_sent(Refused(Stage.DOT, reply), Reach.OUTCOME, sent, where)
    return in_doubt(sent, reply.condition, reply.text, where)
