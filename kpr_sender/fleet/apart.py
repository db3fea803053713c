"""What two municipalities of a fleet must not have in common.

One key or one queue for two would let one open, or take away, what is the other's. Bydeler of one kommune may share
them: a receipt on their queue is stored for whichever it names, which takes one journal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpr_sender.errors import ConfigInvalid
from kpr_sender.messages.transport import queue_name
from kpr_sender.settings.secrets import KeySource
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text


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
    yield from {_place(source) for source in (settings.keys.signing, *settings.keys.decryption)}


def _place(source: KeySource) -> Hashable:
    named = (source.key_label, source.key_id)
    if source.token is not None:
        return (source.token.module, source.token.token_label, source.token.slot, *named)
    file = source.pkcs12 or source.key_pem
    return (file and _same(file), *named)


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


OWN_THINGS: Final = (
    OwnThing("bus.receipts_queue", _queues, shared_by_bydeler=True),
    OwnThing("keys", _keys, shared_by_bydeler=True),
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
                    _require_shareable(path, thing, (other, found[other]), (name, settings))


def _require_shareable(path: Path, thing: OwnThing, one: tuple[str, Settings], other: tuple[str, Settings]) -> None:
    same_kommune = one[1].sender.kommunenummer == other[1].sender.kommunenummer
    where = f"{path}: {thing.key}"
    if not (thing.shared_by_bydeler and same_kommune):
        raise ConfigInvalid(
            Text("{one} and {other} have the same {thing}.", one=one[0], other=other[0], thing=thing.key),
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
                thing=thing.key,
            ),
            where=where,
            next_step=Text("Name the same journal.path for both, or the same journal.url."),
        )
