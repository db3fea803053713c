"""Who else may read or write the files that we rely on, by their owners and modes.

Root, and whoever runs this, may do anything anyhow. So may the members of a group that has one of them as its only
member: Debian and Red Hat give each user such a group. Windows has neither these modes nor these owners: nothing is
said there.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from kpr_sender.errors import ConfigInvalid


def require_trusted(path: Path, *, where: str) -> None:
    """Refuse a file that another user owns or may write, or may put another one in place of.

    Its folder decides, too; of a symbolic link both its own and the file's. What is not there is not refused: whoever
    opens it says so.

    Args:
        path: The file.
        where: Which configuration and key names it, for messages.

    Raises:
        ConfigInvalid: Names the file or folder, what is wrong with it, and what to do.
    """
    if sys.platform == "win32":
        return
    links = dict.fromkeys((Path(os.path.abspath(path)), Path(os.path.realpath(path))))  # noqa: PTH100 - keeps a link
    for place in (each for file in links for each in (file, file.parent)):
        try:
            about = place.stat()
        except OSError:
            continue
        if about.st_uid not in {0, os.geteuid()}:
            owner, owners = user_name(about.st_uid), dict.fromkeys(("root", user_name(os.geteuid())))
            raise ConfigInvalid(
                f"{place} belongs to another user ({owner}), who may write anything into it.",
                where=where,
                next_step=f"Run kpr-send as {owner}, or read it and give it to {' or '.join(owners)}: chown.",
            )
        # In a container a configuration lies on a mount that nobody may write to, whatever its mode says.
        if (writers := _writers(about)) and not os.statvfs(place).f_flag & os.ST_RDONLY:
            raise ConfigInvalid(
                f"{place} may be written by {writers} (mode {stat.S_IMODE(about.st_mode):04o}).",
                where=where,
                next_step=f"Read it, then let only its owner write it: chmod go-w {place}",
            )


def exposed(path: Path) -> str:
    """Say who else may read or write a file that holds a secret, in a sentence; empty where nobody may."""
    about = _about(path)
    if about is None:
        return ""
    everybody, group = about.st_mode & stat.S_IRWXO, about.st_mode & stat.S_IRWXG
    if everybody or (group and not _is_own_group(about)):
        return _open_sentence(path, about)
    return ""


def too_open(path: Path) -> str:
    """The same, also where nobody but members of our own group may, if the file is ours to close."""
    about = _about(path)
    if about is None or sys.platform == "win32":
        return ""
    wide = about.st_uid == os.geteuid() and about.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    return _open_sentence(path, about) if wide else exposed(path)


def _about(path: Path) -> os.stat_result | None:
    try:
        return None if sys.platform == "win32" else path.stat()
    except OSError:
        return None


def _open_sentence(path: Path, about: os.stat_result) -> str:
    mode = stat.S_IMODE(about.st_mode)
    return f"{path} may be read by others than its owner (mode {mode:04o}): chmod 600 it."


def _writers(about: os.stat_result) -> str:
    if about.st_mode & stat.S_IWOTH:
        return "everybody"
    if about.st_mode & stat.S_IWGRP and not _is_own_group(about):
        return f"the group {_group(about.st_gid)}"
    return ""


def _is_own_group(about: os.stat_result) -> bool:
    """Whether a file's group has its owner, or us, as its only member."""
    if sys.platform == "win32":
        return False
    import grp  # noqa: PLC0415 - Windows has neither of them
    import pwd  # noqa: PLC0415 - the same

    for uid in {about.st_uid, os.geteuid()}:
        try:
            user, group = pwd.getpwuid(uid), grp.getgrgid(about.st_gid)
        except KeyError:
            continue
        # Its name must be the user's, too: who else has a group as his first is written nowhere in it.
        if (user.pw_gid, user.pw_name) == (group.gr_gid, group.gr_name) and set(group.gr_mem) <= {user.pw_name}:
            return True
    return False


def user_name(uid: int) -> str:
    """Return what a user is called here; ``uid 1234`` where there is no name."""
    if sys.platform == "win32":
        return str(uid)
    import pwd  # noqa: PLC0415 - Windows has none

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _group(gid: int) -> str:
    if sys.platform == "win32":
        return str(gid)
    import grp  # noqa: PLC0415 - Windows has none

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"
