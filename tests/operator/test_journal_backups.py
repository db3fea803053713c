"""Backups by a schedule: how many stay, and that nothing is removed but our own, after the new one is sound."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from kpr_sender.app import journal_storage
from kpr_sender.errors import JournalUnwritable, UsageError
from kpr_sender.operator.journal_backups import rotate
from kpr_sender.settings.values import Settings
from tests.helpers.desk import Desk
from tests.helpers.memory_bus import ACCEPTED
from tests.helpers.municipality import SENDER_HER_ID

NOON: Final = datetime(2026, 1, 10, 12, tzinfo=UTC)
PREFIX: Final = f"kpr-journal-lokal-{SENDER_HER_ID}-"


@pytest.fixture
def settings(desk: Desk) -> Settings:
    desk.sent(ACCEPTED, ACCEPTED)
    return desk.kommune.configure()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_stay_and_nothing_else_is_removed(settings: Settings, tmp_path: Path) -> None:
    folder, storage = tmp_path / "copies", journal_storage(settings)
    folder.mkdir()
    others = [
        "notes.txt",
        f"{PREFIX}20250101T000000Z.db.old",
        f"{PREFIX}20259999T000000Z.db",
        f"{PREFIX}20259999T000000Z.db.draft",
        "kpr-journal-produksjon-900002-20250101T000000Z.db",
        f"kpr-journal-lokal-{SENDER_HER_ID}1-20250101T000000Z.db",
    ]
    for name in others:
        (folder / name).write_text("another's")
    (folder / f"{PREFIX}20240101T000000Z.db").symlink_to(folder / "notes.txt")
    (folder / f"{PREFIX}20240102T000000Z.db").mkdir()
    killed, under_way = (f"{PREFIX}{(NOON + timedelta(hours=h)):%Y%m%dT%H%M%SZ}.db.draft" for h in (-30, -1))
    (folder / killed).touch()
    (folder / under_way).touch()
    there = set(_names(folder)) - {killed}

    made = [rotate(settings, storage, folder, 2, now=NOON + timedelta(minutes=number)) for number in range(4)]

    assert [len(one.removed) for one in made] == [0, 0, 1, 1]
    assert made[3].removed == (made[1].made,)
    assert set(_names(folder)) == there | {made[2].made.name, made[3].made.name}
    assert made[3].counted["shipments"] == 2
    assert made[3].made.stat().st_mode & 0o777 == 0o600


def test_a_clock_that_was_set_back_does_not_remove_the_new_one(settings: Settings, tmp_path: Path) -> None:
    folder, storage = tmp_path / "copies", journal_storage(settings)
    rotate(settings, storage, folder, 1, now=NOON)
    earlier = rotate(settings, storage, folder, 1, now=NOON - timedelta(days=1))
    assert _names(folder) == [earlier.made.name]
    with pytest.raises(UsageError, match="this second"):
        rotate(settings, storage, folder, 1, now=NOON - timedelta(days=1))


def test_copies_of_another_journal_stay_also_those_of_a_lost_one(
    settings: Settings, desk: Desk, tmp_path: Path
) -> None:
    folder = tmp_path / "copies"
    lost = rotate(settings, journal_storage(settings), folder, 1, now=NOON)
    (folder / f"{PREFIX}20240101T000000Z.db").write_bytes(b"damaged: nobody knows of what")
    there = set(_names(folder))
    for path in settings.journal.path.parent.glob("journal.db*"):
        path.unlink()
    journal_storage(settings).accept(reason="Disken er tapt; FHI er spurt.", by="Kari")
    made = [rotate(settings, journal_storage(settings), folder, 1, now=NOON + timedelta(days=n)) for n in (1, 2)]
    assert [one.removed for one in made] == [(), (made[0].made,)]
    assert set(_names(folder)) == there | {made[1].made.name}
    assert lost.made.name in there


def test_what_is_not_sound_removes_nothing(settings: Settings, tmp_path: Path) -> None:
    folder, storage = tmp_path / "copies", journal_storage(settings)
    good = rotate(settings, storage, folder, 1, now=NOON)
    with closing(sqlite3.connect(settings.journal.path, isolation_level=None)) as connection:
        connection.execute("UPDATE shipment SET attempts = 7")
    with pytest.raises(JournalUnwritable, match="not sound"):
        rotate(settings, storage, folder, 1, now=NOON + timedelta(days=1))
    assert _names(folder) == [good.made.name]


def test_the_command_copies_no_journal_that_send_refuses(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    nothing_yet = desk.command("journal", "backup", str(folder), "--keep", "1")
    assert (nothing_yet.code, "There is no journal yet" in nothing_yet.out) == (0, True), "a schedule mails nothing"
    desk.sent(ACCEPTED, ACCEPTED)
    first = desk.command("journal", "backup", str(folder), "--keep", "1", "--json").json()
    assert (first["exit_code"], first["removed"], first["counted"]["shipments"]) == (0, [], 2)

    desk.kommune.journal.write_bytes(Path(first["backup"]).read_bytes())  # restored
    refused = desk.command("journal", "backup", str(folder), "--keep", "1")
    assert (refused.code, _names(folder)) == (73, [Path(first["backup"]).name])


def test_a_folder_that_cannot_be_written_is_said(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalUnwritable, match="cannot be written"):
        rotate(settings, journal_storage(settings), tmp_path / "file", 1, now=NOON)
