"""What the KPR receiver answers: a positive receipt, the profile's code or condition, or nothing (HITS 1216 2.2)."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from lxml import etree
from proton import Delivery

from kpr_sender.keys.files import KeyPair
from kpr_sender.messages import apprec, error_queue, transport
from kpr_sender.messages.hodemelding import Hodemelding
from kpr_sender.model import MessageType, Party
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.pki import impostor
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
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
    sandbox = run(behaviour=Behaviour(tls=False, apprec_version=version))
    client, head = connect(sandbox), municipality.hodemelding(message_type)
    sent = municipality.message(head)
    assert client.publish(RECEIVER, sent) == Delivery.ACCEPTED
    (answer,) = client.take(sandbox.receipts_queue)

    assert (answer.subject, answer.content_type) == ("APPREC", transport.CONTENT_TYPE)
    assert answer.id == str(uuid.UUID(answer.id)) == answer.correlation_id != sent.id
    assert (answer.address, answer.reply_to) == ("900002_async", "171479_async")
    assert not answer.durable
    xml = municipality.open(answer.body)
    schema = SHARED / "schemas" / "msghead-apprec" / f"apprec-v{version}.xsd"
    etree.XMLSchema(etree.parse(schema)).assertValid(etree.fromstring(xml))
    receipt = apprec.parse(xml)
    assert (receipt.version, receipt.status_code, receipt.errors) == (version, "1", ())
    assert receipt.original_msg_id == head.msg_id
    assert receipt.sender_her_ids == (85217, 171479)
    assert receipt.receiver_her_ids == (900001, 900002)
    assert xml.startswith(b"<AppRec xmlns")
    assert b"\n  <Sender>\n    <Role V=" in xml
    told = dict(answer.properties)
    assert all(isinstance(value, str) for value in told.values())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told.pop("applicationTimeStamp"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", told.pop("enqueuedTimeUtc"))
    assert {"X-ExecutingAssembly", "X-ExecutingAssemblyVersion", "X-TargetFramework"} < told.keys()
    assert {name: value for name, value in told.items() if not name.startswith(("X-Executing", "X-Target"))} == {
        "fromHerId": "171479",
        "toHerId": "900002",
        "X-MessageInfo-SchemaNamespace": etree.fromstring(xml).nsmap[None],
        "X-MessageInfo-Type": "APPREC",
        "X-MessageInfo-MsgId": etree.fromstring(xml).findtext("{*}Id"),
        "X-MessageInfo-OriginalMsgId": head.msg_id,
        "X-MessageInfo-OriginalMsgType": message_type.value,
        "X-Sender-Lvl1Id": "85217",
        "X-Sender-Lvl2Id": "171479",
        "X-Receiver-Lvl1Id": "900001",
        "X-Receiver-Lvl2Id": "900002",
    }

    (line,) = sandbox.ledger.lines()
    assert (line.message_id, line.msg_id, line.type) == (sent.id, head.msg_id, message_type)
    assert (line.verdict, line.disposition) == ("1", "accepted")


def test_all_idents_are_mirrored(run: Run, connect: Connect, municipality: Municipality) -> None:
    head = municipality.hodemelding(MessageType.KPR_IPL)
    sandbox = run()
    client = connect(sandbox)
    sender = dataclasses.replace(head.sender, organisation_number="310000019")
    client.publish(RECEIVER, municipality.message(dataclasses.replace(head, sender=sender)))
    (answer,) = client.take(sandbox.receipts_queue)
    root = etree.fromstring(municipality.open(answer.body))
    found = [
        (found.getparent().getparent().tag.rpartition("}")[2], found.getparent().findtext("{*}Id"), found.get("V"))  # type: ignore[union-attr]
        for path in ("{*}Receiver//{*}TypeId", "{*}Receiver//{*}AdditionalId/{*}Type")
        for found in root.findall(path)
    ]
    assert found == [("HCP", "900001", "HER"), ("Inst", "900002", "HER"), ("Inst", "310000019", "ENH")]


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
        pytest.param(_with_property("toHerId", "122612"), "E10", id="toHerId"),
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


def _without_receiver(xml: bytes) -> bytes:
    return xml[: xml.index(b"<Receiver>")] + xml[xml.index(b"</Receiver>") + len(b"</Receiver>") :]


HEADERS: dict[str, Callable[[bytes], bytes]] = {
    "another root": lambda xml: xml.replace(b"MsgHead>", b"MsgHode>").replace(b"<MsgHead", b"<MsgHode"),
    "no Receiver": _without_receiver,
    "an element of its own": lambda xml: xml.replace(b"<MIGversion>", b"<Nonsense/><MIGversion>"),
    "another order": lambda xml: xml.replace(b'<Ack V="J" DN="Ja"/>', b"").replace(b"<MsgId>", b'<Ack V="J"/><MsgId>'),
    "no XML at all": lambda _: b"hello",
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_that_is_not_valid_comes_back_on_the_error_queue(
    run: Run, connect: Connect, municipality: Municipality, what: str
) -> None:
    head = municipality.hodemelding(MessageType.KPR_IPL)
    content = HEADERS[what](municipality.framed(head))
    message = municipality.message(head, municipality.seal(content))
    assert _faulted(run(), connect, message)[:1] == ("transport:not-well-formed-xml",)


@pytest.mark.parametrize("form", [str.upper, str.lower])
def test_a_msg_id_may_be_in_upper_case_and_comes_back_as_it_stood(
    run: Run, connect: Connect, municipality: Municipality, form: Callable[[str], str]
) -> None:
    head = municipality.hodemelding(MessageType.KPR_IPL)
    content = municipality.framed(head).replace(head.msg_id.encode(), form(head.msg_id).encode())
    sandbox = run()
    client = connect(sandbox)
    client.publish(RECEIVER, municipality.message(head, municipality.seal(content)))
    (answer,) = client.take(sandbox.receipts_queue)
    xml = municipality.open(answer.body)
    assert (apprec.parse(xml).status_code, form(head.msg_id).encode() in xml) == ("1", True)


PROPERTIES: dict[str, Callable[[Any], None]] = {
    "an offset": _with_property("applicationTimeStamp", "2026-11-29T19:25:36+01:00"),
    "a fraction": _with_property("applicationTimeStamp", "2026-11-29T19:25:36.1234567Z"),
    "the full id of the reply queue": _with("reply_to", "tb.test.nhn.no/NHNTESTServiceBus/900002_async"),
    "the full id of the queue": _with("address", "tb.test.nhn.no/NHNTESTServiceBus/171479_async"),
    "a message-id in upper case": lambda message: setattr(message, "id", message.id.upper()),
    "a message-id in 32 hex": lambda message: setattr(message, "id", uuid.UUID(message.id).hex),
    "a message-id in braces": lambda message: setattr(message, "id", f"{{{message.id}}}"),
    "a message-id as urn": lambda message: setattr(message, "id", f"urn:uuid:{message.id}"),
    "a message-id of AMQP's own type": lambda message: setattr(message, "id", uuid.UUID(message.id)),
}


@pytest.mark.parametrize("what", PROPERTIES)
def test_properties_may_have_every_form_that_the_profile_allows(
    run: Run, connect: Connect, municipality: Municipality, what: str
) -> None:
    sandbox = run()
    client = connect(sandbox)
    message = municipality.message(municipality.hodemelding(MessageType.KPR_IPL))
    PROPERTIES[what](message)
    client.publish(RECEIVER, message)
    (answer,) = client.take(sandbox.receipts_queue)
    assert apprec.parse(municipality.open(answer.body)).status_code == "1"


def _sealed_by_another(municipality: Municipality, message: Any) -> None:
    right = municipality.key_pair("kommune-signing")
    key, certificate = impostor(right.certificate, _now())
    by = KeyPair(certificate, key, (right.certificate, *right.chain))
    message.body = municipality.seal(b"content", signer=by)


def _with_broken_signature(municipality: Municipality, message: Any) -> None:
    signed = _signed_data(b"content", municipality.key_pair("kommune-signing"))
    message.body = _envelop(signed[:-1] + bytes([signed[-1] ^ 1]), municipality)


def _without_two_fields(_: Municipality, message: Any) -> None:
    message.correlation_id = None
    message.properties.pop("toHerId")


def _thumbprint(municipality: Municipality, name: str) -> str:
    return municipality.pki.certificate(name).fingerprint(SHA1()).hex().upper()  # noqa: S303 - a name


FAULTS: list[tuple[str, Callable[[Municipality, Any], object], str, Callable[[Municipality], str | None]]] = [
    (
        "sealed for another",
        lambda m, x: setattr(x, "body", m.seal(b"x", recipient="kommune-encryption")),
        "transport:invalid-certificate",
        lambda m: f"{_thumbprint(m, 'fhi-encryption')};{_thumbprint(m, 'kommune-encryption')};",
    ),
    ("no CMS", lambda _, x: setattr(x, "body", b"<xml/>"), "transport:invalid-cms-pkcs", lambda _: None),
    ("cut off", lambda _, x: setattr(x, "body", x.body[:-200]), "transport:invalid-cms-pkcs", lambda _: None),
    (
        "damaged",
        lambda _, x: setattr(x, "body", x.body[:-16] + bytes(16)),
        "transport:decryption-failed",
        lambda _: None,
    ),
    (
        "signed by somebody else",
        _sealed_by_another,
        "transport:invalid-signature",
        lambda m: f"{_thumbprint(m, 'kommune-signing')};",
    ),
    (
        "a signature that does not hold",
        _with_broken_signature,
        "transport:invalid-signature",
        lambda m: f"{_thumbprint(m, 'kommune-signing')};",
    ),
    (
        "content type",
        lambda _, x: setattr(x, "content_type", "text/plain"),
        "transport:unsupported-message",
        lambda _: None,
    ),
    ("message-id", lambda _, x: setattr(x, "id", "17"), "transport:invalid-field-value", lambda _: "messageId;"),
    ("no subject", lambda _, x: setattr(x, "subject", None), "transport:invalid-field-value", lambda _: "Label;"),
    ("no reply-to", lambda _, x: setattr(x, "reply_to", None), "transport:invalid-field-value", lambda _: "replyTo;"),
    (
        "no correlation-id and no toHerId",
        _without_two_fields,
        "transport:invalid-field-value",
        lambda _: "correlationId;toHerId;",
    ),
    (
        "somebody's reply-to",
        lambda _, x: setattr(x, "reply_to", "171479_async"),
        "transport:invalid-field-value",
        lambda _: "replyTo;",
    ),
    (
        "no fromHerId",
        lambda _, x: x.properties.pop("fromHerId"),
        "transport:invalid-field-value",
        lambda _: "fromHerId;",
    ),
    (
        "a time of its own",
        lambda _, x: _with_property("applicationTimeStamp", "today")(x),
        "transport:invalid-field-value",
        lambda _: "applicationTimeStamp;",
    ),
    (
        "a time without offset",
        lambda _, x: _with_property("applicationTimeStamp", "2026-11-29T19:25:36")(x),
        "transport:invalid-field-value",
        lambda _: "applicationTimeStamp;",
    ),
    ("not a Data section", lambda _, x: setattr(x, "inferred", False), "transport:invalid-cms-pkcs", lambda _: None),
    ("an empty body", lambda _, x: setattr(x, "body", b""), "transport:invalid-cms-pkcs", lambda _: None),
    (
        "spoofing",
        lambda _, x: _with_property("fromHerId", "900003")(x),
        "abuse:spoofing-attack",
        lambda _: "900003;900002;",
    ),
]


@pytest.mark.parametrize(("change", "condition", "data"), [pytest.param(*rest, id=what) for what, *rest in FAULTS])
def test_what_cannot_be_answered_comes_back_on_the_error_queue(
    run: Run,
    connect: Connect,
    municipality: Municipality,
    change: Callable[[Municipality, Any], None],
    condition: str,
    data: Callable[[Municipality], str | None],
) -> None:
    message = municipality.message(municipality.hodemelding(MessageType.KPR_IPL))
    change(municipality, message)
    assert _faulted(run(), connect, message) == (condition, data(municipality))


def test_a_certificate_that_has_expired_comes_back_on_the_error_queue(
    run: Run, connect: Connect, municipality: Municipality
) -> None:
    sandbox = run()
    certificate = municipality.pki.certificate("kommune-signing")
    sandbox._receiver._now = lambda: certificate.not_valid_after_utc + timedelta(days=1)
    message = municipality.message(municipality.hodemelding(MessageType.KPR_IPL))
    condition, data = _faulted(sandbox, connect, message)
    assert condition == "transport:expired-certificate"
    assert data == f"{certificate.subject.rfc4514_string()};{_thumbprint(municipality, 'kommune-signing')};"


def test_a_message_id_that_was_seen_before_is_not_answered_at_all(
    run: Run, connect: Connect, municipality: Municipality
) -> None:
    sandbox = run()
    client = connect(sandbox)
    message = municipality.message(municipality.hodemelding(MessageType.KPR_IPL))
    assert client.publish(RECEIVER, message) == Delivery.ACCEPTED
    client.take(sandbox.receipts_queue)
    sandbox.close()
    sandbox = run()  # what was seen is remembered
    client = connect(sandbox)
    message.id = uuid.UUID(message.id).hex.upper()  # the same id in another notation
    assert client.publish(RECEIVER, message) == Delivery.ACCEPTED
    message.body = b"anything"
    assert client.publish(RECEIVER, message) == Delivery.ACCEPTED
    assert [line.verdict for line in sandbox.ledger.lines()] == ["1", "seen message-id", "seen message-id"]
    assert (sandbox.depth(sandbox.receipts_queue), sandbox.depth(sandbox.error_queue)) == (0, 0)


def test_a_message_that_the_bus_did_not_take_was_not_seen(
    run: Run, connect: Connect, municipality: Municipality
) -> None:
    sandbox = run(faults=Faults.parse(["queue-full"]))
    client = connect(sandbox)
    message = municipality.message(municipality.hodemelding(MessageType.KPR_IPL))
    assert client.publish(RECEIVER, message) == Delivery.REJECTED
    sandbox.faults = NO_FAULTS
    assert client.publish(RECEIVER, message) == Delivery.ACCEPTED
    assert len(client.take(sandbox.receipts_queue)) == 1


def test_a_msg_id_gets_its_receipt_once_whatever_its_notation(
    run: Run, connect: Connect, municipality: Municipality
) -> None:
    sandbox = run()
    client = connect(sandbox)
    head = municipality.hodemelding(MessageType.KPR_IPL)
    client.publish(RECEIVER, municipality.message(head))
    upper = municipality.framed(head).replace(head.msg_id.encode(), head.msg_id.upper().encode())
    client.publish(RECEIVER, municipality.message(head, municipality.seal(upper)))
    assert [line.verdict for line in sandbox.ledger.lines()] == ["1", "seen MsgId"]
    assert sandbox.depth(sandbox.receipts_queue) == 1


@pytest.mark.parametrize("way", ["spoofing", "on demand", "on demand after it came"])
def test_a_msg_id_that_came_back_on_the_error_queue_may_come_again(
    run: Run, connect: Connect, municipality: Municipality, way: str
) -> None:
    """HITS 1216 2.2.5: what is fixed after an error-queue message is sent with a new message-id and its old MsgId."""
    before: dict[str, list[str]] = {
        "spoofing": [],
        "on demand": ["error-queue"],
        "on demand after it came": ["no-answer"],
    }
    sandbox = run(faults=Faults.parse(before[way]))
    client = connect(sandbox)
    head = municipality.hodemelding(MessageType.KPR_IPL)
    message = municipality.message(head)
    if way == "spoofing":
        _with_property("fromHerId", "900003")(message)
    client.publish(RECEIVER, message)
    if way == "on demand after it came":
        sandbox.faults = Faults.parse(["error-queue"])
    (error,) = client.take(sandbox.error_queue)
    assert error.properties["originalMessageId"] == message.id
    sandbox.faults = NO_FAULTS
    client.publish(RECEIVER, municipality.message(head))
    (answer,) = client.take(sandbox.receipts_queue)
    assert apprec.parse(municipality.open(answer.body)).original_msg_id == head.msg_id


def test_an_error_looks_as_nhns_client_writes_it(run: Run, connect: Connect, municipality: Municipality) -> None:
    sandbox = run(faults=Faults.parse(["error-queue=invalid-field-value"]))
    client = connect(sandbox)
    sent = municipality.message(municipality.hodemelding(MessageType.KPR_IPL))
    client.publish(RECEIVER, sent)
    (error,) = client.take(sandbox.error_queue)

    assert re.fullmatch("[0-9a-f]{32}", error.id)
    assert error.subject == "KPR_IPL"
    assert (error.correlation_id, error.reply_to) == (None, None)
    assert error.content_type == "None"  # proton's word for a message without one
    assert (error.inferred, bytes(error.body), error.durable) == (True, b"", False)
    told = {name: error.properties[name] for name in ("fromHerId", "toHerId", "originalMessageId", "errorCondition")}
    assert told == {
        "fromHerId": "171479",
        "toHerId": "900002",
        "originalMessageId": sent.id,
        "errorCondition": "transport:invalid-field-value",
    }
    assert error.properties["errorConditionData"] == "replyTo;toHerId;"
    assert re.fullmatch(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", error.properties["receiverTimeStamp"])


def test_an_error_of_the_older_client_is_a_clone(run: Run, connect: Connect, municipality: Municipality) -> None:
    sandbox = run(faults=Faults.parse(["error-queue=invalid-signature", "error-as-clone"]))
    client = connect(sandbox)
    sent = municipality.message(municipality.hodemelding(MessageType.KPR_IDE))
    client.publish(RECEIVER, sent)
    (error,) = client.take(sandbox.error_queue)

    assert (error.id, error.correlation_id, error.reply_to) == (sent.id, sent.correlation_id, sent.reply_to)
    assert (error.subject, error.content_type) == ("KPR_IDE", transport.CONTENT_TYPE)
    assert (error.creation_time, error.expiry_time) == (-62135596800, -62135596800)
    assert (error.durable, error.ttl, bytes(error.body)) == (True, (2**32 - 1) / 1000, b"")
    assert (error.properties["fromHerId"], error.properties["toHerId"]) == ("171479", "900002")
    fault = error_queue.parse(error.properties, error.subject, bytes(error.body))
    assert (fault.original_message_id, fault.condition) == (sent.id, "transport:invalid-signature")


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
        broken.setattr("kpr_sender.sandbox.evaluation.inspect", fail)
        assert _refused(sandbox, connect, municipality, municipality.message(head)) == ("X99", head.msg_id)
    assert [record.getMessage() for record in caplog.records] == ["evaluating a message failed: RuntimeError"]
    client = connect(sandbox)
    client.publish(RECEIVER, municipality.message(municipality.hodemelding(MessageType.KPR_IPL)))
    (answer,) = client.take(sandbox.receipts_queue)
    assert apprec.parse(municipality.open(answer.body)).status_code == "1"


def _now() -> datetime:
    return datetime.now(UTC)


def _signed_data(content: bytes, signer: KeyPair) -> bytes:
    return cms.signed(content, signer)


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


def _faulted(sandbox: Sandbox, connect: Connect, message: Any) -> tuple[str, str | None]:
    """Publish, take the error-queue message, and return its condition and data."""
    client = connect(sandbox)
    assert client.publish(RECEIVER, message) == Delivery.ACCEPTED
    (error,) = client.take(sandbox.error_queue)
    fault = error_queue.parse(error.properties, error.subject or "", bytes(error.body))
    assert fault.original_message_id == str(message.id)
    assert sandbox.depth(sandbox.receipts_queue) == 0
    assert sandbox.ledger.lines()[-1].verdict == fault.condition
    return fault.condition, error.properties.get("errorConditionData")
