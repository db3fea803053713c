"""Every fault does what it says, to the messages it is meant for, and can be switched while the sandbox runs."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from proton import ConnectionException, Delivery, Message

from kpr_sender.cms.port import NotForUs, ProtectionRefused, SignatureRefused
from kpr_sender.errors import UsageError
from kpr_sender.messages import apprec, error_queue
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.model import MessageType
from kpr_sender.sandbox.codes import CONDITIONS
from kpr_sender.sandbox.faults import FAULTS, NO_FAULTS, ActiveFault, FaultName, Faults
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from kpr_sender.states import ReceiptStatus
from tests.helpers.command import kpr_send, until
from tests.helpers.schemas import apprec_schema
from tests.sandbox.bus_client import BusClient
from tests.sandbox.conftest import Municipality

RECEIVER = "/exchange/NHNTESTServiceBus/171479_async"
Run = Callable[..., Sandbox]
Connect = Callable[[Sandbox], BusClient]


class Scene:
    """A sandbox with faults, a client, and one message."""

    def __init__(self, run: Run, connect: Connect, municipality: Municipality) -> None:
        self._run, self._connect, self.municipality = run, connect, municipality

    def begin(self, *faults: str, behaviour: Behaviour = Behaviour(tls=False)) -> Scene:  # noqa: B008 - a frozen value
        self.sandbox = self._run(faults=Faults.parse(faults), behaviour=behaviour)
        self.client = self._connect(self.sandbox)
        return self

    def publish(self, message_type: MessageType = MessageType.KPR_IPL) -> int:
        self.head = self.municipality.hodemelding(message_type)
        self.sent = self.municipality.message(self.head)
        return self.client.publish(RECEIVER, self.sent)

    def again(self) -> BusClient:
        return self._connect(self.sandbox)

    def answers(self, count: int = 1, client: BusClient | None = None) -> list[Any]:
        return (client or self.client).take(self.sandbox.receipts_queue, count)

    def receipts(self, count: int = 1, client: BusClient | None = None) -> list[apprec.AppRec]:
        return [apprec.parse(self.municipality.open(answer.body)) for answer in self.answers(count, client)]

    def received(self) -> int:
        return self.sandbox.ledger.counts()[self.sent.id]

    def nothing_comes(self) -> bool:
        return self.sandbox.depth(self.sandbox.receipts_queue) == 0


@pytest.fixture
def scene(run: Run, connect: Connect, municipality: Municipality) -> Scene:
    return Scene(run, connect, municipality)


@pytest.mark.parametrize(
    ("fault", "status", "codes"),
    [
        ("reject", ReceiptStatus.REJECTED, ["T02"]),
        ("ok-with-error", ReceiptStatus.OK, ["X99"]),
        ("status-3", ReceiptStatus.OK_WITH_ERRORS, ["E31"]),
        ("unknown-status", None, []),
    ],
)
def test_the_status_of_the_receipt(scene: Scene, fault: str, status: ReceiptStatus | None, codes: list[str]) -> None:
    assert scene.begin(fault).publish() == Delivery.ACCEPTED
    (receipt,) = scene.receipts()
    assert (receipt.status, [error.code for error in receipt.errors]) == (status, codes)
    assert receipt.original_msg_id == scene.head.msg_id


@pytest.mark.parametrize(
    ("notation", "form"),
    [
        ("upper-case", "[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}"),
        ("braces", r"\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}"),
        ("32-hex", "[0-9a-f]{32}"),
        ("urn", "urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ],
)
def test_msgid_notation(scene: Scene, notation: str, form: str) -> None:
    scene.begin(f"msgid-notation={notation}").publish()
    (answer,) = scene.answers()
    written = etree.fromstring(scene.municipality.open(answer.body)).findtext("{*}OriginalMsgId/{*}Id") or ""
    assert re.fullmatch(form, written)
    assert uuid.UUID(written) == uuid.UUID(scene.head.msg_id)
    assert answer.properties["X-MessageInfo-OriginalMsgId"] == written


@pytest.mark.parametrize(
    ("by", "idents"),
    [("level-1", [("85217", "HER")]), ("organisation-number", [("310000027", "ENH")]), ("nothing", [])],
)
def test_receipt_sender(scene: Scene, by: str, idents: list[tuple[str, str]]) -> None:
    scene.begin(f"receipt-sender={by}").publish()
    (answer,) = scene.answers()
    xml = scene.municipality.open(answer.body)
    apprec_schema("1.0").assertValid(etree.fromstring(xml))
    kinds = etree.fromstring(xml).findall("{*}Sender/{*}HCP//{*}TypeId")
    assert [(kind.getparent().findtext("{*}Id"), kind.get("V")) for kind in kinds] == idents  # type: ignore[union-attr]
    assert apprec.parse(xml).original_msg_id == scene.head.msg_id


def test_unknown_msgid(scene: Scene) -> None:
    scene.begin("unknown-msgid").publish()
    (answer,) = scene.answers()
    receipt = apprec.parse(scene.municipality.open(answer.body))
    assert receipt.original_msg_id != scene.head.msg_id
    assert answer.properties["X-MessageInfo-OriginalMsgId"] == receipt.original_msg_id


def test_contradiction(scene: Scene) -> None:
    scene.begin("contradiction").publish()
    first, second = scene.receipts(2)
    assert (first.status, second.status) == (ReceiptStatus.OK, ReceiptStatus.REJECTED)
    assert first.original_msg_id == second.original_msg_id == scene.head.msg_id


def test_answer_twice(scene: Scene) -> None:
    scene.begin("answer-twice").publish()
    first, second = scene.answers(2)
    assert (first.id, bytes(first.body)) == (second.id, bytes(second.body))


def test_wrong_signer_bundles_the_right_certificate_and_is_refused(scene: Scene) -> None:
    """Promise G4: the reference client lets exactly this through."""
    scene.begin("wrong-signer").publish()
    (answer,) = scene.answers()
    with pytest.raises(SignatureRefused, match="do not hold"):
        scene.municipality.open(answer.body)


def test_malformed_answer(scene: Scene) -> None:
    scene.begin("malformed-answer").publish()
    (answer,) = scene.answers()
    with pytest.raises(MessageRefused):
        apprec.parse(scene.municipality.open(answer.body))


def test_unsealed_answer(scene: Scene) -> None:
    scene.begin("unsealed-answer").publish()
    (answer,) = scene.answers()
    with pytest.raises(ProtectionRefused):
        scene.municipality.open(answer.body)
    assert answer.content_type == "text/plain"
    assert etree.fromstring(bytes(answer.body)).tag.endswith("AppRec")


@pytest.mark.parametrize("condition", CONDITIONS)
def test_error_queue(scene: Scene, condition: str) -> None:
    scene.begin(f"error-queue={condition}").publish()
    (error,) = scene.client.take(scene.sandbox.error_queue)
    fault = error_queue.parse(error.properties, error.subject, bytes(error.body))
    assert fault.original_message_id == scene.sent.id
    assert fault.condition.partition(":") == (
        "abuse" if condition == "spoofing-attack" else "transport",
        ":",
        condition,
    )
    assert fault.description
    assert scene.sandbox.depth(scene.sandbox.receipts_queue) == 0


def test_error_queue_begins_with_what_is_likeliest(scene: Scene) -> None:
    scene.begin("error-queue", "error-as-clone").publish()
    (error,) = scene.client.take(scene.sandbox.error_queue)
    assert error.id == scene.sent.id  # the clone's mark; test_answers.py has the rest
    assert error.properties["errorCondition"] == "transport:invalid-certificate"


def test_lost_by_receiver(scene: Scene) -> None:
    """Overdue for ever: sending the same message-id again is dropped, another with the same MsgId is answered."""
    scene.begin("lost-by-receiver").publish()
    scene.sandbox.faults = NO_FAULTS
    scene.client.publish(RECEIVER, scene.sent)
    assert scene.nothing_comes()
    scene.client.publish(RECEIVER, scene.municipality.message(scene.head))
    assert scene.receipts()[0].original_msg_id == scene.head.msg_id


def test_foreign_in_front(scene: Scene) -> None:
    scene.begin("foreign-in-front=3").publish()
    *foreign, answer = scene.answers(4)
    assert [message.subject for message in foreign] == ["DIALOG_HELSEFAGLIG"] * 3
    assert scene.sent.correlation_id not in {message.correlation_id for message in foreign}
    assert apprec.parse(scene.municipality.open(answer.body)).status is ReceiptStatus.OK


def test_foreign_owner(scene: Scene) -> None:
    """It takes what is its own, when nobody else holds it, and nothing of ours."""
    scene.begin("foreign-in-front=2").publish()
    other = scene.again()
    receiver: Any = scene.client.create_receiver(f"/amq/queue/{scene.sandbox.receipts_queue}")
    held = receiver.receive(timeout=5)
    scene.sandbox.faults = Faults.parse(["foreign-owner=0.2"])
    until(lambda: len(scene.sandbox.foreign.lines()) == 1)
    receiver.release(delivered=False)
    receiver.close()
    until(lambda: len(scene.sandbox.foreign.lines()) == 2)

    first, second = scene.sandbox.foreign.lines()
    assert (first.taken, first.out_of_reach) == (0, 0)
    assert (second.message_id, second.taken) == (held.id, 1)
    assert second.waited > second.out_of_reach > 0.1
    assert scene.receipts(client=other)[0].original_msg_id == scene.head.msg_id
    assert scene.nothing_comes()


@pytest.mark.parametrize(
    ("version", "way", "survives"),
    [("3.10.8", "released", 3), ("4.0.5", "released", 3), ("4.3.0", "released", 9), ("4.3.0", "closed", 3)],
)
def test_delivery_limit(scene: Scene, version: str, way: str, survives: int) -> None:
    """As quorum queues count: the return after the limit's is the last; 4.3 counts failures alone."""
    scene.begin("delivery-limit=2", behaviour=Behaviour(tls=False, version=version))
    queue = scene.sandbox.receipts_queue
    scene.sandbox.put(queue, Message(id="x", body=b"x", inferred=True).encode())
    for taken in range(3 if survives == 3 else 9):
        assert [(each.message_id, each.returned) for each in scene.sandbox.queued(queue)] == [("x", taken)]
        client = scene.again()
        receiver: Any = client.create_receiver(f"/amq/queue/{queue}")
        assert receiver.receive(timeout=5).id == "x"
        if way == "released":
            receiver.release(delivered=False)
        receiver.close()
        client.close()
    assert scene.sandbox.depth(queue) == (1 if survives == 9 else 0)
    assert scene.sandbox.depth(f"{queue}_dlq") == (0 if survives == 9 else 1)


