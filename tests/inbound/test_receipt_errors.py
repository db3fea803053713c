"""What a receiver says is wrong: shown to whoever must act on it, once, clean, and with what to do (G5, G6)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kpr_sender.bus.port import Inbound, Outbound, Source
from kpr_sender.client import Client
from kpr_sender.events import Event, EventKind
from kpr_sender.messages.error_conditions import BY_CONDITION, Subject, advice
from kpr_sender.privacy import shown_text
from kpr_sender.render import text
from kpr_sender.render.json import dumps, receipts_json
from kpr_sender.report import Report
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus

EXPECTED = "0d2c1f9e8b7a6d5c4b3a29180716253443526170"
ACTUAL = EXPECTED[::-1]
NATIONAL_ID = "21914846886"  # Tenor: month + 80


@pytest.fixture
def client(new_client: Callable[..., Client], silent_bus: MemoryBus) -> Client:
    """A client whose pair is published and waits."""
    client = new_client(silent_bus)
    client.submit()
    return client


def _error_properties(message: Outbound, **changes: str) -> dict[str, str]:
    return {
        "fromHerId": message.envelope.properties["toHerId"],
        "toHerId": message.envelope.properties["fromHerId"],
        "originalMessageId": message.message_id,
        "receiverTimeStamp": "11/29/2026 20:19:03",
        "errorCondition": "transport:invalid-certificate",
        "errorDescription": f"Could not decrypt the message of {NATIONAL_ID}.",
        "errorConditionData": f'{{"thumbprint": {{"expected": "{EXPECTED}", "actual": "{ACTUAL}"}}}}',
        **changes,
    }


def new_form(message: Outbound, **changes: str) -> Inbound:
    """NHN's client 7.0.2 and later: an id of its own, no content type, an empty Data section."""
    properties = _error_properties(message, **changes)
    return Inbound(None, Source.ERRORS, "f" * 32, "", message.envelope.subject, "None", properties, b"")


def old_form(message: Outbound, **changes: str) -> Inbound:
    """NHN's client before it: a clone of our message with the error's properties added."""
    envelope = message.envelope
    properties = {**envelope.properties, **_error_properties(message, **changes)}
    ids = (message.message_id, envelope.correlation_id)
    return Inbound(None, Source.ERRORS, *ids, envelope.subject, envelope.content_type, properties, b"")


def _screens(client: Client, report: Report) -> dict[str, str]:
    receipts = [(document.receipt, None) for document in client.receipts()]
    status = text.report_screen(report, journal=Path("journal.db"), receipts=Path("receipts"))
    case = client.case(report.submission.shipments[0].msg_id)
    return {
        "status": "\n".join(status),
        "resolve": "\n".join(text.case_screen(case, report)),
        "receipts": "\n".join(text.receipts_screen(report, receipts)),
        "JSON": str(report.as_json()),
        "JSON receipts": str(receipts_json(report, receipts)),
    }


@pytest.mark.parametrize("form", [new_form, old_form])
def test_what_the_error_queue_says_is_shown_everywhere_with_what_to_do(
    client: Client, silent_bus: MemoryBus, form: Callable[[Outbound], Inbound], events: list[Event]
) -> None:
    for message in silent_bus.published:
        silent_bus.put(form(message))

    report = client.wait(timeout=0)

    assert [one.state for one in report.submission.shipments] == ["faulted", "faulted"]
    assert (report.exit_code, len(silent_bus.settled)) == (81, 2)
    assert report.error is not None
    assert report.error.next_step == Subject.CERTIFICATE.value
    for name, shown in _screens(client, report).items():
        for wanted in ("transport:invalid-certificate", "Could not decrypt", EXPECTED, ACTUAL):
            assert wanted in shown, name
        assert NATIONAL_ID not in shown, name
        assert "No receipt yet." not in shown, name
        assert ".." not in shown.replace("(SHA-1", "").replace(".. ", " ").replace(".., ", " "), name
        assert ".;" not in shown, name
    assert report.text().count("Could not decrypt") == 1, "the same error of both is said once"
    assert not any(NATIONAL_ID in event.text for event in events)


