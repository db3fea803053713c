"""Proton's wheel for Linux, of which the registry has none.

Zig's compiler, which comes as a wheel itself, builds one for an older glibc than the machine's, and for CPython's
stable interface (abi3): one serves every Python. It finds nothing of OpenSSL, so proton has no TLS of its own and needs
no library but the C library: kpr-sender's TLS is Python's.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.isolated import environment
from tools.offline.pins import PYTHONS, Pin
from tools.setup.environment import BUILD_LOCK, OFFLINE_LOCK

NAME: Final = "python-qpid-proton"
GLIBC: Final = "2.28"
"""The oldest that it is built for: that of RHEL 8 and Debian 10, and the oldest of cryptography's wheels."""

_ABI3: Final = f"--py-limited-api=cp{PYTHONS[0].replace('.', '')}"
_FLAGS: Final = "-O2 -g0 -fstack-protector-strong -D_FORTIFY_SOURCE=2"


def wheel(pin: Pin, cache: Path) -> Path:
    """Return proton's wheel for Linux, built now where it is not yet: half a minute.

    Args:
        pin: Its version, and the hashes of its source.
        cache: Where it is kept, for as long as neither the tools nor this file change.

    Raises:
        subprocess.CalledProcessError: pip, the compiler or auditwheel failed; it has said why.
    """
    tools = environment("offline", BUILD_LOCK, OFFLINE_LOCK)
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    folder = cache / f"proton-{pin.version}-{tools.name}-{recipe}"
    if not folder.exists():
        print(f"Building {pin.requirement} for glibc {GLIBC}", flush=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            _build(pin, tools / "bin", Path(scratch))
            (Path(scratch) / "repaired").rename(folder)
    (built,) = folder.glob("*.whl")
    return built


def _build(pin: Pin, tools: Path, scratch: Path) -> None:
    """Leave the wheel in the folder ``repaired``: named for the oldest glibc that auditwheel finds it to run on."""
    compiler = scratch / "cc"
    compiler.write_text(f'#!/bin/sh\nexec {tools}/python -m ziglang cc -target x86_64-linux-gnu.{GLIBC} "$@"\n')
    compiler.chmod(0o755)
    requirement = scratch / "requirement.txt"
    requirement.write_text(f'{pin.line()} --config-settings="--build-option={_ABI3}"\n', encoding="ascii")
    variables = {
        "CC": str(compiler),
        "LDSHARED": f"{compiler} -shared -Wl,-z,relro -Wl,-z,now",
        "CFLAGS": _FLAGS,
        # An empty search path hides every library from pkg-config: no OpenSSL, no Cyrus SASL.
        "PKG_CONFIG_LIBDIR": str(scratch),
        "PKG_CONFIG_PATH": str(scratch),
        "PIP_NO_CACHE_DIR": "1",
        "ZIG_GLOBAL_CACHE_DIR": str(scratch / "zig"),
        "SOURCE_DATE_EPOCH": "1577836800",  # the same bytes each time, whatever the commit
    }
    _run(
        [
            *(str(tools / "python"), "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"),
            *("--no-binary", NAME, "--require-hashes", "-r", str(requirement), "-w", str(scratch / "built")),
        ],
        variables,
    )
    (built,) = (scratch / "built").glob("*.whl")
    platform = f"manylinux_{GLIBC.replace('.', '_')}_x86_64"
    asked = ("repair", "--plat", platform, "--only-plat", "-w", str(scratch / "repaired"), str(built))
    _run([str(tools / "auditwheel"), *asked], {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"})


def _run(command: Sequence[str], variables: dict[str, str]) -> None:
    """Run quietly; what it said is shown where it failed."""
    ran = subprocess.run(
        command,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ran.returncode:
        print(ran.stdout, file=sys.stderr)
        ran.check_returncode()
