"""The sandbox speaks EDI: SMTP, the message server's answers, repeats, restarts, and the register's addresses."""

from __future__ import annotations

import signal
import smtplib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.ebxml import signature
from kpr_sender.ebxml.envelope import EB
from kpr_sender.errors import JournalLocked
from kpr_sender.model import Environment, MessageType, Transport
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.sandbox.faults import NO_FAULTS
from kpr_sender.settings.read import load
from kpr_sender.states import ReceiptStatus
from tests.helpers.command import interrupted, kpr_send, start, until
from tests.sandbox.conftest import SENDER
from tests.sandbox.edi_client import EdiClient, EdiMunicipality, come

Run = Callable[..., EdiSandbox]


def test_a_pair_is_acknowledged_and_answered_with_receipts(run_edi: Run, edi_sender: EdiMunicipality) -> None:
    sandbox = run_edi()
    client = EdiClient(sandbox, edi_sender.municipality.pki)
    for type_ in MessageType:
        head = edi_sender.head(type_)
        draft = edi_sender.draft(head)
        assert client.send(draft) == (250, "2.0.0 Ok: queued")
        acknowledgement, receipt = come(client, 2)
        assert (acknowledgement.kind, receipt.kind) == ("acknowledgement", "receipt")

        verified = acknowledgement.verified(edi_sender.municipality.pki)
        element = verified.root.find(f".//{EB}Acknowledgment")
        assert element is not None
        assert element.findtext(f"{EB}RefToMessageId") == draft.message_id
        repeated = {one.uri: one.digest for one in signature.read_references(element)}
        assert repeated == {one.uri: one.digest for one in signature.references(draft.soap)}

        apprec = edi_sender.open(receipt)
        assert (apprec.original_msg_id, apprec.status) == (head.msg_id, ReceiptStatus.OK)
        assert receipt.text("RefToMessageId") == draft.message_id
        assert [receipt.text("Service"), receipt.text("Action")] == [f"S-{type_}", "APPREC"]
        assert [one.text for one in receipt.root.iter(f"{EB}Role")] == [f"{type_}receiver", f"{type_}sender"]

        assert sandbox.unacknowledged() == (receipt.text("MessageId"),)
        client.send(edi_sender.acknowledge(receipt))
        until(lambda: not sandbox.unacknowledged())
    verdicts = [(line.type, line.verdict, line.disposition[:3]) for line in sandbox.ledger.lines()]
    assert verdicts == [
        ("KPR_IPL", "1", "250"),
        ("Acknowledgment", "acknowledgement", "250"),
        ("KPR_IDE", "1", "250"),
        ("Acknowledgment", "acknowledgement", "250"),
    ]
    assert not client.mails()


def test_the_same_message_again_is_acknowledged_again_and_not_processed_twice(
    run_edi: Run, edi_sender: EdiMunicipality
) -> None:
    """HITS 1171 9.6: the very same acknowledgement; and over a restart, too."""
    first = run_edi()
    client = EdiClient(first, edi_sender.municipality.pki)
    draft = edi_sender.draft()
    client.send(draft)
    acknowledgement, _ = come(client, 2)
    client.send(draft)
    (again,) = come(client, 1)
    first.close()

    second = run_edi()
    later = EdiClient(second, edi_sender.municipality.pki)
    later.mails()
    later.send(draft)
    (and_again,) = come(later, 1)
    assert acknowledgement.soap == again.soap == and_again.soap
    assert len({mail.mail["Message-ID"] for mail in (acknowledgement, again, and_again)}) == 3

    forged = edi_sender.draft(before_signing=lambda root: set_text(root, "MessageId", draft.message_id))
    later.send(forged)
    (refused,) = come(later, 1)
    assert refused.kind == "error"
    assert refused.error.get(f"{EB}errorCode") == "Inconsistent"
    assert "5.8.2" in refused.text("Description")
    assert [line.verdict for line in second.ledger.lines()] == ["1", "repeat", "repeat", "false repeat"]


