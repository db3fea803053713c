"""Acknowledges a receipt that came by mail: to the configured receiver alone, signed, and the same bytes again.

The order is the caller's: what the receipt says is durable before, and the mail is taken out of the mailbox after it
(HITS 1171 8.1). The Acknowledgment is stored before it is sent: a receipt that comes again is answered with the very
same one (HITS 1171 5.2.1.11), one with its id and other content with none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kpr_sender.bus.port import Outcome, Verdict
from kpr_sender.cms.port import Signer
from kpr_sender.documents import Document
from kpr_sender.ebxml import envelope
from kpr_sender.ebxml.answers import PayloadMessage
from kpr_sender.ebxml.envelope import EbxmlParties, MessageIds
from kpr_sender.ebxml.mail import MailAddresses, signal_mail
from kpr_sender.edi.port import OutgoingMail
from kpr_sender.errors import JournalUnwritable
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.texts import Text

DOCUMENT: Final = "acknowledgements"
_SCHEMA: Final = 2
_MOST_BYTES: Final = 4_000_000
_MOST_STORED: Final = 100
"""Two receipts a year, and those of replacements: what is older nobody sends again."""


@dataclass(frozen=True, slots=True)
class Acknowledging:
    """Who acknowledges, and whose messages alone.

    Attributes:
        own_her_id: Ours, level 2.
        their_her_id: The receiver's, level 2.
        addresses: Our EDI address and the receiver's, as configured and registered.
    """

    own_her_id: int
    their_her_id: int
    addresses: MailAddresses


@dataclass(frozen=True, slots=True)
class Acknowledger:
    """Acknowledges messages of the receiver's.

    Attributes:
        between: Ourselves and the receiver.
        signer: Returns our signing key.
        document: Where the Acknowledgments are stored that were made.
        submit: Hands a mail over, once.
    """

    between: Acknowledging
    signer: Callable[[], Signer]
    document: Document
    submit: Callable[[OutgoingMail], Outcome]
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    observe: Observer

    def acknowledge(self, message: PayloadMessage) -> bool:
        """Acknowledge a verified message that is durable; one that does not ask for it is not answered.

        Returns:
            Whether the Acknowledgment was sent, or may have been: then its sender asks again.

        Raises:
            JournalUnwritable: It could not be stored.
            AccessRefused, KeyUnavailable: Our signing key cannot be used.
        """
        header = message.header
        theirs = (header.from_her_id, header.to_her_id) == (self.between.their_her_id, self.between.own_her_id)
        if not message.assurance.is_verified or not theirs:
            raise AssertionError("nobody but the receiver is answered, and only what is verified")
        if not message.ack_requested:
            return True
        stored = self._stored()
        made = stored.get(header.message_id)
        if made is None:
            made = self._made(message)
            self._store({**stored, header.message_id: made})
        if made["digests"] != _digests(message):  # HITS 1172, 5.8.2: a false repeat, which is reported
            self._warn(Text("A message with its id was acknowledged before, and had other content."))
            return False
        outcome = self.submit(self._mail(made))
        if outcome.verdict is not Verdict.NOT_SENT:
            return True
        self._warn(outcome.error.text if outcome.error is not None else outcome.description)
        return False

    def _warn(self, why: str) -> None:
        text = Text("A receipt could not be acknowledged, and stays in the mailbox until it is: {why}", why=why)
        self.observe(Event(EventKind.WARNING, text))

    def _made(self, message: PayloadMessage) -> dict[str, Any]:
        header, now, message_id = message.header, self.now(), self.new_id()
        unsigned = envelope.acknowledgment(
            EbxmlParties(self.between.own_her_id, self.between.their_her_id),
            MessageIds(message_id, header.conversation_id, now),
            cpa=header.cpa_id,
            acknowledged=header.message_id,
            accepted_at=now,
            references=message.references,
        )
        mail = signal_mail(
            unsigned,
            message_id=message_id,
            action=envelope.ACKNOWLEDGMENT,
            addresses=self.between.addresses,
            signer=self.signer(),
        )
        body = b"".join(mail.chunks())
        return {
            "message_id": message_id,
            "head": mail.head,
            "body": body.decode("ascii"),  # its parts are in base64
            "sha256": hashlib.sha256(body).hexdigest(),
            "digests": _digests(message),
        }

    def _mail(self, made: dict[str, Any]) -> OutgoingMail:
        """Return what is sent, if it is what was written."""
        addresses = self.between.addresses
        body = made["body"].encode("utf-8")
        if hashlib.sha256(body).hexdigest() != made["sha256"]:
            raise self._unusable(Text("one of them is not as it was written"))
        head = tuple((name, value) for name, value in made["head"])
        return OutgoingMail(made["message_id"], addresses.sender, addresses.receiver, head, body)

    def _stored(self) -> dict[str, Any]:
        try:
            found = json.loads(self.document.read(most=_MOST_BYTES))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error.strerror or type(error).__name__) from None
        except ValueError:
            raise self._unusable(Text("it is not what this version writes")) from None
        stored = found.get("made") if isinstance(found, dict) and found.get("schema") == _SCHEMA else None
        if not isinstance(stored, dict):
            raise self._unusable(Text("it is not what this version writes"))
        return stored

    def _store(self, made: dict[str, Any]) -> None:
        newest = dict(list(made.items())[-_MOST_STORED:])
        try:
            self.document.write(json.dumps({"schema": _SCHEMA, "made": newest}, separators=(",", ":")).encode())
        except OSError as error:
            raise self._unusable(error.strerror or type(error).__name__) from None

    def _unusable(self, reason: str) -> JournalUnwritable:
        return JournalUnwritable(
            Text("The acknowledgements that were sent cannot be stored: {reason}.", reason=reason),
            where=self.document.where,
        )


def _digests(message: PayloadMessage) -> dict[str, str]:
    """Return what names the very content of a message: what its signature is over."""
    return {one.uri: "".join(one.digest.split()) for one in message.references}
