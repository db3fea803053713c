"""Who else may read or write the files that we rely on, by their owners and modes.

Root, and whoever runs this, may do anything anyhow. So may the members of a group that has one of them as its only
member: Debian and Red Hat give each user such a group. In a container, which has accounts and groups without a name, a
group that this process was started with has nobody else in it. Where owners and modes are no file's own, or a mount is
for nobody to write, nothing is refused (``kpr_sender/file_owners.py``): that is said where a person may care. Windows
has neither these modes nor these owners: nothing is said there.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kpr_sender.errors import ConfigInvalid
from kpr_sender.file_owners import (
    file_system,
    group_name,
    is_from_outside,
    is_handed_in,
    is_read_only,
    keeps_owners,
    user_name,
)
from kpr_sender.texts import Text
from kpr_sender.wording import any_of

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
"""Modes of those who are not the owner."""


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
    for place, what, next_step in _open_to_others(path):
        if keeps_owners(place):
            raise ConfigInvalid(Text("{place} {what}.", place=place, what=what), where=where, next_step=next_step)


def unguarded(path: Path) -> str:
    """Say that nothing tells who else may write a file that we rely on, in a sentence; empty where something does."""
    for place, _, _ in _open_to_others(path):
        if not keeps_owners(place):
            folder = place if place.is_dir() else place.parent
            return Text(
                "Who else may write what lies in {folder} is not known: {without_owners}.",
                folder=folder,
                without_owners=_without_owners(place),
            )
    return ""


def exposed(path: Path) -> str:
    """Say who else may read or write a file that holds a secret, in a sentence; empty where nobody may."""
    about = _about(path)
    if about is None or not _is_open(about) or not keeps_owners(path) or is_handed_in(path):
        return ""
    return Text("{open_sentence}: chmod 600 it.", open_sentence=_open_sentence(path, about))


def perhaps_exposed(path: Path) -> str:
    """The same, also where nothing tells or nobody here can change it: worth a warning, and no reason to refuse."""
    about = _about(path)
    if about is None or not _is_open(about):
        return ""
    if not keeps_owners(path):
        return Text(
            "{open_sentence}, as far as is known: {without_owners}.",
            open_sentence=_open_sentence(path, about),
            without_owners=_without_owners(path),
        )
    # Where nobody else is in the container it changes nothing; whoever mounts it can ask for another mode.
    return (
        Text("{open_sentence}: mount it with mode 0400 or 0440.", open_sentence=_open_sentence(path, about))
        if is_handed_in(path)
        else exposed(path)
    )


def too_open(path: Path) -> str:
    """The same, also where nobody but members of our own group may, if the file is ours to close."""
    about = _about(path)
    if about is None or sys.platform == "win32":
        return ""
    wide = about.st_uid == os.geteuid() and about.st_mode & OTHERS
    if wide and not _is_open(about) and keeps_owners(path):
        return Text("{open_sentence}: chmod 600 it.", open_sentence=_open_sentence(path, about))
    return perhaps_exposed(path)


def _open_to_others(path: Path) -> Iterator[tuple[Path, Text, Text]]:
    """Yield file and folders that others may write by owner and mode, with what is wrong and what to do."""
    if sys.platform == "win32":
        return
    links = dict.fromkeys((Path(os.path.abspath(path)), Path(os.path.realpath(path))))  # noqa: PTH100 - keeps a link
    for place in (each for file in links for each in (file, file.parent)):
        about = _about(place)
        if about is None or is_read_only(place):  # as a container's configuration is mounted
            continue
        if about.st_uid not in {0, os.geteuid()} and not is_from_outside(about.st_uid):
            owner, owners = user_name(about.st_uid), dict.fromkeys(("root", user_name(os.geteuid())))
            next_step = Text(
                "Run kpr-send as {owner}, or read it and give it to {owners}: chown.",
                owner=owner,
                owners=any_of(owners),
            )
            yield (
                place,
                Text("belongs to another user ({owner}), who may write anything into it", owner=owner),
                next_step,
            )
        if others := writers(about):
            what = Text(
                "may be written by {others} (mode {s_imode})",
                others=others,
                s_imode=format(stat.S_IMODE(about.st_mode), "04o"),
            )
            elsewhere = Text(", or move the file to a folder of its own") if stat.S_ISDIR(about.st_mode) else ""
            yield (
                place,
                what,
                Text(
                    "Read it, then let only its owner write it: chmod go-w {place}{elsewhere}.",
                    place=place,
                    elsewhere=elsewhere,
                ),
            )


def _about(path: Path) -> os.stat_result | None:
    try:
        return None if sys.platform == "win32" else path.stat()
    except (OSError, ValueError):
        return None


def _is_open(about: os.stat_result) -> bool:
    group = about.st_mode & stat.S_IRWXG and not _is_own_group(about)
    return bool(about.st_mode & stat.S_IRWXO or group)


def _open_sentence(path: Path, about: os.stat_result) -> str:
    return Text(
        "{path} may be read by others than its owner (mode {s_imode})",
        path=path,
        s_imode=format(stat.S_IMODE(about.st_mode), "04o"),
    )


def _without_owners(path: Path) -> str:
    return Text("owners and modes there are those of the mount ({file_system})", file_system=file_system(path))


def writers(about: os.stat_result) -> str:
    """Say who may write a file or folder besides its owner, root and us; empty where nobody may."""
    if about.st_mode & stat.S_IWOTH:
        return "everybody"
    return group_name(about.st_gid) if about.st_mode & stat.S_IWGRP and not _is_own_group(about) else ""


def _is_own_group(about: os.stat_result) -> bool:
    """Whether a file's group has nobody in it but one of root, the file's owner and us."""
    if sys.platform == "win32":
        return False
    import grp  # noqa: PLC0415 - Windows has neither of them
    import pwd  # noqa: PLC0415 - the same

    here = os.geteuid()
    # Only a container starts processes under numbers (docker run --user, runAsUser, fsGroup), and none but ours.
    by_number = about.st_gid in {here, os.getegid(), *os.getgroups()}
    try:
        group = grp.getgrgid(about.st_gid)
    except KeyError:
        return by_number
    for uid in {0, about.st_uid, here}:
        try:
            user = pwd.getpwuid(uid)
        except KeyError:
            if uid == here and by_number:
                return True
            continue
        # Its name must be the user's, too: who else has a group as his first is written nowhere in it.
        if (user.pw_gid, user.pw_name) == (group.gr_gid, group.gr_name) and set(group.gr_mem) <= {user.pw_name}:
            return True
    return False
