"""The drop folder: the EPJ lays both files there, and a pair is taken when nobody can be writing it any more.

The rules:

1. Only regular files whose names end with ``.xml``, through no link; hidden ones never. The root element says which
   is which. Where ``drop_waits_for_klar`` is set, a file named ``klar`` must lie beside them.
2. Both complete (each ends with its root's end tag), and unchanged between two looks of ours 30 seconds apart. A look
   is remembered in the folder: the next run's is the second one.
3. Taken by renaming, at once, while the journal is locked; every later step is a rename within the folder. What was
   interrupted halfway is put back. Never is a file deleted, written to, or put over another.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from kpr_sender import profiles
from kpr_sender.durable import free_in, sync_folder, write_file
from kpr_sender.errors import ConfigInvalid, InputMissing, InputRefused
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.splice import splice
from kpr_sender.model import Environment, MessageType
from kpr_sender.outbound.payload_file import last_bytes, read_chunks
from kpr_sender.regular_file import read_regular
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

TAKEN: Final = "taken"
SENT: Final = "sent"
REFUSED: Final = "refused"
WAITING: Final = "waiting"
APART_SECONDS: Final = 30.0
"""Between the two looks."""

_KEY: Final = "files.drop"
_KLAR: Final = "klar"
_LOOK: Final = ".kpr-sender-look.json"
_SCHEMA: Final = 1
_HEAD_BYTES: Final = 1 << 16
_TAIL_BYTES: Final = 1 << 13
_MOST_FILES: Final = 200
_MOST_LOOK_BYTES: Final = 1 << 20
_NAME_DIGITS: Final = 8
_TRAILING: Final = rb"\s*(?:(?:<!--(?:(?!--).)*-->|<\?.*?\?>)\s*)*\Z"
_MAKE_IT: Final = Text("Make it, or name the folder that the EPJ lays the files in.")
_OPEN_IT: Final = Text("Let the user that runs kpr-send read, write and enter it; nothing was moved.")


@dataclass(frozen=True, slots=True)
class DroppedFile:
    """A file as a look found it; equal to itself as long as it is unchanged."""

    name: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class DroppedPair:
    """A pair in a folder of its own, within the drop folder.

    Attributes:
        folder: Where both files lie now.
        files: By type.
    """

    folder: Path
    files: dict[MessageType, Path]

    @property
    def name(self) -> str:
        """What it is called: its folder's name."""
        return self.folder.name


@dataclass(frozen=True, slots=True)
class DropLook:
    """What a look found.

    Attributes:
        names: Of both files by type, where a pair may be taken as soon as it is certain to be unchanged.
        files: All that was looked at.
        why_not: Why there is no pair to be taken; empty where there is one.
        steady_for: How long what lies there has been unchanged, in seconds.
    """

    names: dict[MessageType, str]
    files: tuple[DroppedFile, ...]
    why_not: Text | None
    steady_for: float

    @property
    def unready(self) -> Text | None:
        """Why nothing can be taken now, be it that the second look is still off; None where a pair can."""
        if self.why_not is None and self.left:
            return Text("the files have changed less than 30 seconds ago")
        return self.why_not

    @property
    def left(self) -> float:
        """How many seconds the second look is still off; 0 where it may be taken now."""
        return max(0.0, APART_SECONDS - self.steady_for)


