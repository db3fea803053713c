"""On Windows no compiler is needed: every runtime dependency has a wheel there, where a set of them exists."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.helpers.package_index import UNREACHABLE
from tests.helpers.repository import ROOT

_DECLARED: Final = [
    Requirement(text)
    for text in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
]
_PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")


def _environment(python: str) -> dict[str, str]:
    """What a marker sees on 64-bit Windows; pip reads markers for the system it runs on, whatever --platform says."""
    return {
        "sys_platform": "win32",
        "platform_system": "Windows",
        "os_name": "nt",
        "platform_machine": "AMD64",
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }


def _wanted(requirements: list[Requirement], python: str) -> dict[str, str]:
    environment = _environment(python)
    return {
        canonicalize_name(one.name): f"{one.name}{one.specifier}"
        for one in requirements
        if one.marker is None or one.marker.evaluate(environment)
    }


@pytest.mark.parametrize("python", _PYTHONS)
def test_each_windows_asks_for_proton_once(python: str) -> None:
    environment = _environment(python)
    proton = [
        one
        for one in _DECLARED
        if one.name == "python-qpid-proton" and (one.marker is None or one.marker.evaluate(environment))
    ]
    assert len(proton) == 1
    assert proton[0].specifier.contains(Version("0.40.0")) is (python == "3.13")
    assert proton[0].specifier.contains(Version("0.39.0"))


def test_markers_are_read_for_windows() -> None:
    both = [Requirement("here; sys_platform == 'linux'"), Requirement("there>=1; platform_system == 'Windows'")]
    assert _wanted(both, "3.12") == {"there": "there>=1"}


def _resolved(wanted: dict[str, str], python: str) -> list[dict[str, Any]]:
    """Let pip choose wheels for Windows; nothing is installed, and next to nothing downloaded."""
    asked = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--report", "-"),
            *("--target", str(ROOT / ".cache" / "windows"), "--only-binary", ":all:", "--no-deps"),
            *("--platform", "win_amd64", "--python-version", python, *wanted.values()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode and UNREACHABLE.search(asked.stderr) and "No matching distribution" not in asked.stderr:
        pytest.skip("NOT TESTED: the package registry does not answer")
    assert asked.returncode == 0, asked.stderr
    found: list[dict[str, Any]] = json.loads(asked.stdout)["install"]
    return found


@pytest.mark.nightly  # pip loads the wheels of each set to read what they need: a minute each
@pytest.mark.parametrize("python", _PYTHONS)
def test_a_wheel_is_there_for_everything_that_windows_needs(python: str) -> None:
    wanted = _wanted(_DECLARED, python)
    known: set[str] = set()
    while set(wanted) - known:
        known = set(wanted)
        for package in _resolved(wanted, python):
            assert package["download_info"]["url"].endswith(".whl")
            needs = [Requirement(text) for text in package["metadata"].get("requires_dist", ())]
            for name, text in _wanted(needs, python).items():
                wanted.setdefault(name, text)
    assert {"python-qpid-proton", "lxml", "cryptography", "cffi", "httpcore"} <= known
