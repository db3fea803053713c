"""What the archives for machines without internet hold: every wheel of every Python, with its digest."""

from __future__ import annotations

import hashlib
import re
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.repository import ROOT
from tests.helpers.tiny_wheels import tiny_product, tiny_wheel
from tools.offline import archive
from tools.offline.pins import LINUX, PYTHONS, WINDOWS, Pin, System, locked, pins_of

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_BOTH = pytest.mark.parametrize("system", [LINUX, WINDOWS], ids=lambda system: system.name)
_EPOCH = 1_700_000_000


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheels of product and dependency, made once: an archive is made of wheels that are there."""
    folder = tmp_path_factory.mktemp("wheels")
    return [tiny_product(folder, "1.0"), tiny_wheel(folder, "tiny-dependency", "1.0", {})]


def _contents(system: System, wheels: Sequence[Path]) -> dict[str, bytes]:
    pins = [Pin("tiny-dependency", "1.0", "", ())]
    return archive.contents(system, "1.0", wheels, {True: pins, False: []})


@_BOTH
def test_its_sums_and_requirements_name_every_file_with_its_digest(system: System, wheels: list[Path]) -> None:
    files = _contents(system, wheels)
    sums = {name: one for one, name in re.findall(r"^(\w+)  (.+)$", files["SHA256SUMS"].decode(), re.MULTILINE)}
    assert sums == {name: hashlib.sha256(files[name]).hexdigest() for name in files if name != "SHA256SUMS"}
    named = {name for name in files if name.endswith(".whl")}
    pinned = set(re.findall(r"--hash=sha256:(\w+)", files["requirements-all.txt"].decode()))
    assert pinned == {sums[name] for name in named}
    assert len(re.findall("--hash", files["requirements.txt"].decode())) == 1, "without extras: the product alone here"
    left = [name for name in files if not name.endswith(".whl") and re.search(rb"@[A-Z]+@", files[name])]
    assert left == []


@_BOTH
def test_the_same_files_make_the_same_bytes_with_the_commits_time(
    system: System, wheels: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for place, clock in (("one", _EPOCH + 60), ("other", _EPOCH + 120)):
        monkeypatch.setattr(time, "time", lambda at=clock: float(at))
        shuffled = dict(sorted(_contents(system, wheels).items(), reverse=place == "other"))
        made.append(archive.write(shuffled, tmp_path / place, f"kpr-{system.name}", epoch=_EPOCH))
    assert made[0].read_bytes() == made[1].read_bytes()
    if system is LINUX:
        with tarfile.open(made[0]) as tar:
            assert {(one.mtime, one.uid, one.mode & 0o777) for one in tar} == {(_EPOCH, 0, 0o644), (_EPOCH, 0, 0o755)}
            assert [one.name for one in tar if one.mode & 0o111] == [f"kpr-{system.name}/install.sh"]
    else:
        with zipfile.ZipFile(made[0]) as zipped:
            assert {entry.date_time for entry in zipped.infolist()} == {(2023, 11, 14, 22, 13, 20)}
            assert zipped.read(f"kpr-{system.name}/install.ps1").startswith(b"\xef\xbb\xbf#")


def test_a_wheel_that_is_missing_for_one_python_stops_it(wheels: list[Path]) -> None:
    early = Pin("tiny-dependency", "1.0", "python_version < '3.14'", ())
    pins = [early, Pin("late", "2", "python_version >= '3.14'", ())]
    with pytest.raises(LookupError, match="no wheel of late==2 for linux-x86_64"):
        archive.contents(LINUX, "1.0", wheels, {True: pins, False: []})


@pytest.mark.parametrize(
    ("names", "oldest"),
    [
        ([], "2.17"),
        (["a-1-py3-none-any.whl"], "2.17"),
        (["a-1-cp311-abi3-manylinux_2_28_x86_64.whl", "b-1-cp311-cp311-manylinux2014_x86_64.whl"], "2.28"),
        (["a-1-cp311-cp311-manylinux_2_26_x86_64.manylinux_2_28_x86_64.whl"], "2.26"),
        (["a-1-cp311-cp311-manylinux_2_9_x86_64.whl", "b-1-cp311-cp311-manylinux_2_100_x86_64.whl"], "2.100"),
    ],
)  # fmt: skip
def test_the_oldest_glibc_is_that_of_the_wheel_that_needs_the_newest(names: list[str], oldest: str) -> None:
    assert archive.floor([Path(name) for name in names]) == oldest


@pytest.mark.parametrize("python", PYTHONS)
@_BOTH
def test_the_archive_takes_the_very_pins_of_the_users_locks(system: System, python: str) -> None:
    environment = system.environment(python)
    everything = pins_of(system, python, locked(with_extras=True))
    core = pins_of(system, python, locked(with_extras=False))
    names = [pin.name for pin in everything]
    assert len(names) == len(set(names)), "one version each"
    assert {pin.requirement for pin in core} < {pin.requirement for pin in everything}
    locks = [f"requirements-{name}.lock" for name in ("runtime", *_PROJECT["optional-dependencies"])]
    text = "".join((ROOT / lock).read_text(encoding="utf-8") for lock in locks)
    assert all(f"{pin.requirement} " in text for pin in everything)
    assert all(one in text for pin in everything for one in pin.hashes)
    assert ("tzdata" in {pin.name for pin in core}) is (environment["sys_platform"] == "win32")
    (proton,) = (pin.version for pin in core if pin.name == "python-qpid-proton")
    assert proton.startswith("0.39" if system is WINDOWS and python != "3.13" else "0.40")
