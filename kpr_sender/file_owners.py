"""Whose a file is, as far as anything says so: names of accounts, and mounts that decide owners and modes themselves.

On a Windows drive, a share or FAT every file looks as if one account owned it and everybody could write it, and no
chmod changes that; a network file system may show one account in place of another. Where owners and modes are the
mount's in this way they are no reason to refuse a file: nobody could do anything about it.

Linux tells by ``/proc/self/mountinfo``, Windows by the kind of drive. Elsewhere nothing is known.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kpr_sender.texts import Text

_MOUNTS: Final = Path("/proc/self/mountinfo")
_ACCOUNTS_IN_HERE: Final = Path("/proc/self/uid_map")
_ALL_OF_THEM: Final = "0 0 4294967295"  # user_namespaces(7): the first namespace has every account
_UNMAPPED: Final = 65534  # the same page, overflowuid: what an account of outside is shown as
_OF_OTHER_MACHINES: Final = frozenset(
    {"9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncp"}
    | {"ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs"}
    | {"vmhgfs"}
)
_FUSE: Final = "fuse."  # sshfs, s3fs, gvfs, rclone: whatever it is, it is a program, and fsync is what that makes of it
_WITHOUT_OWNERS: Final = frozenset(
    {"drvfs", "exfat", "fakeowner", "fuse", "fuseblk", "msdos", "ntfs", "ntfs3", "prl_fs", "vfat"}
)
"""Local, but owners and modes are the mount's (WSL's drvfs, Docker Desktop's fakeowner), and inodes last as long."""
_IN_MEMORY: Final = frozenset({"ramfs", "tmpfs"})
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_REMOTE_DRIVE: Final = 4  # DRIVE_REMOTE of GetDriveTypeW


def keeps_owners(path: Path) -> bool:
    """Tell whether owners and modes are the files' own, and not those of a mount."""
    kind = file_system(path)
    return not is_network(kind) and kind not in _WITHOUT_OWNERS


def is_read_only(path: Path) -> bool:
    """Tell whether a file lies on a mount that nobody in here may write to, whatever its owner and mode say."""
    if sys.platform == "win32":
        return False
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def is_handed_in(path: Path) -> bool:
    """Tell whether a file is what a container's or service's manager mounts for it alone: read-only, and in memory.

    Kubernetes and Docker mount secrets in this way, with mode 0644 or 0444 where nothing else is asked for.
    """
    return is_read_only(path) and file_system(path) in _IN_MEMORY


def is_from_outside(uid: int) -> bool:
    """Tell whether an owner's number may stand for any account outside this container: no account in it is meant."""
    if uid != _UNMAPPED:
        return False
    try:
        return " ".join(_ACCOUNTS_IN_HERE.read_text("ascii").split()) != _ALL_OF_THEM
    except OSError:
        return False


def is_network(kind: str) -> bool:
    """Tell whether a file system of this kind is another machine's, or cannot be told from one."""
    return kind in _OF_OTHER_MACHINES or kind.startswith(_FUSE)


def file_system(path: Path) -> str:
    """Return the kind of file system a path lies on, as the system names it; empty where it does not say.

    Args:
        path: A file or folder; it need not exist yet.
    """
    resolved = Path(os.path.realpath(path))
    if sys.platform == "win32":
        return _windows_drive(resolved)
    return kind_in(_mounts(int(time.monotonic())), resolved)


@functools.lru_cache(maxsize=1)
def _mounts(_second: int) -> str:
    """Return what is mounted where, as it was within the same second: a fleet's journals are asked for by hundreds."""
    try:
        return _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def kind_in(mountinfo: str, path: Path) -> str:
    """Return the kind of the file system that holds a path.

    Args:
        mountinfo: What ``/proc/self/mountinfo`` says (proc_pid_mountinfo(5)).
        path: Absolute and resolved.
    """
    deepest, kind, wanted = -1, "", f"{path}/"
    for point, mounted in _points(mountinfo):
        # What is mounted later over the same folder hides what was there before.
        if wanted.startswith(point) and len(point) >= deepest:
            deepest, kind = len(point), mounted
    return kind


@functools.lru_cache(maxsize=1)
def _points(mountinfo: str) -> tuple[tuple[str, str], ...]:
    """Return the mount points, each with a slash at its end and the kind of its file system."""
    found = []
    for line in mountinfo.splitlines():
        mounted, _, described = line.partition(" - ")
        fields = mounted.split(" ")
        if len(fields) > 4:  # noqa: PLR2004 - the fifth field is the mount point
            point = _OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4])
            found.append((point if point.endswith("/") else f"{point}/", described.split(" ")[0]))
    return tuple(found)


def user_name(uid: int) -> str:
    """Return what a user is called here; ``user number 1234`` where there is no name."""
    if sys.platform == "win32":
        return str(uid)
    import pwd  # noqa: PLC0415 - Windows has none

    return _name(lambda: pwd.getpwuid(uid).pw_name) or Text("user number {uid}", uid=uid)


def group_name(gid: int) -> str:
    """Return what a group is called here, in words: ``the group staff``, or ``group number 1234``."""
    if sys.platform == "win32":
        return str(gid)
    import grp  # noqa: PLC0415 - Windows has none

    name = _name(lambda: grp.getgrgid(gid).gr_name)
    return Text("the group {name}", name=name) if name else Text("group number {gid}", gid=gid)


def _name(look_up: Callable[[], str]) -> str:
    try:
        return look_up()
    except KeyError:
        return ""


def _windows_drive(path: Path) -> str:
    if sys.platform != "win32":
        return ""
    import ctypes  # noqa: PLC0415 - here only

    if path.drive.startswith("\\\\"):
        return "smb"
    kind: int = ctypes.windll.kernel32.GetDriveTypeW(path.anchor)
    return "smb" if kind == _REMOTE_DRIVE else ""
