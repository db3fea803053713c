"""The wheel that users get: the package with its types and its data, and nothing of ours beside it. And the sdist."""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from tests.helpers.repository import ROOT, tracked_files
from tools import dist


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return dist.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(built: list[Path]) -> zipfile.Path:
    return zipfile.Path(built[0])


def test_built_again_elsewhere_it_is_the_same_bytes(
    built: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    umask = os.umask(0o077)
    try:
        again = dist.build(tmp_path / "dist")
    finally:
        os.umask(umask)
    assert [path.suffix for path in built] == [".whl", ".gz"]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in built]


def test_the_sdist_holds_what_git_tracks_with_the_commits_time(built: list[Path]) -> None:
    with tarfile.open(built[-1]) as sdist:
        members = [(member.name.partition("/")[2], member.mtime) for member in sdist]
    assert {name for name, _ in members} == {"PKG-INFO", *(str(path.relative_to(ROOT)) for path in tracked_files())}
    assert {mtime for _, mtime in members} == {dist.epoch()}


def _names(wheel: zipfile.Path) -> set[str]:
    return set(wheel.root.namelist())


def test_holds_every_file_of_the_package(wheel: zipfile.Path) -> None:
    package = {str(path.relative_to(ROOT)) for path in tracked_files() if path.is_relative_to(ROOT / "kpr_sender")}
    assert package <= _names(wheel)


@pytest.mark.parametrize("data", ["py.typed", "profiles/2024.toml", "profiles/2025.toml", "profiles/2026.toml"])
def test_holds_the_types_marker_and_the_profiles(wheel: zipfile.Path, data: str) -> None:
    assert f"kpr_sender/{data}" in _names(wheel)


def test_holds_nothing_but_the_package(wheel: zipfile.Path) -> None:
    top = {Path(name).parts[0] for name in _names(wheel)}
    assert {part for part in top if not part.endswith((".dist-info", ".data"))} == {"kpr_sender"}
    beside = {name.partition(".data/")[2] for name in _names(wheel) if ".data/" in name and not name.endswith("/")}
    assert beside == {"data/share/man/man1/kpr-send.1"}
    assert [name for name in _names(wheel) if "/." in name or name.endswith(".pyc")] == []


def test_installs_the_command_and_carries_its_licence(wheel: zipfile.Path) -> None:
    (information,) = (part for part in wheel.iterdir() if part.name.endswith(".dist-info"))
    assert "kpr-send = kpr_sender.cli.main:main" in (information / "entry_points.txt").read_text(encoding="utf-8")
    assert "MIT License" in (information / "licenses" / "LICENSE").read_text(encoding="utf-8")


def test_holds_the_compiled_norwegian(wheel: zipfile.Path) -> None:
    assert "kpr_sender/locale/nb/LC_MESSAGES/kpr_sender.mo" in _names(wheel)


def test_holds_every_page_that_a_text_names(wheel: zipfile.Path) -> None:
    sources = (path.read_text("utf-8") for path in (ROOT / "kpr_sender").rglob("*.py"))
    named = {page for source in sources for page in re.findall(r"(?:docs/[a-z-]+\.md|certs/README\.md)", source)}
    assert {"certs/README.md", "docs/shared-queue.md"} <= named
    assert {f"kpr_sender/documents/{page}" for page in named} <= _names(wheel)
    assert "kpr_sender/documents/docs/nb/retention.md" in _names(wheel)