def test_what_is_rejected_goes_to_the_dead_letter_queue_and_can_be_read_there(scene: Scene) -> None:
    scene.begin()
    queue = scene.sandbox.receipts_queue
    scene.sandbox.put(queue, Message(id="x", body=b"x", inferred=True).encode())
    receiver: Any = scene.client.create_receiver(f"/amq/queue/{queue}")
    receiver.receive(timeout=5)
    receiver.reject()
    receiver.close()
    assert [message.id for message in scene.client.take(f"{queue}_dlq")] == ["x"]


def test_delay(scene: Scene) -> None:
    scene.begin("delay=0.4")
    began = time.monotonic()
    scene.publish()
    assert time.monotonic() - began < 0.4
    assert scene.receipts()[0].status is ReceiptStatus.OK
    assert time.monotonic() - began >= 0.4


def test_no_answer_lasts_as_long_as_the_fault(scene: Scene) -> None:
    scene.begin("no-answer").publish()
    scene.sandbox.faults = Faults.parse(["delay=600"])
    assert scene.sandbox.depth(scene.sandbox.receipts_queue) == 0
    scene.sandbox.faults = NO_FAULTS
    assert scene.receipts()[0].original_msg_id == scene.head.msg_id


def test_hold_disposition_stores_and_answers_and_says_accepted_when_it_is_lifted(scene: Scene) -> None:
    """Promise G1: what the sender of a message in doubt must survive."""
    scene.begin("hold-disposition")
    scene.head = scene.municipality.hodemelding(MessageType.KPR_IDE)
    scene.sent = scene.municipality.message(scene.head)
    delivery: Any = scene.client.create_sender(RECEIVER).link.send(scene.sent)
    scene.client.wait(lambda: scene.received() == 1, timeout=5)
    assert scene.receipts(client=scene.again())[0].original_msg_id == scene.head.msg_id
    assert not delivery.settled
    scene.sandbox.faults = NO_FAULTS
    scene.client.wait(lambda: delivery.settled, timeout=5)
    assert delivery.remote_state == Delivery.ACCEPTED
    assert scene.received() == 1


