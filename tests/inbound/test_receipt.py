"""What is believed of what comes back, and what is left alone (G4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kpr_sender.bus.port import Inbound, Outbound, Source
from kpr_sender.client import Client
from kpr_sender.errors import AccessRefused
from kpr_sender.events import Event, EventKind
from kpr_sender.inbound.receipt import Handling
from kpr_sender.report import Report
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text
from tests.helpers import pki
from tests.helpers.fhi import Fhi
from tests.helpers.look_memory import let_the_pause_pass
from tests.helpers.memory_bus import MemoryBus, error_queue_message
from tests.helpers.municipality import Municipality
from tests.helpers.xml_signatures import sign_enveloped

NewClient = Callable[..., Client]


@pytest.fixture
def client(new_client: NewClient, silent_bus: MemoryBus) -> Client:
    """A client whose pair is published and waits."""
    client = new_client(silent_bus)
    client.submit()
    return client


def wait(client: Client) -> Report:
    return client.wait(timeout=0)


def deliver_second(bus: MemoryBus, fhi: Fhi) -> None:
    for answer in fhi.answer(bus.published[1]):
        bus.put(answer)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    ("status", "state", "code"), [("1", "delivered", 0), ("2", "rejected", 82), ("3", "delivered_with_errors", 82)]
)
def test_the_receipt_decides(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, version: str, status: str, state: str, code: int
) -> None:
    deliver_second(silent_bus, fhi)
    silent_bus.inbox.extend(fhi.answer(silent_bus.published[0], status, version))
    report = wait(client)
    assert report.submission.shipments[0].state == state
    assert report.exit_code == code


def test_both_rejected_is_81_with_fhi_s_codes(client: Client, silent_bus: MemoryBus, fhi: Fhi) -> None:
    for message in silent_bus.published:
        silent_bus.inbox.extend(fhi.answer(message, "2"))
    report = wait(client)
    assert report.exit_code == 81
    assert "T02" in report.text()
    assert "tjTjenType" not in report.text()


def test_status_3_shows_its_errors_but_never_their_detail_in_events(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, events: list[Event]
) -> None:
    silent_bus.inbox.extend(fhi.answer(silent_bus.published[0], "3"))
    wait(client)
    documents = client.receipts()
    assert documents[0].receipt.errors[0].detail == "element tjTjenType linje 7"
    assert "linje 7" not in "".join(map(repr, events))


def wrong_signer(fhi: Fhi, message: Outbound) -> Inbound:
    """Signed by the municipality's own key, with FHI's right certificate bundled."""
    pair = replace(fhi.key("kommune-signing"), chain=(fhi.pki.certificate("fhi-signing"),))
    return fhi.inbound(message, fhi.sealed(fhi.apprec(message), signed_by=pair))


def from_another_her_id(fhi: Fhi, message: Outbound) -> Inbound:
    receiver = replace(fhi.hodemelding(message).receiver, service_her_id=122612)
    return fhi.inbound(message, fhi.sealed(fhi.apprec(message, receiver=receiver)))


def unsealed(fhi: Fhi, message: Outbound) -> Inbound:
    return fhi.inbound(message, fhi.apprec(message))


def not_an_apprec(fhi: Fhi, message: Outbound) -> Inbound:
    return fhi.inbound(message, fhi.sealed(b"<hello/>"))


def dtd(fhi: Fhi, message: Outbound) -> Inbound:
    return fhi.inbound(message, fhi.sealed(b'<!DOCTYPE a [<!ENTITY b "c">]><AppRec>&b;</AppRec>'))


def damaged(fhi: Fhi, message: Outbound) -> Inbound:
    sealed = bytearray(fhi.sealed(fhi.apprec(message)))
    sealed[-40] ^= 1
    return fhi.inbound(message, bytes(sealed))


def unnamed_but_from_fhi(fhi: Fhi, message: Outbound) -> Inbound:
    return replace(damaged(fhi, message), correlation_id="")


def empty(fhi: Fhi, message: Outbound) -> Inbound:
    return fhi.inbound(message, b"")


def named_in_metadata_alone(fhi: Fhi, message: Outbound) -> Inbound:
    """As NHN's .NET client writes receipts: nothing outside names our message-id."""
    made = not_an_apprec(fhi, message)
    named = {"X-MessageInfo-OriginalMsgId": fhi.hodemelding(message).msg_id.upper()}
    return replace(made, correlation_id=made.message_id, properties={**made.properties, **named})


