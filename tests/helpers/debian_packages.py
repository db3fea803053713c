"""Programs of another Debian than the machine's, in a folder: RabbitMQ 4.0 and 4.3, Python 3.13 and 3.14.

``python -m tests.helpers.debian_packages`` prints the folders of RabbitMQ.

The packages come from the archive that the machine's own apt is set up for, checked with Debian's keys, into a folder
that is kept for every later run and every clone (``~/.cache/kpr-sender-tests``). Nothing is installed, no package's
script runs, and no rights are needed. The first time takes half a minute.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.helpers.debian_folder import DebianFolder, way_in

# Debian's suites that have them: 13, and testing, which moves.
RABBITMQ_4_0: Final = "trixie"
RABBITMQ_4_3: Final = "forky"
RABBITMQ: Final = ("rabbitmq-server",)
KEYS: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Debian takes these for granted, so no package names them as what it depends on.
_ALWAYS_THERE: Final = ("base-files", "dash", "bash", "coreutils", "sed", "grep")
# Layout of the folder: a change here makes a new one.
_EDITION: Final = 1


class NotToBeHad(Exception):
    """Another Debian's programs cannot be had on this machine. The text says why, in one line."""


def cache() -> Path:
    """Return the folder that every clone of this user shares."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kpr-sender-tests"


def folder_of(suite: str, name: str = "rabbitmq", within: Path | None = None) -> Path:
    """Return where ``unpacked`` puts a suite's packages, or has put them."""
    return (within or cache()) / f"{name}-{suite}-{platform.machine()}-{_EDITION}"


def unpacked(
    suite: str = RABBITMQ_4_0, within: Path | None = None, *, name: str = "rabbitmq", packages: Sequence[str] = RABBITMQ
) -> DebianFolder:
    """Return the folder with a suite's packages, made now where there is none yet.

    Args:
        suite: Debian's name for it.
        within: Where such folders are kept.
        name: What the folder is for.
        packages: What is in it, with all that they depend on.

    Raises:
        NotToBeHad: The archive cannot be reached, or the machine lets nobody run a process in a folder of its own.
    """
    if way_in() is None:
        raise NotToBeHad("this machine allows neither root nor user namespaces")
    within = within or cache()
    made = folder_of(suite, name, within)
    within.mkdir(parents=True, exist_ok=True)
    with (within / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            for broken_off in within.glob("making-*"):
                shutil.rmtree(broken_off)
            with tempfile.TemporaryDirectory(dir=within, prefix="making-") as unfinished:
                root = Path(unfinished) / "root"
                _unpack(_fetch(suite, packages, Path(unfinished)), root)
                root.rename(made)
    return DebianFolder(made)


def archives() -> list[str]:
    """Return the addresses that this machine's apt takes its own release from, Debian's own before others'."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    listed = _run("apt-get", "indextargets", "--format", "$(ORIGIN)|$(RELEASE)|$(REPO_URI)", "Created-By: Packages")
    rows = [line.split("|") for line in listed.splitlines()]
    found = [(origin != "Debian", address) for origin, suite, address in rows if suite == release]
    return [address for _, address in sorted(set(found))]


def _fetch(suite: str, packages: Sequence[str], folder: Path) -> list[Path]:
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise NotToBeHad(f"no {program} here")
    if not KEYS.exists():
        raise NotToBeHad(f"no {KEYS}: apt-get install debian-archive-keyring")
    why = "this machine's apt names no archive"
    for address in archives():
        try:
            return _fetch_from(address, suite, packages, folder)
        except NotToBeHad as error:
            why = str(error)
    raise NotToBeHad(why)


def _fetch_from(address: str, suite: str, packages: Sequence[str], folder: Path) -> list[Path]:
    """Let apt work out and fetch what the packages need on a machine that has nothing yet."""
    lists, archive, sources, status = (folder / name for name in ("state", "archive", "sources.list", "status"))
    (lists / "lists/partial").mkdir(parents=True, exist_ok=True)
    (archive / "archives/partial").mkdir(parents=True, exist_ok=True)
    sources.write_text(f"deb [signed-by={KEYS}] {address} {suite} main\n")
    status.touch()
    options = {
        "Dir::State": lists,
        "Dir::State::status": status,
        "Dir::Cache": archive,
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Sandbox::User": "",
        "APT::Install-Recommends": "false",
        "APT::Update::Error-Mode": "any",  # apt-get update otherwise calls an archive out of reach a warning
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "20",  # seconds
        "Acquire::https::Timeout": "20",
    }
    apt = ["apt-get", "-qq", *(part for key, value in options.items() for part in ("-o", f"{key}={value}"))]
    _run(*apt, "update")
    _run(*apt, "--yes", "--download-only", "install", *packages, *_ALWAYS_THERE)
    return sorted((archive / "archives").glob("*.deb"))


def _unpack(packages: Iterable[Path], root: Path) -> None:
    root.mkdir()
    # base-files first: it makes /bin and /lib the links into /usr that all others count on.
    for package in sorted(packages, key=lambda one: not one.name.startswith("base-files_")):
        _run("dpkg-deb", "--extract", str(package), str(root))
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    # base-passwd's own script makes it, and no script runs.
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
    )
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")


def _run(*command: str) -> str:
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    if ran.returncode:
        said = (ran.stderr.strip() or ran.stdout.strip() or f"exit code {ran.returncode}").splitlines()[-1]
        raise NotToBeHad(f"{command[0]}: {said}")
    return ran.stdout


if __name__ == "__main__":
    try:
        for one in (RABBITMQ_4_0, RABBITMQ_4_3):
            sys.stdout.write(f"{unpacked(one).path}\n")
    except NotToBeHad as error:
        sys.exit(f"NOT TESTED: RabbitMQ 4: {error}")
