"""Receipts: tolerant in form, strict in meaning (promise G4)."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.messages.apprec import ERROR_OID, MAX_BYTES, MOST_ERRORS, AppRec, parse
from kpr_sender.messages.hodemelding import Hodemelding
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.model import ReceiptError
from kpr_sender.sandbox.apprec import build
from kpr_sender.states import ReceiptStatus
from tests.helpers.schemas import apprec_schema, assert_valid
from tests.helpers.shared import SHARED
from tests.messages.parties import HODEMELDING, HODEMELDINGER, NAMES, TIMES

AT = datetime(2025, 1, 7, 8, 0, tzinfo=UTC)
T02 = ReceiptError(code="T02", code_system=ERROR_OID, text="XML validerer ikke", detail="PERSON rad 17")


def receipt(version: str = "1.0", status: str = "1", errors: tuple[ReceiptError, ...] = ()) -> bytes:
    return build(
        version=version, apprec_id="a1", generated_at=AT, status_code=status, errors=errors, original=HODEMELDING
    )


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(("status", "errors"), [("1", ()), ("2", (T02, T02)), ("3", (T02,)), ("9", ())])
def test_what_we_build_is_valid_and_reads_back(version: str, status: str, errors: tuple[ReceiptError, ...]) -> None:
    built = receipt(version, status, errors)
    assert_valid(apprec_schema(version), built)
    assert parse(built) == AppRec(
        version=version,
        generated_at="2025-01-07T08:00:00+00:00",
        status=ReceiptStatus(int(status)) if status != "9" else None,
        status_code=status,
        errors=errors,
        original_msg_id=HODEMELDING.msg_id,
        original_type="KPR_IPL",
        original_issued_at=HODEMELDING.generated_at.isoformat(timespec="seconds"),
        sender_her_ids=(85217, 171479),
        receiver_her_ids=(900001, 900002),
    )


@given(
    st.sampled_from(["1.0", "1.1"]),
    HODEMELDINGER,
    TIMES,
    st.lists(st.builds(ReceiptError, code=NAMES, code_system=st.just(ERROR_OID), text=NAMES, detail=NAMES), max_size=3),
)
def test_every_receipt_is_valid_and_names_the_message(
    version: str, original: Hodemelding, at: datetime, errors: list[ReceiptError]
) -> None:
    built = build(version=version, apprec_id="x", generated_at=at, status_code="2", errors=errors, original=original)
    assert_valid(apprec_schema(version), built)
    read = parse(built)
    assert (read.original_msg_id, len(read.errors)) == (original.msg_id, len(errors))
    assert original.receiver.service_her_id in read.sender_her_ids


E21 = ReceiptError("E21", ERROR_OID, "Mottaker finnes ikke")
TARIFF = "2.16.578.1.12.4.1.1.8223"
PUBLISHED = {
    "apprec10-ok": ("1.0", 1, (), "a6967e6a-8c0a-4be4-a647-c921d3086423", (56704, 258521), (123459, 91126)),
    "apprec10-avvist": (
        "1.0",
        2,
        (ReceiptError("E21", ERROR_OID, "Mottaker finnes ikke", "Legen har sluttet"),),
        "a6967e6a-8c0a-4be4-a647-c921d3086423",
        (56704, 258521),
        (123459, 91126),
    ),
    "apprec10-ok-feil-i-delmelding": (
        "1.0",
        3,
        (
            ReceiptError("07", TARIFF, "Feilbruk av kveldstakst", "93495"),
            ReceiptError("16", TARIFF, "Gammel takst brukt", "93498"),
        ),
        "37de51e0-33a9-11de-a4cb-0002a5d5c51b",
        (),
        (),
    ),
    "apprec11-ok": ("1.1", 1, (), "4c793d90-c41b-11e0-962b-0800200c9a66", (56704, 369767), (69, 89583)),
    "apprec11-avvist": ("1.1", 2, (E21,), "e0e21a90-5ec8-11e1-b86c-0800200c9a66", (56704, 258521), (69, 89583)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_receipts(name: str) -> None:
    read = parse((SHARED / "samples" / "real" / f"{name}.xml").read_bytes())
    assert (
        read.version,
        read.status,
        read.errors,
        read.original_msg_id,
        read.sender_her_ids,
        read.receiver_her_ids,
    ) == PUBLISHED[name]


TOLERATED = {
    "blanks round the status": (b'Status V="1"', b'Status V=" 1 "'),
    "GUID in upper case with braces": (
        HODEMELDING.msg_id.encode(),
        b" {" + HODEMELDING.msg_id.upper().encode() + b"}\n",
    ),
    "odd MIGversion": (b"1.0 2004-11-21</MIG", b"1.0 2008-11-21</MIG"),
    "no MIGversion": (b"<MIGversion>1.0 2004-11-21</MIGversion>", b""),
    "date with seven digits and no zone": (b"2025-01-07T08:00:00+00:00", b"2025-01-07T08:00:00.1234567"),
    "a date that is none": (b"2025-01-07T08:00:00+00:00", b"07.01.2025"),
    "blank before HER": (b'TypeId V="HER"', b'TypeId V=" HER"'),
    "HER in lower case": (b'TypeId V="HER"', b'TypeId V="her "'),
    "no type of message": (b'<MsgType V="APPREC" DN="Applikasjonskvittering"/>', b""),
    "stray mark in a name": (b"<Name>KPR Validering", b"<Name>KPR Validering>"),
    "comment": (b"<Status", b"<!-- x --><Status"),
}


@pytest.mark.parametrize(("old", "new"), TOLERATED.values(), ids=TOLERATED.keys())
def test_odd_forms_change_no_meaning(old: bytes, new: bytes) -> None:
    good = receipt()
    assert old in good
    read = parse(good.replace(old, new))
    assert read.status is ReceiptStatus.OK
    assert read.original_msg_id == HODEMELDING.msg_id
    assert 171479 in read.sender_her_ids


@pytest.mark.parametrize("part", [b"Sender", b"Receiver", b"Id", b"GenDate"])
def test_missing_parts_leave_the_rest_readable(part: bytes) -> None:
    good = receipt()
    begin, end = good.index(b"<" + part + b">"), good.index(b"</" + part + b">") + len(part) + 3
    read = parse(good[:begin] + good[end:])
    assert (read.status, read.original_msg_id) == (ReceiptStatus.OK, HODEMELDING.msg_id)


def test_her_ids_under_other_names_are_found() -> None:
    person = b'<Inst><Id>9</Id><TypeId V="HPR"/><AdditionalId><Id>171479</Id><Type V="HER"/></AdditionalId></Inst>'
    good = receipt()
    begin, end = good.index(b"<Inst>"), good.index(b"</Inst>") + len(b"</Inst>")
    assert parse(good[:begin] + person + good[end:]).sender_her_ids == (171479,)


def test_swapped_code_and_code_system_are_put_right() -> None:
    swapped = ReceiptError(code=ERROR_OID, code_system="", text="")
    xml = receipt(status="2", errors=(swapped,)).replace(b"<Error ", b'<Error S="T02" ')
    assert parse(xml).errors == (ReceiptError(code="T02", code_system=ERROR_OID, text=""),)


NO_STATUS = {
    "unknown": b'<Status V="4" DN="OK"/>',
    "zero": b'<Status V="0"/>',
    "empty": b'<Status V=""/>',
    "in words": b'<Status V="OK" DN="OK"/>',
    "in the wrong attribute": b'<Status DN="1"/>',
    "with a sign": b'<Status V="+1"/>',
    "with a fraction": b'<Status V="1.0"/>',
    "two digits": b'<Status V="11"/>',
    "another script's digit": '<Status V="\u0661"/>'.encode(),
    "missing": b"",
    "two, the same": b'<Status V="1"/><Status V="1"/>',
    "two, contradicting": b'<Status V="1"/><Status V="2"/>',
    "another namespace's": b'<x:Status xmlns:x="urn:x" V="1"/>',
    "deeper down": b'<Status><Status V="1"/></Status>',
}


@pytest.mark.parametrize("status", NO_STATUS.values(), ids=NO_STATUS.keys())
def test_anything_but_one_known_status_is_no_status(status: bytes) -> None:
    """Promise G4: an unknown answer is never success."""
    xml = receipt().replace(b'<Status V="1" DN="OK"/>', status)
    assert parse(xml).status is None


NOT_OURS = {
    "not XML": b"OK",
    "empty": b"",
    "another root": receipt().replace(b"AppRec", b"AppRek"),
    "another namespace": receipt().replace(b"2004-11-21", b"2001-01-01"),
    "no namespace": receipt().replace(b' xmlns="http://www.kith.no/xmlstds/apprec/2004-11-21"', b""),
    "no MsgId": receipt().replace(b"<Id>" + HODEMELDING.msg_id.encode() + b"</Id>", b""),
    "empty MsgId": receipt().replace(HODEMELDING.msg_id.encode(), b" {} "),
    "two MsgIds": receipt().replace(b"</OriginalMsgId>", b"<Id>x</Id></OriginalMsgId>"),
    "two originals": receipt().replace(b"</AppRec>", b"<OriginalMsgId><Id>x</Id></OriginalMsgId></AppRec>"),
    "DTD": receipt().replace(b"<AppRec", b"<!DOCTYPE AppRec><AppRec"),
}


@pytest.mark.parametrize("xml", NOT_OURS.values(), ids=NOT_OURS.keys())
def test_what_does_not_say_which_message_it_answers_is_refused(xml: bytes) -> None:
    with pytest.raises(MessageRefused):
        parse(xml)


MSG_ID = b"<Id>" + HODEMELDING.msg_id.encode()
SENDER = receipt()[receipt().index(b"<Sender>") : receipt().index(b"</Sender>") + len(b"</Sender>")]
TWO_WAYS_TO_READ = {
    "a comment in the MsgId": (MSG_ID, MSG_ID + b"<!--x-->evil"),
    "an instruction in the MsgId": (MSG_ID, MSG_ID + b"<?x y?>"),
    "an element in the MsgId": (MSG_ID, MSG_ID + b"<b>evil</b>"),
    "a comment in a HER-id": (b"<Id>171479</Id>", b"<Id>171479<!--x-->0</Id>"),
    "an element in a kind of id": (b'<TypeId V="HER" ', b'<TypeId V="HER"><x/></TypeId><TypeId V="X" '),
    "text in a kind of id": (b'<TypeId V="HER" ', b'<TypeId V="HER">ENH</TypeId><TypeId V="X" '),
    "two senders": (SENDER, SENDER + SENDER),
    "two parties in one sender": (b"</Sender>", b"<HCP/></Sender>"),
    "two receivers": (b"</Receiver>", b"</Receiver><Receiver/>"),
    "two numbers for one party": (b"<Id>171479</Id>", b"<Id>171479</Id><Id>9</Id>"),
    "two types of message": (b"<OriginalMsgId>", b'<OriginalMsgId><MsgType V="KPR_IDE"/>'),
    "a MsgId without end": (MSG_ID, MSG_ID + b"x" * 300),
}


@pytest.mark.parametrize(("old", "new"), TWO_WAYS_TO_READ.values(), ids=TWO_WAYS_TO_READ.keys())
def test_what_we_decide_by_stands_there_once_and_is_text_alone(old: bytes, new: bytes) -> None:
    """Promise G4: what one program reads up to a comment, and the next does not, is no answer."""
    assert old in receipt()
    with pytest.raises(MessageRefused):
        parse(receipt().replace(old, new))


@pytest.mark.parametrize("space", ["\u00a0", "\u2003", "\ufeff", "\u200b"], ids=ascii)
def test_only_the_white_space_of_xml_is_left_out(space: str) -> None:
    """Promise G4: a status of 1 and a no-break space is none."""
    read = parse(receipt().replace(b'<Status V="1"', f'<Status V="1{space}"'.encode()))
    assert read.status is None
    assert parse(receipt().replace(b"171479</Id>", f"171479{space}</Id>".encode())).sender_her_ids == (85217,)
    assert parse(receipt().replace(MSG_ID, MSG_ID + space.encode())).original_msg_id != HODEMELDING.msg_id


def test_every_text_of_a_receipt_is_bounded_and_clean() -> None:
    long = "\x1b[2J".replace("\x1b", "&#x9b;") + "x" * 100_000
    error = f'<Error V="{long}" S="{long}" DN="{long} 010190.12345" OT="{long}"/>'.encode()
    xml = receipt().replace(b"<OriginalMsgId>", error + b"<OriginalMsgId>")
    xml = xml.replace(b'<Status V="1"', f'<Status V="{long}"'.encode()).replace(b'V="KPR_IPL"', f'V="{long}"'.encode())
    read = parse(xml.replace(b"+00:00</GenDate>", f"{long}</GenDate>".encode()))
    texts = [read.status_code, read.original_type, read.generated_at, read.original_issued_at]
    texts += [text for one in read.errors for text in (one.code, one.code_system, one.text, one.detail)]
    assert max(map(len, texts)) == 300
    assert all(text.isprintable() for text in texts)


@pytest.mark.parametrize("each", [20, 3_000])
def test_a_receipt_full_of_errors_full_of_digits_costs_next_to_nothing(each: int) -> None:
    """Anybody can send one, and the journal's lock is taken while it is read: it cost up to 51 seconds."""
    text = "01 " * (each // 3)
    good, error = receipt(status="2"), f'<Error V="{text}" S="{text}" DN="{text}" OT="{text}"/>'.encode()
    xml = good.replace(b"<OriginalMsgId>", error * ((MAX_BYTES - len(good)) // len(error)) + b"<OriginalMsgId>")
    assert MAX_BYTES * 0.99 < len(xml) <= MAX_BYTES
    start = time.process_time()
    assert len(parse(xml).errors) == MOST_ERRORS
    assert time.process_time() - start < 2


def test_as_many_errors_are_read_as_are_wanted() -> None:
    errors = tuple(ReceiptError(f"T{number}", ERROR_OID, "") for number in range(MOST_ERRORS + 5))
    xml = receipt(status="2", errors=errors)
    assert parse(xml).errors == errors[:MOST_ERRORS]
    assert parse(xml, most_errors=None).errors == errors


def test_detail_text_does_not_print(caplog: pytest.LogCaptureFixture) -> None:
    """Promise G6: OT may name a patient."""
    read = parse(receipt(status="2", errors=(T02,)))
    logging.getLogger("test").warning("%s %r", read, read)
    assert T02.detail == read.errors[0].detail
    assert T02.detail not in caplog.text
    assert "T02" in caplog.text
