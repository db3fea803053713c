"""What is declared, what is locked and what CONTRIBUTING.md explains are the same things."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers.repository import ROOT

_PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_LOCKS: Final = ("requirements-build.lock", "requirements.lock")
_DECLARED: Final = [Requirement(text) for text in _PROJECT["project"]["dependencies"]]
_RUNTIME: Final = [one for one in _DECLARED if one.marker is None or one.marker.evaluate()]
"""What is declared for the system that the lock is for; tests/packaging/test_windows.py looks at the other."""
_GROUPS: Final = _PROJECT["dependency-groups"]
_DEVELOPMENT: Final = [
    Requirement(text) for group in ("build", "dev") for text in _GROUPS[group] if isinstance(text, str)
]
_BUILD_SYSTEM: Final = [Requirement(text) for text in _PROJECT["build-system"]["requires"]]


def _pins(lock: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.parametrize("requirement", [*_RUNTIME, *_DEVELOPMENT, *_BUILD_SYSTEM], ids=str)
def test_the_declared_range_admits_what_is_tested(requirement: Requirement) -> None:
    assert requirement.specifier.contains(_pins("requirements.lock")[canonicalize_name(requirement.name)])


def test_both_locks_pin_the_same_versions() -> None:
    everything = _pins("requirements.lock")
    assert _pins("requirements-build.lock").items() <= everything.items()


@pytest.mark.parametrize("lock", _LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    text = re.sub(r"\\\n\s*", " ", (ROOT / lock).read_text(encoding="utf-8"))
    pins = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert pins
    assert [line[:40] for line in pins if "--hash=sha256:" not in line] == []


@pytest.mark.parametrize("lock", _LOCKS)
def test_a_lock_names_no_index_host_or_folder(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert re.search(r"^--(?!hash)|://|file:/|find-links|trusted-host", text, re.MULTILINE) is None


def test_the_runtime_depends_on_what_the_product_needs_and_nothing_more() -> None:
    assert {requirement.name for requirement in _RUNTIME} == {
        "python-qpid-proton",
        "cryptography",
        "lxml",
        "signxml",
        "tenacity",
        "click",
        "rich",
        "httpcore",
    }


def test_contributing_says_why_each_dependency_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Dependencies", 1)[1].split("\n## ", 1)[0]
    explained = set(re.findall(r"^\| `([A-Za-z0-9._-]+)` \| \S", section, re.MULTILINE))
    assert explained == {requirement.name for requirement in [*_DECLARED, *_DEVELOPMENT]}
