"""``kpr-send journal``: what verify finds, what a backup is, and what leaves the machine by export."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kpr_sender.cli.main import run
from kpr_sender.journal.backup import back_up
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.journal.verify import verify
from kpr_sender.model import Environment, ReceiptError
from kpr_sender.states import Cause, ReceiptStatus, ShipmentState
from tests.helpers.municipality import Municipality, municipality
from tests.journal.builders import (
    add_unverified,
    add_verified,
    brought_to,
    content_of,
    created,
    new_submission,
    open_journal,
)


def _now() -> datetime:
    return datetime(2025, 1, 10, 12, tzinfo=UTC)


def _findings(path: Path) -> list[str]:
    found = verify(path, Environment.LOKAL)
    assert found is not None
    return [f"{one.subject}: {one.text}" for one in found.findings]


def _delivered(path: Path) -> str:
    with open_journal(path) as journal:
        return brought_to(journal, ShipmentState.DELIVERED).msg_id


@pytest.mark.parametrize(
    "state", [state for state in ShipmentState if state is not ShipmentState.CANCELLED], ids=lambda state: state.value
)
def test_every_state_that_is_reached_rightly_is_sound(tmp_path: Path, state: ShipmentState) -> None:
    """G5."""
    path = tmp_path / "j.db"
    with open_journal(path) as journal:
        msg_id = brought_to(journal, state).msg_id
        add_unverified(journal, msg_id, sealed=b"strange")
        assert _findings(path) == [], "also beside the run that writes it"
    assert _findings(path) == []


def test_what_people_decided_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with open_journal(path) as journal:
        msg_id = brought_to(journal, ShipmentState.IN_DOUBT).msg_id
        journal.decide(msg_id, Cause.PERSON_ARRIVED, reason="FHI har den.", by="Kari")
        journal.let_go(msg_id, message_id="another", reason="Likevel ikke.", by="Kari")
        assert _findings(path) == []
        journal.begin_publish(msg_id)
        journal.end_publish(msg_id, Cause.NO_OUTCOME, evidence={}, error=None)
        journal.decide(msg_id, Cause.PERSON_CANCELS, reason="Ny fil.", by="Kari")
    assert _findings(path) == []


def test_an_early_answer_that_took_effect_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with open_journal(path) as journal:
        msg_id = brought_to(journal, ShipmentState.PUBLISHING).msg_id
        add_verified(journal, msg_id, ReceiptStatus.OK, sealed=b"early")
        journal.end_publish(msg_id, Cause.NO_OUTCOME, evidence={}, error=None)
    assert _findings(path) == []


_TAMPERINGS = {
    "UPDATE shipment SET state = 'published'": "its history ends delivered, its row says published",
    "UPDATE shipment SET attempts = attempts + 1": "attempts",
    "UPDATE shipment SET published_at = NULL": "published",
    "UPDATE receipt SET verified = 0, problem = 'x'": "no verified receipt says so",
    "UPDATE receipt SET status = 2": "no verified receipt says so",
    "UPDATE receipt SET status = NULL": "verified, and without a status",
    "UPDATE receipt SET xml = NULL": "verified, and without the AppRec",
    "UPDATE receipt SET sealed = x'00'": "its bytes are not those that came",
    "UPDATE receipt SET msg_id = 'gone'": "belongs to a row of known_msg_id that is not there",
    "UPDATE event SET what = 'not-sent' WHERE what = 'accepted'": "takes publishing to sealed, not to published",
    "UPDATE event SET what = 'wind' WHERE what = 'accepted'": "cannot be moved by wind",
    "UPDATE event SET from_state = 'rejected' WHERE what = 'receipt-ok'": "cannot be moved by receipt-ok",
    "DELETE FROM event WHERE what = 'accepted'": "starts from published, not from publishing",
    "DELETE FROM event WHERE what = 'created'": "starts from sealed, not from None",
    "UPDATE event SET details = '{' WHERE what = 'accepted'": "does not read back",
    "UPDATE sealed SET bytes = zeroblob(length(bytes))": "its sealed bytes are not those that were written",
    "UPDATE sealed SET bytes = x'01'": "its sealed bytes are not those that were written",
    "DELETE FROM sealed": "its sealed bytes are not there",
    "UPDATE shipment SET envelope = '[]'": "does not read back",
    "DELETE FROM shipment": "it has no shipment",
    "UPDATE submission SET environment = 'validering'": "it is for validering, the journal for lokal",
    "DROP INDEX shipment_payload": "index shipment_payload is missing",
    "CREATE TABLE mine (x)": "table mine is not ours",
    "DROP TRIGGER event_stays": "trigger event_stays is missing",
    "DELETE FROM migration WHERE version = 2": "its history of migrations is [1, 3, 4, 5, 6, 7, 8, 9, 10]",
}


@pytest.mark.parametrize(("statement", "text"), _TAMPERINGS.items())
def test_whatever_cannot_be_is_found(tmp_path: Path, statement: str, text: str) -> None:
    path = tmp_path / "j.db"
    _delivered(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        # The rows' own guards are out of the way while it happens, and back when it is looked for.
        guards = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            connection.execute(f"DROP TRIGGER {name}")
        if not statement.startswith("DROP TRIGGER"):
            connection.execute(statement)
        for name, sql in guards:
            if statement != f"DROP TRIGGER {name}":
                connection.execute(sql)
    assert text in "\n".join(_findings(path))


def _cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _zeroed_page(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(3 * 16_384)
        stream.write(bytes(16_384))


def _open_to_all(path: Path) -> None:
    path.chmod(0o644)


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_cut_off, "damaged"),
        (_zeroed_page, "damaged"),
        (_open_to_all, "others may read"),
        (_newer, "newer version"),
        (_emptied, "The journal is gone"),
    ],
)
def test_a_damaged_file_is_found_and_named(tmp_path: Path, damage: Callable[[Path], None], text: str) -> None:
    path = tmp_path / "j.db"
    _delivered(path)
    damage(path)
    assert text in "\n".join(_findings(path))


def test_a_backup_is_consistent_while_another_writes(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with open_journal(path) as journal:
        msg_id = created(journal).msg_id
        ended = threading.Event()

        def work() -> None:
            while not ended.is_set():
                journal.begin_publish(msg_id)
                journal.end_publish(msg_id, Cause.NOT_SENT, evidence={}, error=None)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            for number in range(10):
                counted = back_up(path, Environment.LOKAL, tmp_path / f"b{number}.db", now=_now)
                assert counted["shipments"] == 2
        finally:
            ended.set()
            worker.join()
    for number in range(10):
        copy = tmp_path / f"b{number}.db"
        assert copy.stat().st_mode & 0o777 == 0o600
        assert not list(tmp_path.glob(f"b{number}.db-*")), "one file, not three"
        assert [text for text in _findings(copy) if "This is a backup" not in text] == []
        view = SqliteJournal.open_readonly(copy, Environment.LOKAL)
        assert view is not None
        with view:
            assert view.sealed(msg_id) == content_of(msg_id, 5000)


def test_a_backup_overwrites_nothing_and_keeps_nothing_unsound(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    _delivered(path)
    target = tmp_path / "b.db"
    target.write_text("important")
    with pytest.raises(Exception, match="not overwritten"):
        back_up(path, Environment.LOKAL, target, now=_now)
    assert target.read_text() == "important"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE shipment SET attempts = 7")
    other = tmp_path / "c.db"
    with pytest.raises(Exception, match="not sound"):
        back_up(path, Environment.LOKAL, other, now=_now)
    assert not other.exists()


@pytest.fixture
def kommune(tmp_path: Path) -> Municipality:
    return municipality(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ("send",),
        ("wait", "--wait", "0s"),
        ("status",),
        ("receipts",),
        ("resolve", "MSGID", "--cancel", "--reason", "r", "--by", "kari", "--yes"),
        ("journal", "verify"),
        ("journal", "verify", "--accept-restored", "--reason", "r", "--by", "kari", "--yes"),
        ("journal", "backup", "copy.db"),
        ("journal", "export"),
        ("journal", "release", "MSGID", "--reason", "r", "--by", "kari", "--yes"),
    ],
    ids=" ".join,
)
def test_an_older_program_refuses_a_newer_journal(
    kommune: Municipality, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """Reading and writing alike: exit code 73, a text that says what to do, and nothing is changed."""
    with open_journal(kommune.journal) as journal:
        msg_id = created(journal).msg_id
    _newer(kommune.journal)
    before = kommune.journal.read_bytes()
    given = [msg_id if one == "MSGID" else str(kommune.folder / one) if one == "copy.db" else one for one in arguments]
    code = run(["--env", "lokal", "--config", str(kommune.config), *given])
    said = "".join(capsys.readouterr())
    assert code == 73
    assert "newer version of kpr-sender (schema 99, this one knows" in said
    assert "Install the newer version of kpr-sender" in said
    assert kommune.journal.read_bytes() == before
    assert not (kommune.folder / "copy.db").exists()


def test_the_commands(kommune: Municipality, capsys: pytest.CaptureFixture[str]) -> None:
    """G6: what is exported names nobody."""

    def call(*arguments: str) -> tuple[int, str]:
        code = run(["--env", "lokal", "--config", str(kommune.config), *arguments])
        return code, capsys.readouterr().out

    code, told = call("--json", "journal", "verify")
    assert (code, json.loads(told)["exit_code"]) == (0, 0), "no journal yet"
    assert call("journal", "export") == (0, "")
    assert call("journal", "backup", str(kommune.folder / "b.db"))[0] == 64

    secret = "99999999999 Ola Nordmann"
    with open_journal(kommune.journal) as journal:
        first, second = journal.create(new_submission()).shipments
        for shipment in (first, second):
            journal.begin_publish(shipment.msg_id)
        journal.end_publish(first.msg_id, Cause.ACCEPTED, evidence={"description": secret}, error=None)
        journal.end_publish(second.msg_id, Cause.NO_OUTCOME, evidence={"reach": "handed-over"}, error=None)
        journal.decide(second.msg_id, Cause.PERSON_ARRIVED, reason="Ola Nordmann", by="Kari Vakt")
        journal.add_receipt(
            first.msg_id,
            status=ReceiptStatus.REJECTED,
            errors=(ReceiptError("T02", "2.16.578.1.12.4.1.1.8221", "XML validerer ikke", secret),),
            verified=True,
            problem="",
            xml=f"<AppRec>{secret}</AppRec>".encode(),
            sealed=b"sealed",
            cause=Cause.RECEIPT_REJECTED,
        )
    code, told = call("--json", "journal", "verify")
    verified = json.loads(told)
    assert (code, verified["exit_code"], verified["findings"]) == (0, 0, [])
    assert verified["counted"] == {
        "submissions": 1,
        "events": 9,
        "shipments": 2,
        "receipts": 1,
        "sealed_bytes": 10_000,
    }
    code, told = call("journal", "verify")
    assert code == 0
    assert told.startswith("TEST lokal: The journal is sound: 1 submission,")

    code, told = call("journal", "export")
    lines = [json.loads(line) for line in told.splitlines()]
    assert code == 0
    kinds = [line["kind"] for line in lines]
    assert kinds == ["journal", "submission", "shipment", "shipment", "receipt"] + 9 * ["event"]
    for word in ("Nordmann", "99999999999", "Kari", "kari", "vakt", "AppRec>"):
        assert word not in told
    assert lines[2]["sealed_sha256"] == first.sealed_sha256
    assert lines[4]["errors"] == [
        {"code": "T02", "code_system": "2.16.578.1.12.4.1.1.8221", "text": "XML validerer ikke"}
    ]

    with closing(sqlite3.connect(kommune.journal, isolation_level=None)) as connection:
        connection.execute("UPDATE shipment SET attempts = 7 WHERE msg_id = ?", (first.msg_id,))
    code, told = call("--json", "journal", "verify")
    assert (code, json.loads(told)["exit_code"]) == (73, 73)
    assert [finding["subject"] for finding in json.loads(told)["findings"]] == [first.msg_id]
    code, told = call("journal", "verify")
    assert code == 73
    assert "its history has 1 attempts, its row 7" in told
