"""The envelopes: valid by the profile's corrected schema, and of the profile's fields."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pytest
from lxml import etree

from kpr_sender.ebxml.envelope import EB, SOAP, EbxmlError, MessageIds, Severity, acknowledgment, cpa_id, message_error
from kpr_sender.ebxml.mail import EbxmlMail
from kpr_sender.ebxml.read_mail import Mail, read
from tests.ebxml.samples import AT, CONVERSATION, MESSAGE_ID, SENT, acknowledged, raw, shipment
from tests.ebxml.test_answers import refused_with
from tests.helpers.shared import SHARED

_OFFICIAL: Final = SHARED / "samples" / "edi" / "official"


class _Offline(etree.Resolver):
    """Finds what the schemas import beside them, by the catalog there; anything else is an error."""

    def __init__(self) -> None:
        imports = _OFFICIAL / "imports"
        listed = etree.parse(str(imports / "catalog.xml")).iterfind("{*}system")
        self.files = {str(one.get("systemId")): imports / str(one.get("uri")) for one in listed}

    def resolve(self, system_url: str, public_id: str, context: object) -> Any:  # type: ignore[override] # the stubs
        return self.resolve_filename(str(self.files[system_url]), context) if "://" in system_url else None  # type: ignore[attr-defined] # the stubs


@functools.cache
def schema() -> etree.XMLSchema:
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Offline())
    return etree.XMLSchema(etree.parse(str(_OFFICIAL / "msg-header-2_0.xsd"), parser))


@functools.cache
def soap_schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(_OFFICIAL / "imports" / "soap-envelope.xsd")))


def soap(mail: EbxmlMail) -> etree._Element:
    read_again = read(raw(mail))
    assert isinstance(read_again, Mail)
    assert read_again.soap is not None
    return etree.fromstring(read_again.soap.body)


def _assert_valid(root: etree._Element) -> None:
    """SOAP's schema looks at its own elements only: what is in Header and Body is valid by that of ebXML."""
    soap_schema().assertValid(root)
    for block in (*root.iterfind(f"{SOAP}Header/*"), *root.iterfind(f"{SOAP}Body/*")):
        schema().assertValid(etree.ElementTree(block))


def test_what_we_send_is_valid_by_the_official_schemas() -> None:
    for mail in (
        shipment(),
        shipment(sent=replace(SENT, versions=None, names=replace(SENT.names, service_type=""))),
        shipment(sent=replace(SENT, ids=replace(SENT.ids, ref_to=MESSAGE_ID))),
        acknowledged(shipment().references),
        acknowledged(()),
        refused_with(Severity.ERROR, Severity.WARNING),
        refused_with(Severity.WARNING),
    ):
        _assert_valid(soap(mail))


def test_the_schema_finds_what_is_not_valid() -> None:
    root = soap(shipment())
    message = root.find(f".//{EB}MessageData")
    assert message is not None
    message.remove(message[0])
    with pytest.raises(etree.DocumentInvalid):
        _assert_valid(root)


def test_a_genuine_message_that_the_schema_refuses_is_read() -> None:
    """Schemas are for what we send: ``test_answers`` reads both samples."""
    whole = read((SHARED / "samples" / "edi" / "acknowledgment.eml").read_bytes())
    assert isinstance(whole, Mail)
    assert whole.soap is not None
    with pytest.raises(etree.DocumentInvalid):
        _assert_valid(etree.fromstring(whole.soap.body))


def test_versions_stand_in_description_and_schema_or_in_neither() -> None:
    root = soap(shipment())
    description = root.find(f".//{EB}Description")
    assert description is not None
    assert json.loads(description.text or "") == {
        "MSH-system": "kpr-sender",
        "MSH-versjon": "0.1.0",
        "fagsystem": "EPJ",
        "fagsystem-versjon": "12.1",
    }
    found = root.find(f".//{EB}Schema")
    assert found is not None
    assert dict(found.items()) == {f"{EB}location": "http://www.kith.no/xmlstds/kpr", f"{EB}version": "3.7"}
    without = soap(shipment(sent=replace(SENT, versions=None)))
    assert [without.find(f".//{EB}{name}") for name in ("Description", "Schema")] == [None, None]


def test_the_cpa_id_of_two_parties_begins_with_the_lower_number() -> None:
    assert cpa_id(122_612, 8_140_000) == cpa_id(8_140_000, 122_612) == "122612_8140000"
    assert cpa_id(100_000, 99_999) == "99999_100000"  # by number, not as text


def test_what_cannot_be_said_is_refused() -> None:
    ids = MessageIds(MESSAGE_ID, CONVERSATION, AT, ref_to=MESSAGE_ID)
    with pytest.raises(ValueError, match="rule 109"):
        acknowledgment(SENT.parties, ids, cpa="a", acknowledged="b", accepted_at=AT, references=())
    with pytest.raises(ValueError, match="needs an Error"):
        message_error(SENT.parties, ids, cpa="a", errors=())
    with pytest.raises(ValueError, match="time zone"):
        MessageIds(MESSAGE_ID, CONVERSATION, datetime(2027, 1, 14))  # noqa: DTZ001 - that is what is refused
    with pytest.raises(ValueError, match="XML"):
        message_error(SENT.parties, ids, cpa="a", errors=[EbxmlError("Unknown", Severity.ERROR, "\x00")])
