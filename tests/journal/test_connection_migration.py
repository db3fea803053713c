"""A journal of an earlier version: copied beside itself, whole and private, before anything in it changes."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid, InternalError, JournalUnwritable
from kpr_sender.journal import connection, schema
from kpr_sender.journal.verify import verify
from kpr_sender.model import CertificateName, Certificates, Environment, MessageType
from tests.helpers import schema_once
from tests.journal.builders import CERTIFICATES, created, in_chunks, new_shipment, open_journal

_AT = "2025-01-01T00:00:00.000000Z"
_COPY = f"journal.db.before-{schema.VERSION}-20250110T120001Z"
EARLIER = range(1, schema.VERSION)
_NEXT = Certificates(CertificateName("a" * 40, "03"), CERTIFICATES.signing)


@pytest.fixture(params=EARLIER)
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def earlier(tmp_path: Path, version: int) -> Iterator[Path]:
    """A journal of an earlier version, made with that version's statements; its last row is in the -wal only."""
    path = tmp_path / "state" / "journal.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        for migration in schema.MIGRATIONS[:version]:
            for statement in migration.statements:
                writer.execute(statement)
            writer.execute("INSERT INTO migration VALUES (?, ?, ?)", (migration.version, migration.name, _AT))
        writer.execute("INSERT INTO journal (only_one, environment, created_at) VALUES (1, 'lokal', ?)", (_AT,))
        writer.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        writer.execute(f"PRAGMA user_version = {version}")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        writer.execute(
            "INSERT INTO submission (submission_id, environment, sender_her_id, kommunenummer, bydel, year, "
            "created_at, created_by, reason) VALUES ('2023-earlier', 'lokal', 1, '4601', '00', 2023, ?, 'kari', '')",
            (_AT,),
        )
        assert path.with_name("journal.db-wal").stat().st_size > 0
        yield path


def _copies(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.glob("*.before-*"))


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as opened:
        return int(opened.execute("PRAGMA user_version").fetchone()[0])


def test_it_is_copied_before_it_is_migrated(earlier: Path, version: int) -> None:
    with open_journal(earlier) as journal:
        assert [one.submission_id for one in journal.submissions()] == ["2023-earlier"]
        created(journal)
    assert _version(earlier) == schema.VERSION
    assert _copies(earlier) == [_COPY]
    copy = earlier.with_name(_COPY)
    assert _version(copy) == version
    with closing(sqlite3.connect(copy)) as opened:
        assert opened.execute("SELECT submission_id FROM submission").fetchall() == [("2023-earlier",)]
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    if os.name == "posix":
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    content = copy.read_bytes()
    open_journal(earlier).close()
    assert (_copies(earlier), copy.read_bytes()) == ([_COPY], content)


def test_nothing_is_overwritten(earlier: Path) -> None:
    earlier.with_name(_COPY).write_text("important")
    open_journal(earlier).close()
    assert _copies(earlier) == [_COPY, f"{_COPY}-2"]
    assert earlier.with_name(_COPY).read_text() == "important"
    assert _version(earlier.with_name(f"{_COPY}-2")) < schema.VERSION


