"""What is stored and not verified is evaluated anew, decided on by a person, and bounded (G2, G4)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpr_sender.bus.port import Inbound, Outbound
from kpr_sender.client import Client
from kpr_sender.cms.certificates import named as name_of
from kpr_sender.cms.certificates import owner
from kpr_sender.errors import UsageError
from kpr_sender.events import Event
from kpr_sender.registry.port import Counterpart
from kpr_sender.render import text
from kpr_sender.report import Report
from tests.helpers.desk import NOT_SENT
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import ACCEPTED, MemoryBus
from tests.helpers.municipality import Municipality
from tests.helpers.xml_signatures import sign_enveloped

NewClient = Callable[..., Client]
UNKNOWN_MSG_ID = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def client(new_client: NewClient, silent_bus: MemoryBus) -> Client:
    """A client whose pair is published and waits."""
    client = new_client(silent_bus)
    client.submit()
    return client


def look_again(client: Client) -> Report:
    """Look without the pause that messages of others, or not verified yet, bring with them (promise G8)."""
    return client.wait(timeout=0, look_anyway=True, reason="At once.", by="Kari")


def wrong_signer(fhi: Fhi, message: Outbound, **changes: object) -> Inbound:
    """Signed by the municipality's own key."""
    signer = fhi.key("kommune-signing")
    return fhi.inbound(message, fhi.sealed(fhi.apprec(message), signed_by=signer), **changes)


def _without_sender(fhi: Fhi, message: Outbound, *ids: bytes) -> bytes:
    xml = fhi.apprec(message)
    start, end = xml.index(b"<Sender>"), xml.index(b"</Sender>")
    sender = xml[start:end]
    for one in ids:
        sender = sender.replace(b"<Id>" + one + b"</Id>", b"<Id>x</Id>")
    return xml[:start] + sender + xml[end:]


def only_level1(fhi: Fhi, message: Outbound) -> Inbound:
    return fhi.inbound(message, fhi.sealed(_without_sender(fhi, message, _level2(message))))


def no_sender(fhi: Fhi, message: Outbound) -> Inbound:
    return fhi.inbound(message, fhi.sealed(_without_sender(fhi, message, b"85217", _level2(message))))


def only_number(fhi: Fhi, message: Outbound) -> Inbound:
    """As both official examples of status 3 are."""
    xml = _without_sender(fhi, message, b"85217", _level2(message))
    start, end = xml.index(b"<Sender>"), xml.index(b"</Sender>")
    sender = xml[start:end].replace(b"<Id>x</Id>", b"<Id>983744516</Id>", 1).replace(b'V="HER"', b'V="ENH"', 1)
    return fhi.inbound(message, fhi.sealed(xml[:start] + sender + xml[end:]))


def _level2(message: Outbound) -> bytes:
    return message.envelope.properties["toHerId"].encode()


def _numbers(client: Client) -> list[int]:
    return [document.receipt.receipt_id for document in client.receipts() if not document.receipt.verified]


def test_g2_what_is_stored_is_believed_once_its_certificate_is_known_though_no_queue_has_it(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi, kommune: Municipality
) -> None:
    client = new_client(silent_bus)
    client.submit()
    for message in silent_bus.published:
        silent_bus.put(wrong_signer(fhi, message))
    assert client.wait(timeout=0).exit_code == 76
    client.close()
    silent_bus.inbox.clear()
    copies = kommune.folder / "receipts"
    assert len(list((copies / "unverified").glob("*-apprec-*.xml"))) == 2
    rolled_over = [str(kommune.folder / "pki" / name) for name in ("fhi-signing.pem", "kommune-signing.pem")]

    later = new_client(silent_bus, {"receiver": {"signing_certificates": rolled_over}})

    assert later.wait(timeout=0).exit_code == 0
    assert [document.receipt.verified for document in later.receipts()] == [True, True]
    assert len(list(copies.glob("*-apprec-*.xml"))) == 2
    assert list((copies / "unverified").iterdir()) == []


