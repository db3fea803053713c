"""What the machine must have before pip can work, and what only the tests want: Debian's packages."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_POLICY: Final = Path("/usr/sbin/policy-rc.d")
_DO_NOT_START: Final = "#!/bin/sh\n# For one apt-get run of kpr-sender's set-up: start no service.\nexit 101\n"
_APT: Final = "apt-get install --no-install-recommends"

# Only tests use these: program looked for, package that has it, what goes untested without it.
_WANTED: Final = (
    ("openssl", "openssl", "sealing and opening against openssl cms"),
    ("rabbitmq-server", "rabbitmq-server", "the bus against a real RabbitMQ"),
    ("pg_createcluster", "postgresql", "the journal in a real PostgreSQL"),
    ("postfix", "postfix", "EDI's mail against a real Postfix"),
    ("/usr/lib/dovecot/pop3", "dovecot-pop3d", "EDI's mailbox over POP3 in a real Dovecot"),
    ("/usr/lib/dovecot/imap", "dovecot-imapd", "EDI's mailbox over IMAP in a real Dovecot"),
    ("pgbouncer", "pgbouncer", "the journal behind a pooler"),
    ("systemd-analyze", "systemd", "the units of kpr-send schedule, as systemd reads them"),
    ("softhsm2-util", "softhsm2", "keys in hardware, against a token in software"),
    ("xmlsec1", "xmlsec1", "XML signatures against xmlsec1"),
    ("promtool", "prometheus", "alert rules and metrics, by Prometheus' own check"),
    ("chromium", "chromium", "pages in a browser"),
    ("zsh", "zsh", "what kpr-send completion writes, in a real zsh"),
    ("fish", "fish", "the same in a real fish"),
    ("spin", "spin", "the model of lease, bus and person, at night"),
)


class Missing(Exception):
    """Something set-up cannot do without, and may not install. The text says what to do."""


def require() -> None:
    """See to a C compiler, Python's headers and venv, for the Python that runs this.

    python-qpid-proton has no Linux wheel: it is compiled here. Neither pkg-config nor OpenSSL's headers are needed,
    because TLS is Python's own ``ssl``.

    Raises:
        Missing: With the names of the packages, where they may not be installed from here.
    """
    lacking = _lacking()
    if lacking and _may_install():
        _install(lacking)
        lacking = _lacking()
    if lacking:
        raise Missing(_please_install(lacking))


def want(*only: str) -> None:
    """See to what only the tests use, where that can be done; else say loudly what goes untested.

    Args:
        only: These packages; all where none is named.
    """
    wanted = [one for one in _WANTED if not only or one[1] in only]
    missing = [package for program, package, _ in wanted if not _found(program)]
    if missing and _may_install() and not _install(missing):
        for package in missing:  # one that is not to be had keeps the others away
            _install([package])
    for program, package, purpose in wanted:
        if not _found(program):
            print(f"NOT TESTED: {purpose}. As root: {_APT} {package}", file=sys.stderr)


def _lacking() -> list[str]:
    """Return the Debian packages still needed, in the names that fit the running Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    needs = (
        ("gcc", shutil.which(compiler) is not None),
        ("libc6-dev", Path("/usr/include/stdio.h").exists()),
        (f"python{version}-dev", headers.exists()),
        (f"python{version}-venv", importlib.util.find_spec("ensurepip") is not None),
    )
    return [package for package, there in needs if not there]


def _please_install(packages: Sequence[str]) -> str:
    names = " ".join(packages)
    lines = [
        f"Set-up needs these Debian packages and cannot install them from here: {names}",
        f"As root: apt-get update && {_APT} {names}",
        "Then run the same command again.",
    ]
    if Path(sys.base_prefix) != Path("/usr"):
        # Debian's headers fit Debian's Python only.
        lines.append(f"{sys.executable} is not Debian's Python: build it with headers and ensurepip,")
        lines.append("or take Debian's: make PYTHON=/usr/bin/python3")
    return "\n".join(lines)


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _found(program: str) -> bool:
    """Servers lie in /usr/sbin, which is not on everybody's PATH."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _install(packages: Sequence[str]) -> bool:
    """Try to install Debian packages, without a question asked and without a service started; apt-get says why not."""
    print(f"Installing with apt-get: {' '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    quiet = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    with _no_service_started():
        # The lists of a fresh image are empty or old; a mirror that fails shows in the next step, too.
        subprocess.run([*quiet, "update"], env=environment, check=False, stdin=subprocess.DEVNULL)
        installed = subprocess.run(
            [*quiet, "install", "-y", "--no-install-recommends", *packages],
            env=environment,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    return installed.returncode == 0


@contextlib.contextmanager
def _no_service_started() -> Iterator[None]:
    """Debian starts a server as soon as it is installed, unless policy-rc.d says no. An existing policy stands."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text(_DO_NOT_START, encoding="ascii")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
