"""The table of exit codes, proven by running the real command against a sandbox."""

from __future__ import annotations

import io
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kpr_sender import errors
from kpr_sender.bus.port import Source
from kpr_sender.cli.main import run
from kpr_sender.inbound.look_memory import LookMemory, beside
from kpr_sender.inbound.looks import LAST_TAKE, Seen
from kpr_sender.journal.lock import JournalLock
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.settings.sample_file import register_url
from tests.helpers.command import Ran, ended, interrupted, kpr_send, start, until
from tests.helpers.municipality import SENDER_HER_ID, Changes, Municipality, municipality

SHORT = ("send", "--wait", "20s")
NO_WAIT = ("send", "--wait", "1s")


@dataclass
class Stage:
    """A municipality, its sandbox, and what a test needs to keep until it ends."""

    made: Municipality
    sandbox: Sandbox
    keep: ExitStack

    def configure(self, changes: Changes | None = None) -> None:
        self.made.configure(changes, port=self.sandbox.port)

    def send(self, *arguments: str) -> Ran:
        return kpr_send("--env", "lokal", "--config", self.made.config, "--json", *(arguments or SHORT))

    def status(self) -> Ran:
        """Ask in this process: it only reads, and starting one takes its time."""
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = run(["--env", "lokal", "--config", str(self.made.config), "--json", "status"])
        return Ran(code, out.getvalue(), err.getvalue())

    def received(self) -> int:
        ledger = self.made.folder / "ledger.jsonl"
        return len(ledger.read_text("utf-8").splitlines()) if ledger.exists() else 0


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = municipality(tmp_path)
    with Sandbox(tmp_path, sender_her_id=SENDER_HER_ID) as sandbox, ExitStack() as keep:
        made.configure(port=sandbox.port)
        yield Stage(made, sandbox, keep)


def _fault(*faults: str) -> Callable[[Stage], None]:
    def arrange(stage: Stage) -> None:
        stage.sandbox.faults = Faults.parse(faults)

    return arrange


def _config(section: str, **values: object) -> Callable[[Stage], None]:
    return lambda stage: stage.configure({section: values})


def _without_user(stage: Stage) -> None:
    with suppress(errors.ConfigInvalid):
        stage.configure({"bus": {"username": None}})


def _swap(stage: Stage) -> None:
    stage.configure({"files": {"fagmelding": "identmelding.xml", "identmelding": "fagmelding.xml"}})


def _close_sandbox(stage: Stage) -> None:
    stage.sandbox.close()


def _journal_on_a_file(stage: Stage) -> None:
    (stage.made.folder / "file").write_text("")
    stage.configure({"journal": {"path": "file/journal.db"}})


def _journal_from_the_future(stage: Stage) -> None:
    with closing(sqlite3.connect(stage.made.journal)) as connection:
        connection.execute("PRAGMA user_version = 9999")


def _wrong_passphrase(stage: Stage) -> None:
    (stage.made.folder / "wrong").write_text("not it")
    stage.configure({"keys.signing": {"passphrase_file": "wrong"}})


def _sent_already(stage: Stage) -> None:
    assert stage.send().code == 0
    stage.made.new_extract()


def _locked(stage: Stage) -> None:
    lock = JournalLock.acquire(stage.made.journal, now=lambda: datetime.now(UTC))
    stage.keep.callback(lock.release)


def _others_were_taken_as_often_as_is_safe(stage: Stage) -> None:
    memory = LookMemory(beside(stage.made.journal))
    for _ in range(LAST_TAKE):
        looks = memory.looks[Source.RECEIPTS].after([Seen("another system's", 0)], datetime.now(UTC))
        memory.keep(Source.RECEIPTS, looks)


def _receipts_are_due_at_once(stage: Stage) -> None:
    stage.configure({"report": {"overdue_after": "1s"}})
    stage.sandbox.faults = Faults.parse(["no-answer"])


def _nothing(_stage: Stage) -> None:
    pass


