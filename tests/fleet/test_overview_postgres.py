"""What the journals of several municipalities in one database say: over one connection, each its own alone."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kpr_sender.app import journal_storage
from kpr_sender.errors import JournalUnwritable, NothingSubmitted, ReceiptPending
from kpr_sender.fleet.file import FleetMunicipality
from kpr_sender.fleet.overview import overview, status_of
from kpr_sender.model import Environment
from kpr_sender.states import Cause
from tests.helpers.municipality import municipality
from tests.helpers.postgres import PASSWORD, Database
from tests.journal.builders import new_submission

NOW = datetime(2025, 1, 10, 12, tzinfo=UTC)


def _municipality(database: Database, folder: Path, url: str) -> FleetMunicipality:
    """Return one that has its journal in a database, under a queue of its own."""
    made = municipality(folder)
    secret = folder.parent / "journal-password"
    secret.write_text(PASSWORD, encoding="utf-8")
    secret.chmod(0o600)
    journal = {"path": str(folder / "journal"), "password_file": str(secret), "url": url}
    made.configure({"journal": journal, "bus": {"receipts_queue": f"{database.queue}-{folder.name}"}})
    document = tomllib.loads(made.config.read_text("utf-8"))
    return FleetMunicipality(folder.name, "", Environment.LOKAL, document, folder.parent / "fleet.toml")


def _submit(one: FleetMunicipality) -> str:
    """Publish a pair in a municipality's journal; return the submission's id."""
    new = new_submission(f"2024-{one.name}", kommunenummer="9999", sender_her_id=900002)
    with closing(journal_storage(one.settings(), now=lambda: NOW).open(who="vakt")) as journal:
        journal.create(new)
        for half in new.shipments:
            journal.begin_publish(half.msg_id)
            journal.end_publish(half.msg_id, Cause.ACCEPTED, evidence={}, error=None)
    return new.submission_id


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The connections that are made to a database."""
    made: list[str] = []
    real: Callable[..., object] = psycopg.connect

    def connect(*args: Any, **given: Any) -> object:
        made.append(str(args[0]))
        return real(*args, **given)

    monkeypatch.setattr(psycopg, "connect", connect)
    return made


def test_all_of_a_database_are_read_over_one_connection(
    postgres: Database, tmp_path: Path, connections: list[str]
) -> None:
    all_of_them = [_municipality(postgres, tmp_path / name, postgres.url) for name in ("aaaa0001", "aaaa0002", "none")]
    ids = [_submit(one) for one in all_of_them[:2]]
    connections.clear()

    found = overview(all_of_them, NOW)

    assert len(connections) == 1
    assert [one.report and one.report.submission.submission_id for one in found] == [*ids, None]
    assert [type(one.error) for one in found] == [ReceiptPending, ReceiptPending, NothingSubmitted]
    for one, known in zip(all_of_them, found, strict=True):
        alone = status_of(one, NOW)
        assert (alone.report, str(alone.error)) == (known.report, str(known.error))


def test_a_database_that_is_not_reached_is_tried_once_for_all(
    postgres: Database, tmp_path: Path, connections: list[str]
) -> None:
    nobody = postgres.url.replace(f":{postgres.server.port}/", ":1/")
    found = overview([_municipality(postgres, tmp_path / name, nobody) for name in ("one", "two")], NOW)
    assert [type(one.error) for one in found] == [JournalUnwritable, JournalUnwritable]
    assert len(connections) == 1


def test_g1_a_journal_that_its_database_has_lost_is_no_municipality_that_has_sent_nothing(
    postgres: Database, tmp_path: Path
) -> None:
    one = _municipality(postgres, tmp_path / "one", postgres.url)
    _submit(one)
    emptied = replace(postgres, name=postgres.server.with_tables())
    lost = _municipality(emptied, tmp_path / "one", emptied.url)

    (together,) = overview([lost], NOW)
    alone = status_of(lost, NOW)

    assert (together.report, str(together.error)) == (alone.report, str(alone.error))
    assert isinstance(together.error, JournalUnwritable)
    assert "2 shipments were begun" in str(together.error)
