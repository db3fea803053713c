"""The drop folder: a pair is taken when it is complete and unchanged for 30 seconds, and never lost on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid, InputMissing, InputRefused
from kpr_sender.model import MessageType
from kpr_sender.outbound.drop import REFUSED, SENT, TAKEN, DropFolder, DropLook, newest_waiting
from kpr_sender.outbound.payload_file import read_chunks
from tests.helpers.municipality import Municipality

AT = datetime(2025, 1, 10, 12, tzinfo=UTC)
LATER = AT + timedelta(seconds=30)


def dropping(kommune: Municipality, **more: object) -> DropFolder:
    """A drop folder, with both files in it under the EPJ's own names."""
    (kommune.folder / "in").mkdir()
    kommune.fagmelding.rename(kommune.folder / "in/uttrekk-1.XML")
    kommune.identmelding.rename(kommune.folder / "in/uttrekk-2.xml")
    found = DropFolder.of(
        kommune.configure({"files": {"fagmelding": None, "identmelding": None, "drop": "in", **more}})
    )
    assert found is not None
    return found


def seen(folder: DropFolder) -> DropLook:
    """What the second look finds."""
    folder.look(AT)
    return folder.look(LATER)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_pair_is_told_by_its_roots_and_taken_at_the_second_look(kommune: Municipality) -> None:
    folder = dropping(kommune)
    contents = {path.name: path.read_bytes() for path in (kommune.folder / "in").iterdir()}

    first = folder.look(AT)
    assert (first.why_not, first.left, folder.take(first)) == (None, 30.0, None)
    assert folder.look(AT + timedelta(seconds=29.5)).left == 0.5
    assert first.unready == "the files have changed less than 30 seconds ago"
    second = folder.look(LATER)
    assert second.unready is None
    assert second.names == {MessageType.KPR_IPL: "uttrekk-1.XML", MessageType.KPR_IDE: "uttrekk-2.xml"}

    pair = folder.take(second)

    assert pair is not None
    assert names(folder.path) == [TAKEN]
    assert {path.name: path.read_bytes() for path in pair.files.values()} == contents
    assert folder.pairs(TAKEN) == (pair,)
    moved = folder.move(pair, SENT)
    assert folder.pairs(SENT) == (moved,)
    assert moved.files[MessageType.KPR_IDE].read_bytes() == contents["uttrekk-2.xml"]
    again = folder.path / TAKEN / pair.name
    again.mkdir()
    assert folder.move(pair, SENT).name == f"{pair.name}.1", "over no other"


def test_what_changes_between_two_looks_is_not_taken(kommune: Municipality) -> None:
    folder = dropping(kommune)
    written = folder.path / "uttrekk-1.XML"
    folder.look(AT)
    written.write_bytes(written.read_bytes() + b"\n")
    assert folder.look(LATER).left == 30.0

    last = folder.look(LATER + timedelta(seconds=30))
    assert not last.left
    written.write_bytes(written.read_bytes() + b"\n")  # after the second look
    assert folder.take(last) is None
    (folder.path / ".kpr-sender-look.json").write_text("[]")
    assert folder.look(LATER).left == 30.0, "what cannot be read was no look"
    assert folder.look(AT).left == 30.0, "nor was one in the future"


@pytest.mark.parametrize("cut", [0, 1, 200, 5_000])
def test_a_file_that_is_still_being_written_is_waited_for(kommune: Municipality, cut: int) -> None:
    folder = dropping(kommune)
    written = folder.path / "uttrekk-1.XML"
    complete = written.read_bytes()
    written.write_bytes(complete[:cut])
    why_not = seen(folder).why_not
    assert why_not is not None
    assert "uttrekk-1.XML is not complete" in why_not
    written.write_bytes(complete + b"\n<!-- made by the EPJ -->\n")
    assert seen(folder).why_not is None


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "iso-8859-1"])
def test_a_file_in_another_encoding_is_told_and_waited_for_as_well(kommune: Municipality, encoding: str) -> None:
    folder = dropping(kommune)
    written = folder.path / "uttrekk-1.XML"
    text = written.read_text("utf-8").partition("?>")[2]
    mark = "\ufeff" if encoding.startswith("utf-16") else ""
    content = f'{mark}<?xml version="1.0" encoding="{encoding[:6] if mark else encoding}"?>{text}'.encode(encoding)
    written.write_bytes(content[:-4])
    assert "uttrekk-1.XML is not complete" in str(seen(folder).why_not)
    written.write_bytes(content)
    assert seen(folder).why_not is None


