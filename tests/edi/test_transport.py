"""A submission by mail, from two files to two verified receipts, through client and the sandbox's message server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.checking import run_checks
from kpr_sender.client import Client
from kpr_sender.ebxml import read_mail, signature
from kpr_sender.errors import ConfigInvalid, InDoubt, InputRefused, KprError, Overdue, UsageError
from kpr_sender.events import Event, EventKind
from kpr_sender.model import MessageType, Shipment, Submission, Transport
from kpr_sender.operator.resolve import Decision
from kpr_sender.sandbox import apprec
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.settings.sample_file import MAILBOX
from kpr_sender.states import ShipmentState
from tests.helpers.edi_municipality import BY_MAIL, account, by_mail, edi_sandbox
from tests.helpers.municipality import Municipality
from tests.helpers.others_mail import lay, places
from tests.messages.parties import HODEMELDING

_S = ShipmentState
OTHERS = [
    b"From: kollega@example.org\r\nTo: kommune@rehearsal.example\r\nSubject: Lunsj\r\n\r\nKlokken tolv.\r\n",
    b"Content-Type: text/html\r\nSubject: Tilbud\r\n\r\n<p>Kj\xc3\xb8p n\xc3\xa5</p>\r\n",
    b'Content-Type: multipart/related; boundary="x"; type="text/xml"\r\n\r\n--x\r\n\r\nno xml\r\n--x--\r\n',
    b"Content-Type: text/xml\r\nSOAPAction: ebXML\r\n\r\n<not-closed>\r\n",
    b'Content-Type: multipart/report; boundary="r"\r\n\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\nA: b\r\n',
]


@pytest.fixture
def box(kommune: Municipality) -> Iterator[EdiSandbox]:
    with edi_sandbox(kommune) as running:
        yield running


def _faults(*faults: str) -> Faults:
    return Faults.parse(faults, Transport.EDI)


def _mails(kommune: Municipality) -> list[bytes]:
    return sorted(path.read_bytes() for path in (kommune.folder / MAILBOX / "new").iterdir())


def _states(submission: Submission) -> list[ShipmentState]:
    return [one.state for one in submission.shipments]


def _not_arrived(client: Client, submission: Submission) -> tuple[Shipment, ...]:
    for shipment in submission.shipments:
        report = client.resolve(shipment.msg_id, Decision.NOT_ARRIVED, reason="FHI has none.", by="kari")
    return report.submission.shipments


def test_two_verified_receipts_and_nothing_of_others_touched(kommune: Municipality, box: EdiSandbox) -> None:
    """G1 to G4, G8: acknowledged, delivered, its receipts acknowledged; others' mail lies as it lay."""
    for mail in OTHERS:
        box.put(mail)
    before = _mails(kommune)
    events: list[Event] = []
    with Client(by_mail(kommune, box), on_event=events.append) as client:
        sent = client.submit()
        assert (sent.sent, _states(sent.submission)) == (2, [_S.PUBLISHED] * 2)
        known = client.wait(timeout=20)
        assert client.submit().sent == 0, "the same files are the same submission"
    assert (known.exit_code, _states(known.submission)) == (0, [_S.DELIVERED] * 2)
    assert {one.transport for one in known.submission.shipments} == {Transport.EDI}
    assert box.unacknowledged() == ()
    assert set(before) <= set(_mails(kommune)), "not one byte of others' mail"
    assert len([one for one in events if one.kind is EventKind.RECEIPT]) == 2
    told = [one.text for one in events]
    assert "Connecting to the mail server." in told
    assert len([text for text in told if text.startswith("The mail server has taken the ")]) == 2


@pytest.mark.parametrize("fault", ["wrong-digest", "unsigned-acknowledgement", "acknowledgement-signer"])
def test_what_only_looks_like_an_acknowledgement_is_none(kommune: Municipality, box: EdiSandbox, fault: str) -> None:
    """G4: present and different digests, no signature, another's signature."""
    box.faults = _faults(fault, "no-answer")
    with Client(by_mail(kommune, box)) as client:
        client.submit()
        known = client.wait(timeout=1.5).submission
    assert _states(known) == [_S.PUBLISHED] * 2
    assert [one.acknowledged_at for one in known.shipments] == [None, None]