@pytest.mark.parametrize("fault", ["no-answer", "delay=600"])
def test_a_repeat_is_acknowledged_again_while_the_receipt_is_still_to_come(
    run_edi: Run, edi_sender: EdiMunicipality, fault: str
) -> None:
    sandbox = run_edi(fault)
    client = EdiClient(sandbox, edi_sender.municipality.pki)
    draft = edi_sender.draft()
    client.send(draft)
    (acknowledgement,) = come(client, 1)
    client.send(draft)
    (again,) = come(client, 1)
    assert (again.kind, again.soap) == ("acknowledgement", acknowledgement.soap)
    sandbox.faults = NO_FAULTS
    (receipt,) = come(client, 1)
    assert receipt.kind == "receipt"


def test_a_msgid_has_its_receipt_once(run_edi: Run, edi_sender: EdiMunicipality) -> None:
    client = EdiClient(run_edi(), edi_sender.municipality.pki)
    head = edi_sender.head()
    client.send(edi_sender.draft(head))
    come(client, 2)
    client.send(edi_sender.draft(head))
    (acknowledgement,) = come(client, 1)
    assert acknowledgement.kind == "acknowledgement"


def test_what_fhi_refuses_in_a_receipt_is_acknowledged_all_the_same(run_edi: Run, edi_sender: EdiMunicipality) -> None:
    """An acknowledgement says nothing of the content (HITS 1171 8.1)."""
    client = EdiClient(run_edi(), edi_sender.municipality.pki)
    head = edi_sender.head()
    files = edi_sender.municipality.files[MessageType.KPR_IDE]
    client.send(edi_sender.draft(head, content=edi_sender.municipality.framed(head, files)))
    acknowledgement, receipt = come(client, 2)
    assert acknowledgement.kind == "acknowledgement"
    assert (edi_sender.open(receipt).status, edi_sender.open(receipt).errors[0].code) == (ReceiptStatus.REJECTED, "T10")


def test_an_acknowledgement_of_other_digests_or_of_another_message_does_not_count(
    run_edi: Run, edi_sender: EdiMunicipality
) -> None:
    sandbox = run_edi()
    client = EdiClient(sandbox, edi_sender.municipality.pki)
    client.send(edi_sender.draft())
    _, receipt = come(client, 2)
    unsigned = edi_sender.acknowledge(receipt)
    unsigned.soap = unsigned.soap.replace(b"</eb:Acknowledgment>", b" </eb:Acknowledgment>")
    client.send(unsigned)
    assert sandbox.ledger.lines()[-1].verdict == "rule 50"
    assert sandbox.unacknowledged() == (receipt.text("MessageId"),)
    assert not client.mails()  # nothing answers an acknowledgement


def test_what_was_not_answered_yet_is_answered_after_a_restart(run_edi: Run, edi_sender: EdiMunicipality) -> None:
    first = run_edi("no-answer")
    client = EdiClient(first, edi_sender.municipality.pki)
    head = edi_sender.head()
    client.send(edi_sender.draft(head))
    (acknowledgement,) = come(client, 1)
    first.close()
    second = run_edi()
    (receipt,) = come(client, 1)
    assert (acknowledgement.kind, receipt.kind) == ("acknowledgement", "receipt")
    assert edi_sender.open(receipt).original_msg_id == head.msg_id
    assert second.unacknowledged() == (receipt.text("MessageId"),)


def test_two_sandboxes_in_one_folder_are_refused(run_edi: Run, folder: Path) -> None:
    run_edi()
    with pytest.raises(JournalLocked):
        EdiSandbox(folder, sender_her_id=SENDER.service_her_id).start()


def set_text(root: Any, name: str, text: str) -> None:
    root.find(f".//{EB}{name}").text = text


def test_serve_writes_a_configuration_that_reaches_its_mail_server(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    config = folder / "lokal.toml"
    process = start("sandbox", "serve", "--dir", folder, "--transport", "edi", "--fault", "greylist")

    def serves() -> bool:
        return config.exists() and "smtp_port" in config.read_text("utf-8")

    def greets() -> bool:
        if not serves():
            return False
        settings = load(config, Environment.LOKAL, environ={})
        assert settings.transport is Transport.EDI
        assert settings.edi is not None
        with smtplib.SMTP(settings.edi.smtp_host, settings.edi.smtp_port, timeout=10) as server:
            return server.ehlo()[0] == 250 and server.has_extn("dsn")

    assert interrupted(process, greets, signal.SIGTERM).code == 0
    refused = kpr_send("sandbox", "serve", "--dir", folder, "--transport", "edi", "--fault", "queue-full")
    assert refused.code == 64
    assert "The transport edi has no fault queue-full." in refused.err