def test_of_a_large_file_no_more_is_read_than_both_ends(kommune: Municipality, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = dropping(kommune)
    written = folder.path / "uttrekk-1.XML"
    start, root, end = written.read_bytes().rpartition(b"</")
    written.write_bytes(start + b" " * 5_000_000 + root + end)
    read: list[int] = []

    def counted(path: Path) -> Iterator[bytes]:
        for chunk in read_chunks(path):
            read.append(len(chunk))
            yield chunk

    monkeypatch.setattr("kpr_sender.outbound.drop.read_chunks", counted)
    assert seen(folder).why_not is None
    assert 0 < sum(read) < 3_000_000, "two looks at two files, in chunks of 256 KiB"


def test_what_is_hidden_renamed_later_or_a_link_is_no_half_of_a_pair(kommune: Municipality) -> None:
    folder = dropping(kommune)
    half, other = folder.path / "uttrekk-2.xml", folder.path / "uttrekk-1.XML"
    for name in ("uttrekk-2.xml.tmp", ".uttrekk-2.xml"):
        half = half.rename(folder.path / name)
        assert seen(folder).why_not == "the identmelding is not there yet"
    half.rename(kommune.folder / "elsewhere.xml")
    (folder.path / "link.xml").symlink_to(kommune.folder / "elsewhere.xml")
    assert seen(folder).why_not == "the identmelding is not there yet"
    other.unlink()
    assert "no pair lies in" in (seen(folder).why_not or "")


def test_a_file_named_klar_is_waited_for_where_the_configuration_says_so(kommune: Municipality) -> None:
    folder = dropping(kommune, drop_waits_for_klar=True)
    assert seen(folder).why_not == "there is no file named klar yet"
    (folder.path / "klar").touch()

    pair = folder.take(seen(folder))

    assert pair is not None
    assert names(pair.folder) == ["klar", "uttrekk-1.XML", "uttrekk-2.xml"]


def test_of_two_that_may_be_the_same_half_none_is_taken(kommune: Municipality) -> None:
    folder = dropping(kommune)
    (folder.path / "uttrekk-3.xml").write_bytes((folder.path / "uttrekk-2.xml").read_bytes())

    with pytest.raises(InputRefused, match=r"Two files are the identmelding: uttrekk-2.xml and uttrekk-3.xml"):
        folder.look(AT)
    assert len(names(folder.path)) == 3


def test_what_was_taken_halfway_is_put_back_or_set_aside_and_never_lost(kommune: Municipality) -> None:
    folder = dropping(kommune)
    pair = folder.take(seen(folder))
    assert pair is not None
    half = pair.files[MessageType.KPR_IPL]
    pair.files[MessageType.KPR_IDE].rename(folder.path / "uttrekk-2.xml")  # as if it had not been taken yet
    (folder.path / TAKEN / "empty").mkdir()

    assert folder.is_busy
    folder.recover()
    assert names(folder.path) == [TAKEN, "uttrekk-1.XML", "uttrekk-2.xml"]
    assert not folder.is_busy

    pair = folder.take(seen(folder))
    assert pair is not None
    content = half.read_bytes()
    pair.files[MessageType.KPR_IDE].rename(folder.path / "uttrekk-2.xml")
    (folder.path / "uttrekk-1.XML").write_text("the EPJ's next extract")
    folder.recover()
    assert (folder.path / REFUSED / pair.name / "uttrekk-1.XML").read_bytes() == content
    assert (folder.path / "uttrekk-1.XML").read_text() == "the EPJ's next extract"


def test_a_folder_that_is_not_ours_is_refused_and_nothing_is_moved(
    kommune: Municipality, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dropping(kommune)
    settings = folder.settings
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests' user may do everything
    with pytest.raises(ConfigInvalid, match=r"in is not ours: files cannot be moved in it") as refused:
        DropFolder.of(settings)
    assert refused.value.exit_code == 78
    monkeypatch.undo()
    look = seen(folder)
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder.path / TAKEN).symlink_to(outside)
    with pytest.raises(InputMissing, match="no folder"):
        folder.take(look)
    assert names(outside) == []
    assert names(folder.path) == [TAKEN, "uttrekk-1.XML", "uttrekk-2.xml"]
    for place in ("none", "in/uttrekk-1.XML"):
        with pytest.raises(ConfigInvalid):
            DropFolder.of(kommune.configure({"files": {"fagmelding": None, "identmelding": None, "drop": place}}))
    with pytest.raises(ConfigInvalid, match="either the drop folder or the two files"):
        DropFolder.of(kommune.configure({"files": {"drop": "in"}}))


def test_a_new_pair_that_waits_is_known_by_its_folder(kommune: Municipality) -> None:
    folder = dropping(kommune)
    assert newest_waiting(folder.path) == ""
    for name in ("20250110-120000-aa", "20250111-120000-bb"):
        (folder.path / "waiting" / name).mkdir(parents=True)
    assert newest_waiting(folder.path).endswith("waiting/20250111-120000-bb")
