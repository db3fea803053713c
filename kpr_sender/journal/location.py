"""Where a journal may lie: on a local disk.

SQLite's write-ahead log needs memory that all processes share, and locks and fsyncs that hold
(https://sqlite.org/wal.html, https://sqlite.org/howtocorrupt.html). Network file systems promise neither, and a journal
that two machines can reach is a journal that two machines can send from.

Linux tells by ``/proc/self/mountinfo``, Windows by the kind of drive. Elsewhere nothing is known, and nothing refused.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from kpr_sender.errors import JournalUnwritable

_MOUNTS: Final = Path("/proc/self/mountinfo")
_OF_OTHER_MACHINES: Final = frozenset(
    {"9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncp"}
    | {"ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs"}
    | {"vmhgfs"}
)
_FUSE: Final = "fuse."  # sshfs, s3fs, gvfs, rclone: whatever it is, it is a program, and fsync is what that makes of it
_FORGETFUL: Final = frozenset({"exfat", "fuseblk", "msdos", "ntfs", "vfat"})
"""Local, but a file may have another inode after the next mount."""
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_REMOTE_DRIVE: Final = 4  # DRIVE_REMOTE of GetDriveTypeW


def require_local(journal: Path) -> None:
    """Refuse a journal on a network file system.

    Args:
        journal: Its path; it need not exist yet.

    Raises:
        JournalUnwritable: It would lie there: names the kind.
    """
    kind = file_system(journal)
    if is_network(kind):
        raise JournalUnwritable(
            f"The journal would lie on a network file system ({kind}), where locks and writes are not safe.",
            where=str(journal),
            next_step="Put it on a local disk (journal.path). If you know that this one is safe and that no other "
            "machine uses the journal, set journal.allow_network = true.",
        )


def is_network(kind: str) -> bool:
    """Tell whether a file system of this kind is another machine's, or cannot be told from one."""
    return kind in _OF_OTHER_MACHINES or kind.startswith(_FUSE)


def file_system(path: Path) -> str:
    """Return the kind of file system a path lies on, as the system names it; empty where it does not say.

    Args:
        path: A file or folder; it need not exist yet.
    """
    resolved = path.resolve()
    if sys.platform == "win32":
        return _windows_drive(resolved)
    try:
        text = _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
    return kind_in(text, resolved)


def kind_in(mountinfo: str, path: Path) -> str:
    """Return the kind of the file system that holds a path.

    Args:
        mountinfo: What ``/proc/self/mountinfo`` says (proc_pid_mountinfo(5)).
        path: Absolute and resolved.
    """
    deepest, kind = -1, ""
    for line in mountinfo.splitlines():
        mounted, _, file_system_part = line.partition(" - ")
        fields, described = mounted.split(" "), file_system_part.split(" ")
        if len(fields) <= 4:  # noqa: PLR2004 - the fifth field is the mount point
            continue
        point = Path(_OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4]))
        # What is mounted later over the same folder hides what was there before.
        if path.is_relative_to(point) and len(point.parts) >= deepest:
            deepest, kind = len(point.parts), described[0]
    return kind


def stable_inode(path: Path) -> int | None:
    """Return the inode of a file, where its file system lets it keep it; None else."""
    kind = file_system(path)
    if is_network(kind) or kind in _FORGETFUL:
        return None
    return path.stat().st_ino or None


def _windows_drive(path: Path) -> str:
    if sys.platform != "win32":
        return ""
    import ctypes  # noqa: PLC0415 - here only

    if path.drive.startswith("\\\\"):
        return "smb"
    kind: int = ctypes.windll.kernel32.GetDriveTypeW(path.anchor)
    return "smb" if kind == _REMOTE_DRIVE else ""
