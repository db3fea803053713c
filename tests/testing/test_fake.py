"""A vendor's tests meet every answer of FHI without a server, and what they meet is what the broker's client meets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kpr_sender import Client, Decision, Event, EventKind, Handling, Settings, Source
from kpr_sender.errors import BusUnreachable, KprError, LoginRefused, RegistryUnreachable, UsageError
from kpr_sender.sandbox.faults import FAULTS, FaultName, Faults
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.testing import FakeTjenestebuss

ENDINGS = {
    "": (0, "delivered delivered"),
    "status-3": (82, "delivered_with_errors delivered_with_errors"),
    "ok-with-error:KPR_IPL": (82, "delivered delivered"),
    "reject:KPR_IDE": (82, "delivered rejected"),
    "reject": (81, "rejected rejected"),
    "no-answer": (80, "published published"),
    "lost-by-receiver": (80, "published published"),
    "unroutable": (80, "published published"),
    "error-queue": (81, "faulted faulted"),
    "wrong-signer": (76, "published published"),
    "contradiction": (82, "delivered delivered"),
    "answer-twice": (0, "delivered delivered"),
    "foreign-in-front=2": (0, "delivered delivered"),
    "hold-disposition": (0, "delivered delivered"),
    "drop-after-transfer": (0, "delivered delivered"),
    "drop-before-disposition": (83, "in_doubt in_doubt"),
    "queue-full": (69, "sealed sealed"),
}
"""Exit code and states of the pair after one submit and one look, by fault."""


@pytest.mark.parametrize("fault", ENDINGS)
def test_the_table_of_faults_names_that_exit_code(fault: str) -> None:
    name, code = fault.partition(":")[0].partition("=")[0], ENDINGS[fault][0]
    assert not name or not code or str(code) in FAULTS[FaultName(name)].then


def _run(client: Client, timeout: float = 0) -> tuple[int, str]:
    client.submit()
    report = client.wait(timeout=timeout)
    return report.exit_code, " ".join(shipment.state for shipment in report.submission.shipments)


@pytest.mark.parametrize("fault", ENDINGS)
def test_each_answer_ends_as_it_would_from_fhi(tjenestebuss: FakeTjenestebuss, fault: str) -> None:
    tjenestebuss.set_faults(*filter(None, [fault]))
    with tjenestebuss.client() as client:
        assert _run(client) == ENDINGS[fault]
    assert " ".join(tjenestebuss.faults).startswith(fault)
    # A queue that is full is met by the first half, twice: it certainly does not have it.
    assert len({line.message_id for line in tjenestebuss.received}) == (1 if fault == "queue-full" else 2)


@pytest.mark.parametrize("fault", ["reject:KPR_IDE", "wrong-signer", "drop-after-transfer"])
def test_what_the_broker_of_the_sandbox_leads_to_is_the_same(tjenestebuss: FakeTjenestebuss, fault: str) -> None:
    document = tjenestebuss.document
    folder = tjenestebuss.fagmelding.parent
    with Sandbox(folder, sender_her_id=900002, faults=Faults.parse([fault])) as sandbox:
        document["bus"] |= {"port": sandbox.port}
        with Client(Settings.from_dict(document, "lokal", folder=folder)) as client:
            # Until both have come, or what does not count as an answer has been looked at.
            assert _run(client, timeout=1.5 if fault == "wrong-signer" else 20) == ENDINGS[fault]


@contextmanager
def _raised(error: type[KprError]) -> Iterator[None]:
    with pytest.raises(error):
        yield


def test_what_keeps_from_sending_is_raised_and_nothing_is_lost(tjenestebuss: FakeTjenestebuss) -> None:
    with tjenestebuss.client() as client:
        tjenestebuss.set_faults("register-down")
        with _raised(RegistryUnreachable):
            client.submit()
        tjenestebuss.set_faults()
        tjenestebuss.reachable = False
        with _raised(BusUnreachable):
            client.submit()
        tjenestebuss.reachable = True
        tjenestebuss.set_faults("refuse-login")
        with _raised(LoginRefused):
            client.submit()
        tjenestebuss.set_faults()
        assert _run(client) == ENDINGS[""]
    assert len(tjenestebuss.received) == 2


def test_silence_ends_when_the_fault_does_also_for_a_client_that_waits(tjenestebuss: FakeTjenestebuss) -> None:
    tjenestebuss.set_faults("no-answer")

    def answer(event: Event) -> None:
        if event.kind is EventKind.WAITING:
            tjenestebuss.set_faults("delay=0.2")

    with tjenestebuss.client(on_event=answer) as client:
        assert _run(client, timeout=20) == ENDINGS[""]
    with tjenestebuss.client() as client:
        assert client.submit().sent == 0, "the journal goes on, and nothing is sent twice"


def test_a_listener_of_the_vendors_own_reads_decides_and_settles(tjenestebuss: FakeTjenestebuss) -> None:
    tjenestebuss.set_faults("foreign-in-front:KPR_IPL")
    with tjenestebuss.client() as client:
        client.submit()
        assert tjenestebuss.waiting() == 3
        handled = []
        while (inbound := tjenestebuss.bus.receive(0, [Source.RECEIPTS])) is not None:
            handled.append(client.handle(inbound))
            if handled[-1] is Handling.SETTLE:
                assert tjenestebuss.bus.settle(inbound)
                assert not tjenestebuss.bus.settle(inbound), "it is gone"
            else:
                tjenestebuss.bus.hold(inbound)
        report = client.status()
    assert sorted(handled) == [Handling.HOLD, Handling.SETTLE, Handling.SETTLE]
    assert report is not None
    assert report.exit_code == 0
    assert tjenestebuss.waiting() == 1, "what belongs to others is given back"
    again = tjenestebuss.bus.receive(0, [Source.RECEIPTS])
    assert again is not None
    assert again.redelivered
    tjenestebuss.bus.detach()
    assert FakeTjenestebuss(tjenestebuss.fagmelding.parent).waiting() == 1, "and what was settled is gone from the disk"


def test_an_error_is_resent_and_a_new_extract_replaces_a_rejection(tjenestebuss: FakeTjenestebuss) -> None:
    tjenestebuss.set_faults("error-queue:KPR_IPL")
    with tjenestebuss.client(by="Kari") as client:
        assert _run(client) == (82, "faulted delivered")
        report = client.status()
        assert report is not None
        tjenestebuss.set_faults("reject")
        client.resend(report.submission.shipments[0].msg_id, reason="feilen er rettet hos FHI")
        assert _run(client) == (82, "rejected delivered")
        tjenestebuss.set_faults()
        again = client.submit(*tjenestebuss.new_extract(), replaces=report.submission.submission_id, reason="avtalt")
        assert client.wait(again.submission.submission_id, timeout=0).exit_code == 0
        assert client.case(again.submission.shipments[0].msg_id).open_to == ()


def test_a_person_decides_on_what_is_in_doubt(tjenestebuss: FakeTjenestebuss) -> None:
    tjenestebuss.set_faults("drop-before-disposition:KPR_IPL")
    with tjenestebuss.client() as client:
        assert _run(client) == (83, "in_doubt delivered")
        report = client.status()
        assert report is not None
        client.resolve(
            report.submission.shipments[0].msg_id, Decision.NOT_ARRIVED, reason="FHI har den ikke", by="Kari"
        )
        tjenestebuss.set_faults()
        assert _run(client) == ENDINGS[""]


def test_a_fault_that_needs_the_broker_is_refused_as_one_that_there_is_not(tjenestebuss: FakeTjenestebuss) -> None:
    for fault in ("foreign-owner", "no-such-fault"):
        with pytest.raises(UsageError, match=fault):
            tjenestebuss.set_faults(fault)


def test_nothing_opens_a_socket_and_nothing_is_written_outside_the_folder(
    tjenestebuss: FakeTjenestebuss, monkeypatch: pytest.MonkeyPatch, state_home: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket is opened")

    monkeypatch.setattr(socket, "socket", refuse)
    before = set(state_home.rglob("*"))
    with tjenestebuss.client() as client:
        assert _run(client) == ENDINGS[""]
    assert set(state_home.rglob("*")) == before
