"""What the KPR receiver answers: positive to what is right, the right code to what is not."""

from __future__ import annotations

import dataclasses
import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import etree
from proton import Delivery

from kpr_sender.keys.files import KeyPair, SoftwareSigner
from kpr_sender.messages import apprec, error_queue, transport
from kpr_sender.messages.hodemelding import Hodemelding
from kpr_sender.model import MessageType, Party
from kpr_sender.sandbox.pki import impostor
from kpr_sender.sandbox.sandbox import Manners, Sandbox
from tests.helpers import cms
from tests.helpers.shared import SHARED
from tests.sandbox.bus_client import BusClient
from tests.sandbox.conftest import Municipality

RECEIVER = "/exchange/NHNTESTServiceBus/171479_async"
Run = Callable[..., Sandbox]
Connect = Callable[[Sandbox], BusClient]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("message_type", MessageType)
def test_a_good_message_gets_a_positive_sealed_receipt(
    run: Run, connect: Connect, municipality: Municipality, message_type: MessageType, version: str
) -> None:
    sandbox = run(manners=Manners(tls=False, apprec_version=version))
    client, head = connect(sandbox), municipality.hodemelding(message_type)
    sent = municipality.message(head)
    assert client.publish(RECEIVER, sent) == Delivery.ACCEPTED
    (answer,) = client.take(sandbox.receipts_queue)

    assert (answer.subject, answer.content_type) == ("APPREC", transport.CONTENT_TYPE)
    assert answer.correlation_id == sent.correlation_id
    assert (answer.properties["fromHerId"], answer.properties["toHerId"]) == ("171479", "900002")
    assert uuid.UUID(answer.id) != uuid.UUID(sent.id)
    assert answer.durable
    xml = municipality.open(answer.body)
    schema = SHARED / "schemas" / "msghead-apprec" / f"apprec-v{version}.xsd"
    etree.XMLSchema(etree.parse(schema)).assertValid(etree.fromstring(xml))
    receipt = apprec.parse(xml)
    assert (receipt.version, receipt.status_code, receipt.errors) == (version, "1", ())
    assert receipt.original_msg_id == head.msg_id
    assert receipt.sender_her_ids == (85217, 171479)
    assert receipt.receiver_her_ids == (900001, 900002)

    (line,) = sandbox.ledger.lines()
    assert (line.message_id, line.msg_id, line.type) == (sent.id, head.msg_id, message_type)
    assert (line.verdict, line.disposition) == ("1", "accepted")


def _other(party: Party, **changes: Any) -> Party:
    return dataclasses.replace(party, **changes)


HEADS: dict[str, tuple[str, Callable[[Hodemelding], Hodemelding]]] = {
    "level 1 of the receiver": ("E21", lambda h: dataclasses.replace(h, receiver=_other(h.receiver, her_id=2397))),
    "level 2 of the receiver": (
        "E21",
        lambda h: dataclasses.replace(h, receiver=_other(h.receiver, service_her_id=122612)),
    ),
    "level 2 of the sender": ("X99", lambda h: dataclasses.replace(h, sender=_other(h.sender, service_her_id=900003))),
}


@pytest.mark.parametrize("what", HEADS)
def test_a_wrong_addressing_is_refused(run: Run, connect: Connect, municipality: Municipality, what: str) -> None:
    code, change = HEADS[what]
    head = change(municipality.hodemelding(MessageType.KPR_IPL))
    assert _refused(run(), connect, municipality, municipality.message(head)) == (code, head.msg_id)


def _with_property(name: str, value: str) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        message.properties = {**message.properties, name: value}

    return change


def _with(name: str, value: str) -> Callable[[Any], None]:
    return lambda message: setattr(message, name, value)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(_with("subject", "KPR_IDE"), "X99", id="subject"),
        pytest.param(_with_property("fromHerId", "900003"), "X99", id="fromHerId"),
        pytest.param(_with_property("toHerId", "122612"), "E21", id="toHerId"),
    ],
)
def test_properties_that_contradict_the_hodemelding_are_refused(
    run: Run, connect: Connect, municipality: Municipality, change: Callable[[Any], None], code: str
) -> None:
    head = municipality.hodemelding(MessageType.KPR_IPL)
    message = municipality.message(head)
    change(message)
    assert _refused(run(), connect, municipality, message) == (code, head.msg_id)


