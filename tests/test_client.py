"""The front door: what a caller's own code does to a run, how soon it is heard, and what a closed client says."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kpr_sender.client import Client
from kpr_sender.errors import UsageError
from kpr_sender.events import Event, EventKind
from kpr_sender.journal.lock import JournalLock
from kpr_sender.operator.resolve import Decision
from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.states import ShipmentState
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import SENDER_HER_ID, Changes, Municipality
from tests.helpers.tenor import TENOR_ID

S = ShipmentState


def test_g1_an_observer_that_raises_is_logged_and_decides_nothing(
    kommune: Municipality, bus: MemoryBus, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[EventKind] = []

    def observe(event: Event) -> None:
        seen.append(event.kind)
        raise RuntimeError(TENOR_ID)

    with caplog.at_level(logging.ERROR), Client(kommune.configure(), bus=bus, on_event=observe) as client:
        assert client.submit().sent == 2
        report = client.wait(timeout=0)

    assert [shipment.state for shipment in report.submission.shipments] == [S.DELIVERED] * 2
    assert [shipment.attempts for shipment in report.submission.shipments] == [1, 1]
    assert {EventKind.PUBLISHING, EventKind.PUBLISHED, EventKind.RECEIPT} <= set(seen)
    assert len(caplog.messages) == len(seen)
    assert all("RuntimeError" in message and f"{__file__}:" in message for message in caplog.messages)
    assert TENOR_ID not in caplog.text


@pytest.mark.parametrize("raised", [asyncio.CancelledError, GeneratorExit, pytest.fail.Exception])
def test_g1_what_ends_something_else_than_the_program_is_an_error_of_the_observer(
    kommune: Municipality, bus: MemoryBus, caplog: pytest.LogCaptureFixture, raised: type[BaseException]
) -> None:
    """None of them is an Exception: the first one stopped a run between the pair's two halves."""

    class Raises(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            raise raised

    def observe(_event: Event) -> None:
        raise raised

    heard = Raises()
    logging.getLogger("kpr_sender").addHandler(heard)
    try:
        with caplog.at_level(logging.ERROR), Client(kommune.configure(), bus=bus, on_event=observe) as client:
            assert client.submit().sent == 2
            assert client.wait(timeout=0).exit_code == 0
    finally:
        logging.getLogger("kpr_sender").removeHandler(heard)


@pytest.mark.parametrize("at", [EventKind.CONNECTING, EventKind.PUBLISHING, EventKind.PUBLISHED])
@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_g1_what_ends_the_program_in_an_observer_leaves_nothing_in_doubt(
    kommune: Municipality, bus: MemoryBus, raised: type[BaseException], at: EventKind
) -> None:
    """Nobody is called between the line in the journal that a transfer begins, and its outcome."""

    def observe(event: Event) -> None:
        if event.kind is at:
            raise raised

    with pytest.raises(raised), Client(kommune.configure(), bus=bus, on_event=observe) as client:
        client.submit()

    with Client(kommune.configure(), bus=bus) as client:
        assert client.submit().sent == (1 if at is EventKind.PUBLISHED else 2)
        assert client.wait(timeout=0).exit_code == 0
    assert len(bus.published) == 2


@contextmanager
def silent(kommune: Municipality) -> Iterator[int]:
    """A bus on which nothing comes."""
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID, faults=Faults.parse(["no-answer"])) as sandbox:
        yield sandbox.port


@contextmanager
def down(kommune: Municipality) -> Iterator[int]:
    """A bus that nothing listens for."""
    yield 1


@contextmanager
def mute(kommune: Municipality) -> Iterator[int]:
    """A bus that accepts the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("ask", [Client.stop, Client.stop_after_step])
@pytest.mark.parametrize("there", [silent, down, mute])
def test_a_stop_is_heard_within_a_second_of_a_wait(
    kommune: Municipality,
    silent_bus: MemoryBus,
    there: Callable[[Municipality], object],
    ask: Callable[[Client], object],
) -> None:
    with Client(kommune.configure(), bus=silent_bus) as client:
        client.submit()
    slow: Changes = {"bus": {"connect_timeout": "30s"}}
    with there(kommune) as port, Client(kommune.configure(slow, port=port)) as client:  # type: ignore[attr-defined]  # one
        waiting = threading.Thread(target=client.wait, kwargs={"timeout": 40})
        waiting.start()
        time.sleep(1.2)  # connected, or refused a few times
        asked = time.monotonic()
        ask(client)
        waiting.join(5)
        heard_after = time.monotonic() - asked

    assert not waiting.is_alive()
    assert heard_after < 1


def test_a_closed_client_refuses_every_call_and_takes_no_lock(kommune: Municipality, bus: MemoryBus) -> None:
    with Client(kommune.configure(), bus=bus) as client:
        report = client.submit()
    msg_id = report.submission.shipments[0].msg_id
    calls: dict[str, Callable[[], object]] = {
        "lock": client.lock,
        "submit": client.submit,
        "wait": lambda: client.wait(timeout=0),
        "status": client.status,
        "receipts": client.receipts,
        "handle": lambda: client.handle(bus.inbox[0]),
        "add_receipt": lambda: client.add_receipt(b"x"),
        "accept_receipt": lambda: client.accept_receipt(1, reason="x", by="Kari"),
        "discard_receipt": lambda: client.discard_receipt(1, reason="x", by="Kari"),
        "case": lambda: client.case(msg_id),
        "resolve": lambda: client.resolve(msg_id, Decision.ARRIVED, reason="x", by="Kari"),
        "settle": lambda: client.settle(msg_id, reason="x", by="Kari"),
        "resend": lambda: client.resend(msg_id, reason="x", by="Kari"),
        "reviewed": lambda: client.reviewed(by="Kari"),
        "__enter__": client.__enter__,
    }
    harmless = {"from_config", "may_have_copies", "stop", "stop_after_step", "close"}
    assert {name for name in vars(Client) if not name.startswith("_")} | {"__enter__"} == {*calls, *harmless}

    for call in calls.values():
        with pytest.raises(UsageError, match="closed"):
            call()
    client.close()
    assert client.stop_after_step() is False

    JournalLock.acquire(Path(kommune.journal), now=lambda: report.asked_at).release()
    assert (len(bus.published), len(bus.settled)) == (2, 0)


def test_a_message_that_a_closed_client_refused_is_taken_by_the_next(
    kommune: Municipality, bus: MemoryBus, fhi: Fhi
) -> None:
    with Client(kommune.configure(), bus=bus) as client:
        client.submit()
        answer = fhi.answer(bus.published[0])[0]
    with pytest.raises(UsageError):
        client.handle(answer)
    with Client(kommune.configure(), bus=bus) as client:
        client.handle(answer)
        report = client.status()
    assert report is not None
    assert report.submission.shipments[0].state is S.DELIVERED
