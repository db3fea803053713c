"""Nothing in the repository gives away a machine, a person, a key or somebody else's file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

import pytest

from tests.helpers.repository import ROOT, tracked_files
from tests.helpers.shared import SHARED

# Built from parts, so that this file does not hold what it looks for.
_REGISTRIES: Final = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "deb." + "debian.org",
    "npm" + "js.org",
    "crates" + ".io",
)
_MACHINE_PATH: Final = re.compile(r"(?<![\w.*}])/(?:work|root|home/\w+|Users/\w+)/\w")
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")
_KEY_FILES: Final = {".p12", ".pfx", ".key", ".jks", ".pem", ".der", ".cer", ".crt"}
_ELEVEN_DIGITS: Final = re.compile(r"(?<!\d)\d{11}(?!\d)")
_FIRST_WEIGHTS: Final = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1, 0)
_SECOND_WEIGHTS: Final = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
_FIRST_SYNTHETIC_MONTH: Final = 81
_LAST_SYNTHETIC_MONTH: Final = 92


def _could_be_a_person(digits: str) -> bool:
    """Valid check digits (modulo 11, both), and not Skatteetaten's Tenor range, where 80 is added to the month."""
    synthetic = _FIRST_SYNTHETIC_MONTH <= int(digits[2:4]) <= _LAST_SYNTHETIC_MONTH
    return (
        not synthetic
        and digits != "0" * 11
        and all(
            sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=True)) % 11 == 0
            for weights in (_FIRST_WEIGHTS, _SECOND_WEIGHTS)
        )
    )


def _texts() -> list[tuple[str, str]]:
    return [(str(path.relative_to(ROOT)), path.read_bytes().decode("utf-8", "replace")) for path in tracked_files()]


def _files_with(pattern: re.Pattern[str]) -> list[str]:
    return [name for name, text in _texts() if pattern.search(text)]


def test_no_path_of_a_machine() -> None:
    assert _files_with(_MACHINE_PATH) == []


@pytest.mark.parametrize("host", _REGISTRIES)
def test_no_package_registry_by_name(host: str) -> None:
    assert _files_with(re.compile(re.escape(host))) == []


def test_no_private_key() -> None:
    assert _files_with(_PRIVATE_KEY) == []


def test_no_key_or_certificate_file() -> None:
    assert [str(path) for path in tracked_files() if path.suffix in _KEY_FILES] == []


def test_no_number_that_could_be_a_person() -> None:
    found = [
        name
        for name, text in _texts()
        if not name.endswith(".lock") and any(_could_be_a_person(digits) for digits in _ELEVEN_DIGITS.findall(text))
    ]
    assert found == []


def test_a_number_that_could_be_a_person_is_known_when_met() -> None:
    # Made here and never written down: any nine digits with an ordinary month, and the check digits they ask for.
    found = [f"01010{tail:06d}" for tail in range(20_000) if _could_be_a_person(f"01010{tail:06d}")]
    assert found
    assert not any(_could_be_a_person(f"{number[:2]}8{number[3:]}") for number in found)


def test_no_copy_of_somebody_elses_file() -> None:
    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    ours = set((SHARED / "registries").rglob("*.csv"))  # made by us from facts (PROVENANCE.md there)
    theirs = {digest(path) for path in SHARED.rglob("*") if path.is_file() and path.stat().st_size and path not in ours}
    assert theirs
    assert [str(path) for path in tracked_files() if digest(path) in theirs] == []
