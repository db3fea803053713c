"""What an archive holds beside the wheels, and how it is written: the same files give the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from packaging.utils import parse_wheel_filename

from tools.offline.pins import LINUX, PYTHONS, Pin, System, pins_of

_HERE: Final = Path(__file__).parent
_PRODUCT: Final = "kpr-sender"
_OLDEST_GLIBC: Final = (2, 17)  # of manylinux2014, the oldest that Python's own builds are made for
_ALL: Final = "requirements-all.txt"
_CORE: Final = "requirements.txt"
_MODES: Final = {True: 0o755, False: 0o644}
_HOW: Final = {
    LINUX.name: "  tar xzf @FOLDER@.tar.gz\n  sudo sh @FOLDER@/install.sh",
    "": "  Expand-Archive @FOLDER@.zip .\n  powershell -ExecutionPolicy Bypass -File @FOLDER@\\install.ps1",
}


def floor(wheels: Iterable[Path]) -> str:
    """Return the oldest glibc that every wheel of Linux runs on, as ``2.28``; 2.17 for pure Python."""
    return ".".join(map(str, max([_OLDEST_GLIBC, *map(_glibc, wheels)])))


def _glibc(wheel: Path) -> tuple[int, int]:
    legacy = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
    oldest = []
    for tag in parse_wheel_filename(wheel.name)[3]:
        if tag.platform == "any":
            return _OLDEST_GLIBC
        named = re.match(r"manylinux_(\d+)_(\d+)_", tag.platform)
        oldest.append((int(named[1]), int(named[2])) if named else legacy[tag.platform.partition("_")[0]])
    return min(oldest)


def contents(
    system: System, version: str, wheels: Sequence[Path], locked: Mapping[bool, Sequence[Pin]]
) -> dict[str, bytes]:
    """Return an archive's files by name.

    Args:
        system: Whom it is for.
        version: The product's.
        wheels: The product's, those of what it needs, and pip's.
        locked: What the locks pin: with all extras (True), and without any (False).

    Raises:
        LookupError: A wheel is missing for one of the Pythons.
    """
    folder = f"{_PRODUCT}-{version}-{system.name}"
    digests = {wheel.name: hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels}
    glibc = floor(wheels) if system is LINUX else ""
    known = {
        "HOW": _HOW.get(system.name, _HOW[""]),
        "FOLDER": folder,
        "VERSION": version,
        "PYTHONS": " ".join(PYTHONS),
        "GLIBC": glibc,
        "REQUIREMENTS": _ALL,
        "SYSTEM": f"Linux x86-64, glibc {glibc}+." if glibc else "Windows, 64 bit.",
    }
    files = {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in wheels}
    files[_ALL] = requirements(system, version, digests, locked[True]).encode()
    files[_CORE] = requirements(system, version, digests, locked[False]).encode()
    files["LESMEG.txt"] = _filled("LESMEG.txt", known).encode()
    files["LICENSE"] = (_HERE.parents[1] / "LICENSE").read_bytes()
    if system is LINUX:
        files["install.sh"] = _filled("install.sh", known).encode()
    else:
        # Windows PowerShell reads a script without the mark in the machine's old code page.
        files["install.ps1"] = _filled("install.ps1", known).replace("\n", "\r\n").encode("utf-8-sig")
    sums = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return files | {"SHA256SUMS": sums.encode()}


def _filled(name: str, known: Mapping[str, str]) -> str:
    text = (_HERE / name).read_text(encoding="utf-8")
    for _ in range(2):  # what is filled in may name something, too
        text = re.sub(r"@([A-Z]+)@", lambda found: known[found[1]], text)
    return text


def requirements(system: System, version: str, digests: Mapping[str, str], pins: Sequence[Pin]) -> str:
    """Return what pip installs: each pin with the digests of its wheels in the archive, and the product.

    Raises:
        LookupError: A wheel is missing for one of the Pythons.
    """
    by_pin: dict[tuple[str, str], list[str]] = {}
    for name, digest in sorted(digests.items()):
        package, of, _, _ = parse_wheel_filename(name)
        by_pin.setdefault((package, str(of)), []).append(digest)
    wanted = {pin: None for python in PYTHONS for pin in pins_of(system, python, pins)}
    lines = []
    for pin in [Pin(_PRODUCT, version, "", ()), *wanted]:
        found = by_pin.get((pin.name, pin.version))
        if found is None:
            message = f"no wheel of {pin.requirement} for {system.name}"
            raise LookupError(message)
        marker = f" ; {pin.marker}" if pin.marker else ""
        lines.append(" \\\n    ".join([pin.requirement + marker, *(f"--hash=sha256:{one}" for one in found)]) + "\n")
    return "".join(lines)


def write(files: Mapping[str, bytes], folder: Path, name: str, *, epoch: int) -> Path:
    """Write an archive: of type zip where there is an install.ps1 in it, else tar.gz. Return its path.

    Args:
        files: By their names in it.
        folder: Where it goes.
        name: Its own name without ending, and of the one folder in it.
        epoch: What its files' times are: seconds since 1970.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if "install.ps1" in files:
        target = folder / f"{name}.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
            for each in sorted(files):
                entry = zipfile.ZipInfo(f"{name}/{each}", time.gmtime(epoch)[:6])
                entry.compress_type = zipfile.ZIP_STORED if each.endswith(".whl") else zipfile.ZIP_DEFLATED
                zipped.writestr(entry, files[each])
        return target
    target = folder / f"{name}.tar.gz"
    with (
        target.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, epoch) as packed,
        tarfile.open(None, "w", packed, format=tarfile.PAX_FORMAT) as tar,
    ):
        for each in sorted(files):
            member = tarfile.TarInfo(f"{name}/{each}")
            member.size, member.mtime, member.mode = len(files[each]), epoch, _MODES[each == "install.sh"]
            tar.addfile(member, io.BytesIO(files[each]))
    return target
