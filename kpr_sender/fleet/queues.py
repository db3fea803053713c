"""What the workers of several machines share: one database, and in it the receipts queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kpr_sender.errors import ConfigInvalid
from kpr_sender.fleet.file import FleetMunicipality
from kpr_sender.messages.transport import queue_name
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text


def queues_of(municipalities: Iterable[FleetMunicipality]) -> Mapping[str, tuple[FleetMunicipality, ...]]:
    """Return those that are looked after together by their receipts queue, as the journals in the database are named.

    One whose configuration is wrong has none: nothing can be done for it.
    """
    found: dict[str, tuple[FleetMunicipality, ...]] = {}
    for one in municipalities:
        if isinstance(one.known, Settings):
            queue = queue_name(one.known.bus.receipts_queue)
            found[queue] = (*found.get(queue, ()), one)
    return found


def database_of(municipalities: Iterable[FleetMunicipality], path: Path) -> JournalSettings:
    """Return the one database that all of them have their journals in.

    Args:
        municipalities: Those that are looked after.
        path: The fleet file.

    Raises:
        ConfigInvalid: One has its journal in a file, or two have theirs in two databases; or none is configured well.
    """
    found = [(one.name, one.known.journal) for one in municipalities if isinstance(one.known, Settings)]
    if not found:
        raise ConfigInvalid(
            Text("The configuration of none of these municipalities is valid."),
            where=str(path),
            next_step=Text("See what is wrong with each: kpr-send fleet status."),
        )
    first, common = found[0]
    for name, journal in found:
        if journal.url is None:
            raise ConfigInvalid(
                Text("The journal of {name} is a file of this machine: workers share a database.", name=name),
                where=f"{path}: journal.url",
                next_step=Text("Name the database for all of them (docs/fleet.md), or run kpr-send fleet send."),
            )
        if journal.url != common.url:
            raise ConfigInvalid(
                Text("{first} and {name} have their journals in two databases.", first=first, name=name),
                where=f"{path}: journal.url",
                next_step=Text("Name one database for all of them, or start a worker for each with --only."),
            )
    return common