@pytest.mark.parametrize(
    "notation",
    [
        lambda one: one.replace("-", ""),
        lambda one: one.replace("-", "").upper(),
        str.upper,
        lambda one: "{" + one.upper() + "}",
        lambda one: f"urn:uuid:{one}",
    ],
)
def test_our_ids_are_found_in_every_notation(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, notation: Callable[[str], str]
) -> None:
    first, second = silent_bus.published
    silent_bus.put(new_form(first, originalMessageId=notation(first.message_id)))
    msg_id = fhi.hodemelding(second).msg_id
    xml = fhi.apprec(second).replace(msg_id.encode(), notation(msg_id).encode())
    silent_bus.put(fhi.inbound(second, fhi.sealed(xml)))

    report = client.wait(timeout=0)

    assert [one.state for one in report.submission.shipments] == ["faulted", "delivered"]
    assert report.error is not None
    assert report.error.next_step == Subject.CERTIFICATE.value
    assert client.case(notation(msg_id)).shipment.msg_id == msg_id


@pytest.mark.parametrize("condition", ["transport:internal-error", "", "x" * 1000])
def test_a_condition_that_nobody_has_described_has_advice_too(condition: str) -> None:
    assert advice(condition) == Subject.OTHER.value


def test_every_subject_of_the_table_is_some_condition_s() -> None:
    assert set(BY_CONDITION.values()) == set(Subject) - {Subject.OTHER}
    assert advice(" Transport:Invalid-Signature ") == Subject.SIGNATURE.value


def _errors(*errors: str) -> Callable[[bytes], bytes]:
    return lambda xml: xml.replace(b"<OriginalMsgId>", "".join(errors).encode() + b"<OriginalMsgId>")


def test_each_error_is_one_line_with_its_system_and_only_receipts_has_ot(
    client: Client, silent_bus: MemoryBus, fhi: Fhi
) -> None:
    for message in silent_bus.published:
        silent_bus.put(fhi.inbound(message, fhi.sealed(fhi.apprec(message, "3"))))

    report = client.wait(timeout=0)
    screens = _screens(client, report)

    line = "T02 (2.16.578.1.12.4.1.1.8221) XML validerer ikke"
    assert f"{line} - element tjTjenType linje 7" in screens.pop("receipts")
    assert line in screens["status"]
    assert not any("tjTjenType" in shown for shown in screens.values())
    assert report.text().count("T02 XML validerer ikke") == 1