@pytest.mark.parametrize(("fault", "stored"), [("drop-before-disposition", False), ("drop-after-transfer", True)])
def test_the_connection_drops_without_a_disposition(scene: Scene, fault: str, stored: bool) -> None:  # noqa: FBT001
    scene.begin(fault)
    with pytest.raises(ConnectionException):
        scene.publish()
    assert scene.received() == 1
    scene.sandbox.faults = NO_FAULTS
    if stored:
        assert scene.receipts(client=scene.again())[0].original_msg_id == scene.head.msg_id
    else:
        assert scene.nothing_comes()


def test_queue_full(scene: Scene) -> None:
    assert scene.begin("queue-full").publish() == Delivery.REJECTED
    assert scene.received() == 1
    assert scene.nothing_comes()


@pytest.mark.parametrize(("version", "state"), [("3.10.8", Delivery.ACCEPTED), ("4.0.5", Delivery.RELEASED)])
def test_unroutable(scene: Scene, version: str, state: int) -> None:
    assert scene.begin("unroutable", behaviour=Behaviour(tls=False, version=version)).publish() == state
    assert scene.received() == 1
    assert scene.nothing_comes()


def test_refuse_login(run: Run, connect: Connect) -> None:
    sandbox = run(faults=Faults.parse(["refuse-login"]))
    with pytest.raises(ConnectionException, match="unauthorized-access"):
        connect(sandbox)
    sandbox.faults = NO_FAULTS
    assert connect(sandbox).take(sandbox.receipts_queue, 0) == []


