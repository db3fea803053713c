"""Where a journal may lie, and who may use it: on a local disk, and its owner alone.

SQLite's write-ahead log needs memory that all processes share, and locks and fsyncs that hold
(https://sqlite.org/wal.html, https://sqlite.org/howtocorrupt.html). Network file systems promise neither, and a journal
that two machines can reach is a journal that two machines can send from.

Linux tells by ``/proc/self/mountinfo``, Windows by the kind of drive. Elsewhere nothing is known, and nothing refused.

One run as another user (``sudo`` once, by hand) would leave marker, receipts, register cache and log as files that the
owner's next run may not read. So what belongs to another user is refused, with the command as that user; root, too,
makes no journal in another user's folder. Windows has no such owners.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
from pathlib import Path
from typing import Final

from kpr_sender.errors import JournalUnwritable
from kpr_sender.settings.file_access import user_name

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
_OF_ONE_JOURNAL: Final = ("", "-wal", "-shm", ".mark", ".lock", ".looks.json", ".logins.json")
_ROOT: Final = 0


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


def require_own_journal(journal: Path) -> None:
    """Refuse a journal, or a file that goes with it, that another user owns; one that root would make for another, too.

    Args:
        journal: Its path; it need not exist yet.

    Raises:
        JournalUnwritable: Names whose it is, and the command as that user.
    """
    if sys.platform == "win32":
        return
    resolved, here = os.path.realpath(journal), os.geteuid()
    files = [resolved + end for end in _OF_ONE_JOURNAL]
    owners = {file: about.st_uid for file in files if (about := _about(file)) is not None}
    folder = next((about for each in Path(resolved).parents if (about := _about(each)) is not None), None)
    owner = owners.get(resolved)
    if owner is None and here == _ROOT and folder is not None and not owners:
        owner = folder.st_uid  # whoever has the folder is to have the journal
    others = [file for file, uid in owners.items() if uid != here]
    if (owner in {None, here} and not others) or not _keeps_owners(journal):
        return
    if others and (owner == here or (folder is not None and folder.st_uid == here)):
        whose, named = user_name(owners[others[0]]), shlex.join(others)
        raise JournalUnwritable(
            f"{Path(others[0]).name} belongs to {whose}: a run as {whose} made it.",
            where=str(journal),
            next_step=f"Give it to the user whose journal this is: sudo chown {here} {named}",
        )
    uid = owners[others[0]] if owner is None else owner
    whose = user_name(uid)
    account = f"'#{uid}'" if " " in whose else shlex.quote(whose)
    raise JournalUnwritable(
        f"The journal{'' if resolved in owners else ' folder'} is {whose}'s, and this is {user_name(here)}: what it "
        f"writes, {whose}'s next run could not use.",
        where=str(journal),
        next_step=f"Run the same command as that user: sudo -H -u {account} kpr-send ... Nothing was done.",
    )


def require_private_folder(journal: Path) -> None:
    """Refuse a folder in which everybody may put another file in place of the journal or its mark.

    Args:
        journal: Its path; neither it nor its folder need exist yet.

    Raises:
        JournalUnwritable: Names the folder.
    """
    if sys.platform == "win32":
        return
    real = (os.path.realpath(journal.parent), os.path.dirname(os.path.realpath(journal)))  # noqa: PTH120 - of its text
    for folder in dict.fromkeys(real):  # where a link leads to, and where the journal is
        about = _about(folder)
        if about is not None and about.st_mode & stat.S_IWOTH and _keeps_owners(Path(folder)):
            raise JournalUnwritable(
                f"Everybody may write in the journal's folder (mode {stat.S_IMODE(about.st_mode):04o}), and put "
                "another journal there.",
                where=folder,
                next_step="Look whether all in it is yours, then let only its owner write there: chmod go-w "
                f"{shlex.quote(folder)}",
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
    deepest, kind, wanted = -1, "", f"{path}/"
    for line in mountinfo.splitlines():
        mounted, _, file_system_part = line.partition(" - ")
        fields, described = mounted.split(" "), file_system_part.split(" ")
        if len(fields) <= 4:  # noqa: PLR2004 - the fifth field is the mount point
            continue
        point = fields[4]
        if "\\" in point:
            point = _OCTAL.sub(lambda code: chr(int(code[1], 8)), point)
        # What is mounted later over the same folder hides what was there before. Texts: a journal is opened often.
        if wanted.startswith(point if point.endswith("/") else f"{point}/") and len(point) >= deepest:
            deepest, kind = len(point), described[0]
    return kind


def stable_inode(path: Path) -> int | None:
    """Return the inode of a file, where its file system lets it keep it; None else."""
    return path.stat().st_ino or None if _keeps_owners(path) else None


def _about(path: Path | str) -> os.stat_result | None:
    try:
        return os.lstat(path)  # of a text at times, and quicker so
    except OSError:
        return None  # whoever opens it says what is wrong


def _keeps_owners(path: Path) -> bool:
    """Tell whether owners and modes are the files' own, and not those of a mount."""
    kind = file_system(path)
    return not is_network(kind) and kind not in _FORGETFUL


def _windows_drive(path: Path) -> str:
    if sys.platform != "win32":
        return ""
    import ctypes  # noqa: PLC0415 - here only

    if path.drive.startswith("\\\\"):
        return "smb"
    kind: int = ctypes.windll.kernel32.GetDriveTypeW(path.anchor)
    return "smb" if kind == _REMOTE_DRIVE else ""