def test_an_unanswered_envelope_goes_again_as_it_is_and_an_acknowledged_one_never(
    kommune: Municipality, box: EdiSandbox
) -> None:
    """G1, G3: in doubt is never repeated by itself; by FHI's word the same bytes under the same eb:MessageId."""
    box.faults = _faults("drop-before-disposition")
    with Client(by_mail(kommune, box)) as client:
        doubted = client.submit()
        assert (doubted.exit_code, _states(doubted.submission)) == (83, [_S.IN_DOUBT] * 2)
        first = [(one.message_id, one.sealed_sha256) for one in doubted.submission.shipments]
        assert client.submit().begun == 0, "no program sends it again"
        again = _not_arrived(client, doubted.submission)
        assert [(one.message_id, one.sealed_sha256) for one in again] == first
        box.faults = _faults("no-answer")
        assert client.submit().sent == 2
        waiting = client.wait(timeout=4).submission
        assert all(one.acknowledged_at is not None for one in waiting.shipments)
        with pytest.raises(UsageError, match="released to be sent again once before"):
            _not_arrived(client, waiting)
        for shipment in waiting.shipments:
            client.resolve(shipment.msg_id, Decision.NOT_ARRIVED, reason="FHI lost it.", by="kari", again=True)
        box.faults = NO_FAULTS
        assert client.submit().sent == 2
        known = client.wait(timeout=20)
    assert known.exit_code == 0
    last = known.submission.shipments
    assert {one.message_id for one in last}.isdisjoint(message_id for message_id, _ in first)
    assert [one.msg_id for one in last] == [one.msg_id for one in doubted.submission.shipments]
    assert all(one.earlier for one in last), "each envelope that it ever had is stored"


def test_what_was_refused_goes_in_another_envelope(kommune: Municipality, box: EdiSandbox) -> None:
    box.faults = _faults("message-error:KPR_IDE=SecurityFailure")
    with Client(by_mail(kommune, box)) as client:
        client.submit()
        known = client.wait(timeout=4)
        ipl, ide = known.submission.shipments
        assert (ide.type, ide.state, known.exit_code) == (MessageType.KPR_IDE, _S.FAULTED, 82)
        assert "SecurityFailure" in known.text()
        box.faults = NO_FAULTS
        client.resend(ide.msg_id, reason="The certificate is registered now.", by="kari")
        client.submit()
        done = client.wait(timeout=20)
    kept, resent = done.submission.shipments
    assert done.exit_code == 0
    assert (kept.message_id, resent.msg_id) == (ipl.message_id, ide.msg_id)
    assert resent.message_id != ide.message_id


def test_a_pair_that_the_bus_never_had_goes_by_mail_by_a_persons_word(kommune: Municipality, box: EdiSandbox) -> None:
    """Both halves are sealed anew; while FHI may have one, nothing goes another way (83, 84)."""
    settings = kommune.configure({"bus": {"reconnect_budget": "0.1s"}, "edi": account(box)})
    with Client(settings) as client:
        with pytest.raises(KprError) as down:
            client.submit()
        assert down.value.exit_code == 69
        waiting = client.status()
        assert waiting is not None
        ipl, ide = waiting.submission.shipments
        resent = client.resend(ide.msg_id, reason="The bus is down.", by="kari", transport=Transport.EDI)
        assert [(one.state, one.transport) for one in resent.submission.shipments] == [(_S.SEALED, Transport.EDI)] * 2
        with pytest.raises(UsageError, match="it goes that way already"):
            client.resend(ide.msg_id, reason="x", by="kari", transport=Transport.EDI, again=True)
        box.faults = _faults("drop-before-disposition:KPR_IPL", "no-answer")
        assert client.submit().exit_code == 83
        with pytest.raises(InDoubt):
            client.resend(ide.msg_id, reason="x", by="kari", transport=Transport.AMQP, again=True)
        client.resolve(ipl.msg_id, Decision.ARRIVED, reason="FHI has it.", by="kari")
        with pytest.raises(Overdue):
            client.resend(ide.msg_id, reason="x", by="kari", transport=Transport.AMQP, again=True)
        for half in (ipl, ide):
            client.resolve(half.msg_id, Decision.NOT_ARRIVED, reason="FHI has none.", by="kari", again=True)
        # It waits to go once more by that word: another way, it goes no more often.
        back = client.resend(ide.msg_id, reason="Not by mail then.", by="kari", transport=Transport.AMQP)
        assert [(one.state, one.transport) for one in back.submission.shipments] == [(_S.SEALED, Transport.AMQP)] * 2


