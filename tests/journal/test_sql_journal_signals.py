"""What a mail says of a mail that was sent (EDI): it is stored once, and does what the table of states says."""

from __future__ import annotations

import dataclasses

import pytest

from kpr_sender.errors import RejectedByReceiver
from kpr_sender.journal.export import lines
from kpr_sender.journal.rows import time_text
from kpr_sender.journal.sql_journal import SqlJournal
from kpr_sender.journal.values import NewShipment, Signal
from kpr_sender.model import Shipment, Transport
from kpr_sender.standing import evidence
from kpr_sender.states import SIGNALS, Cause, ImpossibleTransition, ShipmentState, was_offered
from tests.journal.builders import brought_to, created, new_shipment

_S, _C = ShipmentState, Cause


def _signal(message_id: str, number: int = 1, condition: str = "", description: str = "") -> Signal:
    return Signal(message_id=message_id, sha256=f"{number:064x}", condition=condition, description=description)


def _another_envelope(shipment: Shipment) -> NewShipment:
    new = new_shipment(shipment.type, msg_id=shipment.msg_id, payload=shipment.msg_id)
    by_mail = dataclasses.replace(new.envelope, transport=Transport.EDI)
    return dataclasses.replace(
        new,
        message_id="another-envelope",
        envelope=by_mail,
        payload_sha256=shipment.payload_sha256,
        sealed=[b"another".ljust(5000, b".")],
    )


def test_an_acknowledgement_ends_the_doubt_and_is_stored_once(journal: SqlJournal) -> None:
    """G1, G2: published, acknowledged by KPR's message server; a bounce that comes after it counts for less."""
    shipment = brought_to(journal, _S.IN_DOUBT)
    signal = _signal(shipment.message_id)
    assert journal.note_signal(shipment.msg_id, _C.ACKNOWLEDGED, signal)
    known = journal.shipment(shipment.msg_id)
    assert known is not None
    assert (known.state, known.published_at, known.handed_over) == (_S.PUBLISHED, known.acknowledged_at, True)
    before = journal.events(shipment.msg_id)
    assert not journal.note_signal(shipment.msg_id, _C.ACKNOWLEDGED, signal), "the mailbox gave it again"
    assert journal.events(shipment.msg_id) == before
    assert journal.note_signal(shipment.msg_id, _C.BOUNCED, _signal(shipment.message_id, 2, condition="5.1.1"))
    later = journal.shipment(shipment.msg_id)
    assert later is not None
    assert dataclasses.replace(later, error_message=None) == known
    assert journal.events(shipment.msg_id)[-1].what == "bounced-less"


@pytest.mark.parametrize("cause", [_C.MESSAGE_ERROR, _C.BOUNCED])
def test_what_refuses_it_is_shown_and_a_verified_answer_counts_for_more(journal: SqlJournal, cause: Cause) -> None:
    shipment = brought_to(journal, _S.PUBLISHED)
    said = _signal(shipment.message_id, condition="SecurityFailure", description="Unknown certificate")
    assert journal.note_signal(shipment.msg_id, cause, said)
    known = journal.shipment(shipment.msg_id)
    assert known is not None
    assert known.last_error is not None
    assert known.error_message is not None
    assert (known.state, known.last_error.code) == (_S.FAULTED, RejectedByReceiver.code)
    assert known.error_message.text == "SecurityFailure: Unknown certificate"
    assert "Unknown certificate" in known.last_error.text
    assert journal.note_signal(shipment.msg_id, _C.ACKNOWLEDGED, _signal(shipment.message_id, 2))
    later = journal.shipment(shipment.msg_id)
    assert later is not None
    assert (later.state, later.last_error) == (_S.PUBLISHED, None)


def test_what_is_said_of_an_envelope_that_was_never_offered_is_noted(journal: SqlJournal) -> None:
    """G1: a journal that was restored from backup may hear of what it does not know; it is decided on elsewhere."""
    shipment = brought_to(journal, _S.SEALED)
    for number, cause in enumerate((_C.MESSAGE_ERROR, _C.ACKNOWLEDGED, _C.BOUNCED)):
        assert journal.note_signal(shipment.msg_id, cause, _signal(shipment.message_id, number))
    known = journal.shipment(shipment.msg_id)
    assert known is not None
    assert dataclasses.replace(known, error_message=None) == shipment