class ChangingRegistry:
    """A register whose answer changes."""

    def __init__(self, counterpart: Counterpart) -> None:
        self.answer = counterpart
        self.asked = 0

    def counterpart(self, her_id: int) -> Counterpart:
        assert her_id == self.answer.her_id
        self.asked += 1
        return self.answer


def signed_xml(fhi: Fhi, message: Outbound) -> Inbound:
    """Not sealed, and with an XML signature of the municipality's own key."""
    return fhi.inbound(message, sign_enveloped(fhi.apprec(message), fhi.key("kommune-signing")))


@pytest.mark.parametrize("make", [wrong_signer, signed_xml])
def test_a_long_lived_client_asks_the_register_once_more_and_at_most_every_five_minutes(
    new_client: NewClient,
    silent_bus: MemoryBus,
    fhi: Fhi,
    kommune: Municipality,
    make: Callable[[Fhi, Outbound], Inbound],
) -> None:
    known = new_client(silent_bus)._app.registers.for_receipts.counterpart(171479)  # what the files say
    registry, now = ChangingRegistry(known), [datetime.now(UTC)]
    settings = kommune.configure({"receiver": {"unsealed_receipts": True}})
    with Client(settings, bus=silent_bus, registry=registry, now=lambda: now[0]) as client:
        client.submit()
        for message in silent_bus.published:
            silent_bus.put(make(fhi, message))
        assert client.wait(timeout=0).exit_code == 76
        asked = registry.asked
        assert client.wait(timeout=0).exit_code == 76
        assert registry.asked == asked, "within five minutes nobody is asked again"
        registry.answer = replace(known, signing=(fhi.pki.certificate("kommune-signing"),))
        assert client.wait(timeout=0).exit_code == 76
        now[0] += timedelta(minutes=5)

        assert client.wait(timeout=0).exit_code == 0
        assert registry.asked == asked + 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (only_level1, "another HER-id than that of whom we sent to: 85217, not 171479"),
        (no_sender, "its sender has no HER-id, so that"),
        (only_number, "its sender has no HER-id, only organisation number 983744516, so that"),
    ],
)
def test_a_person_accepts_what_fhi_signed_and_nothing_else(
    client: Client,
    silent_bus: MemoryBus,
    fhi: Fhi,
    kommune: Municipality,
    make: Callable[[Fhi, Outbound], Inbound],
    said: str,
) -> None:
    first, second = silent_bus.published
    silent_bus.put(make(fhi, first))
    silent_bus.put(wrong_signer(fhi, second))
    assert client.wait(timeout=0).exit_code == 76
    accepted, forged = _numbers(client)
    assert said in str(client.receipts())
    status = client.status()
    assert status is not None
    assert status.error is not None
    assert f"kpr-send receipts accept {accepted} " in status.error.next_step
    with pytest.raises(UsageError, match="cannot be accepted"):
        client.accept_receipt(forged, reason="it looks right", by="Kari")
    with pytest.raises(UsageError, match="no receipt 99"):
        client.accept_receipt(99, reason="it looks right", by="Kari")
    with pytest.raises(UsageError, match="national id"):
        client.accept_receipt(accepted, reason="as 21914846886 said", by="Kari")

    report = client.accept_receipt(accepted, reason="FHI, e-post 10.1.", by="Kari")

    assert [one.state for one in report.submission.shipments] == ["delivered", "published"]
    history = client.case(report.submission.shipments[0].msg_id).history
    assert [(one.what, one.who, one.why) for one in history if one.what == "receipt-accepted"] == [
        ("receipt-accepted", "Kari", "FHI, e-post 10.1.")
    ]
    with pytest.raises(UsageError, match="cannot be discarded"):
        client.discard_receipt(accepted, reason="no", by="Kari")
    report = client.discard_receipt(forged, reason="not FHI's", by="Kari")
    assert report.exit_code == 80, "what is discarded keeps nothing up"
    silent_bus.put(wrong_signer(fhi, second))
    assert _numbers(client) == [forged]