DISBELIEVED = [
    wrong_signer,
    from_another_her_id,
    unsealed,
    not_an_apprec,
    named_in_metadata_alone,
    dtd,
    damaged,
    unnamed_but_from_fhi,
    empty,
]


@pytest.mark.parametrize("make", DISBELIEVED)
def test_g4_what_cannot_be_verified_is_kept_shown_and_not_believed(
    client: Client,
    silent_bus: MemoryBus,
    fhi: Fhi,
    events: list[Event],
    make: Callable[[Fhi, Outbound], Inbound],
) -> None:
    deliver_second(silent_bus, fhi)
    silent_bus.put(make(fhi, silent_bus.published[0]))
    report = wait(client)
    assert report.exit_code == 76
    assert report.submission.shipments[0].state == "published"
    assert report.submission.shipments[1].state == "delivered"
    assert len(silent_bus.settled) == 1, "what is not believed is never settled"
    assert [event.kind for event in events].count(EventKind.RECEIPT_UNVERIFIED) == 1
    kept = [document for document in client.receipts() if not document.receipt.verified]
    assert len(kept) == 1
    # The right receipt still delivers it afterwards.
    silent_bus.inbox.extend(fhi.answer(silent_bus.published[0]))
    let_the_pause_pass(client.settings.journal.path)
    assert wait(client).exit_code == 0


def test_g4_a_certificate_learnt_later_makes_the_same_message_believed(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi, kommune: Municipality
) -> None:
    client = new_client(silent_bus)
    client.submit()
    deliver_second(silent_bus, fhi)
    silent_bus.put(wrong_signer(fhi, silent_bus.published[0]))
    assert wait(client).exit_code == 76
    rolled_over = [str(kommune.folder / "pki" / name) for name in ("fhi-signing.pem", "kommune-signing.pem")]
    let_the_pause_pass(kommune.journal)
    later = new_client(silent_bus, {"receiver": {"signing_certificates": rolled_over}})
    assert wait(later).exit_code == 0
    assert [document.receipt.verified for document in later.receipts()] == [True, True]


def test_an_unknown_status_is_never_success(client: Client, silent_bus: MemoryBus, fhi: Fhi) -> None:
    deliver_second(silent_bus, fhi)
    odd = fhi.apprec(silent_bus.published[0]).replace(b'Status V="1"', b'Status V="9"')
    assert b'V="9"' in odd
    silent_bus.put(fhi.inbound(silent_bus.published[0], fhi.sealed(odd)))
    report = wait(client)
    assert report.exit_code == 76
    assert report.submission.shipments[0].state == "published"


def test_an_unsealed_receipt_is_believed_where_the_configuration_says_so(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi
) -> None:
    client = new_client(silent_bus, {"receiver": {"unsealed_receipts": True}})
    client.submit()
    for message in silent_bus.published:
        silent_bus.put(unsealed(fhi, message))
    assert wait(client).exit_code == 0


def xml_signed(fhi: Fhi, message: Outbound) -> Inbound:
    return fhi.inbound(message, sign_enveloped(fhi.apprec(message), fhi.key("fhi-signing")))


def test_g4_with_xml_signatures_on_an_unsealed_receipt_needs_one_and_a_sealed_one_none(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi
) -> None:
    client = new_client(silent_bus, {"receiver": {"unsealed_receipts": True}, "hodemelding": {"xmldsig": True}})
    client.submit()
    first, second = silent_bus.published
    silent_bus.put(unsealed(fhi, first))
    silent_bus.put(*fhi.answer(second))
    report = wait(client)
    assert report.exit_code == 76
    assert [shipment.state for shipment in report.submission.shipments] == ["published", "delivered"]
    (receipt,) = report.submission.shipments[0].receipts
    assert (receipt.verified, receipt.signer) == (False, None)
    assert "no XML signature by a certificate that we hold" in receipt.problem
    assert client.handle(xml_signed(fhi, first)) is Handling.SETTLE
    told = client.status()
    assert told is not None
    assert told.exit_code == 0
    assert told.submission.shipments[0].receipts[-1].signer is not None


