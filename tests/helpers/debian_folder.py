"""Another Debian's files in a folder, and how a process runs in them: without installing anything, root or not.

A mount namespace of the process's own gives it ``/proc``, ``/dev`` and the one folder it shares with the tests. The
mounts vanish with the process, however it ends.
"""

from __future__ import annotations

import functools
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

# As root; then as anybody, where the kernel lets anybody make namespaces.
_WAYS: Final = (
    ("unshare", "--mount", "--propagation", "private"),
    ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"),
)


@functools.cache
def way_in() -> tuple[str, ...] | None:
    """Return the command that gives a process mounts of its own; None where the machine allows none."""
    for way in _WAYS:
        probe = [*way, "sh", "-c", "mount --rbind /dev /dev && chroot / true"]
        try:
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return way
        except OSError:
            return None
    return None


@dataclass(frozen=True)
class DebianFolder:
    """The files of a Debian, unpacked.

    Attributes:
        path: Its root.
        PATH: Where its programs are, for the environment of what runs in it.
    """

    path: Path
    PATH: ClassVar[str] = "/usr/sbin:/usr/bin:/sbin:/bin"

    def command(self, command: tuple[str, ...], *, shared: Path) -> list[str]:
        """Return the command that runs another in here. Its process becomes the other's, so that the pid holds.

        Args:
            command: Program and arguments, as they are called in here.
            shared: An absolute folder that is seen in here under the same name; nothing else of the machine is.
        """
        way = way_in()
        assert way is not None
        root, folder = shlex.quote(str(self.path)), shlex.quote(str(shared))
        top = shlex.quote(shared.parts[1])
        share = [
            f"mkdir -p {root}/{top}",
            f"mount -t tmpfs none {root}/{top}",  # so that nothing of this run is left in the unpacked files
            f"mkdir -p {root}{folder}",
            f"mount --bind {folder} {root}{folder}",
        ]
        script = [
            f"mount --rbind /proc {root}/proc",
            f"mount --rbind /dev {root}/dev",
            *([] if top == "dev" else share),
            f"exec chroot {root} {shlex.join(command)}",
        ]
        return [*way, "sh", "-e", "-c", "\n".join(script)]