def test_g2_a_pair_goes_the_other_way_as_one_or_not_at_all(kommune: Municipality, box: EdiSandbox) -> None:
    """Whatever ends the process that seals it anew: no half waits for a way that the other one does not take."""
    settings = kommune.configure({"bus": {"reconnect_budget": "0.1s"}, "edi": account(box)})

    def dies(event: Event) -> None:
        if event.kind is EventKind.SEALED:
            raise KeyboardInterrupt

    with Client(settings) as client:
        with pytest.raises(KprError):
            client.submit()
        waiting = client.status()
    assert waiting is not None
    _, ide = waiting.submission.shipments
    with Client(settings, on_event=dies) as client, pytest.raises(KeyboardInterrupt):
        client.resend(ide.msg_id, reason="The bus is down.", by="kari", transport=Transport.EDI)
    with Client(settings) as client:
        assert client.submit().sent == 2
        known = client.wait(timeout=20)
    assert (known.exit_code, {one.transport for one in known.submission.shipments}) == (0, {Transport.EDI})


def test_a_receipt_that_a_person_accepts_is_acknowledged(kommune: Municipality, box: EdiSandbox) -> None:
    """Else KPR's message server sends it again and again, and at last takes it for lost."""
    box.faults = _faults("receipt-sender:KPR_IPL")
    with Client(by_mail(kommune, box)) as client:
        client.submit()
        known = client.wait(timeout=2)
        assert known.exit_code == 76
        (asked,) = (one for half in known.submission.shipments for one in half.receipts if one.in_question)
        assert len(box.unacknowledged()) == 1
        client.accept_receipt(asked.receipt_id, reason="FHI says that it is theirs.", by="kari")
    with Client(by_mail(kommune, box)) as client:  # a mail that was left is looked at once in a run
        assert client.wait(timeout=0).exit_code == 0
    assert box.unacknowledged() == ()


def test_too_large_a_mail_is_refused_before_anything_is_sealed(kommune: Municipality, box: EdiSandbox) -> None:
    with Client(by_mail(kommune, box, max_mail_bytes=9_000)) as client:
        with pytest.raises(InputRefused, match=r"would be [0-9,]+ bytes, more than 9,000") as raised:
            client.submit()
        assert raised.value.exit_code == 65
        assert client.status() is None


def test_an_address_of_another_environment_or_none_at_all_is_refused(kommune: Municipality, box: EdiSandbox) -> None:
    """G7 by the domain, where that tells; what is missing is said by its key."""
    settings = by_mail(kommune, box, receiver_address="kpr@edi.nhn.no")
    with pytest.raises(ConfigInvalid, match=r"at edi\.nhn\.no, which belongs to produksjon and validering"):
        Client(settings)
    for key in ("address", "smtp_host", "mailbox", "receiver_address"):
        with pytest.raises(ConfigInvalid, match='transport = "edi" needs it') as raised:
            by_mail(kommune, box, **{key: None})
        assert raised.value.where.endswith(f"edi.{key}")
    kommune.write({"": BY_MAIL, "edi": account(box)}, port=1)
    text = re.sub(r"\[bus\]\n(?:[^\[].*\n)+", "", kommune.config.read_text(encoding="utf-8"))
    Path(kommune.config).write_text(text, encoding="utf-8")
    with Client.from_config(kommune.config, "lokal") as client:
        assert client.submit().sent == 2, "no bus need be configured"


