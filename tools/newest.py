"""``python -m tools.newest``: the fast tests on the Pythons of Debian 13 and of Debian testing.

Each is unpacked from Debian's packages into a folder (``tests/helpers/debian_packages.py``), with the compiler that
proton needs, and has a virtual environment of its own under ``.cache/newest``, made from the lock as ``.venv`` is. What
cannot be had is one loud line and no failure; a test that fails is one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.helpers.debian_folder import DebianFolder
from tests.helpers.debian_packages import NotToBeHad, unpacked
from tests.helpers.shared import SHARED
from tools.setup.environment import ROOT

PYTHONS: Final[Mapping[str, str]] = {"trixie": "3.13", "forky": "3.14"}
"""Debian's suites, with the version of Python that each has. Testing moves: the version that it has is named."""

_PACKAGES: Final = (
    *("python3", "python3-dev", "python3-venv", "gcc", "libc6-dev"),
    # What the fast tests call.
    *("ca-certificates", "findutils", "git", "make", "mount", "openssl", "procps", "softhsm2", "tzdata", "xmlsec1"),
)
# How pip reaches the package registry, on this machine.
_NETWORK: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs")
_PASSED_ON: Final = ("PIP_", "SSL_", "KPR_", "REQUESTS_", "HTTP_", "HTTPS_", "http_", "https_", "NO_PROXY", "no_proxy")


def main() -> int:
    """Run the fast tests on each; return 0 unless a test or a set-up failed."""
    rows: list[tuple[str, str, float]] = []
    for suite, version in PYTHONS.items():
        began = time.monotonic()
        try:
            debian = unpacked(suite, name="python", packages=_PACKAGES)
        except NotToBeHad as error:
            print(f"NOT TESTED: Python {version}: {error}", flush=True)
            rows.append((f"Python {version}", "NOT TESTED", 0.0))
            continue
        name = _name(debian, version)
        print(f"== {name}", flush=True)
        passed = _run(debian, suite)
        rows.append((name, "passed" if passed else "FAILED", time.monotonic() - began))
    print("\nSummary")
    for name, outcome, seconds in rows:
        print(f"  {name:<60} {outcome:<10} {seconds:6.1f} s")
    return int(any(outcome == "FAILED" for _, outcome, _ in rows))


def _name(debian: DebianFolder, version: str) -> str:
    """Return which Python it is: by its library's folder, without a process."""
    found = sorted(one.name.removeprefix("python") for one in (debian.path / "usr/lib").glob("python3.*"))
    if version in found:
        return f"Python {version}"
    return f"Python {' '.join(found)} in place of {version}: Debian has moved on"


def _run(debian: DebianFolder, suite: str) -> bool:
    """Set up and run the fast tests in a Debian's folder, where this checkout is seen under its own name."""
    venv = ROOT / ".cache" / "newest" / suite
    venv.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    environment |= {"PATH": DebianFolder.PATH, "LANG": "C.UTF-8", "KPR_VENV": str(venv)}
    steps = f"cd {ROOT} && python3 -m tools.setup && exec {venv}/bin/python -m tools.verify fast"
    if (official := _official()) is not None:  # in there nobody finds it by where this checkout was cloned from
        environment["KPR_SHARED"] = str(official)
    with tempfile.TemporaryDirectory(prefix="kpr-newest-") as home:
        environment |= {"HOME": home, "TMPDIR": home}
        command = debian.command(("/bin/sh", "-e", "-c", steps), shared=ROOT, also=[*_also(), Path(home)])
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False).returncode == 0


def _official() -> Path | None:
    found: object = SHARED  # or what skips a test that reaches for it
    return found.resolve() if isinstance(found, Path) else None


def _also() -> list[Path]:
    """Return what else is seen in there: what the tests read beside the checkout, and how to reach the registry."""
    asked = subprocess.run(
        ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    official = _official()
    beside = [Path(asked.stdout.strip() or ROOT), *([] if official is None else [official])]
    outside = [one for one in beside if not one.is_relative_to(ROOT)]
    return [*outside, *(Path(one) for one in _NETWORK if Path(one).exists())]


if __name__ == "__main__":
    sys.exit(main())
