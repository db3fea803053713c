"""The whole job over the sandbox's mail server and Maildir: what each fault leads to, as docs/sandbox.md says it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from kpr_sender import Client, Decision, Report, Settings, Shipment
from kpr_sender.errors import KprError
from kpr_sender.journal import witness
from kpr_sender.model import MessageType, Transport
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.sandbox.faults import FAULTS, NO_FAULTS, FaultName
from kpr_sender.settings.sample_file import sandbox_defaults

Run = Callable[..., EdiSandbox]

ENDINGS = {
    "": (0, "delivered delivered"),
    "receipt-first:KPR_IPL message-error:KPR_IDE=MimeProblem": (82, "delivered faulted"),
    "greylist unsigned-acknowledgement:KPR_IPL acknowledgement-signer:KPR_IDE": (0, "delivered delivered"),
    "drop-after-transfer:KPR_IPL drop-before-disposition:KPR_IDE": (83, "delivered in_doubt"),
    "foreign-in-front=4 answer-twice:KPR_IPL bounce:KPR_IDE=delayed": (0, "delivered delivered"),
    "warning:KPR_IPL bounce:KPR_IDE=failed": (82, "delivered faulted"),
    "wrong-digest:KPR_IPL soap-fault:KPR_IDE": (82, "delivered faulted"),
    "no-acknowledgement no-answer": (80, "published published"),
    "refuse-552:KPR_IPL=dot": (65, "sealed sealed"),
    "refuse-452=rcpt": (69, "sealed sealed"),
    "drop-before-dot": (69, "sealed sealed"),
    "wrong-signer:KPR_IPL unsealed-answer:KPR_IDE": (76, "published published"),
}
"""Exit code and states of the pair after one submission, by faults."""
_IN_THE_SUITE = 5
"""The others at night: each is a run of its own."""


@pytest.fixture
def settings(
    folder: Path, tmp_path: Path, sample_files: Mapping[MessageType, bytes]
) -> Callable[[EdiSandbox], Settings]:
    names = {MessageType.KPR_IPL: "fagmelding", MessageType.KPR_IDE: "identmelding"}
    for type_, name in names.items():
        (tmp_path / f"{name}.xml").write_bytes(sample_files[type_])
    witness.free(tmp_path / "journal.db")

    def of(sandbox: EdiSandbox) -> Settings:
        sections = sandbox_defaults(folder, register_port=sandbox.register_port, transport=Transport.EDI)
        keys = {"signing": sections["keys.signing"], "decryption": [sections["keys.decryption"]]}
        document = {
            "environment": "lokal",
            "transport": "edi",
            "files": {name: f"{name}.xml" for name in names.values()},
            "report": {"year": 2024},
            "sender": {"name": "EKSEMPEL KOMMUNE", "her_id": 900001, "service_her_id": 900002, "kommunenummer": "9999"},
            "registry": sections["registry"],
            "keys": keys,
            "edi": sections["edi"] | {"smtp_port": sandbox.port, "look_every": 0.05, "reconnect_budget": 1},
            "journal": {"path": "journal.db"},
        }
        return Settings.from_dict(document, "lokal", folder=tmp_path)

    return of


def submit(client: Client, expected: tuple[int, str]) -> tuple[int, str]:
    """Submit, and look until it is as expected, or for 20 seconds."""
    found = _once(client, client.submit)
    deadline = time.monotonic() + 20
    while found != expected and time.monotonic() < deadline:
        found = _once(client, lambda: client.wait(timeout=0.3))
    return found


def _once(client: Client, what: Callable[[], Report]) -> tuple[int, str]:
    try:
        code = what().exit_code
    except KprError as error:
        code = error.exit_code
    return code, " ".join(shipment.state for shipment in shipments(client))


def shipments(client: Client) -> tuple[Shipment, ...]:
    report = client.status()
    assert report is not None
    return report.submission.shipments


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(faults, marks=[] if number < _IN_THE_SUITE else pytest.mark.nightly)
        for number, faults in enumerate(ENDINGS)
    ],
)
def test_each_fault_ends_as_the_table_says(
    run_edi: Run, settings: Callable[[EdiSandbox], Settings], faults: str
) -> None:
    sandbox = run_edi(*faults.split())
    code, states = ENDINGS[faults]
    with Client(settings(sandbox)) as client:
        assert submit(client, (code, states)) == (code, states)
    payloads = [line for line in sandbox.ledger.lines() if line.type.startswith("KPR_")]
    assert len({line.message_id for line in payloads}) == len({line.msg_id for line in payloads}) <= 2
    if states == "delivered delivered":
        assert not sandbox.unacknowledged()  # each AppRec is acknowledged
        assert len(list((sandbox.directory / "mailbox" / "new").iterdir())) == (8 if "foreign" in faults else 0) + (
            2 if "unsigned" in faults else 0
        )


@pytest.mark.parametrize("faults", ENDINGS)
def test_the_table_of_faults_names_that_state(faults: str) -> None:
    _, states = ENDINGS[faults]
    for fault in faults.split():
        name, _, rest = fault.partition("=")[0].partition(":")
        ends = dict(zip(("KPR_IPL", "KPR_IDE"), states.split(), strict=True)).get(rest, "")
        then = FAULTS[FaultName(name)].then
        assert not ends or ends.replace("_", " ") in then.lower() or ends == "published"


def test_a_message_in_doubt_goes_again_under_its_own_id_once_a_person_says_so(
    run_edi: Run, settings: Callable[[EdiSandbox], Settings]
) -> None:
    """HITS 1172 4.2.3.2: the stored envelope, a new Message-ID."""
    in_doubt, delivered = (83, "delivered in_doubt"), (0, "delivered delivered")
    sandbox = run_edi("drop-before-disposition:KPR_IDE")
    with Client(settings(sandbox)) as client:
        assert submit(client, in_doubt) == in_doubt
        sandbox.faults = NO_FAULTS
        msg_id = shipments(client)[1].msg_id
        client.resolve(msg_id, Decision.NOT_ARRIVED, reason="FHI has looked", by="tester")
        assert submit(client, delivered) == delivered
    tries = [line for line in sandbox.ledger.lines() if line.type == "KPR_IDE"]
    assert [line.disposition for line in tries] == ["connection dropped, not stored", "250 2.0.0 Ok: queued"]
    assert len({(line.message_id, line.sha256) for line in tries}) == 1


def test_an_agreements_uuid_is_what_goes_and_one_that_has_ended_is_refused_by_its_rule(
    run_edi: Run, settings: Callable[[EdiSandbox], Settings]
) -> None:
    """``edi.cpa_id``; and no rule of the schemas (HITS 1172, 267 to 270) is noted of what we send."""
    sandbox = run_edi()
    made = settings(sandbox)
    assert made.edi is not None
    cpa_id = {
        MessageType.KPR_IPL: "c0a00000-0000-4000-8000-000000000110",
        MessageType.KPR_IDE: "c0a00000-0000-4000-8000-000000000114",
    }
    with Client(replace(made, edi=replace(made.edi, cpa_id=cpa_id))) as client:
        assert submit(client, (82, "delivered faulted")) == (82, "delivered faulted")
        agreed, ended = shipments(client)
    assert agreed.acknowledged_at is not None
    assert ended.error_message is not None
    assert "HITS 1172 rule 114: " in ended.error_message.text
    verdicts = [line.verdict for line in sandbox.ledger.lines() if line.type.startswith("KPR_")]
    assert verdicts == ["1", "rule 114"]