def test_doctor_tells_of_the_mail_server_the_mailbox_and_the_addresses(kommune: Municipality, box: EdiSandbox) -> None:
    """No mail is sent and none taken; what is about the bus alone is not asked."""
    box.put(OTHERS[0])
    rows = {row.name: row for row in run_checks(by_mail(kommune, box))}
    assert [name for name, row in rows.items() if row.error is not None] == []
    assert {"EDI account", "EDI addresses", "mail server", "mailbox"} <= set(rows)
    assert not any(name.startswith("bus ") or name.endswith("queue") for name in rows)
    assert "1 mail there, nothing taken" in rows["mailbox"].text
    assert "logged in" in rows["mail server"].text
    assert _mails(kommune) == [OTHERS[0]]
    settings = by_mail(kommune, box, user=None)
    (row,) = (one for one in run_checks(settings) if one.name == "mail server")
    assert "no login" in row.text


def _opened(shipment: Shipment) -> bytes:
    """Return FHI's receipt as a message server lays it down that has verified and opened the mail."""
    at = shipment.created_at.replace(microsecond=0)
    answered = replace(HODEMELDING, type=shipment.type, msg_id=shipment.msg_id, generated_at=at)
    return apprec.build(version="1.0", apprec_id="a1", generated_at=at, status_code="1", errors=(), original=answered)


def test_what_another_server_has_opened_is_shown_and_never_believed(kommune: Municipality, box: EdiSandbox) -> None:
    """G4: XML in the folder proves nothing, whatever else is allowed; it lies there until a person has decided."""
    folder = kommune.folder / "inbox"
    folder.mkdir()
    edi = account(box, mailbox="folder:inbox")
    settings = kommune.configure({"": BY_MAIL, "edi": edi, "receiver": {"unsealed_receipts": True}})
    box.faults = _faults("no-acknowledgement", "no-answer")
    with Client(settings) as client:
        sent = client.submit().submission.shipments
        for shipment in sent:
            lay(folder / f"{shipment.type}.xml", _opened(shipment))
        lay(folder / "page.xml", b"<html/>")
        known = client.wait(timeout=1)
        assert (known.exit_code, _states(known.submission)) == (76, [_S.PUBLISHED] * 2)
        found = [one.receipt for one in client.receipts()]
        assert [(one.verified, one.problem) for one in found] == [(False, "it is not sealed")] * 2
        assert set(places(folder)) == {"KPR_IPL.xml", "KPR_IDE.xml", "not-ours/page.xml"}
        with pytest.raises(UsageError, match="cannot be accepted: it is not sealed"):
            client.accept_receipt(found[0].receipt_id, reason="It looks right.", by="kari")
        for one in found:
            client.discard_receipt(one.receipt_id, reason="FHI's word counts.", by="kari")
    with Client(settings) as client:
        assert client.wait(timeout=1).exit_code == 80
    assert set(places(folder)) == {"done/KPR_IPL.xml", "done/KPR_IDE.xml", "not-ours/page.xml"}


def test_xml_in_a_mailbox_that_others_read_is_nothing_to_us(kommune: Municipality, box: EdiSandbox) -> None:
    """G8: only in a folder of ours does anybody lay down what is no mail."""
    box.faults = _faults("no-acknowledgement", "no-answer")
    with Client(by_mail(kommune, box)) as client:
        shipment = client.submit().submission.shipments[0]
        box.put(_opened(shipment))
        assert client.wait(timeout=1).exit_code == 80
        assert client.receipts() == ()
    assert _mails(kommune) == [_opened(shipment)]


def test_each_mail_is_read_and_verified_once(
    kommune: Municipality, box: EdiSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    verified: list[bytes] = []
    reads, verifies = read_mail.read, signature.verify

    def counted(raw: bytes, *bounds: read_mail.MailBounds) -> read_mail.Mail | read_mail.NotEbxml:
        read.append(raw)
        return reads(raw, *bounds)

    def counted_verify(xml: bytes, **given: Any) -> signature.VerifiedEnvelope:
        verified.append(xml)
        return verifies(xml, **given)

    monkeypatch.setattr(read_mail, "read", counted)
    monkeypatch.setattr(signature, "verify", counted_verify)
    with Client(by_mail(kommune, box)) as client:
        client.submit()
        assert client.wait(timeout=20).exit_code == 0
    came = [raw for raw in read if b"ebXML" in raw]
    assert len(came) == len(set(came)) == 4, "two acknowledgements, two receipts"
    assert len(verified) == len(set(verified)) == 4
