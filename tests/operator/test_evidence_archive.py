"""The archive as a file: the same bytes for the same content, and what cannot be read is said, not guessed."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kpr_sender.errors import InputMissing
from kpr_sender.operator.evidence_archive import FACTS, PAGE, read_archive, write_archive
from tests.helpers import pki
from tests.helpers.pki import NOW, Kind

_CONTENTS = ((PAGE, b"<!DOCTYPE html>"), (FACTS, b"{}"), ("receipts/1.p7m", b"sealed"))


def _written(at: datetime = NOW) -> bytes:
    file = io.BytesIO()
    write_archive(file, _CONTENTS, pki.key_pair(Kind.SIGNER), at=at)
    return file.getvalue()


def test_the_same_content_and_time_make_the_same_bytes() -> None:
    assert _written() == _written()
    assert _written() != _written(datetime(2025, 1, 10, tzinfo=UTC))


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "evidence.zip"
    file.write_bytes(_written())
    found = read_archive(file)
    assert (found.facts, found.files) == (b"{}", 5)
    assert (found.signature.signer, found.signature.signed_at) == (pki.key_pair(Kind.SIGNER).certificate, NOW)


def test_a_name_that_no_reader_takes_is_not_written() -> None:
    with pytest.raises(ValueError, match="refuse"):
        write_archive(io.BytesIO(), [("../evidence.json", b"{}")], pki.key_pair(Kind.SIGNER), at=NOW)


def test_a_folder_or_a_pipe_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.zip"):
        with pytest.raises(InputMissing, match="cannot be read"):
            read_archive(path)