def test_what_fhi_answered_unsealed_is_settled_by_a_person(client: Client, silent_bus: MemoryBus, fhi: Fhi) -> None:
    """The way on in produksjon, where no configuration makes a clear text count."""
    client.submit()
    for message in silent_bus.published:
        silent_bus.put(unsealed(fhi, message))
    report = wait(client)
    assert f"kpr-send resolve {report.submission.shipments[0].msg_id} --settled" in report.next_step
    for shipment in report.submission.shipments:
        client.settle(shipment.msg_id, reason="FHI says by mail that it has it", by="Kari")
    assert wait(client).exit_code == 0


def test_every_run_warns_while_clear_text_is_believed(kommune: Municipality) -> None:
    heard: list[Event] = []
    settings = kommune.configure({"receiver": {"unsealed_receipts": True}})
    Client(settings, on_event=heard.append).close()
    assert [event.text for event in heard if event.kind is EventKind.WARNING] == [settings.receiver.concern]
    heard.clear()
    Client(kommune.configure(), on_event=heard.append).close()
    assert heard == []


def test_upper_case_and_braces_do_not_hide_our_msgid(client: Client, silent_bus: MemoryBus, fhi: Fhi) -> None:
    for message in silent_bus.published:
        msg_id = fhi.hodemelding(message).msg_id
        xml = fhi.apprec(message).replace(msg_id.encode(), b"{" + msg_id.upper().encode() + b"}")
        silent_bus.put(fhi.inbound(message, fhi.sealed(xml)))
    assert wait(client).exit_code == 0


def test_a_duplicate_is_harmless_and_settled(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, events: list[Event]
) -> None:
    first = fhi.answer(silent_bus.published[0])[0]
    silent_bus.put(first)
    silent_bus.put(first)
    deliver_second(silent_bus, fhi)
    report = wait(client)
    assert report.exit_code == 0
    assert [event.kind for event in events].count(EventKind.DUPLICATE) == 1
    assert len(silent_bus.settled) == 3


@pytest.mark.parametrize(("first", "second", "state"), [("1", "2", "delivered"), ("2", "1", "rejected")])
def test_a_contradiction_needs_a_person_and_changes_nothing(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, events: list[Event], first: str, second: str, state: str
) -> None:
    silent_bus.inbox.extend(fhi.answer(silent_bus.published[0], first))
    silent_bus.inbox.extend(fhi.answer(silent_bus.published[0], second))
    deliver_second(silent_bus, fhi)
    report = wait(client)
    assert report.submission.shipments[0].state == state
    assert report.submission.shipments[0].needs_person
    assert report.exit_code == 82
    assert any(event.kind is EventKind.CONTRADICTION for event in events)


def foreign_apprec(fhi: Fhi, message: Outbound) -> Inbound:
    """FHI's receipt for another system's message to the same queue."""
    msg_id = "11111111-2222-4333-8444-555555555555"
    answer = fhi.apprec(message, msg_id=msg_id).replace(b"KPR_IPL", b"BKM")
    return fhi.inbound(message, fhi.sealed(answer), correlation_id="other")


def for_another_key(fhi: Fhi, message: Outbound) -> Inbound:
    return fhi.inbound(message, message.body, correlation_id="other")


def plain_text(fhi: Fhi, message: Outbound) -> Inbound:
    return fhi.inbound(message, b"hello", correlation_id="other", subject="DIALOG", properties={"fromHerId": "1"})


def from_a_hospital(fhi: Fhi, message: Outbound) -> Inbound:
    other = fhi.key("kommune-signing")
    sealed = fhi.sealed(b"<MsgHead/>", signed_by=other)
    return fhi.inbound(message, sealed, correlation_id="other", properties={"fromHerId": "8094866"})


