"""Every fault that EDI alone has does what it says, and those that both transports have do the same here."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.cms.port import SignatureRefused
from kpr_sender.ebxml import signature
from kpr_sender.ebxml.envelope import EB, ErrorCode
from kpr_sender.errors import UsageError
from kpr_sender.messages import apprec
from kpr_sender.model import MessageType, Transport
from kpr_sender.sandbox.edi_faults import EDI_FAULTS
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.states import ReceiptStatus
from tests.sandbox.edi_client import EdiClient, EdiMunicipality, come

Run = Callable[..., EdiSandbox]


class Scene:
    """A sandbox with faults, a client, and one message."""

    def __init__(self, run: Run, sender: EdiMunicipality) -> None:
        self._run, self.sender = run, sender

    def begin(self, *faults: str) -> Scene:
        self.sandbox = self._run(*faults)
        self.client = EdiClient(self.sandbox, self.sender.municipality.pki)
        return self

    def send(self, type_: MessageType = MessageType.KPR_IPL) -> tuple[int, str]:
        self.head = self.sender.head(type_)
        self.draft = self.sender.draft(self.head)
        return self.client.send(self.draft, envid=f"{self.draft.message_id}.aB")

    def kinds(self, count: int) -> list[str]:
        self.came = come(self.client, count)
        return [one.kind for one in self.came]

    def nothing_comes(self) -> bool:
        return not self.client.mails()


@pytest.fixture
def scene(run_edi: Run, edi_sender: EdiMunicipality) -> Scene:
    return Scene(run_edi, edi_sender)


def test_no_acknowledgement_and_its_end(scene: Scene) -> None:
    scene.begin("no-acknowledgement").send()
    assert scene.kinds(1) == ["receipt"]
    scene.sandbox.faults = NO_FAULTS
    scene.client.send(scene.draft)  # HITS 1172 4.2.3.2: the sender's retry
    assert scene.kinds(1) == ["acknowledgement"]


def test_late_acknowledgement(scene: Scene) -> None:
    scene.begin("late-acknowledgement=0.4")
    began = time.monotonic()
    scene.send()
    assert scene.kinds(2) == ["acknowledgement", "receipt"]
    assert time.monotonic() - began >= 0.4


def test_receipt_first(scene: Scene) -> None:
    scene.begin("receipt-first").send()
    assert scene.kinds(2) == ["receipt", "acknowledgement"]


def test_wrong_digest_is_signed_and_names_the_message(scene: Scene) -> None:
    scene.begin("wrong-digest").send()
    assert scene.kinds(2) == ["acknowledgement", "receipt"]
    root = scene.came[0].verified(scene.sender.municipality.pki).root
    (element,) = root.iter(f"{EB}Acknowledgment")
    assert element.findtext(f"{EB}RefToMessageId") == scene.draft.message_id
    ours = {one.uri: one.digest for one in signature.references(scene.draft.soap)}
    repeated = {one.uri: one.digest for one in signature.read_references(element)}
    assert repeated.keys() == ours.keys()
    assert not set(repeated.values()) & set(ours.values())


@pytest.mark.parametrize(
    ("fault", "why"),
    [("unsigned-acknowledgement", "not signed"), ("acknowledgement-signer", "certificate|another|signed")],
)
def test_the_acknowledgement_does_not_verify(scene: Scene, fault: str, why: str) -> None:
    scene.begin(fault).send()
    assert scene.kinds(2) == ["acknowledgement", "receipt"]
    with pytest.raises(SignatureRefused, match=why):
        scene.came[0].verified(scene.sender.municipality.pki)
    assert scene.sender.open(scene.came[1]).status is ReceiptStatus.OK


@pytest.mark.parametrize("kind", ["message-error", "warning"])
def test_message_error_and_warning(scene: Scene, kind: str) -> None:
    scene.begin(f"{kind}:KPR_IDE=MimeProblem").send(MessageType.KPR_IDE)
    expected = ["error"] if kind == "message-error" else ["warning", "receipt"]
    assert scene.kinds(len(expected)) == expected
    signal = scene.came[0]
    signal.verified(scene.sender.municipality.pki)
    assert signal.error.get(f"{EB}errorCode") == "MimeProblem"
    assert signal.text("RefToMessageId") == scene.draft.message_id
    assert scene.nothing_comes()
    scene.send(MessageType.KPR_IPL)
    assert scene.kinds(2) == ["acknowledgement", "receipt"]


@pytest.mark.parametrize("code", ErrorCode)
def test_message_error_takes_each_code(code: ErrorCode) -> None:
    assert Faults.parse([f"message-error={code}", f"warning={code}"], Transport.EDI).active[0].value == code


def test_soap_fault(scene: Scene) -> None:
    scene.begin("soap-fault").send()
    assert scene.kinds(1) == ["fault"]
    assert scene.came[0].mail["In-Reply-To"] == scene.draft.headers["Message-ID"]
    assert scene.nothing_comes()


@pytest.mark.parametrize("action", ["failed", "delayed"])
def test_bounce(scene: Scene, action: str) -> None:
    scene.begin(f"bounce={action}").send()
    assert scene.kinds(1 if action == "failed" else 3)[0] == "report"
    mail: Any = scene.came[0].mail
    _, status, headers = mail.get_payload()
    per_message, per_recipient = status.get_payload()
    assert per_message["Original-Envelope-Id"] == f"{scene.draft.message_id}.aB"
    assert per_recipient["Action"] == action
    assert per_recipient["Status"][0] == ("5" if action == "failed" else "4")
    assert scene.draft.headers["Message-ID"] in str(headers)
    assert mail["From"].startswith("MAILER-DAEMON@")
    assert scene.nothing_comes()


def test_nobody_is_told_of_a_failure_who_wants_no_report(scene: Scene) -> None:
    scene.begin("bounce")
    scene.client.send(scene.sender.draft(), notify="NEVER")
    assert scene.nothing_comes()


@pytest.mark.parametrize(
    ("fault", "stored"), [("drop-before-dot", False), ("drop-before-disposition", False), ("drop-after-transfer", True)]
)
def test_the_connection_drops(scene: Scene, fault: str, stored: bool) -> None:  # noqa: FBT001
    scene.begin(fault)
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        scene.send()
    scene.sandbox.faults = NO_FAULTS
    assert len(scene.sandbox.ledger.lines()) == (fault != "drop-before-dot")
    if stored:
        assert scene.kinds(2) == ["acknowledgement", "receipt"]
    assert scene.nothing_comes()


def test_hold_disposition(scene: Scene) -> None:
    scene.begin("hold-disposition")
    draft = scene.sender.draft()
    with scene.client.connected() as server:
        server.mail(draft.headers["From"])
        server.rcpt(draft.headers["To"])
        server.docmd("DATA")
        server.send(draft.data() + b".\r\n")
        assert scene.kinds(2) == ["acknowledgement", "receipt"]
        scene.sandbox.faults = NO_FAULTS
        assert server.getreply()[0] == 250


@pytest.mark.parametrize("code", [452, 552])
@pytest.mark.parametrize("stage", ["dot", "mail", "rcpt", "data"])
def test_refuse_452_and_refuse_552(scene: Scene, code: int, stage: str) -> None:
    scene.begin("refuse-452" if code == 452 and stage == "dot" else f"refuse-{code}={stage}")
    draft = scene.sender.draft()
    with scene.client.connected() as server:
        answers = {"mail": server.mail(draft.headers["From"])[0]}
        if answers["mail"] == 250:
            answers["rcpt"] = server.rcpt(draft.headers["To"])[0]
        if answers.get("rcpt") == 250:
            answers["data"] = server.docmd("DATA")[0]
        if answers.get("data") == 354:
            server.send(draft.data() + b".\r\n")
            answers["dot"] = server.getreply()[0]
    assert list(answers)[-1] == stage
    assert answers[stage] == code
    assert scene.nothing_comes()


def test_a_refusal_after_the_dot_can_be_for_one_type(scene: Scene) -> None:
    scene.begin("refuse-452:KPR_IDE", "refuse-552:KPR_IPL=dot")
    assert (scene.send(MessageType.KPR_IDE)[0], scene.send(MessageType.KPR_IPL)[0]) == (452, 552)


def test_greylist(scene: Scene) -> None:
    scene.begin("greylist")
    assert [scene.send()[0] for _ in range(3)] == [451, 250, 250]


def test_answer_twice_has_one_message_id_in_two_mails(scene: Scene) -> None:
    """As a message server that misses our acknowledgement sends it again (HITS 1172 4.2.3.2)."""
    scene.begin("answer-twice").send()
    assert scene.kinds(3) == ["acknowledgement", "receipt", "receipt"]
    first, second = scene.came[1:]
    assert first.soap == second.soap
    assert first.mail["Message-ID"] != second.mail["Message-ID"]


def test_wrong_signer_and_unsealed_answer(scene: Scene) -> None:
    scene.begin("wrong-signer:KPR_IPL", "unsealed-answer:KPR_IDE").send()
    assert scene.kinds(2) == ["acknowledgement", "receipt"]
    with pytest.raises(SignatureRefused):
        scene.came[1].verified(scene.sender.municipality.pki)
    scene.send(MessageType.KPR_IDE)
    assert scene.kinds(2) == ["acknowledgement", "receipt"]
    part = scene.came[1].parts[1]
    assert part.get_content_type() == "application/xml"
    assert apprec.parse(bytes(part.get_payload(decode=True))).status is ReceiptStatus.OK


def test_what_both_transports_have(scene: Scene) -> None:
    scene.begin("reject", "foreign-in-front=2", "lost-by-receiver:KPR_IDE").send()
    assert scene.kinds(4) == ["acknowledgement", "mail", "acknowledgement", "receipt"]
    assert scene.sender.open(scene.came[-1]).status is ReceiptStatus.REJECTED
    assert scene.came[2].text("RefToMessageId") != scene.draft.message_id
    scene.send(MessageType.KPR_IDE)
    scene.sandbox.faults = NO_FAULTS
    assert scene.sandbox.ledger.lines()[-1].verdict == "lost"
    assert scene.nothing_comes()


def test_refuse_login(scene: Scene) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        scene.begin("refuse-login").send()


@pytest.mark.parametrize(
    ("fault", "transport"),
    [("error-queue", Transport.EDI), ("queue-full", Transport.EDI), ("bounce", Transport.AMQP)],
)
def test_a_fault_of_the_other_transport_is_a_usage_error(fault: str, transport: Transport) -> None:
    with pytest.raises(UsageError) as refused:
        Faults.parse([fault], transport)
    assert fault not in str(refused.value.next_step).split()
    assert "reject" in refused.value.next_step


def test_each_fault_of_edi_is_tried_here() -> None:
    source = Path(__file__).read_text("utf-8").split("def test_each_fault")[0]
    assert [name for name in EDI_FAULTS if f'"{name}' not in source] == []