def test_without_a_durable_copy_nothing_is_migrated(
    earlier: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(connection, "sync_folder", full)
        with pytest.raises(JournalUnwritable, match=rf"before-{schema.VERSION}.*No space left") as raised:
            open_journal(earlier)
    assert raised.value.exit_code == 73
    assert (_version(earlier), _copies(earlier)) == (version, [])
    open_journal(earlier).close()
    assert (_version(earlier), _copies(earlier)) == (schema.VERSION, [_COPY])


def test_another_environments_journal_is_neither_copied_nor_migrated(earlier: Path, version: int) -> None:
    """G7."""
    with pytest.raises(ConfigInvalid):
        open_journal(earlier, Environment.PRODUKSJON)
    assert (_version(earlier), _copies(earlier)) == (version, [])


def test_a_new_journal_and_one_of_this_version_are_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for _ in range(2):
        open_journal(path).close()
    assert _copies(path) == []


def test_what_was_sealed_anew_or_let_go_before_there_were_versions_is_known(tmp_path: Path) -> None:
    """Schema 3 stored the earlier bytes, and that a person let it go, but no version."""
    path = tmp_path / "journal.db"
    times = [f"2025-01-0{day}T00:00:00.000000Z" for day in range(1, 9)]
    contents = [f"sealed {number}".encode() for number in range(4)]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]

    def sealed(place: int, sha1: str, was: int | None = None) -> str:
        names = {"sealed_sha256": digests[place], "encryption_sha1": sha1, "encryption_serial": sha1[:2]}
        before = {} if was is None else {"was_sealed_sha256": digests[was]}
        return json.dumps({**before, **names, "signing_sha1": "5" * 40, "signing_serial": "02"})

    events = (
        ("one", "created", None, "sealed", sealed(0, "a" * 40)),
        ("two", "created", None, "sealed", sealed(1, "e" * 40)),
        ("one", "resealed", None, None, sealed(2, "b" * 40, 0)),
        ("one", "resealed", None, None, sealed(3, "e" * 40, 2)),
        ("two", "publish-begins", "sealed", "publishing", "{}"),
        ("two", "no-outcome", "publishing", "in_doubt", "{}"),
        ("two", "person-not-arrived", "in_doubt", "sealed", "{}"),
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        for migration in schema.MIGRATIONS[:3]:
            for statement in migration.statements:
                writer.execute(statement)
            writer.execute("INSERT INTO migration VALUES (?, ?, ?)", (migration.version, migration.name, _AT))
        writer.execute("INSERT INTO journal (only_one, environment, created_at) VALUES (1, 'lokal', ?)", (_AT,))
        writer.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        writer.execute("PRAGMA user_version = 3")
        writer.execute(
            "INSERT INTO submission (submission_id, environment, sender_her_id, kommunenummer, bydel, year, "
            "created_at, created_by, reason) VALUES ('2024-a', 'lokal', 1, '4601', '00', 2024, ?, 'kari', '')",
            (_AT,),
        )
        for content in contents:
            writer.execute("INSERT INTO sealed (bytes) VALUES (?)", (content,))
        envelope = json.dumps(dataclasses.asdict(new_shipment().envelope))
        for msg_id, kind, sealed_id, attempts in (("one", "KPR_IPL", 4, 0), ("two", "KPR_IDE", 2, 1)):
            digest = digests[sealed_id - 1]
            columns: dict[str, object] = {
                "submission_id": "2024-a",
                "environment": "lokal",
                "sender_her_id": 1,
                "year": 2024,
                "type": kind,
                "msg_id": msg_id,
                "message_id": f"bus-{msg_id}",
                "receiver_her_id": 2,
                "envelope": envelope,
                "payload_sha256": digest,
                "payload_bytes": 1,
                "lopenr": "7",
                "sealed_id": sealed_id,
                "sealed_sha256": digest,
                "sealed_bytes": 8,
                "created_at": _AT,
                "state": "sealed",
                "attempts": attempts,
                "hodemelding_sha256": "d" * 64,
                "encryption_sha1": "e" * 40,
                "encryption_serial": "ee",
                "signing_sha1": "5" * 40,
                "signing_serial": "02",
            }
            names = ", ".join(columns)
            places = ", ".join(f":{name}" for name in columns)
            writer.execute(f"INSERT INTO shipment ({names}) VALUES ({places})", columns)  # noqa: S608 - names of columns
        for at, (msg_id, what, old, new, details) in zip(times, events, strict=False):
            line = (at, msg_id, what, "why", "kari", old, new, details)
            writer.execute(
                "INSERT INTO event (at, msg_id, what, why, who, from_state, to_state, details) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                line,
            )
    path.chmod(0o600)
    with open_journal(path) as journal:
        one, two = journal.submissions()[0].shipments
        assert [(was.msg_id, was.message_id, was.sealed_sha256) for was in one.earlier] == [
            ("one", "bus-one", digests[0]),
            ("one", "bus-one", digests[2]),
        ]
        assert [(was.since, was.until) for was in one.earlier] == [
            (datetime.fromisoformat(times[0]), datetime.fromisoformat(times[2])),
            (datetime.fromisoformat(times[2]), datetime.fromisoformat(times[3])),
        ]
        assert (one.certificates, two.earlier) == (
            Certificates(CertificateName("e" * 40, "ee"), CertificateName("5" * 40, "02")),
            (),
        )
        # It was let go under the message-id that the bus may have seen: sealed anew it gets another, and no other way.
        anew = new_shipment(MessageType.KPR_IDE, msg_id="two", sealed_bytes=3, sealed=in_chunks(b"abc"))
        anew = dataclasses.replace(anew, payload_sha256=digests[1], payload_bytes=1)
        with pytest.raises(InternalError, match="was offered before"):
            journal.reseal(anew, why="Another certificate.")
        now = journal.reseal(
            dataclasses.replace(anew, message_id="bus-new", certificates=_NEXT, sealed=[b"abc"]), why="Another."
        )
        assert [was.message_id for was in now.earlier] == ["bus-two"]
        assert journal.shipment_by_message_id("bus-two") == journal.shipment_by_message_id("bus-new") == now
    found = verify(path, Environment.LOKAL)
    assert found is not None
    assert found.findings == ()


def test_what_is_new_in_tests_is_what_the_migrations_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dumped(name: str) -> list[str]:
        path = tmp_path / name / "journal.db"
        open_journal(path).close()
        with closing(sqlite3.connect(path)) as opened:
            found = opened.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
            own_id = opened.execute("SELECT journal_id FROM journal").fetchone()[0]
            return sorted(map(str, found)) + [line.replace(own_id, "own") for line in opened.iterdump()]

    at_once = dumped("at once")
    assert schema.since is not schema_once.since_anew
    monkeypatch.setattr(schema, "since", schema_once.since_anew)
    assert dumped("one by one") == at_once