@pytest.mark.parametrize(
    ("error", "read"),
    [
        ('<Error V="E10" S="2.16.578.1.12.4.1.1.8221" DN="Ugyldig verdi i felt pePeID" OT="Linje 1234"/>', 1_000),
        (f'<Error V="{"01 " * 400}" S="{"01 " * 400}" DN="{"01 " * 400}" OT="{"01 " * 400}"/>', 63),
    ],
    ids=["usual", "dense"],
)
def test_a_verified_receipt_of_five_megabytes_of_errors_is_taken_at_once(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, error: str, read: int
) -> None:
    """The journal's lock is taken meanwhile, and whoever asks for the state reads them each time."""
    number = min(49_000, 4_900_000 // len(error))
    message = silent_bus.published[0]
    xml = _errors(*[error] * number)(fhi.apprec(message, "2"))
    silent_bus.put(fhi.inbound(message, fhi.sealed(xml)))
    start = time.process_time()
    report = client.wait(timeout=0)
    (document,) = client.receipts()
    screen = [shown_text(line) for line in text.receipts_screen(report, [(document.receipt, None)])]
    dumps([report.as_json(), receipts_json(report, [(document.receipt, None)]), report.text()])
    assert time.process_time() - start < 5
    (receipt,) = report.submission.shipments[0].receipts
    assert (len(receipt.errors), document.xml) == (read, xml)
    assert f"{number + 1:,} errors, of which the first {read:,} are shown" in receipt.problem
    assert any("its copy has them all" in line for line in screen)


def test_a_verified_receipt_has_all_its_errors_and_another_the_first_twenty(
    client: Client, silent_bus: MemoryBus, fhi: Fhi
) -> None:
    change = _errors(*(f'<Error V="X{number}" S="2.16.578.1.12.4.1.1.8221"/>' for number in range(30)))
    first, second = silent_bus.published
    silent_bus.put(fhi.inbound(first, fhi.sealed(change(fhi.apprec(first, "2")))))
    silent_bus.put(fhi.inbound(second, change(fhi.apprec(second, "2"))))

    client.wait(timeout=0)

    receipts = {one.receipt.verified: one.receipt for one in client.receipts()}
    assert {verified: len(one.errors) for verified, one in receipts.items()} == {True: 31, False: 20}


def test_however_a_receiver_ends_its_texts_ours_ends_with_one_full_stop(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, events: list[Event]
) -> None:
    ends = ("XML validerer ikke..", "XML validerer ikke.;", "XML validerer ikke")
    change = _errors(*(f'<Error V="T02" S="2.16.578.1.12.4.1.1.8221" DN="{text}"/>' for text in ends))
    for message in silent_bus.published:
        silent_bus.put(fhi.inbound(message, fhi.sealed(change(fhi.apprec(message, "2")))))

    report = client.wait(timeout=0)

    assert report.error is not None
    assert report.error.what.endswith(" did not get through: T02 XML validerer ikke.")
    assert all(not event.text.endswith(("..", ".;", ";")) for event in events)


def test_g6_dn_is_free_text_and_is_clean_everywhere(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, events: list[Event]
) -> None:
    change = _errors(f'<Error V="E31" S="2.16.578.1.12.4.1.1.8221" DN="Pasienten {NATIONAL_ID} finnes ikke"/>')
    for message in silent_bus.published:
        silent_bus.put(fhi.inbound(message, fhi.sealed(change(fhi.apprec(message, "2")))))

    report = client.wait(timeout=0)

    assert report.exit_code == 81
    for name, shown in _screens(client, report).items():
        assert NATIONAL_ID not in shown, name
        assert "Pasienten [id removed] finnes ikke" in shown, name
    assert not any(NATIONAL_ID in repr(event) for event in events)
    assert not any(NATIONAL_ID in repr(document) for document in client.receipts())


def test_ok_with_an_error_calls_for_a_person(client: Client, silent_bus: MemoryBus, fhi: Fhi) -> None:
    change = _errors('<Error V="X99" S="2.16.578.1.12.4.1.1.8221" DN="Annen feil"/>')
    for message in silent_bus.published:
        silent_bus.put(fhi.inbound(message, fhi.sealed(change(fhi.apprec(message)))))

    report = client.wait(timeout=0)

    assert [one.state for one in report.submission.shipments] == ["delivered", "delivered"]
    assert report.exit_code == 82
    assert "X99 Annen feil" in report.text()


def test_a_receipt_for_our_msgid_as_another_type_is_not_verified(
    client: Client, silent_bus: MemoryBus, fhi: Fhi
) -> None:
    message = silent_bus.published[0]
    other = fhi.apprec(message).replace(b'V="KPR_IPL"', b'V="KPR_IDE"')
    silent_bus.put(fhi.inbound(message, fhi.sealed(other)))

    report = client.wait(timeout=0)

    assert report.exit_code == 76
    assert "another type of message" in report.text()


@pytest.mark.parametrize(
    ("old", "new", "remark"),
    [
        (b'<MsgType V="KPR_IPL"', b'<MsgType V=""', "which type"),
        (b"<Id>900002</Id>", b"<Id>777777</Id>", "another HER-id than we sent from"),
        (b"<IssueDate>", b"<IssueDate>2020-01-01T00:00:00</IssueDate><IssueDate>", "2020-01-01"),
    ],
)
def test_what_is_odd_about_a_receipt_is_remarked_and_delivers_all_the_same(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, events: list[Event], old: bytes, new: bytes, remark: str
) -> None:
    for message in silent_bus.published:
        xml = fhi.apprec(message)
        if message.envelope.subject == "KPR_IPL":
            assert old in xml
            xml = xml.replace(old, new)
        silent_bus.put(fhi.inbound(message, fhi.sealed(xml)))

    report = client.wait(timeout=0)

    assert report.exit_code == 0
    assert remark in _screens(client, report)["receipts"]
    assert not any(event.kind is EventKind.CONTRADICTION for event in events)
    assert [bool(one.receipts[0].problem) for one in report.submission.shipments] == [True, False]


def test_a_remark_does_not_hide_a_contradiction(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, events: list[Event]
) -> None:
    message = silent_bus.published[0]
    silent_bus.put(fhi.inbound(message, fhi.sealed(fhi.apprec(message))))
    odd = fhi.apprec(message, "2").replace(b"<Id>900002</Id>", b"<Id>777777</Id>")
    silent_bus.put(replace(fhi.inbound(message, fhi.sealed(odd)), correlation_id=""))

    client.wait(timeout=0)

    assert any(event.kind is EventKind.CONTRADICTION for event in events)
