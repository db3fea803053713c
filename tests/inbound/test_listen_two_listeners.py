"""Two listeners, one queue, on a real RabbitMQ: ours takes what is ours and nothing else; the broker counts (G5)."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import pytest
from proton import Timeout
from proton.utils import BlockingConnection

from kpr_sender.bus.port import Outbound
from kpr_sender.bus.proton_engine import Message
from kpr_sender.bus.receiver import LONGEST_HOLD
from kpr_sender.cli.main import run
from kpr_sender.client import Client
from kpr_sender.events import Event, EventKind
from tests.helpers.command import ended, start, until
from tests.helpers.fhi import Fhi
from tests.helpers.figures import figure
from tests.helpers.look_memory import let_the_pause_pass
from tests.helpers.municipality import Changes, Municipality, municipality
from tests.helpers.rabbitmq import EXCHANGE, KOMMUNE_HER_ID, RabbitMq
from tests.proofs.e2e.test_rabbitmq import KPR_QUEUE, RECEIPTS, answer, as_sent, taken

TRACE: Final = "trace-of-deliveries"
FOREIGN: Final = "DIALOG"


@dataclass
class Queue:
    """The municipality's receipts queue at a broker, with a published pair that FHI may answer.

    Attributes:
        slowness: How much longer the times of our looks are here: a slow machine does in them what a usual one does.
    """

    rabbitmq: RabbitMq
    kommune: Municipality
    sent: list[Outbound] = field(default_factory=list)
    slowness: float = 1.0
    events: list[Event] = field(default_factory=list)

    def client(self, **bus: object) -> Client:
        login: dict[str, object] = {"tls": False, "exchange": EXCHANGE, "username": "kommune"}
        changes: Changes = {"sender": {"service_her_id": KOMMUNE_HER_ID}, "bus": {**login, **bus}}
        settings = self.kommune.configure(changes, port=self.rabbitmq.port)
        return Client(settings, on_event=self.events.append, monotonic=lambda: time.monotonic() / self.slowness)

    def submit(self) -> None:
        with self.client() as client:
            client.submit()
        self.sent = [as_sent(taken(self.rabbitmq)), as_sent(taken(self.rabbitmq))]

    def answer(self, number: int) -> None:
        answer(self.rabbitmq, Fhi(self.kommune.pki), self.sent[number])

    def put_foreign(self, count: int) -> set[str]:
        ids = [f"foreign-{uuid.uuid4()}" for _ in range(count)]
        body = b"for another system"
        self.rabbitmq.put(RECEIPTS, *(Message(body, inferred=True, id=one, subject=FOREIGN) for one in ids))
        return set(ids)

    def take_all(self) -> list[str]:
        """What the other system finds when it reads the queue empty."""
        with Consumer(self.rabbitmq) as other:
            until(lambda: self.rabbitmq.depth(RECEIPTS) == 0)
        return other.own


class Consumer:
    """Another system's listener on the same queue: takes its own for good, gives the rest back, or keeps that, too."""

    def __init__(self, rabbitmq: RabbitMq, *, greedy_until: int = 0) -> None:
        self._rabbitmq = rabbitmq
        self._greedy_until = greedy_until
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.own: list[str] = []
        self.not_its_own: list[bytes] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _read(self) -> None:
        url, password = f"127.0.0.1:{self._rabbitmq.port}", RabbitMq.password("admin")
        connection = BlockingConnection(url, user="admin", password=password, allowed_mechs="PLAIN", timeout=20)
        try:
            receiver = connection.create_receiver(f"/amq/queue/{RECEIPTS}", credit=5)
            while not self._stop.is_set():
                try:
                    message = receiver.receive(timeout=0.1)
                except Timeout:
                    continue
                if message.subject == FOREIGN:
                    receiver.accept()
                    self.own.append(str(message.id))
                elif len(self.not_its_own) < self._greedy_until:
                    receiver.accept()
                    assert isinstance(message.body, bytes | memoryview)
                    self.not_its_own.append(bytes(message.body))
                else:
                    receiver.release(delivered=False)
        finally:
            connection.close()