def test_the_level_1_her_id_does_where_the_configuration_says_so(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi
) -> None:
    client = new_client(silent_bus, {"receiver": {"receipt_sender": "level1"}})
    client.submit()
    first, second = silent_bus.published
    silent_bus.put(only_level1(fhi, first))
    silent_bus.put(no_sender(fhi, second))

    report = client.wait(timeout=0)

    assert [one.state for one in report.submission.shipments] == ["delivered", "published"]
    assert report.exit_code == 76


def test_what_is_discarded_is_settled_when_it_comes_again(client: Client, silent_bus: MemoryBus, fhi: Fhi) -> None:
    message = wrong_signer(fhi, silent_bus.published[0])
    silent_bus.put(message)
    client.wait(timeout=0)
    client.discard_receipt(_numbers(client)[0], reason="not FHI's", by="Kari")

    assert look_again(client).exit_code == 80
    assert [one.body for one in silent_bus.settled] == [message.body]


def test_a_badly_signed_receipt_for_another_journal_changes_nothing(
    client: Client, silent_bus: MemoryBus, fhi: Fhi
) -> None:
    signer = fhi.key("kommune-signing")
    xml = fhi.apprec(silent_bus.published[0], msg_id=UNKNOWN_MSG_ID)
    silent_bus.put(fhi.inbound(silent_bus.published[0], fhi.sealed(xml, signed_by=signer), correlation_id=""))
    outside = {"fromHerId": "171479", "X-MessageInfo-OriginalMsgId": UNKNOWN_MSG_ID}
    damaged = fhi.inbound(silent_bus.published[0], b"\x30\x00", correlation_id="", properties=outside)
    silent_bus.put(damaged)

    report = client.wait(timeout=0)

    assert report.exit_code == 80
    assert client.receipts() == ()
    assert (len(silent_bus.given_back), silent_bus.settled) == (2, [])
    assert report.answers_to_others == 2
    assert report.as_json()["answers_to_others"] == 2
    screen = "\n".join(text.report_screen(report, journal=Path("journal.db"), receipts=Path("receipts")))
    assert "2 answers to others on our queue: they name no message of this journal" in screen
    silent_bus.inbox.clear()
    assert look_again(client).answers_to_others == 0


@pytest.mark.parametrize(("named", "most"), [(True, 20), (False, 5)])
def test_what_anybody_can_put_on_our_queue_is_bounded(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, *, named: bool, most: int
) -> None:
    message = silent_bus.published[0]
    for number in range(most + 5):
        one = fhi.inbound(message, b"\x30\x02\x05" + bytes([number]))
        silent_bus.put(one if named else replace(one, correlation_id=""))

    assert client.wait(timeout=0).exit_code == 76
    assert len(client.receipts()) == most
    silent_bus.put(fhi.answer(silent_bus.published[0])[0])
    silent_bus.inbox.rotate(1)
    look_again(client)
    assert len(client.receipts()) == most + 1, "not for the other half in its place, either"
    for answer in (*fhi.answer(silent_bus.published[0]), *fhi.answer(silent_bus.published[1])):
        silent_bus.put(answer)
    assert look_again(client).exit_code == 0, "the right ones are taken all the same"


def test_bytes_are_bounded_too_and_not_loaded(
    client: Client, new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi
) -> None:
    message = silent_bus.published[0]
    for number in range(5):
        silent_bus.put(fhi.inbound(message, bytes([0x30, number]) + bytes(7_000_000)))

    client.wait(timeout=0)

    stored = sum(len(document.sealed) for document in client.receipts())
    assert 20_000_000 < stored <= 32_000_000
    client.close()
    tracemalloc.start()
    try:
        with new_client(silent_bus) as again:
            again._app.session.opened()
            status = again.status()
            assert tracemalloc.get_traced_memory()[1] < 7_000_000, "opening the journal loads none of their bytes"
    finally:
        tracemalloc.stop()
    assert status is not None
    assert status.exit_code == 76


