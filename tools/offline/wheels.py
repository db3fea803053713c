"""The wheels of an archive: fetched from the registry against the lock's hashes, and proton's built here for Linux."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packaging.utils import parse_wheel_filename

from tools.offline import proton
from tools.offline.pins import LINUX, PYTHONS, Pin, System, locked, pins_of, read
from tools.setup.environment import OFFLINE_LOCK, ROOT

CACHE: Final = ROOT / ".cache" / "offline"


def collect(system: System) -> list[Path]:
    """Return the wheels of everything that is installed with the product on a system, for all its Pythons."""
    found: dict[str, Path] = {}
    everything = locked(with_extras=True)
    for python in PYTHONS:
        pins = pins_of(system, python, everything)
        if system is LINUX:
            (source,) = (pin for pin in pins if pin.name == proton.NAME)
            pins.remove(source)
            built = proton.wheel(source, CACHE)
            found[built.name] = built
        found |= {wheel.name: wheel for wheel in _fetched(system, python, pins)}
    pip = installer()
    return [*(found[name] for name in sorted(found)), pip]


def installer() -> Path:
    """Return pip's own wheel, which runs as it is: a bare Python need not have pip."""
    (pin,) = (pin for pin in read(OFFLINE_LOCK.read_text(encoding="utf-8")) if pin.name == "pip")
    (wheel,) = _fetched(LINUX, PYTHONS[0], [pin])
    return wheel


def _fetched(system: System, python: str, pins: Sequence[Pin]) -> list[Path]:
    """Return the wheels of pins, from an earlier run's where they are valid still."""
    folder = CACHE / system.name / python
    folder.mkdir(parents=True, exist_ok=True)
    missing = [pin for pin in pins if _wheel_of(pin, folder) is None]
    if missing:
        print(f"Fetching {len(missing)} wheels for {system.name}, Python {python}", flush=True)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.writelines(pin.line() + "\n" for pin in missing)
            requirements.flush()
            subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--no-deps"),
                    *("--only-binary", ":all:", "--require-hashes", "-r", requirements.name, "-d", str(folder)),
                    *("--implementation", "cp", "--python-version", python),
                    *(part for platform in system.platforms for part in ("--platform", platform)),
                ],
                check=True,
            )
    wheels = [_wheel_of(pin, folder) for pin in pins]
    return [wheel for wheel in wheels if wheel is not None]


def _wheel_of(pin: Pin, folder: Path) -> Path | None:
    for wheel in folder.glob("*.whl"):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        if (name, str(version)) == (pin.name, pin.version) and f"sha256:{digest(wheel)}" in pin.hashes:
            return wheel
    return None


def digest(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
