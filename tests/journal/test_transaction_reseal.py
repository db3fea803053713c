"""What the journal says of sealing anew, to whoever verifies or exports it, and of journals made before it could."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from kpr_sender.errors import InternalError
from kpr_sender.journal import schema
from kpr_sender.journal.connection import open_to_write
from kpr_sender.journal.port import JournalStorage
from kpr_sender.journal.sqlite_storage import SqliteStorage
from kpr_sender.journal.values import NewShipment
from kpr_sender.journal.verify import verify
from kpr_sender.model import CertificateName, Certificates, Environment
from tests.journal.builders import CERTIFICATES, Clock, content_of, in_chunks, new_submission, open_journal

NEXT = Certificates(CertificateName("a" * 40, "03"), CERTIFICATES.signing)

_BEGUN_BEFORE = """
    INSERT INTO event SELECT 10, at, msg_id, 'publish-begins', why, who, 'sealed', 'publishing', '{}'
      FROM event WHERE what = 'resealed';
    UPDATE event SET event_id = 90 WHERE what = 'resealed';
"""


def sealed_anew(stored: JournalStorage, **changes: object) -> str:
    """A journal with a pair, the fagmelding sealed twice; its MsgId."""
    with closing(stored.open(who="vakt")) as journal:
        new = new_submission()
        journal.create(new)
        shipment = again(new.shipments[0])
        journal.reseal(replace(shipment, **changes), why="Another certificate.")  # type: ignore[arg-type]  # a test names fields freely
        return shipment.msg_id


def again(new: NewShipment) -> NewShipment:
    content = content_of("anew", 4321)
    return replace(new, certificates=NEXT, sealed_bytes=len(content), sealed=in_chunks(content))


def findings(stored: JournalStorage) -> str:
    found = stored.verify()
    assert found is not None
    return "\n".join(one.text for one in found.findings)


def test_the_export_has_both_digests_and_the_certificates(stored: JournalStorage) -> None:
    msg_id = sealed_anew(stored)
    assert findings(stored) == ""
    told = list(stored.export())
    shipment = next(line for line in told if line["kind"] == "shipment" and line["msg_id"] == msg_id)
    created, resealed = (line for line in told if line["kind"] == "event" and line["msg_id"] == msg_id)
    assert (created["what"], resealed["what"], resealed["why"]) == ("created", "resealed", "Another certificate.")
    assert resealed["details"]["was_sealed_sha256"] == created["details"]["sealed_sha256"]
    assert resealed["details"]["sealed_sha256"] == shipment["sealed_sha256"]
    assert shipment["encryption_sha1"] == resealed["details"]["encryption_sha1"] == "a" * 40
    assert (resealed["from_state"], resealed["to_state"]) == (None, None), "it is where it was"


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": "other"},
        {"payload_sha256": "0" * 64},
        {"hodemelding_sha256": "0" * 64},
        {"lopenr": "8"},
        {"receiver_her_id": 1},
        {"sealed_bytes": 4320},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_shipment_or_half_of_it_changes_nothing(stored: JournalStorage, changes: dict[str, object]) -> None:
    with pytest.raises(InternalError):
        sealed_anew(stored, **changes)
    with closing(stored.open(who="vakt")) as journal:
        first = journal.submissions()[0].shipments[0]
        assert journal.sealed(first.msg_id) == content_of(first.msg_id, 5000)
        assert [event.what for event in journal.events(first.msg_id)] == ["created"]
    assert findings(stored) == ""


@pytest.mark.parametrize(
    ("tampering", "text"),
    [
        ("DELETE FROM event WHERE what = 'resealed'", "with another digest of its sealed bytes"),
        ("DELETE FROM event WHERE what = 'resealed'", "1 sealed bytes belong to no shipment; its history has 0"),
        ("DELETE FROM sealed WHERE sealed_id = 1", "0 sealed bytes belong to no shipment; its history has 1"),
        ("UPDATE shipment SET encryption_sha1 = lower(hex(zeroblob(20)))", "for another certificate than its row"),
        (
            "UPDATE event SET details = json_set(details, '$.was_sealed_sha256', 'x') WHERE what = 'resealed'",
            "sealed anew from another digest than it had",
        ),
        (_BEGUN_BEFORE, "sealed anew after it was offered"),
    ],
)
def test_a_history_that_does_not_fit_is_found(stored_in_file: SqliteStorage, tampering: str, text: str) -> None:
    sealed_anew(stored_in_file)
    with closing(sqlite3.connect(stored_in_file.settings.path)) as connection:
        guards = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            connection.execute(f"DROP TRIGGER {name}")
        connection.executescript(tampering)
        for _, sql in guards:
            connection.execute(sql)
        connection.commit()
    assert text in findings(stored_in_file)


def test_a_journal_from_before_goes_on_and_says_that_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Schema 2, made with its own statements: the new columns are empty there, and nothing is wrong with that."""
    path = tmp_path / "j.db"
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:2])
        open_to_write(path, Environment.LOKAL, now=Clock()).close()
    columns = (
        "submission_id, environment, sender_her_id, year, type, msg_id, message_id, receiver_her_id, envelope, "
        "payload_sha256, payload_bytes, lopenr, sealed_id, sealed_sha256, sealed_bytes, created_at, state"
    )
    at = "2025-01-10T12:00:00.000000Z"
    envelope = json.dumps(
        {"queue": "q", "subject": "s", "reply_to": "r", "correlation_id": "c", "content_type": "t", "properties": {}}
    )
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        connection.execute(
            "INSERT INTO submission (submission_id, environment, sender_her_id, kommunenummer, bydel, year, "
            "created_at, created_by, reason) VALUES ('s', 'lokal', 1, '4601', '00', 2024, ?, 'kari', '')",
            (at,),
        )
        connection.execute("INSERT INTO sealed (bytes) VALUES (x'00')")
        digest = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        values = ("s", "lokal", 1, 2024, "KPR_IPL", "m", "b", 2, envelope, digest, 1, "7", 1, digest, 1, at, "sealed")
        connection.execute(f"INSERT INTO shipment ({columns}) VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608 - names of columns
        connection.execute(
            "INSERT INTO event (at, msg_id, what, why, who, to_state, details) VALUES (?, 'm', 'created', '', 'k', "
            "'sealed', json_object('sealed_sha256', ?))",
            (at, digest),
        )
        connection.commit()
    with open_journal(path) as journal:
        (shipment,) = journal.submissions()[0].shipments
        assert (shipment.certificates, shipment.hodemelding_sha256) == (None, "")
        journal.begin_publish("m")
        assert journal.shipment("m") == journal.shipment_by_message_id("b")
    found = verify(path, Environment.LOKAL)
    assert found is not None
    assert found.findings == ()