def test_what_turns_out_to_be_the_other_half_s_is_not_held_against_this_one(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, kommune: Municipality, new_client: NewClient
) -> None:
    first, second = silent_bus.published
    sealed_elsewhere = _sealed_for(fhi, fhi.apprec(second), "kommune-signing")
    silent_bus.put(fhi.inbound(second, sealed_elsewhere, correlation_id=""))
    report = client.wait(timeout=0)
    assert report.exit_code == 77
    assert "serial number" in report.text()
    assert report.submission.shipments[0].receipts, "nothing says which one it is about: the first one that waits"
    silent_bus.put(fhi.answer(first)[0])
    assert look_again(client).exit_code == 80
    client.close()
    silent_bus.inbox.clear()
    for name in ("p12", "pem"):
        source = kommune.folder / "pki" / f"kommune-signing.{name}"
        (kommune.folder / "pki" / f"kommune-encryption.{name}").write_bytes(source.read_bytes())

    assert new_client(silent_bus).wait(timeout=0).exit_code == 0


@pytest.mark.parametrize("hint", ["correlation", "message", "metadata", "sender"])
def test_an_answer_that_none_of_our_keys_opens_is_never_called_others(
    client: Client, silent_bus: MemoryBus, fhi: Fhi, events: list[Event], hint: str
) -> None:
    message = silent_bus.published[0]
    body = _sealed_for(fhi, fhi.apprec(message), "fhi-encryption")
    foreign = fhi.inbound(message, body, correlation_id="", properties={"fromHerId": "1"})
    hints: dict[str, dict[str, object]] = {
        "correlation": {"correlation_id": message.message_id.upper()},
        "message": {"message_id": message.message_id.replace("-", "")},
        "metadata": {
            "properties": {"fromHerId": "1", "X-MessageInfo-OriginalMsgId": fhi.hodemelding(message).msg_id.upper()}
        },
        "sender": {"properties": {"fromHerId": "171479"}},
    }
    silent_bus.put(foreign)
    silent_bus.put(replace(foreign, **hints[hint]))  # type: ignore[arg-type]  # a test names fields freely

    report = client.wait(timeout=0)

    assert report.exit_code == 77
    assert report.error is not None
    assert report.error.code == "answer-unopened"
    sealed_for = fhi.pki.certificate("fhi-encryption")
    assert f"{sealed_for.serial_number:x}" in report.text()
    assert f"({owner(sealed_for)}, SHA-1 thumbprint {name_of(sealed_for).sha1})" in report.text(), "it is known whose"
    assert "may never have reached" not in report.text()
    assert len(client.receipts()) == 1, "without a hint it is somebody else's"


def test_an_answer_is_evaluated_again_by_each_run_that_decides_and_laid_among_the_receipts(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi, kommune: Municipality
) -> None:
    """By submit, before anything is sent, and by a vendor's own listener; no queue has it any more."""
    client = new_client(silent_bus)
    client.submit()
    first, second = silent_bus.published
    for message in (first, second):
        silent_bus.put(fhi.inbound(message, _sealed_for(fhi, fhi.apprec(message), "kommune-signing")))
    assert client.wait(timeout=0).exit_code == 77
    client.close()
    silent_bus.inbox.clear()
    copies, pki = kommune.folder / "receipts", kommune.folder / "pki"
    assert not copies.exists()
    for suffix in ("p12", "pem"):
        content = (pki / f"kommune-signing.{suffix}").read_bytes()
        (pki / f"kommune-encryption.{suffix}").write_bytes(content)

    stranger = {"receiver": {"signing_certificates": [str(pki / "kommune-encryption.pem")]}}
    opened = new_client(silent_bus, stranger)
    assert opened.submit().exit_code == 76, "it can be opened now, and not be verified yet"
    opened.close()
    assert len(list((copies / "unverified").glob("*-apprec-*.xml"))) == 2

    with new_client(silent_bus, {}) as verified:
        verified.handle(fhi.inbound(first, b"", correlation_id="", properties={}))
        status = verified.status()
    assert status is not None
    assert status.exit_code == 0
    assert len(list(copies.glob("*-apprec-*.xml"))) == 2
    assert list((copies / "unverified").iterdir()) == []


