"""A receipt that came by mail is acknowledged: to the receiver alone, signed, and with the very same bytes again."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kpr_sender.bus.port import Outcome, Reach, Verdict
from kpr_sender.documents import FileDocument
from kpr_sender.ebxml.answers import Acknowledgment, Assurance, Correspondence, EbxmlHeader, PayloadMessage, classify
from kpr_sender.ebxml.envelope import SignedReference
from kpr_sender.ebxml.mail import MailAddresses
from kpr_sender.ebxml.read_mail import NotEbxml, read
from kpr_sender.ebxml.signature import SHA256_DIGEST
from kpr_sender.edi.acknowledge import Acknowledger, Acknowledging
from kpr_sender.edi.port import OutgoingMail
from kpr_sender.errors import BusUnreachable, JournalUnwritable
from kpr_sender.events import Event
from kpr_sender.texts import Text
from tests.helpers.pki import Kind, certificate, key_pair

OURS, THEIRS = 900002, 171479
NOW = datetime(2025, 1, 10, 12, tzinfo=UTC)
ADDRESSES = MailAddresses("kommune@rehearsal.example", "kpr@rehearsal.example")
TAKEN = Outcome(Verdict.ACCEPTED, Reach.OUTCOME)
NOT_TAKEN = Outcome(Verdict.NOT_SENT, Reach.NO_CONNECTION, error=BusUnreachable(Text("No route.")))
IN_DOUBT = Outcome(Verdict.IN_DOUBT, Reach.HANDED_OVER)


class _Scene:
    """An acknowledger whose mail server answers as told."""

    def __init__(self, folder: Path) -> None:
        self.outcome = TAKEN
        self.mails: list[OutgoingMail] = []
        self.events: list[Event] = []
        self.document = FileDocument(folder / "acknowledgements.json")

    def _submit(self, mail: OutgoingMail) -> Outcome:
        self.mails.append(mail)
        return self.outcome

    @property
    def acknowledger(self) -> Acknowledger:
        """A new one, as in another run."""
        return Acknowledger(
            Acknowledging(OURS, THEIRS, ADDRESSES),
            lambda: key_pair(Kind.SIGNER),
            self.document,
            self._submit,
            lambda: NOW,
            lambda: str(uuid.uuid4()),
            self.events.append,
        )


def _receipt(
    *, from_her_id: int = THEIRS, verified: bool = True, asked: bool = True, digest: str = "b3Vycw=="
) -> PayloadMessage:
    header = EbxmlHeader(from_her_id, OURS, "their-id", "their-conversation", "171479_900002", "S", "APPREC", "", "")
    assurance = Assurance(certificate(Kind.SIGNER)) if verified else Assurance(problem="it is not signed")
    return PayloadMessage(header, assurance, asked, b"", (SignedReference("cid:payload", digest, SHA256_DIGEST),))


def test_it_is_signed_and_goes_to_the_configured_receiver(tmp_path: Path) -> None:
    scene = _Scene(tmp_path)
    assert scene.acknowledger.acknowledge(_receipt())
    (mail,) = scene.mails
    assert (mail.sender, mail.recipient) == (ADDRESSES.sender, ADDRESSES.receiver)
    raw = "".join(f"{name}: {value}\r\n" for name, value in mail.head).encode() + b"\r\n" + mail.body
    opened = read(raw)
    assert not isinstance(opened, NotEbxml)
    answer = classify(opened, Correspondence(THEIRS, OURS, [certificate(Kind.SIGNER)]))
    assert isinstance(answer, Acknowledgment)
    assert answer.assurance.is_verified
    header = answer.header
    assert (answer.acknowledged, header.conversation_id) == ("their-id", "their-conversation")
    assert (header.cpa_id, header.ref_to) == ("171479_900002", ""), "HITS 1172, rule 109"


def test_a_receipt_that_comes_again_is_answered_with_the_same_bytes(tmp_path: Path) -> None:
    scene = _Scene(tmp_path)
    for outcome, sent in ((NOT_TAKEN, False), (IN_DOUBT, True), (TAKEN, True)):
        scene.outcome = outcome
        assert scene.acknowledger.acknowledge(_receipt()) is sent
    assert len({(mail.message_id, mail.body) for mail in scene.mails}) == 1
    assert [event.kind.value for event in scene.events] == ["warning"]
    assert "No route" in scene.events[0].text


def test_nobody_else_is_ever_answered(tmp_path: Path) -> None:
    scene = _Scene(tmp_path)
    for message in (_receipt(from_her_id=8_000_001), _receipt(verified=False)):
        with pytest.raises(AssertionError):
            scene.acknowledger.acknowledge(message)
    assert scene.acknowledger.acknowledge(_receipt(asked=False)), "who does not ask is not answered"
    assert scene.mails == []


def test_one_that_has_the_id_of_another_is_not_acknowledged_by_what_acknowledged_that(tmp_path: Path) -> None:
    """HITS 1172, 5.8.2: the same id with other digests is a false repeat, which is reported."""
    scene = _Scene(tmp_path)
    assert scene.acknowledger.acknowledge(_receipt())
    stored = scene.document.path.read_bytes()
    assert not scene.acknowledger.acknowledge(_receipt(digest="YW5vdGhlcg=="))
    assert (len(scene.mails), scene.document.path.read_bytes()) == (1, stored)
    assert "had other content" in scene.events[0].text
    assert scene.acknowledger.acknowledge(_receipt())


def test_an_acknowledgement_that_was_damaged_where_it_is_stored_is_not_sent(tmp_path: Path) -> None:
    scene = _Scene(tmp_path)
    scene.outcome = NOT_TAKEN
    scene.acknowledger.acknowledge(_receipt())
    path = scene.document.path
    body = scene.mails[0].body[:40].decode()
    path.write_text(path.read_text(encoding="utf-8").replace(body, body.swapcase()), encoding="utf-8")
    with pytest.raises(JournalUnwritable, match="one of them is not as it was written"):
        scene.acknowledger.acknowledge(_receipt())
    assert len(scene.mails) == 1


def test_what_cannot_be_stored_is_not_sent(tmp_path: Path) -> None:
    scene = _Scene(tmp_path)
    scene.document.path.write_text("{}", encoding="utf-8")
    with pytest.raises(JournalUnwritable, match="not what this version writes"):
        scene.acknowledger.acknowledge(_receipt())
    scene.document = dataclasses.replace(scene.document, path=tmp_path / "missing" / "acknowledgements.json")
    with pytest.raises(JournalUnwritable, match="cannot be stored"):
        scene.acknowledger.acknowledge(_receipt())
    assert scene.mails == []
