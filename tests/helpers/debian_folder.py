"""Another Debian's files in a folder, and how a process runs in them: without installing anything, root or not.

A mount namespace of the process's own gives it ``/proc``, ``/dev`` and the one folder it shares with the tests. The
mounts vanish with the process, however it ends.
"""

from __future__ import annotations

import functools
import shlex
import subprocess
from collections.abc import Sequence
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

    def command(self, command: tuple[str, ...], *, shared: Path, also: Sequence[Path] = ()) -> list[str]:
        """Return the command that runs another in here. Its process becomes the other's, so that the pid holds.

        Args:
            command: Program and arguments, as they are called in here.
            shared: An absolute folder that is seen in here under the same name; nothing else of the machine is.
            also: More of them, none inside another; and files and folders of ``/etc``.
        """
        way = way_in()
        assert way is not None
        root = shlex.quote(str(self.path))
        script = [f"mount --rbind /proc {root}/proc", f"mount --rbind /dev {root}/dev"]
        everything = [one for one in (shared, *also) if one.parts[1] != "dev"]
        for top in dict.fromkeys(shlex.quote(one.parts[1]) for one in everything if one.parts[1] != "etc"):
            script.append(f"mkdir -p {root}/{top}")
            script.append(
                f"mount -t tmpfs none {root}/{top}"
            )  # so that nothing of this run is left in the unpacked files
        for one in everything:
            place, made = shlex.quote(str(one)), "mkdir -p" if one.is_dir() else "touch"
            script.append(f"{made} {root}{place}")
            script.append(f"mount --bind {place} {root}{place}")
        script.append(f"exec chroot {root} {shlex.join(command)}")
        return [*way, "sh", "-e", "-c", "\n".join(script)]
