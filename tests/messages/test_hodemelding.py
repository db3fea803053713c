"""The frame: valid by the official schema, field by field, whatever the names and times."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given

from kpr_sender.errors import ConfigInvalid
from kpr_sender.messages.hodemelding import NAMESPACE, Hodemelding, frame
from kpr_sender.messages.splice import splice
from kpr_sender.model import MessageType
from kpr_sender.sandbox.hodemelding import read
from tests.helpers.schemas import assert_valid, kpr_schema, payload
from tests.messages.parties import HODEMELDING, HODEMELDINGER

PAYLOADS = {
    "kpr_ipl": MessageType.KPR_IPL,
    "kpr_ide_53_1_2": MessageType.KPR_IDE,
    "kpr_ide_53_1_3": MessageType.KPR_IDE,
}


def message(hodemelding: Hodemelding, name: str = "kpr_ipl") -> bytes:
    head, tail = frame(hodemelding)
    return head + b"".join(splice([payload(name)])) + tail


@pytest.mark.parametrize(("name", "message_type"), PAYLOADS.items())
@pytest.mark.parametrize("ack", [True, False])
@pytest.mark.parametrize("number", [None, "999999999"])
def test_valid_by_the_official_schema(name: str, message_type: MessageType, *, ack: bool, number: str | None) -> None:
    sender = dataclasses.replace(HODEMELDING.sender, organisation_number=number)
    built = message(dataclasses.replace(HODEMELDING, type=message_type, ack=ack, sender=sender), name)
    assert_valid(kpr_schema(), built)


def test_the_text_of_an_organisation_number_is_the_kodeverks() -> None:
    sender = dataclasses.replace(HODEMELDING.sender, organisation_number="999999999")

    head, _ = frame(dataclasses.replace(HODEMELDING, sender=sender))

    assert b'<TypeId V="ENH" S="2.16.578.1.12.4.1.1.9051" DN="Organisasjonsnummeret i Enhetsregister"/>' in head


@pytest.mark.parametrize("status", ["D", "P", "T"])
def test_a_processing_status_is_valid_by_the_official_schema(status: str) -> None:
    built = message(dataclasses.replace(HODEMELDING, processing_status=status))

    assert_valid(kpr_schema(), built)
    assert f'</MsgId><ProcessingStatus V="{status}" DN="'.encode() in built


@given(HODEMELDINGER)
def test_every_name_id_and_time_is_valid_and_reads_back(hodemelding: Hodemelding) -> None:
    built = message(hodemelding)
    assert_valid(kpr_schema(), built)
    again, root = read(built)
    assert again == hodemelding
    assert root.tag == "{http://www.npr.no/xmlstds/iplos/2019}IPLOS"


def test_field_by_field() -> None:
    head, tail = frame(HODEMELDING)
    her = 'V="HER" S="2.16.578.1.12.4.1.1.9051" DN="HER-id"'

    def organisation(name: str, her_id: int, inner: str = "") -> str:
        ident = f"<Ident><Id>{her_id}</Id><TypeId {her}/></Ident>"
        return f"<Organisation><OrganisationName>{name}</OrganisationName>{ident}{inner}</Organisation>"

    sender = organisation("EKSEMPEL KOMMUNE", 900001, organisation("Saksbehandling", 900002))
    receiver = organisation("Folkehelseinstituttet", 85217, organisation("KPR Validering", 171479))
    assert head.decode() == (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        f'<MsgHead xmlns="{NAMESPACE}"><MsgInfo><Type V="KPR_IPL" DN="KPR IPLOS"/>'
        "<MIGversion>v1.2 2006-05-24</MIGversion><GenDate>2025-01-06T09:15:00+00:00</GenDate>"
        '<MsgId>0f0d9d5e-6f0a-4a0e-9b86-5d9a2f9d5b10</MsgId><Ack V="J" DN="Ja"/>'
        f"<Sender>{sender}</Sender><Receiver>{receiver}</Receiver></MsgInfo>"
        '<Document><RefDoc><MsgType V="XML" DN="XML-instans"/><Content>'
    )
    assert tail == b"</Content></RefDoc></Document></MsgHead>"


def test_fractions_of_a_second_are_left_out() -> None:
    at = datetime(2025, 1, 6, 10, 15, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert (
        b"<GenDate>2025-01-06T10:15:00+01:00</GenDate>" in frame(dataclasses.replace(HODEMELDING, generated_at=at))[0]
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("generated_at", datetime(2025, 1, 6)),  # noqa: DTZ001 - that is the case
        ("generated_at", datetime(2025, 1, 6, tzinfo=timezone(timedelta(seconds=2580 + 7)))),
        ("msg_id", "0F0D9D5E-6F0A-4A0E-9B86-5D9A2F9D5B10"),
        ("msg_id", "17"),
    ],
)
def test_a_time_without_offset_and_another_msg_id_are_errors_of_the_program(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"MsgId must|GenDate needs"):
        Hodemelding(
            **{**{each.name: getattr(HODEMELDING, each.name) for each in dataclasses.fields(Hodemelding)}, field: value}
        )


def test_a_control_character_in_a_name_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigInvalid, match="control character") as refused:
        frame(dataclasses.replace(HODEMELDING, type_text="KPR\x00"))
    assert refused.value.__cause__ is None


def test_utc_and_oslo_say_the_same_time() -> None:
    at = datetime(2025, 1, 6, 9, 15, tzinfo=UTC)
    oslo = at.astimezone(timezone(timedelta(hours=1)))
    assert read(message(dataclasses.replace(HODEMELDING, generated_at=oslo)))[0].generated_at == at