@pytest.fixture
def queue(rabbitmq: RabbitMq, tmp_path: Path) -> Queue:
    kommune = municipality(tmp_path)
    (tmp_path / "bus-password").write_text(rabbitmq.password("kommune"), encoding="ascii")
    made = Queue(rabbitmq, kommune)
    made.submit()
    return made


@pytest.fixture
def unhurried(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """For what a look does with a thousand messages: whether it is done in time, is the machine's business."""
    queue.slowness = 15.0
    monkeypatch.setattr("kpr_sender.bus.receiver.LONGEST_HOLD", LONGEST_HOLD * queue.slowness)
    return queue


@contextmanager
def deliveries(rabbitmq: RabbitMq) -> Iterator[None]:
    """Let the broker keep a copy of each message it delivers from the receipts queue (RabbitMQ's firehose)."""
    rabbitmq.declare_queue(TRACE)
    rabbitmq.evaluate(
        '{ok, _} = {ok, rabbit_binding:add({binding, rabbit_misc:r(<<$/>>, exchange, <<"amq.rabbitmq.trace">>), '
        f'<<"deliver.{RECEIPTS}">>, rabbit_misc:r(<<$/>>, queue, <<"{TRACE}">>), []}}, <<"test">>)}}, '
        "rabbit_trace:start(<<$/>>)"
    )
    try:
        yield
    finally:
        rabbitmq.evaluate("rabbit_trace:stop(<<$/>>)")
        rabbitmq.delete_queue(TRACE)


def test_it_does_not_spin_on_what_it_holds(queue: Queue) -> None:
    foreign = queue.put_foreign(30)
    with deliveries(queue.rabbitmq), queue.client() as client:
        assert client.wait(timeout=3).exit_code == 80
        assert queue.rabbitmq.depth(TRACE) == 30, "each once, and no more in all the time"
        queue.rabbitmq.wait_for(RECEIPTS, ready=30)  # back with their owner while this client goes on
    left = queue.take_all()
    figure("listeners", waits=1, foreign=30, foreign_settled=30 - len(set(left) & foreign), lost=30 - len(left))
    assert sorted(left) == sorted(foreign)


def test_g8_after_a_look_all_go_back_at_once_and_come_again_once_for_each_look(queue: Queue) -> None:
    foreign = queue.put_foreign(30)
    with deliveries(queue.rabbitmq), queue.client() as client:
        for looks in (1, 2, 3):
            let_the_pause_pass(queue.kommune.journal)
            assert client.wait(timeout=4).exit_code == 80
            queue.rabbitmq.wait_for(RECEIPTS, ready=30)
            assert queue.rabbitmq.depth(TRACE) == 30 * looks
    figure("listeners", waits=3, foreign=30, deliveries_at_most=90, deliveries=90)
    assert sorted(queue.take_all()) == sorted(foreign)


def test_sigkill_gives_all_foreign_messages_back(queue: Queue) -> None:
    foreign = queue.put_foreign(40)
    queue.client().close()
    process = start("--env", "lokal", "--config", queue.kommune.config, "wait", "--wait", "60s")
    try:
        until(lambda: queue.rabbitmq.ready(RECEIPTS) == 0)
        assert queue.rabbitmq.depth(RECEIPTS) == 40
    finally:
        process.send_signal(signal.SIGKILL)
        ended(process)
    queue.rabbitmq.wait_for(RECEIPTS, ready=40)
    left = queue.take_all()
    figure("listeners", waits=1, foreign=40, foreign_settled=40 - len(set(left) & foreign), lost=40 - len(left))
    assert sorted(left) == sorted(foreign)


def test_another_consumer_takes_half_of_the_messages_and_ours_takes_its_receipts(queue: Queue) -> None:
    with Consumer(queue.rabbitmq) as other, queue.client() as client:
        foreign: set[str] = set()
        for number in (0, 1):
            foreign |= queue.put_foreign(100)
            queue.answer(number)
        foreign |= queue.put_foreign(100)
        assert client.wait(timeout=60).exit_code == 0
        client.close()
        until(lambda: queue.rabbitmq.depth(RECEIPTS) == 0)
        until(lambda: len(other.own) == 300)
    figure("listeners", waits=1, foreign=300, foreign_settled=len(foreign - set(other.own)), lost=300 - len(other.own))
    assert sorted(other.own) == sorted(foreign), "each exactly once, to the system it is for"


def test_a_receipt_that_another_consumer_took_comes_in_as_a_file(
    queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = queue.put_foreign(5)
    queue.answer(0)
    with Consumer(queue.rabbitmq, greedy_until=1) as other:
        until(lambda: len(other.not_its_own) == 1)
    queue.answer(1)
    with queue.client() as client:
        report = client.wait(timeout=2)
        assert (report.exit_code, report.submission.shipments[1].state) == (80, "delivered")
    file = queue.kommune.folder / "lagret.p7m"
    file.write_bytes(other.not_its_own[0])
    arguments = ["--env", "lokal", "--config", str(queue.kommune.config), "receipts", "add", str(file)]
    assert run(arguments) == 0, capsys.readouterr().err
    left = [*other.own, *queue.take_all()]
    figure("listeners", waits=1, foreign=5, foreign_settled=len(foreign - set(left)), lost=5 - len(left))
    assert sorted(left) == sorted(foreign)


def test_receipts_behind_a_thousand_foreign_messages_are_found_where_the_cap_allows(unhurried: Queue) -> None:
    queue = unhurried
    foreign = queue.put_foreign(500)
    queue.answer(0)
    foreign |= queue.put_foreign(500)
    queue.answer(1)
    with deliveries(queue.rabbitmq), queue.client(held_cap=1_000) as client:
        assert client.wait(timeout=60).exit_code == 0
        assert queue.rabbitmq.depth(TRACE) == 1_002, "each once"
    queue.rabbitmq.wait_for(RECEIPTS, ready=1_000)
    left = queue.take_all()
    figure("listeners", waits=1, foreign=1_000, foreign_settled=len(foreign - set(left)), lost=1_000 - len(left))
    assert sorted(left) == sorted(foreign)


def test_beyond_the_cap_it_says_so_and_takes_no_more(unhurried: Queue) -> None:
    queue = unhurried
    foreign = queue.put_foreign(1_000)
    for number in (0, 1):
        queue.answer(number)
    with deliveries(queue.rabbitmq), queue.client() as client:
        report = client.wait(timeout=4 / queue.slowness)
        assert queue.rabbitmq.depth(TRACE) == 510, "the cap of 500 and what is handed out at once"
    assert report.exit_code == 80
    assert "bus.held_cap" in report.text(), "the person is told why, and tomorrow by status, too"
    warnings = [event.text for event in queue.events if event.kind is EventKind.WARNING]
    assert ["held_cap" in text for text in warnings].count(True) == 1
    queue.rabbitmq.wait_for(RECEIPTS, ready=1_002)
    # The other system reads its queue; then ours are there.
    with Consumer(queue.rabbitmq) as other:
        until(lambda: len(other.own) == 1_000)
    let_the_pause_pass(queue.kommune.journal)
    with queue.client() as client:
        assert client.wait(timeout=30).exit_code == 0
    figure("listeners", waits=2, foreign=1_000, foreign_settled=len(foreign - set(other.own)))
    assert sorted(other.own) == sorted(foreign)
    assert queue.rabbitmq.depth(RECEIPTS) == 0
    assert queue.rabbitmq.depth(KPR_QUEUE) == 0
