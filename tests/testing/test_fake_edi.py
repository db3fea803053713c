"""A vendor's tests meet every answer by EDI without a server, and what they meet is what a real dialogue leads to."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from kpr_sender import Client, Decision, Settings, ShipmentState, SubmissionState, Transport
from kpr_sender.errors import BusUnreachable, InDoubt, LoginRefused, RegistryUnreachable, UsageError
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.sandbox.faults import FAULTS, FaultName, Faults
from kpr_sender.testing import FakeEdi, FakeMunicipality

ENDINGS = {
    "": (0, "delivered delivered"),
    "status-3": (82, "delivered_with_errors delivered_with_errors"),
    "reject:KPR_IDE": (82, "delivered rejected"),
    "no-answer": (80, "published published"),
    "no-acknowledgement": (0, "delivered delivered"),
    "receipt-first": (0, "delivered delivered"),
    "wrong-digest": (0, "delivered delivered"),
    "unsigned-acknowledgement": (0, "delivered delivered"),
    "acknowledgement-signer": (0, "delivered delivered"),
    "message-error=SecurityFailure": (81, "faulted faulted"),
    "warning": (0, "delivered delivered"),
    "soap-fault": (81, "faulted faulted"),
    "bounce": (81, "faulted faulted"),
    "bounce=delayed": (0, "delivered delivered"),
    "wrong-signer": (76, "published published"),
    "answer-twice": (0, "delivered delivered"),
    "foreign-in-front=2": (0, "delivered delivered"),
    "hold-disposition": (0, "delivered delivered"),
    "drop-after-transfer": (0, "delivered delivered"),
    "drop-before-disposition": (83, "in_doubt in_doubt"),
    "drop-before-dot": (69, "sealed sealed"),
    "refuse-452": (69, "sealed sealed"),
    "refuse-452=mail": (69, "sealed sealed"),
    "refuse-552": (65, "sealed sealed"),
    "greylist": (0, "delivered delivered"),
}
"""Exit code and states of the pair after one submit and one look, by fault."""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let whoever opens a socket fail."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", opened)
    monkeypatch.setattr(socket, "create_connection", opened)
    yield  # noqa: PT022 - the patch ends after it


def _run(client: Client, timeout: float = 0) -> tuple[int, str]:
    client.submit()
    report = client.wait(timeout=timeout)
    return report.exit_code, " ".join(shipment.state for shipment in report.submission.shipments)


@pytest.mark.parametrize("way", ["tjenestebuss", "edi"])
def test_a_vendors_test_is_the_same_for_both_ways(request: pytest.FixtureRequest, way: str) -> None:
    fake: FakeMunicipality = request.getfixturevalue(way)
    fake.set_faults("reject:KPR_IDE")
    with fake.client() as client:
        assert client.submit().sent == 2
        first = client.wait(timeout=0)
        _, ide = first.submission.shipments
        assert (first.exit_code, ide.receipts[0].errors[0].code) == (82, "T02")
        fake.set_faults()
        client.resend(ide.msg_id, reason="FHI took it by mistake for another.", by="kari")
        client.submit()
        report = client.wait(timeout=0)
    assert report.submission.state is SubmissionState.DELIVERED
    assert {one.transport for one in report.submission.shipments} == {Transport(fake.settings.transport)}
    assert len([line for line in fake.received if line.type.startswith("KPR_")]) == 3


@pytest.mark.parametrize("fault", ENDINGS)
@pytest.mark.usefixtures("no_network")
def test_each_answer_ends_as_it_would_by_mail(edi: FakeEdi, fault: str) -> None:
    edi.set_faults(*filter(None, [fault]))
    with edi.client() as client:
        assert _run(client) == ENDINGS[fault]
    assert " ".join(edi.faults).startswith(fault)
    assert not edi.unacknowledged() or fault == "wrong-signer", "what was taken is acknowledged"


@pytest.mark.parametrize("fault", ENDINGS)
def test_the_table_of_faults_names_that_exit_code(fault: str) -> None:
    name, code = fault.partition(":")[0].partition("=")[0], ENDINGS[fault][0]
    then = FAULTS[FaultName(name)].then if name else ""
    assert not name or not code or str(code) in then or (code == 69 and "not sent" in then)


@pytest.mark.parametrize("fault", ["message-error=SecurityFailure", "drop-before-disposition", "refuse-552"])
def test_what_the_mail_server_of_the_sandbox_leads_to_is_the_same(edi: FakeEdi, fault: str) -> None:
    document, folder = edi.document, edi.fagmelding.parent
    with EdiSandbox(folder, sender_her_id=900002, faults=Faults.parse([fault], Transport.EDI)) as sandbox:
        document["edi"] |= {"smtp_port": sandbox.port}
        with Client(Settings.from_dict(document, "lokal", folder=folder)) as client:
            assert _run(client, timeout=20 if fault != "refuse-552" else 0) == ENDINGS[fault]


def test_what_keeps_from_sending_is_raised_and_nothing_is_lost(edi: FakeEdi) -> None:
    with edi.client() as client:
        edi.set_faults("register-down")
        with pytest.raises(RegistryUnreachable):
            client.submit()
        edi.set_faults("refuse-login")
        with pytest.raises(LoginRefused):
            client.submit()
        edi.set_faults()
        edi.reachable = False
        with pytest.raises(BusUnreachable):
            client.submit()
        edi.reachable = True
        assert _run(client) == ENDINGS[""]
    assert len([line for line in edi.received if line.type.startswith("KPR_")]) == 2


def test_an_acknowledgement_is_seen_and_is_no_delivery(edi: FakeEdi) -> None:
    edi.set_faults("no-answer")
    with edi.client() as client:
        assert _run(client) == ENDINGS["no-answer"]
        known = client.status()
        assert known is not None
        assert all(one.acknowledged_at for one in known.submission.shipments)
        edi.set_faults()
        assert client.wait(timeout=0).exit_code == 0


def test_in_doubt_goes_again_by_a_persons_word_as_it_was(edi: FakeEdi) -> None:
    edi.set_faults("drop-before-disposition:KPR_IPL")
    with edi.client() as client:
        doubted = client.submit().submission.shipments[0]
        assert doubted.state is ShipmentState.IN_DOUBT
        with pytest.raises(InDoubt):
            client.resend(doubted.msg_id, reason="x", by="kari", transport=Transport.AMQP)
        edi.set_faults()
        client.resolve(doubted.msg_id, Decision.NOT_ARRIVED, reason="FHI has none.", by="kari")
        assert _run(client) == ENDINGS[""]
    assert len({line.message_id for line in edi.received if line.msg_id == doubted.msg_id}) == 1


def test_other_peoples_mail_stays(edi: FakeEdi) -> None:
    edi.put(b"From: noen@example.no\r\nSubject: Hei\r\n\r\nHei.\r\n")
    with edi.client() as client:
        assert _run(client) == ENDINGS[""]
    assert edi.waiting() == 1


def test_a_fault_of_the_other_way_is_refused(edi: FakeEdi) -> None:
    with pytest.raises(UsageError, match="has no fault error-queue"):
        edi.set_faults("error-queue")