@dataclass(frozen=True, slots=True)
class DropFolder:
    """One municipality's drop folder; made by ``of``."""

    path: Path
    settings: Settings

    @classmethod
    def of(cls, settings: Settings) -> DropFolder | None:
        """Return the configured drop folder; None where none is configured.

        Raises:
            ConfigInvalid: It is not there, is not ours to use, or stands beside files that are named.
        """
        path = settings.files.drop
        if path is None:
            return None
        where = f"{settings.origin}: {_KEY}"
        if settings.files.fagmelding is not None or settings.files.identmelding is not None:
            raise ConfigInvalid(
                Text("Expected either the drop folder or the two files, not both."),
                where=where,
                next_step=Text("Remove files.fagmelding and files.identmelding, or files.drop."),
            )
        _require_ours(path, settings.environment, where)
        return cls(path, settings)

    def look(self, now: datetime) -> DropLook:
        """Look at what lies there, and remember it for the next look.

        Raises:
            InputRefused: Several files may be the same half of the pair: nobody can tell which is meant.
            InputMissing: The folder or a file of it cannot be read.
        """
        files = tuple(sorted(self._files(), key=lambda file: file.name))
        if not files:
            return DropLook({}, files, Text("no pair lies in {folder}", folder=self.path), 0.0)
        steady = self._remember(files, now)
        names, incomplete = dict[MessageType, str](), None
        for file in files:
            if file.name == _KLAR:
                continue
            path = self.path / file.name
            root = _root_of(path)
            kind = self._kind_of(root)
            if kind is None or not _is_complete(path, root):
                incomplete = incomplete or Text("{file} is not complete, or no file for FHI", file=file.name)
                continue
            if kind in names:
                raise InputRefused(
                    Text(
                        "Two files are the {norwegian}: {one} and {other}.",
                        norwegian=kind.norwegian,
                        one=names[kind],
                        other=file.name,
                    ),
                    where=str(self.path),
                    next_step=Text("Move away the one that is not to be sent; nothing was taken."),
                )
            names[kind] = file.name
        missing = [kind for kind in MessageType if kind not in names]
        why_not: Text | None = None
        if missing:
            why_not = incomplete or Text("the {norwegian} is not there yet", norwegian=missing[0].norwegian)
        elif self.settings.files.drop_waits_for_klar and not any(file.name == _KLAR for file in files):
            why_not = Text("there is no file named klar yet")
        return DropLook(names, files, why_not, steady)

    def take(self, look: DropLook) -> DroppedPair | None:
        """Move a pair that a second look found unchanged into ``taken``; None where it has changed since.

        The journal must be locked.

        Raises:
            InputMissing: Nothing can be moved within the folder.
        """
        if (
            look.why_not is not None
            or look.left
            or tuple(sorted(self._files(), key=lambda one: one.name)) != look.files
        ):
            return None
        digest = hashlib.sha256()
        for kind in MessageType:
            for chunk in read_chunks(self.path / look.names[kind]):
                digest.update(chunk)
        stamp = (
            datetime.fromtimestamp(max(file.mtime_ns for file in look.files) / 1e9)
            .astimezone()
            .strftime("%Y%m%d-%H%M%S")
        )
        folder = self._new_folder(TAKEN, f"{stamp}-{digest.hexdigest()[:_NAME_DIGITS]}")
        wanted = [*look.names.values(), *(file.name for file in look.files if file.name == _KLAR)]
        for name in wanted:
            _rename(self.path / name, folder / name)
        sync_folder(folder)
        sync_folder(self.path)
        return DroppedPair(folder, {kind: folder / name for kind, name in look.names.items()})

    def pairs(self, where: str) -> tuple[DroppedPair, ...]:
        """Return the pairs in ``taken``, ``waiting``, ``refused`` or ``sent``, the oldest first."""
        return tuple(pair for folder in self._folders(where) if (pair := self._pair(folder)) is not None)

    def newest(self, now: datetime) -> dict[MessageType, Path]:
        """Return the pair that would be sent next, where it lies; for a check, which moves nothing.

        Raises:
            InputMissing: There is none, or it cannot be read.
            InputRefused: Two files are the same half of the pair.
        """
        look = self.look(now)
        if set(look.names) == set(MessageType):
            return {kind: self.path / name for kind, name in look.names.items()}
        for where in (TAKEN, WAITING):
            if pairs := self.pairs(where):
                return pairs[-1].files
        raise InputMissing(
            Text("There is nothing to check: {why_not}.", why_not=look.why_not),
            where=str(self.path),
            next_step=Text("Let the EPJ lay both files there."),
        )

    def glance(self, now: datetime) -> None:
        """Remember what lies there now, so that the next look may be the second one; nothing is opened.

        Raises:
            InputMissing: The folder cannot be read or written.
        """
        if files := tuple(sorted(self._files(), key=lambda file: file.name)):
            self._remember(files, now)

    @property
    def is_busy(self) -> bool:
        """Whether something is taken, complete or not."""
        return bool(self._folders(TAKEN))

    def recover(self) -> None:
        """Put back what was taken halfway: that run ended in between. The journal must be locked.

        Raises:
            InputMissing: Nothing can be moved within the folder.
        """
        for folder in self._folders(TAKEN):
            if self._pair(folder) is not None:
                continue
            with _movable(folder):
                names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
            if any(os.path.lexists(self.path / name) for name in names):
                self.move(DroppedPair(folder, {}), REFUSED)  # the EPJ has laid others in their place
                continue
            for name in names:
                _rename(folder / name, self.path / name)
            with suppress(OSError):
                folder.rmdir()

    def move(self, pair: DroppedPair, where: str) -> DroppedPair:
        """Move a pair to another of the folders, over no other; return it as it lies there.

        Raises:
            InputMissing: It cannot be moved.
        """
        parent = self._own(where)
        target = free_in(parent, pair.name)
        _rename(pair.folder, target)
        sync_folder(parent)
        return DroppedPair(target, {kind: target / path.name for kind, path in pair.files.items()})

    def _folders(self, where: str) -> list[Path]:
        try:
            with os.scandir(self.path / where) as entries:
                found = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _unusable(self.path / where, error) from None
        return [Path(path) for path in sorted(found)]

    def _pair(self, folder: Path) -> DroppedPair | None:
        files = dict[MessageType, Path]()
        with _movable(folder):
            names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))
        for name in names:
            if _may_be_one(name) and (kind := self._kind_of(_root_of(folder / name))) is not None:
                files.setdefault(kind, folder / name)
        return DroppedPair(folder, files) if len(files) == len(MessageType) else None

    def _files(self) -> Iterator[DroppedFile]:
        """Yield what may be of a pair."""
        try:
            with os.scandir(self.path) as entries:
                named = (entry for entry in entries if entry.name == _KLAR or _may_be_one(entry.name))
                for entry in itertools.islice(named, _MOST_FILES):
                    if entry.is_file(follow_symlinks=False):
                        about = entry.stat(follow_symlinks=False)
                        yield DroppedFile(entry.name, about.st_size, about.st_mtime_ns, about.st_ino)
        except FileNotFoundError:
            return  # one of them has just been moved
        except OSError as error:
            raise _unusable(self.path, error) from None

    def _kind_of(self, root: str | None) -> MessageType | None:
        """Return which of the two a file is, by the name of its root element; None where it is neither."""
        formats = profiles.load(self.settings.report.year).formats
        return next((kind for kind, known in formats.items() if root in {one.root for one in known}), None)

    def _remember(self, files: tuple[DroppedFile, ...], now: datetime) -> float:
        """Return how long the files have been as they are, in seconds, by the looks that are remembered."""
        at, found = now.timestamp(), [[file.name, file.size, file.mtime_ns, file.inode] for file in files]
        path = self.path / _LOOK
        try:
            before = json.loads(read_regular(path, most=_MOST_LOOK_BYTES))
            if before["schema"] == _SCHEMA and before["files"] == found and before["since"] <= at:
                return float(at - before["since"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing is remembered, or nothing that can be read: this is the first look
        try:
            content = json.dumps({"schema": _SCHEMA, "since": at, "files": found})
            write_file(path, content.encode("utf-8", "surrogateescape"), synced=False)
        except OSError as error:
            raise _unusable(self.path, error) from None
        return 0.0

    def _new_folder(self, where: str, name: str) -> Path:
        parent = self._own(where)
        folder = free_in(parent, name)
        with _movable(folder):
            folder.mkdir(mode=0o700)
        return folder

    def _own(self, where: str) -> Path:
        """Return one of our folders in it, made where missing."""
        folder = self.path / where
        with _movable(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            if not stat.S_ISDIR(folder.lstat().st_mode):
                raise NotADirectoryError(0, Text("it is no folder"))
        return folder


def newest_waiting(folder: Path) -> str:
    """Return the folder of the newest pair that waits for a person, by its name alone; empty where none does."""
    try:
        return max((str(path) for path in (folder / WAITING).iterdir() if not path.name.startswith(".")), default="")
    except OSError:
        return ""


def _root_of(path: Path) -> str | None:
    """Return the local name of a file's root element; None where its beginning has none."""
    from kpr_sender.preflight.header import Refusal  # noqa: PLC0415 - lxml, where there is a file to look at
    from kpr_sender.preflight.reader import Reader  # noqa: PLC0415 - the same

    head = b""
    try:
        for chunk in splice(read_chunks(path)):
            head += chunk
            if len(head) >= _HEAD_BYTES:
                break
        return Reader([head]).root().name
    except (MessageRefused, Refusal):
        return None


def _is_complete(path: Path, root: str | None) -> bool:
    """Tell whether a file ends with its root's end tag; nothing of it is read but its end."""
    name = re.escape((root or "").encode())
    ends = re.compile(rb"(?:</(?:[^\s:<>]+:)?%b\s*>|/>)%b" % (name, _TRAILING), re.DOTALL)
    # In UTF-16 a tag's letters have a zero byte each; in every other encoding that is taken they are ASCII's.
    return ends.search(last_bytes(path, _TAIL_BYTES).replace(b"\0", b"")) is not None


def _may_be_one(name: str) -> bool:
    return name.lower().endswith(".xml") and not name.startswith(".")


def _require_ours(path: Path, environment: Environment, where: str) -> None:
    """Refuse a folder that is not there, that this user may not use, or into which everybody may put files."""
    try:
        about = path.stat()
    except OSError as error:
        raise ConfigInvalid(
            Text("The drop folder {folder} cannot be used: {reason}.", folder=path, reason=error.strerror),
            where=where,
            next_step=_MAKE_IT,
        ) from None
    if not stat.S_ISDIR(about.st_mode):
        raise ConfigInvalid(Text("{folder} is no folder.", folder=path), where=where, next_step=_MAKE_IT)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigInvalid(
            Text("The drop folder {folder} is not ours: files cannot be moved in it.", folder=path),
            where=where,
            next_step=_OPEN_IT,
        )
    if os.name == "posix" and about.st_mode & stat.S_IWOTH and environment is not Environment.LOKAL:
        raise ConfigInvalid(
            Text("Everybody may put files into the drop folder {folder}.", folder=path),
            where=where,
            next_step=Text("Let only the EPJ and kpr-send write there: chmod o-w {folder}", folder=path),
        )


@contextmanager
def _movable(path: Path) -> Iterator[None]:
    """Turn what the system says of a folder into our error."""
    try:
        yield
    except OSError as error:
        raise _unusable(path, error) from None


def _rename(before: Path, after: Path) -> None:
    with _movable(before):
        before.rename(after)


def _unusable(path: Path, error: OSError) -> InputMissing:
    return InputMissing(
        Text("The drop folder cannot be used: {reason}.", reason=error.strerror or type(error).__name__),
        where=f"{_KEY}: {path}",
        next_step=_OPEN_IT,
    )
