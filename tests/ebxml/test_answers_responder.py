"""A message server of others' parts alone takes what we send, and we take what it answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpr_sender.cms.read import Policy
from kpr_sender.ebxml.answers import Acknowledgment, Digests, MessageError, PayloadMessage, classify, compare
from kpr_sender.ebxml.content import open_payload
from kpr_sender.ebxml.envelope import Severity
from kpr_sender.ebxml.read_mail import Mail, read
from tests.ebxml.samples import ACK_ID, CONTENT, CONVERSATION, KPR, MESSAGE_ID, US, raw, shipment
from tests.ebxml.test_answers import answer_of, from_kpr
from tests.helpers import pki
from tests.helpers.edi_responder import Responder
from tests.helpers.pki import Kind

_RECEIPT = "<AppRec>æøå</AppRec>".encode()


@pytest.fixture
def responder(tmp_path: Path) -> Responder:
    owners = {
        "sender": Kind.SIGNER,
        "recipient": Kind.ENCRYPTION,
        "signer": Kind.RECEIVER_SIGNER,
        "opener": Kind.RECEIVER_ENCRYPTION,
    }
    for name, kind in owners.items():
        (tmp_path / f"{name}.pem").write_bytes(pki.certificate_pem(kind))
        if name in {"signer", "opener"}:
            (tmp_path / f"{name}.key").write_bytes(pki.key_pem(kind))
    return Responder(tmp_path)


def test_it_takes_what_we_send_and_we_take_what_it_answers(responder: Responder) -> None:
    sent = shipment()

    taken = responder.take(raw(sent))

    assert taken.content == CONTENT
    assert taken.fields["MessageData/MessageId"] == MESSAGE_ID
    assert (taken.fields["From"], taken.fields["To"]) == (str(US), str(KPR))

    acknowledged = answer_of(responder.acknowledge(taken, message_id=ACK_ID))
    assert isinstance(acknowledged, Acknowledgment)
    assert acknowledged.assurance.is_verified
    assert (acknowledged.acknowledged, acknowledged.header.conversation_id) == (MESSAGE_ID, CONVERSATION)
    assert compare(sent.references, acknowledged.references) is Digests.ALL

    other = tuple(one.replace("<DigestValue>", "<DigestValue>A") for one in taken.references)
    lied = answer_of(responder.acknowledge(taken, message_id=ACK_ID, references=other))
    assert isinstance(lied, Acknowledgment)
    assert lied.assurance.is_verified
    assert compare(sent.references, lied.references) is Digests.DIFFERENT

    for severity in Severity:
        refused = answer_of(
            responder.refuse(taken, message_id=ACK_ID, code="SecurityFailure", severity=severity, text="Æ & <b>")
        )
        assert isinstance(refused, MessageError)
        assert refused.assurance.is_verified
        assert (refused.refused, refused.severity, refused.errors[0].code) == (MESSAGE_ID, severity, "SecurityFailure")

    answered = answer_of(responder.app_rec(taken, _RECEIPT, message_id=ACK_ID))
    assert isinstance(answered, PayloadMessage)
    assert answered.assurance.is_verified
    assert answered.ack_requested
    keys = [pki.key_pair(Kind.ENCRYPTION)]
    assert open_payload(answered.payload, decrypters=keys, signers=(), policy=Policy()) == _RECEIPT


def test_it_does_not_take_what_was_changed(responder: Responder) -> None:
    whole = raw(shipment())
    at = whole.index(b"\r\n\r\nMI") + 400
    with pytest.raises(AssertionError, match="xmlsec1"):
        responder.take(whole[:at] + (b"A" if whole[at : at + 1] != b"A" else b"B") + whole[at + 1 :])


def test_we_do_not_take_what_was_changed(responder: Responder) -> None:
    taken = responder.take(raw(shipment()))
    whole = responder.app_rec(taken, _RECEIPT, message_id=ACK_ID)
    at = whole.rindex(b"\r\n\r\nMI") + 400
    mail = read(whole[:at] + (b"A" if whole[at : at + 1] != b"A" else b"B") + whole[at + 1 :])
    assert isinstance(mail, Mail)
    answer = classify(mail, from_kpr())
    assert isinstance(answer, PayloadMessage)
    assert answer.assurance.problem == "a part of the mail was changed after it was signed"
