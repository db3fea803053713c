"""What is declared, what is locked and what CONTRIBUTING.md explains are the same things."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.helpers.package_index import UNREACHABLE
from tests.helpers.repository import ROOT
from tools import sbom

_PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_RUNTIME_LOCK: Final = "requirements-runtime.lock"
_EXTRAS: Final[dict[str, list[str]]] = _PROJECT["project"]["optional-dependencies"]
_EXTRA_LOCKS: Final = {
    f"requirements-{name}.lock": [Requirement(one) for one in needs] for name, needs in _EXTRAS.items()
}
_OFFLINE_LOCK: Final = "requirements-offline.lock"
_LOCKS: Final = ("requirements-build.lock", "requirements.lock", _OFFLINE_LOCK, _RUNTIME_LOCK, *_EXTRA_LOCKS)
_SYSTEMS: Final = (("linux", "posix", "Linux", "x86_64"), ("win32", "nt", "Windows", "AMD64"))
_PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
_DECLARED: Final = [Requirement(text) for text in _PROJECT["project"]["dependencies"]]
_RUNTIME: Final = [one for one in _DECLARED if one.marker is None or one.marker.evaluate()]
"""What is declared for the system that the lock is for; tests/packaging/test_windows.py looks at the other."""
_GROUPS: Final = _PROJECT["dependency-groups"]
_DEVELOPMENT: Final = [
    Requirement(text) for group in ("build", "dev") for text in _GROUPS[group] if isinstance(text, str)
]
_OFFLINE: Final = [Requirement(text) for text in _GROUPS["offline"]]
_BUILD_SYSTEM: Final = [Requirement(text) for text in _PROJECT["build-system"]["requires"]]


def _pins(lock: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.parametrize("requirement", [*_RUNTIME, *_DEVELOPMENT, *_BUILD_SYSTEM], ids=str)
def test_the_declared_range_admits_what_is_tested(requirement: Requirement) -> None:
    assert requirement.specifier.contains(_pins("requirements.lock")[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("requirement", _OFFLINE, ids=str)
def test_the_declared_range_admits_what_makes_the_archives(requirement: Requirement) -> None:
    assert requirement.specifier.contains(_pins(_OFFLINE_LOCK)[canonicalize_name(requirement.name)])


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
        "jinja2",
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
    assert explained == {requirement.name for requirement in [*_DECLARED, *_DEVELOPMENT, *_OFFLINE]}


def _locked(lock: str, environment: dict[str, str]) -> dict[str, Version]:
    """Return what a lock installs on a system, by name; a name that it has twice there is an error."""
    pinned: dict[str, Version] = {}
    for line in re.findall(r"^[a-z0-9][^\\\n]*", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE):
        pin = Requirement(line.strip())
        if pin.marker is not None and not pin.marker.evaluate(environment):
            continue
        (exactly,) = pin.specifier
        assert (exactly.operator, pin.name not in pinned) == ("==", True), line
        pinned[canonicalize_name(pin.name)] = Version(exactly.version)
    return pinned


def _on(system: tuple[str, str, str, str], python: str) -> dict[str, str]:
    names = ("sys_platform", "os_name", "platform_system", "platform_machine")
    return {
        **dict(zip(names, system, strict=True)),
        "python_version": python,
        "python_full_version": f"{python}.2",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }


@pytest.mark.parametrize("python", _PYTHONS)
@pytest.mark.parametrize("system", _SYSTEMS, ids=lambda system: system[0])
@pytest.mark.parametrize("lock", [_RUNTIME_LOCK, *_EXTRA_LOCKS])
def test_the_users_lock_has_what_pyproject_declares_on_every_system(
    lock: str, system: tuple[str, str, str, str], python: str
) -> None:
    environment = _on(system, python)
    declared = _DECLARED if lock == _RUNTIME_LOCK else _EXTRA_LOCKS[lock]
    wanted = [one for one in declared if one.marker is None or one.marker.evaluate(environment)]
    pinned = _locked(lock, environment)
    assert wanted
    for requirement in wanted:
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def _needed(requirements: list[Requirement]) -> set[str]:
    """Return the names of what these need here, by what is installed."""
    names: set[str] = set()
    requirements = [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]
    while requirements:
        one = requirements.pop()
        if canonicalize_name(one.name) not in names:
            names.add(canonicalize_name(one.name))
            for need in map(Requirement, importlib.metadata.requires(one.name) or ()):
                asked = ("", *one.extras)
                if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in asked):
                    requirements.append(need)
    return names


def test_a_users_lock_has_the_tested_versions_and_nothing_that_is_not_needed() -> None:
    tested = _pins("requirements.lock")
    here = {"python_version": "3.11", "python_full_version": "3.11.2"}
    for lock, declared in {_RUNTIME_LOCK: _RUNTIME, **_EXTRA_LOCKS}.items():
        pinned = _locked(lock, {**_on(_SYSTEMS[0], "3.11"), **here})
        assert {name: tested.get(name) for name in pinned} == {name: str(version) for name, version in pinned.items()}
        assert pinned.keys() == _needed(list(declared))


def test_what_readme_says_to_install_is_enough_to_run(tmp_path: Path) -> None:
    """Every file is checked against its hash, and nothing but the lock's packages is there when the command starts."""
    commands = re.findall(r"^\S+/bin/pip (install .*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [command.rpartition(" ")[2] for command in commands] == ["requirements-build.lock", _RUNTIME_LOCK, "."]
    # Into a folder, by an environment that has the first lock's packages; that the last one builds: test_wheel.
    asked = subprocess.run(
        [sys.executable, "-m", "pip", *commands[1].split(), "--quiet", "--no-compile", "--target", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if asked.returncode and UNREACHABLE.search(asked.stderr) and "No matching distribution" not in asked.stderr:
        pytest.skip("NOT TESTED: the package registry does not answer")
    assert asked.returncode == 0, asked.stderr
    program = (
        f"import sys; sys.path += {[str(tmp_path), str(ROOT)]}; from kpr_sender.cli.main import run; run(['--help'])"
    )
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("Usage: kpr-send")


@pytest.mark.nightly  # installs the tool, with some dozen packages of its own
def test_the_sbom_has_every_package_of_the_runtime_lock_with_its_digests(tmp_path: Path) -> None:
    path = tmp_path / "kpr-sender.cdx.json"
    assert sbom.main([str(path)]) == 0
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (document["bomFormat"], document["metadata"]["component"]["name"]) == ("CycloneDX", "kpr-sender")
    found = {(one["name"], one["version"]) for one in document["components"]}
    text = (ROOT / _RUNTIME_LOCK).read_text(encoding="utf-8")
    assert found == set(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE))
    for one in document["components"]:
        digests = [each["content"] for where in one["externalReferences"] for each in where["hashes"]]
        assert digests
        assert all(f"sha256:{digest}" in text for digest in digests)