def test_what_turns_out_to_be_the_other_half_s_and_is_not_verified_yet_is_stored_for_that_one(
    client: Client, new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi, kommune: Municipality
) -> None:
    """It is not called discarded when it comes again; once it is verified, the run that sends settles its copy."""
    first, second = silent_bus.published
    claim = fhi.inbound(second, _sealed_for(fhi, fhi.apprec(second), "kommune-signing"), correlation_id="")
    silent_bus.put(claim)
    assert client.wait(timeout=0).exit_code == 77
    client.close()
    pki = kommune.folder / "pki"
    for suffix in ("p12", "pem"):
        content = (pki / f"kommune-signing.{suffix}").read_bytes()
        (pki / f"kommune-encryption.{suffix}").write_bytes(content)
    stranger = {"receiver": {"signing_certificates": [str(pki / "kommune-encryption.pem")]}}
    opened = new_client(silent_bus, stranger)

    report = look_again(opened)

    one, other = report.submission.shipments
    assert (report.exit_code, silent_bus.settled) == (76, [])
    assert [receipt.in_question for receipt in (*one.receipts, *other.receipts)] == [False, True]
    silent_bus.put(fhi.inbound(first, _sealed_for(fhi, fhi.apprec(first), "kommune-signing")))
    verified = new_client(silent_bus)
    assert [shipment.state for shipment in verified.submit().submission.shipments] == ["published", "delivered"]
    assert verified.may_have_copies
    assert look_again(verified).exit_code == 0
    assert claim.body in [message.body for message in silent_bus.settled]
    assert not verified.may_have_copies


def test_stored_answers_keep_nothing_from_being_sent_where_they_cannot_be_evaluated(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi, kommune: Municipality, events: list[Event]
) -> None:
    silent_bus.outcomes.extend([ACCEPTED, NOT_SENT])
    client = new_client(silent_bus)
    client.submit()
    silent_bus.put(wrong_signer(fhi, silent_bus.published[0]))
    client.wait(timeout=0)
    client.close()
    (kommune.folder / "pki" / "kommune-encryption.p12").unlink()

    assert new_client(silent_bus).submit().sent == 1
    assert any("Stored receipts could not be evaluated again" in event.text for event in events)


def test_a_text_that_a_stranger_makes_long_is_cut(client: Client, silent_bus: MemoryBus, fhi: Fhi) -> None:
    message = silent_bus.published[0]
    many = b"".join(
        b'<AdditionalId><Id>%d</Id><Type V="HER"/></AdditionalId>' % number for number in range(10**8, 10**8 + 300)
    )
    plain = _without_sender(fhi, message, _level2(message)).replace(b"</Inst>", many + b"</Inst>", 1)
    silent_bus.put(fhi.inbound(message, fhi.sealed(plain)))

    report = client.wait(timeout=0)

    assert report.exit_code == 76
    assert {len(document.receipt.problem) for document in client.receipts()} == {300}


def _sealed_for(fhi: Fhi, xml: bytes, recipient: str) -> bytes:
    from kpr_sender.cms.write import seal  # noqa: PLC0415 - one use

    signer = fhi.key("fhi-signing")
    return b"".join(map(bytes, seal([xml], len(xml), signer=signer, recipient=fhi.pki.certificate(recipient))))
