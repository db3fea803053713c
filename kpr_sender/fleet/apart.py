"""What two municipalities of a fleet must not have in common.

One key or one queue for two would let one open, or take away, what is the other's. Bydeler of one kommune may share
them: a receipt on their queue is stored for whichever it names, which takes one journal.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpr_sender.errors import ConfigInvalid
from kpr_sender.messages.transport import queue_name
from kpr_sender.regular_file import read_regular
from kpr_sender.settings.secrets import KeySource
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

_LARGEST_KEY: Final = 65_536
"""Bytes; what is larger is no key's file, and is told apart by its place alone."""


@dataclass(frozen=True, slots=True)
class OwnThing:
    """One thing that each municipality has for itself.

    Attributes:
        key: The configuration's key that names it.
        of: Yields what a municipality has of it.
        shared_by_bydeler: Whether bydeler of one kommune may have the same.
    """

    key: str
    of: Callable[[Settings], Iterator[Hashable]]
    shared_by_bydeler: bool


def _queues(settings: Settings) -> Iterator[Hashable]:
    for queue in (settings.bus.receipts_queue, settings.bus.error_queue):
        if queue:
            yield (
                settings.bus.host.lower(),
                settings.bus.port if settings.sandbox is None else settings.sandbox.dir,
                queue_name(queue),
            )
    if settings.journal.url is not None:
        yield settings.journal.url, queue_name(settings.bus.receipts_queue)  # it names the journal, whatever the bus


def _keys(settings: Settings) -> Iterator[Hashable]:
    yield from {_place(source) for source in _sources(settings)}


def _sources(settings: Settings) -> Iterator[KeySource]:
    yield settings.keys.signing
    yield from settings.keys.decryption


def _place(source: KeySource) -> Hashable:
    named = (source.key_label, source.key_id)
    if source.token is not None:
        return (source.token.module, source.token.token_label, source.token.slot, *named)
    return (source.key_file and _same(source.key_file), *named)


@dataclass(frozen=True, slots=True)
class _KeyFile:
    """A file with a municipality's key, and which of its keys is meant."""

    holder: str
    path: Path
    named: Hashable

    def content(self) -> Hashable:
        """Return what a copy of it has in common with it; None where it cannot be read."""
        try:
            return hashlib.sha256(read_regular(self.path, most=_LARGEST_KEY)).digest(), self.named
        except OSError:
            return None


def _key_files(found: Mapping[str, Settings]) -> Iterator[list[_KeyFile]]:
    """Yield those of one size that several municipalities have: no other can be copies, so that few are read."""
    sized: defaultdict[int, list[_KeyFile]] = defaultdict(list)
    for name, settings in found.items():
        for source in _sources(settings):
            if (path := source.key_file) is None:
                continue
            with suppress(OSError):
                size = os.stat(path).st_size  # noqa: PTH116 - of a fleet's thousands
                if 0 < size <= _LARGEST_KEY:
                    sized[size].append(_KeyFile(name, path, (source.key_label, source.key_id)))
    yield from (files for files in sized.values() if len({one.holder for one in files}) > 1)


def _journal(settings: Settings) -> Iterator[Hashable]:
    yield _same(settings.journal.path)


def _mailbox(settings: Settings) -> Iterator[Hashable]:
    if settings.edi is not None and settings.edi.mailbox is not None:
        yield str(settings.edi.mailbox), settings.edi.mailbox_user or settings.edi.user


def _drop(settings: Settings) -> Iterator[Hashable]:
    if settings.files.drop is not None:
        yield _same(settings.files.drop)


def _inbox(settings: Settings) -> Iterator[Hashable]:
    if settings.bus.receipts_inbox is not None:
        yield _same(settings.bus.receipts_inbox)


def _metrics(settings: Settings) -> Iterator[Hashable]:
    if settings.monitor.metrics_file is not None:
        yield _same(settings.monitor.metrics_file)


def _same(path: Path) -> Hashable:
    """Return what two paths have in common that lead to one file: by one look at it, where it is there."""
    try:
        about = os.stat(path)  # noqa: PTH116 - of a fleet's thousands
    except OSError:
        return os.path.realpath(path)
    return (about.st_dev, about.st_ino) if about.st_ino else os.path.realpath(path)


_KEYS: Final = OwnThing("keys", _keys, shared_by_bydeler=True)
OWN_THINGS: Final = (
    OwnThing("bus.receipts_queue", _queues, shared_by_bydeler=True),
    _KEYS,
    OwnThing("journal.path", _journal, shared_by_bydeler=True),
    OwnThing("bus.receipts_inbox", _inbox, shared_by_bydeler=True),
    OwnThing("edi.mailbox", _mailbox, shared_by_bydeler=True),
    OwnThing("files.drop", _drop, shared_by_bydeler=False),
    OwnThing("monitor.metrics_file", _metrics, shared_by_bydeler=False),
)


def require_apart(path: Path, found: Mapping[str, Settings]) -> None:
    """Refuse municipalities that share what each must have for itself.

    Args:
        path: The fleet file, for the message.
        found: Their configurations, by name.

    Raises:
        ConfigInvalid: Names both, and the key.
    """
    for thing in OWN_THINGS:
        holders: dict[Hashable, str] = {}
        for name, settings in found.items():
            for one in set(thing.of(settings)):
                other = holders.setdefault(one, name)
                if other != name:
                    _require_shareable(path, thing, thing.key, (other, found[other]), (name, settings))
    for files in _key_files(found):
        _require_no_copies(path, found, files)


def _require_no_copies(path: Path, found: Mapping[str, Settings], files: Iterable[_KeyFile]) -> None:
    first: dict[Hashable, _KeyFile] = {}
    for one in files:
        if (content := one.content()) is None:
            continue
        other = first.setdefault(content, one)
        if other.holder != one.holder:
            shown = Text("{key} ({path} is a copy of {other})", key=_KEYS.key, path=one.path, other=other.path)
            holders = ((file.holder, found[file.holder]) for file in (other, one))
            _require_shareable(path, _KEYS, shown, *holders)


def _require_shareable(
    path: Path, thing: OwnThing, shown: str, one: tuple[str, Settings], other: tuple[str, Settings]
) -> None:
    same_kommune = one[1].sender.kommunenummer == other[1].sender.kommunenummer
    where = f"{path}: {thing.key}"
    if not (thing.shared_by_bydeler and same_kommune):
        raise ConfigInvalid(
            Text("{one} and {other} have the same {thing}.", one=one[0], other=other[0], thing=shown),
            where=where,
            next_step=Text("Give each its own; only bydeler of one municipality may share queues, keys and journal."),
        )
    databases = {settings.journal.url for _, settings in (one, other)}
    if len(databases) > 1 or (None in databases and _same(one[1].journal.path) != _same(other[1].journal.path)):
        raise ConfigInvalid(
            Text(
                "{one} and {other} share {thing}, and have two journals: a receipt would be stored in the wrong one.",
                one=one[0],
                other=other[0],
                thing=shown,
            ),
            where=where,
            next_step=Text("Name the same journal.path for both, or the same journal.url."),
        )
