"""A python-qpid-proton built as on a machine without OpenSSL's headers: its own TLS is a stub that raises nothing.

Users get such a build without a word wherever OpenSSL's headers are missing, so the tests run the bus on one, too.
Set-up makes it beside the first one, on the core that is idle then.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from tools.setup import environment

CACHE: Final = environment.ROOT / ".cache"


def folder() -> Path:
    """Return the folder to put on PYTHONPATH, one for each locked version and Python."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return CACHE / "proton-tlsless" / f"{environment.locked(environment.COMPILED)[0]}-{tag}"


def build() -> Path:
    """Build it into ``folder()`` unless it is there, or another process does; takes a quarter of a minute.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    target = folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        work = Path(scratch)
        requirement = work / "requirement.txt"
        requirement.write_text(environment.locked(environment.COMPILED)[1], encoding="utf-8")
        # An empty search path hides every library from pkg-config. No cache: pip's must not hand out a build with TLS,
        # nor keep this one.
        hidden = {"PKG_CONFIG_LIBDIR": scratch, "PKG_CONFIG_PATH": scratch, "PIP_NO_CACHE_DIR": "1"}
        hidden["CFLAGS"] = "-O0"  # it runs one connection: optimizing it takes longer than that
        arguments = ["--no-deps", "--no-build-isolation", "--no-binary", environment.COMPILED, "--require-hashes"]
        environment.pip("wheel", *arguments, "-r", str(requirement), "-w", scratch, **hidden)
        (wheel,) = work.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(work / "unpacked")
        shutil.move(work / "unpacked", target)
    return target
