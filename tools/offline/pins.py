"""What the users' lock files pin on a system, and which of them each system's archive carries."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import users_locks
from tools.setup.environment import ROOT, RUNTIME_LOCK

PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
"""Of CPython: what the archives are for."""


@dataclass(frozen=True)
class System:
    """A system that an archive is for.

    Attributes:
        name: In the archive's name.
        markers: What a requirement's marker sees there, but for the Python.
        platforms: Tags of wheels that it takes, the newest first.
    """

    name: str
    markers: Mapping[str, str]
    platforms: tuple[str, ...]

    def environment(self, python: str) -> dict[str, str]:
        """Return what a requirement's marker sees there under a Python."""
        return {
            **self.markers,
            "python_version": python,
            "python_full_version": f"{python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "extra": "",
        }


def _markers(sys_platform: str, os_name: str, platform_system: str, platform_machine: str) -> dict[str, str]:
    return {
        "sys_platform": sys_platform,
        "os_name": os_name,
        "platform_system": platform_system,
        "platform_machine": platform_machine,
    }


LINUX: Final = System(
    "linux-x86_64",
    _markers("linux", "posix", "Linux", "x86_64"),
    tuple(f"manylinux{one}_x86_64" for one in ("_2_28", "_2_17", "2014", "_2_12", "2010", "_2_5", "1")),
)
WINDOWS: Final = System("windows-amd64", _markers("win32", "nt", "Windows", "AMD64"), ("win_amd64",))


@dataclass(frozen=True)
class Pin:
    """A package of a lock file.

    Attributes:
        name: As pip writes it.
        version: The one that is installed.
        marker: For which systems and Pythons; empty for all.
        hashes: Of every file of that version in the registry, as pip takes them.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """The pin as pip reads it, without marker and hashes."""
        return f"{self.name}=={self.version}"

    def line(self) -> str:
        """Return the pin as pip reads it in hash-checking mode, without its marker."""
        return " --hash=".join((self.requirement, *self.hashes))

    def applies(self, environment: dict[str, str]) -> bool:
        """Return whether it is installed there."""
        return not self.marker or Marker(self.marker).evaluate(environment)


def extras() -> list[str]:
    """Return the names of the product's extras."""
    return sorted(_project()["optional-dependencies"])


def locked(*, with_extras: bool) -> list[Pin]:
    """Return what is installed with the product, on whatever system: with all its extras, or with none."""
    locks = [lock for lock in users_locks(_project()) if with_extras or lock == RUNTIME_LOCK]
    found: dict[str, Pin] = {}
    for lock in locks:
        for pin in read(lock.read_text(encoding="utf-8")):
            other = found.get(pin.requirement, pin)
            either = "" if not (pin.marker and other.marker) else f"({pin.marker}) or ({other.marker})"
            found[pin.requirement] = pin if pin.marker == other.marker else replace(pin, marker=either)
    return [found[requirement] for requirement in sorted(found)]


def read(lock: str) -> Iterator[Pin]:
    """Yield the pins of a lock file's text."""
    for line in re.sub(r"\\\n\s*", " ", lock).splitlines():
        if not line[:1].isalnum():
            continue
        text, *hashes = re.split(r"\s+--hash=", line.strip())
        one = Requirement(text)
        (exactly,) = one.specifier
        marker = str(one.marker) if one.marker is not None else ""
        yield Pin(canonicalize_name(one.name), exactly.version, marker, tuple(hashes))


def pins_of(system: System, python: str, pins: Iterable[Pin]) -> list[Pin]:
    """Return those that are installed on a system under a Python."""
    return [pin for pin in pins if pin.applies(system.environment(python))]


def _project() -> dict[str, Any]:
    product: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return product
