"""Where a journal may lie, and who may use it: on a local disk, and its owner alone.

SQLite's write-ahead log needs memory that all processes share, and locks and fsyncs that hold
(https://sqlite.org/wal.html, https://sqlite.org/howtocorrupt.html). Network file systems promise neither, and a journal
that two machines can reach is a journal that two machines can send from.

One run as another user (``sudo`` once, by hand) would leave marker, receipts, register cache and log as files that the
owner's next run may not read. So what belongs to another user is refused, with the command as that user; root, too,
makes no journal in another user's folder. Windows has no such owners.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from kpr_sender.errors import JournalUnwritable
from kpr_sender.file_owners import file_system, is_from_outside, is_network, keeps_owners, user_name
from kpr_sender.settings.file_access import OTHERS, writers
from kpr_sender.texts import Text

_DOCUMENTS: Final = (".looks.json", ".logins.json", ".acknowledgements.json", ".mailbox.json")
_OF_ONE_JOURNAL: Final = ("", "-wal", "-shm", ".mark", ".lock", *_DOCUMENTS)
_ROOT: Final = 0


def beside(journal: Path, end: str) -> Path:
    """Return the file beside a journal that has its name with an ending; of a link, beside what it leads to."""
    if not os.path.islink(journal):  # noqa: PTH114 - quicker so, and asked for each of a fleet's journals
        return Path(f"{journal}{end}")
    return Path(os.path.realpath(journal) + end)  # resolve() raises at a loop of links; opening says it in words


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
            Text(
                "The journal would lie on a network file system ({kind}), where locks and writes are not safe.",
                kind=kind,
            ),
            where=str(journal),
            next_step=Text(
                "Put it on a local disk (journal.path). If you know that this one is safe and that no other "
                "machine uses the journal, set journal.allow_network = true."
            ),
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
    if (owner in {None, here} and not others) or not keeps_owners(journal):
        return
    if others and (owner == here or (folder is not None and folder.st_uid == here)):
        whose, named = user_name(owners[others[0]]), shlex.join(others)
        raise JournalUnwritable(
            Text("{name} belongs to {whose}: a run as {whose} made it.", name=Path(others[0]).name, whose=whose),
            where=str(journal),
            next_step=Text(
                "Give it to the user whose journal this is: sudo chown {here} {named}", here=here, named=named
            ),
        )
    uid = owners[others[0]] if owner is None else owner
    whose = user_name(uid)
    account = f"'#{uid}'" if " " in whose else shlex.quote(whose)
    raise JournalUnwritable(
        Text(
            "The journal is {whose}'s, and this is {user}: what it writes, {whose}'s next run could not use.",
            whose=whose,
            user=user_name(here),
        )
        if resolved in owners
        else Text(
            "The journal folder is {whose}'s, and this is {user}: what it writes, {whose}'s next run could not use.",
            whose=whose,
            user=user_name(here),
        ),
        where=str(journal),
        next_step=Text(
            "Run the same command as that user: sudo -H -u {account} kpr-send ... Nothing was done.", account=account
        ),
    )


def require_private_folder(journal: Path) -> None:
    """Refuse a folder in which others may put another file in place of the journal or its mark.

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
        if about is None or not (who := _writers(about)) or not keeps_owners(Path(folder)):
            continue
        mode = stat.S_IMODE(about.st_mode)
        raise JournalUnwritable(
            Text(
                "{who} may write in the journal's folder (mode {mode}), and put another journal there.",
                who=who,
                mode=format(mode, "04o"),
            ),
            where=folder,
            next_step=Text(
                "Look whether all in it is yours, then let only its owner write there: chmod go-w {quote}. Where "
                "that cannot be, name a new folder within it in journal.path.",
                quote=shlex.quote(folder),
            ),
        )


def stable_inode(path: Path) -> int | None:
    """Return the inode of a file, where its file system lets it keep it; None else."""
    return path.stat().st_ino or None if keeps_owners(path) else None


def narrow(journal: Path) -> None:
    """Let nobody but its owner read a journal or write its mark any more: receipts in it may name persons.

    A backup may widen rights, and so does Kubernetes with an ``fsGroup``, each time. Promise G6. Raises ``OSError``
    where the files are not ours to close.
    """
    resolved = os.path.realpath(journal)
    for file in (resolved, f"{resolved}-wal", f"{resolved}-shm", f"{resolved}.mark"):
        about = _about(file)
        if sys.platform == "win32" or about is None or not stat.S_ISREG(about.st_mode):
            continue
        if about.st_mode & OTHERS and keeps_owners(Path(file)):
            with suppress(FileNotFoundError):
                os.chmod(file, 0o600)  # noqa: PTH101 - of its text


def _writers(about: os.stat_result) -> str:
    """Say who else may write in a folder; empty where nobody may. Another user's is that user's, too, where we may."""
    if sys.platform == "win32":
        return ""
    who, owner = writers(about), about.st_uid
    if not who and about.st_mode & stat.S_IWGRP and owner not in {_ROOT, os.geteuid()} and not is_from_outside(owner):
        who = user_name(owner)
    return f"{who[:1].upper()}{who[1:]}"


def _about(path: Path | str) -> os.stat_result | None:
    try:
        return os.lstat(path)  # of a text at times, and quicker so
    except OSError:
        return None  # whoever opens it says what is wrong
