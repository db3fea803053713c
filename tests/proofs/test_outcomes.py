"""Every answer a broker can give, at every moment: verdict, evidence and the shipment's state (G1, G2, G3).

The journal and the publisher are the real ones, the bus is ours over AMQP, the broker does what the script says.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.codec import Decoded
from kpr_sender.bus.port import Reach
from kpr_sender.journal.lock import JournalLock
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.journal.values import JournalEvent
from kpr_sender.model import MessageType, Submission
from kpr_sender.outbound.publish import Publisher
from kpr_sender.states import ShipmentState
from tests.helpers.bus_settings import NO_QUEUES, bus_settings
from tests.helpers.figures import figure
from tests.helpers.scripted_bus import Script, ScriptedBus
from tests.journal.builders import Clock, new_shipment, new_submission, open_journal
from tests.proofs.outcomes_table import SAID, Expected, Moment, Said, cases, overtaken

SMALL, LARGE = 2_000, 1_500_000  # bytes; the latter is more than the sockets between us take unread
TAKEN_OF_LARGE = 100_000
OF_TWO = frozenset({Moment.SECOND, Moment.BETWEEN})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    lock = JournalLock.acquire(tmp_path / "journal.db", now=Clock())
    journal = open_journal(tmp_path / "journal.db")
    yield journal
    journal.close()
    lock.release()


def script_for(moment: Moment, said: Said) -> Script:
    """Return a script with which the broker says it at that moment, and accepts all else."""
    script = Script(condition=said.condition)
    if moment is Moment.ATTACH:
        script.refuse_how = said.how
        if said.how == "silence":
            script.credit = 0
        elif "size" in said.condition:  # said by the attach itself, and kept by us
            script.max_message_size = SMALL // 2
        else:
            script.refuse = lambda _: said.condition
    elif moment is Moment.BETWEEN:
        script.then = said.how
    else:
        script.transfer = said.how
        script.accept_first = int(moment is Moment.SECOND)
        if moment is Moment.MID_TRANSFER:
            script.partial, script.read_at_most = True, TAKEN_OF_LARGE
    return script


def heal(script: Script) -> None:
    """Let the broker accept everything from now on."""
    script.transfer, script.then, script.credit, script.max_message_size = "accepted", "", 100, 0
    script.partial, script.read_at_most, script.refuse = False, None, lambda _: None


def keep(journal: SqliteJournal, moment: Moment) -> Submission:
    size = LARGE if moment is Moment.MID_TRANSFER else SMALL
    types = (MessageType.KPR_IPL, MessageType.KPR_IDE) if moment in OF_TWO else (MessageType.KPR_IPL,)
    return journal.create(new_submission(shipments=tuple(new_shipment(type_, sealed_bytes=size) for type_ in types)))


def ends_of_attempts(journal: SqliteJournal, msg_id: str) -> list[JournalEvent]:
    return [event for event in journal.events(msg_id) if "reach" in event.details]


def check(journal: SqliteJournal, submission: Submission, expected: Expected) -> None:
    """The last shipment is where the table says, and the journal keeps why."""
    shipment = submission.shipments[-1]
    (attempt,) = ends_of_attempts(journal, shipment.msg_id)
    seen = {name: attempt.details[name] for name in ("reach", "link", "condition")}
    assert seen == {"reach": expected.reach, "link": expected.link, "condition": expected.condition}
    assert shipment.state is expected.state
    code = None if expected.error is None else expected.error.code
    assert (shipment.last_error.code if shipment.last_error else None) == code
    if expected.error is not None and "amqp:" in expected.condition and shipment.last_error:
        assert expected.condition in shipment.last_error.text or expected.condition.endswith("size-exceeded")
    sent = attempt.details["bytes_handed_over"]
    assert isinstance(sent, int)
    if expected.reach is Reach.INCOMPLETE and shipment.sealed_bytes == SMALL:
        assert sent <= SMALL, "overtaken while it began"
    else:
        assert (sent > SMALL) == (expected.reach in {"incomplete", "handed-over", "outcome"})


CASES = tuple(cases())


@pytest.mark.parametrize(("moment", "name", "expected"), CASES, ids=[f"{one[1]} {one[0]}" for one in CASES])
def test_every_answer_at_every_moment(journal: SqliteJournal, moment: Moment, name: str, expected: Expected) -> None:
    try:
        say_and_check(journal, moment, name, expected)
    except BaseException:
        figure("broker outcomes", cases=1, wrong=1)
        raise
    figure("broker outcomes", cases=1, wrong=0)


def say_and_check(journal: SqliteJournal, moment: Moment, name: str, expected: Expected) -> None:
    script = script_for(moment, SAID[name])
    patience = 0.3 if SAID[name].how == "silence" else 10.0
    with ScriptedBus(script, receive_buffer=16_384) as server:

        def run(submission: Submission) -> tuple[Submission, int]:
            with AmqpBus(bus_settings(server.port, publish_timeout=patience, **NO_QUEUES)) as bus:
                publisher = Publisher(journal, bus, threading.RLock(), threading.Event(), lambda _: None)
                return publisher.publish_all(submission)

        submission, _ = run(keep(journal, moment))
        last = ends_of_attempts(journal, submission.shipments[-1].msg_id)[-1].details
        if moment is Moment.BETWEEN and (reach := Reach(str(last["reach"]))) is not Reach.OUTCOME:
            expected = overtaken(name, reach, str(last["condition"]))
        check(journal, submission, expected)
        if moment in OF_TWO:
            assert submission.shipments[0].state is ShipmentState.PUBLISHED

        # The next run, with a broker that accepts: what was certainly not sent goes, the same to the last byte, and
        # what is in doubt does not (G1, G3).
        heal(script)
        again, sent = run(submission)
        came: dict[str, list[bytes]] = {}
        for message in server.saw.messages:
            came.setdefault(Decoded(message).field("message_id"), []).append(message)
    for before, after in zip(submission.shipments, again.shipments, strict=True):
        went_again = before.state is ShipmentState.SEALED
        assert after.state is (ShipmentState.PUBLISHED if went_again else before.state)
        copies = came.get(after.message_id, [])
        assert len(set(copies)) <= 1
        assert went_again or len(copies) <= 1
    assert sent == sum(shipment.state is ShipmentState.SEALED for shipment in submission.shipments)
