"""``install.sh`` of the archive for machines without internet, on this Python, with small wheels in place of the real.

With the real ones, on three Pythons without a network: test_offline_install.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.helpers.tiny_wheels import pips_wheel, tiny_product, tiny_wheel
from tools.offline import archive
from tools.offline.pins import LINUX, Pin

_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PYTHONPATH": "/nonexistent"}


def _unpacked(folder: Path, version: str) -> Path:
    """Make an archive with these versions of product and dependency, and unpack it; return its folder."""
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    dependency = tiny_wheel(wheels, "tiny-dependency", version, {"tiny_dependency.py": f"version = {version!r}\n"})
    pins = [Pin("tiny-dependency", version, "", ())]
    parts = [tiny_product(wheels, version), dependency, pips_wheel()]
    files = archive.contents(LINUX, version, parts, {True: pins, False: pins})
    written = archive.write(files, folder, "archive", epoch=1_700_000_000)
    shutil.unpack_archive(written, folder, filter="data")
    return folder / "archive"


def _install(unpacked: Path, *arguments: str, umask: int = 0o022, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(unpacked / "install.sh"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        umask=umask,
        cwd="/",
        env={**_ENVIRONMENT, "HOME": str(unpacked.parent), **variables},
    )


def _said(prefix: Path) -> str:
    return subprocess.run([prefix / "bin/kpr-send"], capture_output=True, text=True, check=True, env={}).stdout.strip()


def test_installs_for_everybody_and_nothing_of_what_is_damaged(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    asked = ("--prefix", str(prefix), "--python", sys.executable[1:])  # relative to the folder that it is typed in, /
    first = _unpacked(tmp_path / "first", "1.0")
    made = _install(first, *asked, umask=0o077)
    assert (made.returncode, made.stderr) == (0, "")
    assert f"{prefix}/bin/kpr-send init" in made.stdout
    assert _said(prefix) == "kpr-send, version 1.0"
    unreadable = [path for path in prefix.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o044 != 0o044]
    assert unreadable == []
    assert [path for path in prefix.rglob("*/") if path.stat().st_mode & 0o011 != 0o011] == []

    again = _install(first, f"--prefix={prefix}", "--python", sys.executable, LANG="nb_NO.UTF-8")
    assert (again.returncode, "Installerer" in again.stdout, "Ferdig. Prøv det" in again.stdout) == (0, False, True)
    if os.getuid() == 0:  # a service's user is somebody else
        assert "Andre brukere slipper ikke inn hit, og kan derfor ikke kjøre det: " in again.stdout
        assert re.search(rf"(?:: |^){tmp_path}$", again.stdout, re.MULTILINE)

    wheel = first / "wheels" / "tiny_dependency-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    damaged = _install(first, "--prefix", str(tmp_path / "other"), "--python", sys.executable)
    assert (damaged.returncode, damaged.stdout) == (1, f"wheels/{wheel.name}: FAILED\n")
    assert "The archive is not as it was made" in damaged.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.nightly  # pip thrice
def test_the_next_version_takes_the_place_of_the_earlier_one_once_it_is_complete(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    asked = ("--prefix", str(prefix), "--python", sys.executable)
    assert _install(_unpacked(tmp_path / "first", "1.0"), *asked).returncode == 0
    installed = (prefix / "current").resolve()
    second = _unpacked(tmp_path / "second", "2.0")
    wheel = second / "wheels" / "tiny_dependency-2.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    # With sums that fit what was altered: pip has digests of its own.
    names = [line.split("  ")[1] for line in (second / "SHA256SUMS").read_text(encoding="utf-8").splitlines()]
    sums = subprocess.run(["sha256sum", *names], cwd=second, capture_output=True, text=True, check=True).stdout
    (second / "SHA256SUMS").write_text(sums, encoding="utf-8")
    altered = _install(second, *asked)
    assert altered.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in altered.stderr
    assert sorted(path.name for path in prefix.iterdir()) == [installed.name, "bin", "current"]
    assert _said(prefix) == "kpr-send, version 1.0"
    shutil.rmtree(second)
    shutil.unpack_archive(second.with_suffix(".tar.gz"), second.parent, filter="data")
    assert _install(second, *asked).returncode == 0
    assert _said(prefix) == "kpr-send, version 2.0"
    assert installed.is_dir(), "a run of the earlier version may be under way"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _unpacked(tmp_path_factory.mktemp("archive"), "1.0")


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ("3.10 cpython Linux x86_64 64 locked glibc 2.36", "fake (3.10)"),
        ("3.15 cpython Linux x86_64 64 locked glibc 2.36", "fake (3.15)"),
        ("3.12 pypy Linux x86_64 64 locked glibc 2.36", "needs CPython"),
        ("3.13 cpython Linux x86_64 64 free-threaded glibc 2.36", "free-threaded build"),
        ("3.12 cpython FreeBSD amd64 64 locked ?", "This is FreeBSD"),
        ("3.12 cpython Linux aarch64 64 locked glibc 2.36", "The processor is aarch64 (64 bits)"),
        ("3.12 cpython Linux x86_64 32 locked glibc 2.36", "The processor is x86_64 (32 bits)"),
        ("3.12 cpython Linux x86_64 64 locked ?", "musl?"),
        ("3.12 cpython Linux x86_64 64 locked glibc 2.9", "The C library is glibc 2.9; needs glibc 2.17"),
    ],
)
def test_what_it_does_not_run_on_is_refused_by_name(script: Path, tmp_path: Path, facts: str, named: str) -> None:
    fake = tmp_path / "a fake"
    fake.write_text(f"#!/bin/sh\necho {facts}\n", encoding="ascii")
    fake.chmod(0o755)
    prefix = tmp_path / "prefix"
    refused = _install(script, "--prefix", str(prefix), "--python", str(fake))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert named in refused.stderr
    assert not prefix.exists()


def test_without_a_python_it_says_which_and_how(script: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for program in ("dirname", "id"):
        (tmp_path / "bin" / program).symlink_to(f"/usr/bin/{program}")
    (tmp_path / "bin/sh").symlink_to("/bin/sh")
    none = _install(script, LANG="nn_NO.UTF-8", PATH=str(tmp_path / "bin"))
    assert (none.returncode, none.stdout) == (1, "")
    assert "Trenger Python (CPython) 3.11 3.12 3.13 3.14; fant ingen." in none.stderr


@pytest.mark.parametrize("wrong", [["--prefix"], ["--python"], ["--python="], ["--prefix", ""], ["somewhere"]])
def test_a_wrong_argument_ends_with_64_and_the_usage(script: Path, wrong: list[str]) -> None:
    ended = _install(script, *wrong)
    assert (ended.returncode, ended.stdout) == (64, "")
    assert ended.stderr.startswith("Usage: sh install.sh")


def test_a_folder_that_pip_was_used_in_is_not_installed_into(script: Path, tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").touch()
    refused = _install(script, "--prefix", str(tmp_path), "--python", sys.executable)
    assert (refused.returncode, list(tmp_path.iterdir())) == (1, [tmp_path / "pyvenv.cfg"])
    assert "Choose another --prefix" in refused.stderr