@pytest.mark.parametrize("state", [_S.DELIVERED, _S.DELIVERED_WITH_ERRORS, _S.REJECTED])
def test_an_acknowledgement_after_the_receipt_is_known_from_then_on(journal: SqlJournal, state: ShipmentState) -> None:
    """Mails overtake one another: the first that came is the time that counts, and FHI's word stands."""
    shipment = brought_to(journal, state)
    assert journal.note_signal(shipment.msg_id, _C.ACKNOWLEDGED, _signal(shipment.message_id))
    known = journal.shipment(shipment.msg_id)
    assert known is not None
    assert known.acknowledged_at is not None
    assert dataclasses.replace(known, acknowledged_at=None) == shipment
    assert "acknowledged by KPR's message server" in evidence(known)
    assert journal.note_signal(shipment.msg_id, _C.ACKNOWLEDGED, _signal(shipment.message_id, 2))
    assert journal.shipment(shipment.msg_id) == known
    event = journal.events(shipment.msg_id)[-1]
    assert (event.what, event.why) == ("acknowledged", "KPR's message server has acknowledged it.")
    exported = [line["acknowledged_at"] for line in lines(journal._store) if line["kind"] == "shipment"]
    assert exported == [time_text(known.acknowledged_at), None]


def test_a_remark_and_what_is_about_an_earlier_envelope_move_nothing(journal: SqlJournal) -> None:
    shipment = brought_to(journal, _S.PUBLISHED)
    for number, cause in enumerate(sorted(SIGNALS)):
        assert journal.note_signal(shipment.msg_id, cause, _signal("an-earlier-one", number))
    assert journal.note_signal(shipment.msg_id, _C.SIGNAL_NOTED, _signal(shipment.message_id, 9))
    known = journal.shipment(shipment.msg_id)
    assert known is not None
    assert (known.state, known.acknowledged_at, known.error_message) == (_S.PUBLISHED, None, None)
    with pytest.raises(ImpossibleTransition):
        journal.note_signal(shipment.msg_id, _C.ACCEPTED, _signal(shipment.message_id, 10))


def test_an_envelope_that_nobody_answered_goes_again_as_it_is(journal: SqlJournal) -> None:
    """G3: the same bytes under the same eb:MessageId; they never change under it."""
    shipment = brought_to(journal, _S.IN_DOUBT)
    bytes_before = journal.sealed(shipment.msg_id)
    again = journal.let_go(shipment.msg_id, message_id=shipment.message_id, reason="FHI has none.", by="kari")
    assert (again.state, again.message_id, again.earlier) == (_S.SEALED, shipment.message_id, ())
    assert journal.sealed(shipment.msg_id) == bytes_before
    assert was_offered(again)
    assert journal.note_signal(shipment.msg_id, _C.ACKNOWLEDGED, _signal(shipment.message_id))
    late = journal.shipment(shipment.msg_id)
    assert late is not None
    assert late.state is _S.PUBLISHED, "its server has it: it is not sent once more"


def test_what_waits_may_be_sealed_anew_for_the_other_way(journal: SqlJournal) -> None:
    """A person's word, and in the history; what it was before is stored."""
    shipment = created(journal)
    new = _another_envelope(shipment)
    (known,) = journal.resend({shipment.msg_id: new}, reason="The bus is down.", by="kari")
    assert (known.state, known.transport, known.message_id) == (_S.SEALED, Transport.EDI, "another-envelope")
    assert journal.envelope(shipment.msg_id).transport is Transport.EDI
    assert [one.message_id for one in known.earlier] == [shipment.message_id]
    event = journal.events(shipment.msg_id)[-1]
    assert (event.what, event.who, event.why) == ("person-resends", "kari", "The bus is down.")


def test_after_an_acknowledgement_fhis_word_takes_another_envelope(journal: SqlJournal) -> None:
    shipment = brought_to(journal, _S.PUBLISHED)
    journal.note_signal(shipment.msg_id, _C.ACKNOWLEDGED, _signal(shipment.message_id))
    new = _another_envelope(shipment)
    (known,) = journal.resend({shipment.msg_id: new}, reason="FHI has lost it.", by="kari", not_arrived=True)
    assert (known.state, known.acknowledged_at, known.published_at) == (_S.SEALED, None, None)
    assert journal.events(shipment.msg_id)[-1].what == "person-not-arrived"
