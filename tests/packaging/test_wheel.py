"""The wheel that users get: the package with its types and its data, and nothing of ours beside it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.helpers.repository import ROOT, tracked_files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return zipfile.Path(built)


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
    assert {part for part in top if not part.endswith(".dist-info")} == {"kpr_sender"}
    assert [name for name in _names(wheel) if "/." in name or name.endswith(".pyc")] == []


def test_installs_the_command_and_carries_its_licence(wheel: zipfile.Path) -> None:
    (information,) = (part for part in wheel.iterdir() if part.name.endswith(".dist-info"))
    assert "kpr-send = kpr_sender.cli.main:main" in (information / "entry_points.txt").read_text(encoding="utf-8")
    assert "MIT License" in (information / "licenses" / "LICENSE").read_text(encoding="utf-8")


def test_holds_the_compiled_norwegian(wheel: zipfile.Path) -> None:
    assert "kpr_sender/locale/nb/LC_MESSAGES/kpr_sender.mo" in _names(wheel)