@pytest.mark.parametrize("make", [foreign_apprec, for_another_key, plain_text, from_a_hospital])
def test_a_foreign_message_is_held_and_given_back_never_settled(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, events: list[Event], make: Callable[[Fhi, Outbound], Inbound]
) -> None:
    silent_bus.put(make(fhi, silent_bus.published[0]))
    for message in silent_bus.published:
        silent_bus.inbox.extend(fhi.answer(message))
    report = wait(client)
    assert report.exit_code == 0, "foreign messages in front do not hide our receipts"
    assert len(silent_bus.given_back) == 1
    assert len(silent_bus.settled) == 2
    kind = EventKind.RECEIPT_UNVERIFIED if make is for_another_key else EventKind.FOREIGN_HELD
    said = [event.kind for event in events if event.kind in {EventKind.RECEIPT_UNVERIFIED, EventKind.FOREIGN_HELD}]
    assert said == [kind], "what names FHI as its sender may be an answer to us"
    client.close()
    assert len(silent_bus.inbox) == 1


def test_a_message_on_the_error_queue_faults_the_shipment_it_names(
    client: Client, silent_bus: MemoryBus, fhi: Fhi
) -> None:
    silent_bus.put(error_queue_message(silent_bus.published[0], receiverTimeStamp="13/45/2025"))
    deliver_second(silent_bus, fhi)
    report = wait(client)
    assert report.submission.shipments[0].state == "faulted"
    assert report.exit_code == 82
    assert "transport:invalid-certificate" in str(report.submission.shipments[0].last_error)
    assert len(silent_bus.published) == 2, "an error is never answered"


def test_an_error_queue_message_for_somebody_else_is_held(client: Client, silent_bus: MemoryBus) -> None:
    silent_bus.put(error_queue_message(silent_bus.published[0], originalMessageId="somebody-else-s"))
    silent_bus.put(replace(error_queue_message(silent_bus.published[0]), properties={}))
    wait(client)
    assert len(silent_bus.given_back) == 2


def test_a_vendor_s_own_listener_hands_messages_in(client: Client, silent_bus: MemoryBus, fhi: Fhi) -> None:
    for message in silent_bus.published:
        assert client.handle(fhi.answer(message)[0]) is Handling.SETTLE
    assert client.handle(Inbound("any", Source.RECEIPTS, "", "", "", "", {}, b"\x30\x00")) is Handling.HOLD
    report = client.status()
    assert report is not None
    assert report.exit_code == 0


def test_an_expired_encryption_certificate_keeps_no_receipt_from_being_read(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi, kommune: Municipality
) -> None:
    new_client(silent_bus).submit()
    for message in silent_bus.published:
        silent_bus.inbox.extend(fhi.answer(message))
    (kommune.folder / "pki" / "fhi-encryption.pem").write_bytes(pki.certificate_pem(pki.Kind.EXPIRED_ENCRYPTION))
    assert wait(new_client(silent_bus)).exit_code == 0


def test_g5_what_keeps_receipts_from_being_fetched_is_in_the_journal_until_it_is_over(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi
) -> None:
    client = new_client(silent_bus)
    client.submit()
    silent_bus.receive_error = AccessRefused(Text("The login is refused."))
    with pytest.raises(AccessRefused):
        wait(client)
    report = client.status()
    assert report is not None
    assert report.exit_code == 77
    assert "Published" in report.text()
    silent_bus.receive_error = None
    assert wait(client).exit_code == 80
    for message in silent_bus.published:
        silent_bus.inbox.extend(fhi.answer(message))
    assert wait(client).exit_code == 0


def test_a_receipt_for_what_the_journal_holds_as_unsent_stops_the_sending(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi
) -> None:
    from tests.outbound.test_submit import UNROUTABLE  # noqa: PLC0415 - one outcome, told there

    silent_bus.outcomes.append(UNROUTABLE)
    client = new_client(silent_bus)
    client.submit()
    # The broker said released and delivered all the same.
    assert client.handle(fhi.answer(silent_bus.published[0])[0]) is Handling.SETTLE
    report = client.submit()
    assert len([m for m in silent_bus.published if m.envelope.subject == "KPR_IPL"]) == 1
    assert report.exit_code == 80
    assert report.submission.shipments[0].state is ShipmentState.DELIVERED