CONTENTS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "not XML": ("T01", lambda xml: xml[:-20]),
    "with a DTD": ("T01", lambda xml: xml.replace(b"<MsgHead", b"<!DOCTYPE MsgHead><MsgHead", 1)),
    "another root": ("T02", lambda xml: xml.replace(b"MsgHead>", b"MsgHode>").replace(b"<MsgHead", b"<MsgHode")),
    "another type": ("T10", lambda xml: xml.replace(b'V="KPR_IPL"', b'V="NPR_KPP"')),
    "another payload version": ("T10", lambda xml: xml.replace(b'versjon="3.7"', b'versjon="3.5"')),
    "another payload namespace": ("T10", lambda xml: xml.replace(b"xmlstds/iplos/2019", b"xmlstds/iplos/2018")),
    "half a year": ("T02", lambda xml: xml.replace(b"20241231</iiTilDato>", b"20240630</iiTilDato>")),
    "no persons": ("T02", lambda xml: xml[: xml.index(b"<PERSON")] + xml[xml.rindex(b"</PERSON>") + 9 :]),
    "an unknown year": ("T02", lambda xml: xml.replace(b">20240101</iiFra", b">19990101</iiFra")),
}


@pytest.mark.parametrize("what", CONTENTS)
def test_a_wrong_content_is_refused(run: Run, connect: Connect, municipality: Municipality, what: str) -> None:
    code, change = CONTENTS[what]
    head = municipality.hodemelding(MessageType.KPR_IPL)
    content = change(municipality.framed(head))
    message = municipality.message(head, municipality.seal(content))
    assert _refused(run(), connect, municipality, message) == (code, head.msg_id)


def test_a_msg_id_that_is_no_uuid_is_refused_and_named(run: Run, connect: Connect, municipality: Municipality) -> None:
    head = municipality.hodemelding(MessageType.KPR_IDE)
    content = municipality.framed(head).replace(head.msg_id.encode(), b"17 &amp; 4")
    sandbox = run()
    client = connect(sandbox)
    client.publish(RECEIVER, municipality.message(head, municipality.seal(content)))
    (error,) = client.take(sandbox.error_queue)  # what cannot be written into a receipt as it stands is a fault
    assert error.properties["errorCondition"] == "transport:not-well-formed-xml"

    content = municipality.framed(head).replace(head.msg_id.encode(), b"NUMBER-17")
    message = municipality.message(head, municipality.seal(content))
    assert _refused(sandbox, connect, municipality, message) == ("E10", "number-17")


def test_a_signature_of_somebody_else_is_s02(run: Run, connect: Connect, municipality: Municipality) -> None:
    right = municipality.key_pair("kommune-signing")
    key, certificate = impostor(right.certificate, _now())
    head = municipality.hodemelding(MessageType.KPR_IPL)
    sealed = municipality.seal(
        municipality.framed(head), signer=KeyPair(certificate, key, (right.certificate, *right.chain))
    )
    assert _refused(run(), connect, municipality, municipality.message(head, sealed)) == ("S02", head.msg_id)


def test_a_signature_that_does_not_hold_is_s01(run: Run, connect: Connect, municipality: Municipality) -> None:
    right = municipality.key_pair("kommune-signing")
    head = municipality.hodemelding(MessageType.KPR_IPL)
    signed = _signed_data(municipality.framed(head), right)
    broken = signed[:-1] + bytes([signed[-1] ^ 1])
    assert _refused(run(), connect, municipality, municipality.message(head, _envelop(broken, municipality))) == (
        "S01",
        head.msg_id,
    )


def test_a_certificate_that_has_expired_is_s02(run: Run, connect: Connect, municipality: Municipality) -> None:
    sandbox = run()
    sandbox._receiver._now = lambda: (
        municipality.pki.certificate("kommune-signing").not_valid_after_utc + timedelta(days=1)
    )
    head = municipality.hodemelding(MessageType.KPR_IPL)
    assert _refused(sandbox, connect, municipality, municipality.message(head)) == ("S02", head.msg_id)