CASES: list[tuple[str, Callable[[Stage], None], tuple[str, ...], int]] = [
    ("delivered", _nothing, SHORT, 0),
    ("no such option", _nothing, ("send", "--what"), 64),
    ("a reason without an id", _nothing, ("send", "--reason", "x"), 64),
    ("swapped files", _swap, SHORT, 65),
    ("a file too large", _config("limits", warn_bytes=1, refuse_bytes=2), SHORT, 65),
    ("a file missing", _config("files", fagmelding="none.xml"), SHORT, 66),
    ("nothing listens", _close_sandbox, SHORT, 69),
    ("queue full", _fault("queue-full"), SHORT, 69),
    ("the journal cannot be made", _journal_on_a_file, SHORT, 73),
    ("the journal is from a newer version", _journal_from_the_future, SHORT, 73),
    ("a receipt by the wrong signer", _fault("wrong-signer"), NO_WAIT, 76),
    ("a receipt that breaks off", _fault("malformed-answer"), NO_WAIT, 76),
    ("login refused", _fault("refuse-login"), SHORT, 77),
    ("wrong passphrase", _wrong_passphrase, SHORT, 77),
    ("certificate for another use", _config("receiver", encryption_certificate="pki/fhi-signing.pem"), SHORT, 77),
    ("unknown CA", _config("bus", ca_file="pki/fhi-signing.pem"), SHORT, 77),
    ("a key missing", _without_user, SHORT, 78),
    ("unknown queue of ours", _config("bus", receipts_queue="1_async"), SHORT, 78),
    ("unknown exchange", _config("bus", exchange="NHNtestServiceBus"), SHORT, 78),
    ("a host that is not loopback", _config("bus", host="tb.nhn.no"), SHORT, 78),
    ("production's queue", _config("receiver", queue="122612_async"), SHORT, 78),
    ("no receipt yet", _fault("no-answer"), NO_WAIT, 80),
    ("rejected", _fault("reject"), SHORT, 81),
    ("on the error queue", _fault("error-queue"), SHORT, 81),
    ("on the error queue, as a clone", _fault("error-queue=spoofing-attack", "error-as-clone"), SHORT, 81),
    ("only one of the pair", _fault("reject:KPR_IDE"), SHORT, 82),
    ("status 3", _fault("status-3"), SHORT, 82),
    ("the connection drops after the transfer", _fault("drop-after-transfer", "no-answer"), NO_WAIT, 83),
    ("no receipt in time", _receipts_are_due_at_once, ("send", "--wait", "2s"), 84),
    ("other data for the same year", _sent_already, SHORT, 86),
    ("another run holds the journal", _locked, SHORT, 87),
    ("nothing is submitted for the year", _nothing, ("wait", "--wait", "0"), 89),
    ("messages of others on our queue", _others_were_taken_as_often_as_is_safe, NO_WAIT, 88),
]
NOT_PROVEN_HERE = {
    error.exit_code for error in (errors.InternalError, errors.CertificateEnding, errors.NotReady, errors.ReadyToSend)
}
"""An error in the program, see test_main.py; certs --check and doctor, which are about no submission, see theirs; and
what a person has decided, see test_resend.py."""


@pytest.mark.parametrize(
    ("arrange", "arguments", "code"), [pytest.param(*case, id=name.replace(" ", "-")) for name, *case in CASES]
)
def test_the_real_command_ends_with_the_code_and_one_object_of_json(
    stage: Stage, arrange: Callable[[Stage], None], arguments: tuple[str, ...], code: int
) -> None:
    arrange(stage)

    ran = stage.send(*arguments)

    assert ran.code == code, ran.err
    told = ran.json()
    assert told["exit_code"] == code
    assert told["schema"] == 2
    assert told["environment"] == "lokal"
    if told["submission"] is None:
        assert told["shipments"] == []
        assert errors.BY_CODE[told["error"]["code"]].exit_code == code
    else:
        # G5: what the journal says afterwards is what the run said.
        assert stage.status().json() == told


def test_every_exit_code_has_its_proof() -> None:
    proven = {code for *_, code in CASES} | NOT_PROVEN_HERE

    assert proven == {0} | {error.exit_code for error in errors.ERRORS}


def test_a_second_run_sends_nothing_says_why_and_does_not_touch_the_bus(stage: Stage) -> None:
    assert stage.send().code == 0
    stage.sandbox.close()

    again = kpr_send("--env", "lokal", "--config", stage.made.config, *SHORT)

    assert again.code == 0
    assert "Nothing was sent by this run" in again.out
    assert stage.received() == 2


def test_g1_killed_while_the_disposition_is_held_back_it_is_in_doubt_and_never_sent_again(stage: Stage) -> None:
    stage.sandbox.faults = Faults.parse(["hold-disposition", "no-answer"])
    first = start("--env", "lokal", "--config", stage.made.config, *SHORT)
    until(lambda: stage.received() == 1)
    first.kill()
    ended(first)

    second = stage.send("wait", "--wait", "1s")
    assert second.code == 83
    assert second.json()["state"] == "in_doubt"
    assert stage.received() == 1

    stage.sandbox.faults = NO_FAULTS
    third = stage.send(*SHORT)

    assert third.code == 0, third.err
    assert third.json()["state"] == "delivered"
    assert stage.received() == 2


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_waiting_it_tells_what_the_journal_knows(stage: Stage, by: signal.Signals) -> None:
    stage.sandbox.faults = Faults.parse(["no-answer"])
    process = start("--env", "lokal", "--config", stage.made.config, "--json", "send", "--wait", "1h")

    ran = interrupted(process, lambda: stage.received() == 2 and stage.status().code == 80, by)

    assert ran.code == 80, ran.err
    assert ran.json() == stage.status().json()
    assert "interrupted" in ran.err


def test_interrupted_before_anything_is_known_it_is_130(stage: Stage) -> None:
    silent = stage.keep.enter_context(socket.create_server(("localhost", 0)))
    silent.setblocking(False)
    nothing: dict[str, object] = {"encryption_certificate": None, "signing_certificates": None, "queue": None}
    url, ca_file = register_url(silent.getsockname()[1]), str(stage.made.pki.ca)
    stage.configure({"receiver": nothing, "registry": {"kind": "soap", "url": url, "ca_file": ca_file}})

    def is_asked() -> bool:
        with suppress(BlockingIOError):
            stage.keep.enter_context(silent.accept()[0])
            return True
        return False

    ran = interrupted(start("--env", "lokal", "--config", stage.made.config, "--json", "send"), is_asked, signal.SIGINT)

    assert ran.code == 130, ran.err
    assert ran.json()["error"]["code"] == "interrupted"
    assert stage.status().json()["submission"] is None
