"""G1: the second witness of how far a journal has come: where it lies, and what is believed of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kpr_sender.journal import witness
from kpr_sender.journal.marker import HighWaterMark

_MARK = HighWaterMark("0123456789abcdef", 7, 42, ())


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(witness, "_MACHINE", tmp_path / "machine")
    return tmp_path / "state" / "journal.db"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_STATE_HOME": "/x", "HOME": "/home/kpr"}, ["/x", "/var/lib"]),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/kpr"}, ["/home/kpr/.local/state", "/var/lib"]),
        ({"HOME": "/home/kpr"}, ["/home/kpr/.local/state", "/var/lib"]),
        ({"HOME": "/srv/kpr"}, ["/var/lib", "/srv/kpr/.local/state"]),  # its own folder comes last
    ],
)
def test_it_lies_in_the_users_state_folder_or_the_machines_and_not_with_the_journal(
    environ: dict[str, str], expected: list[str]
) -> None:
    found = witness.folders(Path("/srv/kpr/journal.db"), environ)
    assert list(found) == [Path(one, "kpr-sender", "witness") for one in expected]


def test_without_a_home_it_is_the_accounts_or_the_machines() -> None:
    assert witness.folders(Path("/srv/kpr/journal.db"), {})[-1] == Path("/var/lib/kpr-sender/witness")


def test_it_goes_to_the_first_folder_that_takes_it_and_the_farthest_counts(journal: Path, tmp_path: Path) -> None:
    assert witness.write(journal, _MARK)
    (tmp_path / "user").rename(tmp_path / "gone")
    (tmp_path / "user").write_text("no folder")
    assert witness.write(journal, replace(_MARK, step=6))
    assert [found.mark.step for found in [witness.read(_MARK.journal_id)] if found] == [6]
    (tmp_path / "user").unlink()
    (tmp_path / "gone").rename(tmp_path / "user")
    found = witness.read(_MARK.journal_id)
    assert found == witness.Witness(_MARK, str(journal))
    (file,) = (tmp_path / "user").rglob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_damaged_anothers_or_of_another_journal_says_nothing(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert witness.write(journal, _MARK)
    (file,) = (tmp_path / "user").rglob("*.json")
    assert witness.read("../../0123") is None
    file.with_name("fedc.json").write_bytes(file.read_bytes())
    assert witness.read("fedc") is None
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
        assert witness.read(_MARK.journal_id) is None
    file.with_name("real.json").write_bytes(file.read_bytes())
    for leave in (lambda: file.write_bytes(b"{"), file.unlink, lambda: file.symlink_to("real.json")):
        leave()
        assert witness.read(_MARK.journal_id) is None


def test_what_leaves_an_older_journal_unnoticed_is_said(journal: Path, tmp_path: Path) -> None:
    begun = replace(_MARK, begun=(object(),))  # type: ignore[arg-type]  # that there is one is all that counts
    assert not [*witness.concerns(journal, None)], "a journal that is not used yet needs none"
    assert ["There is none" in one for one in witness.concerns(journal, begun)] == [True]
    assert witness.write(journal, replace(_MARK))
    assert not [*witness.concerns(journal, begun)]
    within = tmp_path / "user" / "journal.db"
    (tmp_path / "machine").write_text("no folder")
    assert ["own folder" in one for one in witness.concerns(within, _MARK)] == [True]
    (tmp_path / "user").rename(tmp_path / "gone")
    (tmp_path / "user").write_text("no folder")
    assert ["cannot be written" in one for one in witness.concerns(journal, begun)] == [True]