FAULTS: list[tuple[str, Callable[[Municipality, Any], None], str]] = [
    (
        "sealed for another",
        lambda m, x: setattr(x, "body", m.seal(b"x", recipient="kommune-encryption")),
        "certificate",
    ),
    ("no CMS", lambda _, x: setattr(x, "body", b"<xml/>"), "unsupported-message"),
    ("damaged", lambda _, x: setattr(x, "body", x.body[:-16] + bytes(16)), "invalid-certificate"),
    ("content type", lambda _, x: setattr(x, "content_type", "text/plain"), "unsupported-message"),
    ("message-id", lambda _, x: setattr(x, "id", "17"), "invalid-field-value"),
    ("no subject", lambda _, x: setattr(x, "subject", None), "invalid-field-value"),
    ("no reply-to", lambda _, x: setattr(x, "reply_to", None), "invalid-field-value"),
    ("somebody's reply-to", lambda _, x: setattr(x, "reply_to", "171479_async"), "invalid-field-value"),
    ("no fromHerId", lambda _, x: x.properties.pop("fromHerId"), "invalid-field-value"),
    ("a time of its own", lambda _, x: _with_property("applicationTimeStamp", "today")(x), "invalid-field-value"),
    ("not a Data section", lambda _, x: setattr(x, "inferred", False), "unsupported-message"),
    ("an empty body", lambda _, x: setattr(x, "body", b""), "unsupported-message"),
]


@pytest.mark.parametrize(("change", "condition"), [pytest.param(c, e, id=w) for w, c, e in FAULTS])
def test_what_cannot_be_answered_comes_back_on_the_error_queue(
    run: Run,
    connect: Connect,
    municipality: Municipality,
    change: Callable[[Municipality, Any], None],
    condition: str,
) -> None:
    sandbox = run()
    client = connect(sandbox)
    message = municipality.message(municipality.hodemelding(MessageType.KPR_IPL))
    change(municipality, message)
    assert client.publish(RECEIVER, message) == Delivery.ACCEPTED
    (error,) = client.take(sandbox.error_queue)
    fault = error_queue.parse(error.properties, error.subject or "", bytes(error.body))
    assert fault.condition.endswith(condition)
    assert fault.original_message_id == message.id
    assert (error.correlation_id, error.reply_to) == (None, None)
    assert error.content_type == "None"  # proton's word for a message without one
    assert sandbox.depth(sandbox.receipts_queue) == 0


def test_trouble_of_its_own_is_answered_x99_and_the_bus_goes_on(
    run: Run,
    connect: Connect,
    municipality: Municipality,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("something personal")

    sandbox = run()
    head = municipality.hodemelding(MessageType.KPR_IPL)
    with monkeypatch.context() as broken:
        broken.setattr("kpr_sender.sandbox.examination.inspect", fail)
        assert _refused(sandbox, connect, municipality, municipality.message(head)) == ("X99", head.msg_id)
    assert [record.getMessage() for record in caplog.records] == ["examining a message failed: RuntimeError"]
    client = connect(sandbox)
    client.publish(RECEIVER, municipality.message(head))
    (answer,) = client.take(sandbox.receipts_queue)
    assert apprec.parse(municipality.open(answer.body)).status_code == "1"


def _now() -> datetime:
    return datetime.now(UTC)


def _signed_data(content: bytes, signer: KeyPair) -> bytes:
    return cms.signed(content, SoftwareSigner(signer))


def _envelop(signed: bytes, municipality: Municipality) -> bytes:
    """Seal what is signed already, with openssl: the product only writes both layers at once."""
    certificate = municipality.pki.folder / "fhi-encryption.pem"
    command = ["openssl", "cms", "-encrypt", "-binary", "-aes256", "-outform", "DER", str(certificate)]
    return subprocess.run(command, input=signed, capture_output=True, check=True).stdout


def _refused(sandbox: Sandbox, connect: Connect, municipality: Municipality, message: Any) -> tuple[str, str]:
    """Publish, take the receipt, and return its one error code and the MsgId it answers."""
    client = connect(sandbox)
    assert client.publish(RECEIVER, message) == Delivery.ACCEPTED
    (answer,) = client.take(sandbox.receipts_queue)
    receipt = apprec.parse(municipality.open(answer.body))
    assert receipt.status_code == "2"
    (error,) = receipt.errors
    assert sandbox.ledger.lines()[-1].verdict == error.code
    return error.code, receipt.original_msg_id