def test_register_new_signer_signs_what_is_sent_from_then_on(scene: Scene) -> None:
    scene.begin("register-new-signer").publish()
    (answer,) = scene.answers()
    with pytest.raises(SignatureRefused):
        scene.municipality.open(answer.body)
    new = scene.municipality.pki.certificate("fhi-signing-next")
    assert apprec.parse(scene.municipality.open(answer.body, signed_by=new)).status is ReceiptStatus.OK


def test_register_other_for_us_seals_what_we_cannot_open(scene: Scene) -> None:
    scene.begin("register-other-for-us").publish()
    (answer,) = scene.answers()
    with pytest.raises(NotForUs):
        scene.municipality.open(answer.body)
    assert answer.properties["X-MessageInfo-OriginalMsgId"] == scene.head.msg_id


def test_a_fault_for_one_type_spares_the_other(scene: Scene) -> None:
    scene.begin("reject:KPR_IDE")
    scene.publish(MessageType.KPR_IPL)
    assert scene.receipts()[0].status is ReceiptStatus.OK
    scene.publish(MessageType.KPR_IDE)
    assert scene.receipts()[0].status is ReceiptStatus.REJECTED


def test_faults_combine(scene: Scene) -> None:
    scene.begin("reject", "answer-twice", "foreign-in-front=1").publish()
    assert [answer.subject for answer in scene.answers(3)] == ["DIALOG_HELSEFAGLIG", "APPREC", "APPREC"]


def test_every_fault_has_a_test_here() -> None:
    names = "test_register.py", "test_edi_faults.py", "test_faults.py"
    source = "".join(Path(__file__).with_name(name).read_text("utf-8") for name in names)
    assert [name for name in FaultName if f'"{name}' not in source.split("def test_every_fault")[0]] == []


@pytest.mark.parametrize(
    "text",
    ["reject", "reject:KPR_IDE", "delay=30", "delay:KPR_IPL=0.5", "foreign-in-front=3", "error-queue=internal-error"],
)
def test_a_fault_reads_what_it_writes(text: str) -> None:
    assert str(ActiveFault.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rejct",
        "reject:KPR",
        "reject=3",
        "delay=soon",
        "delay=-1",
        "refuse-login:KPR_IPL",
        "reject:",
        "error-queue=",
    ],
)
def test_a_wrong_fault_is_a_usage_error_that_names_the_right_ones(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        ActiveFault.parse(text)
    assert refused.value.where == "--fault"
    assert any(word in refused.value.next_step for word in ("reject", "NAME", "invalid-certificate"))


@pytest.mark.parametrize("text", ["error-queue=transport:internal-error", "error-queue:KPR_IPL=abuse:spoofing-attack"])
def test_a_condition_may_have_its_first_part(text: str) -> None:
    assert ActiveFault.parse(text).value in CONDITIONS


def test_a_wrong_condition_names_the_right_ones() -> None:
    with pytest.raises(UsageError) as refused:
        ActiveFault.parse("error-queue=nonsense")
    assert all(condition in refused.value.next_step for condition in CONDITIONS)


def test_the_help_says_what_each_fault_does_and_takes() -> None:
    shown = " ".join(kpr_send("sandbox", "serve", "--help").out.split())
    for name, kind in FAULTS.items():
        assert f"{name} {kind.text}" in shown
        assert all(choice in shown for choice in kind.choices)
    assert list(FAULTS) == list(FaultName)
