"""A municipality in a folder, as a vendor's test has it: its files, its journal, and what FHI's side received."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Unpack

from kpr_sender.app import Parts
from kpr_sender.client import Client
from kpr_sender.journal import witness
from kpr_sender.model import Environment, Party, Transport
from kpr_sender.registry.port import AddressRegistry
from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.ledger import Ledger, LedgerLine
from kpr_sender.sandbox.registered import EKSEMPEL
from kpr_sender.sandbox.sample import DEFAULT_KOMMUNENUMMER, write_pair
from kpr_sender.settings.sample_file import RECEIVER_QUEUE, sandbox_defaults
from kpr_sender.settings.values import Settings

_PERSONS: Final = 3
_YEAR: Final = 2024
"""The first whose values FHI's letter confirms."""
NO_PORT: Final = 1
"""A configuration names one; nothing connects to it."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class FakeMunicipality(ABC):
    """What a municipality has, whichever way it sends. May be used from several threads, by one client at a time.

    Args:
        folder: Made where missing: keys, what is on its way, journal, the two synthetic files. A journal that is there
            goes on.
        municipality: Who sends.
        kommunenummer: Theirs, four digits.
        year: The reporting year of the two files.
        persons: How many made-up persons are in them.
        now: The clock of FHI and of the keys; aware.

    Attributes:
        fagmelding: The KPR_IPL file.
        identmelding: The KPR_IDE file.
        registry: What a client is handed as its address registry.

    Raises:
        OSError: The folder cannot be written.
    """

    fagmelding: Path
    identmelding: Path
    registry: AddressRegistry
    _transport: Transport

    def __init__(
        self,
        folder: Path,
        *,
        municipality: Party = EKSEMPEL,
        kommunenummer: str = DEFAULT_KOMMUNENUMMER,
        year: int = _YEAR,
        persons: int = _PERSONS,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._folder = folder.absolute()
        self._municipality, self._kommunenummer, self._year = municipality, kommunenummer, year
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._ledger = Ledger(self._folder)
        if not self._ledger.path.exists():  # as for a sandbox that is new: paths come again, and nothing else does
            witness.free(self._journal)
        self._begin(now)
        self.fagmelding, self.identmelding = self._folder / "fagmelding.xml", self._folder / "identmelding.xml"
        if not self.fagmelding.exists():
            self.new_extract(persons=persons, lopenr=1)

    @abstractmethod
    def _begin(self, now: Callable[[], datetime]) -> None:
        """Make FHI's side, and ``registry``."""

    @property
    def _journal(self) -> Path:
        return self._folder / "journal.db"

    @property
    def document(self) -> dict[str, Any]:
        """The configuration as a dictionary, new each time: for a program that makes its own ``Settings`` of one."""
        pki, sections = self._folder / "pki", sandbox_defaults(self._folder, transport=self._transport)
        keys = {"signing": sections["keys.signing"], "decryption": [sections["keys.decryption"]]}
        party = {name: value for name, value in dataclasses.asdict(self._municipality).items() if value is not None}
        return {
            "environment": Environment.LOKAL.value,
            "files": {"fagmelding": str(self.fagmelding), "identmelding": str(self.identmelding)},
            "report": {"year": self._year},
            "sender": {**party, "kommunenummer": self._kommunenummer},
            "receiver": {
                "encryption_certificate": str(pki / "fhi-encryption.pem"),
                "signing_certificates": [str(pki / "fhi-signing.pem")],
                "queue": RECEIVER_QUEUE,
            },
            "keys": keys,
            "journal": {"path": str(self._journal)},
            **self._way(sections),
        }

    @abstractmethod
    def _way(self, sections: dict[str, dict[str, object]]) -> dict[str, Any]:
        """Return the keys of the configuration that say how it is sent."""

    @property
    def settings(self) -> Settings:
        """The configuration, for environment ``lokal``."""
        return Settings.from_dict(self.document, Environment.LOKAL, folder=self._folder, name="lokal.toml")

    @property
    @abstractmethod
    def parts(self) -> Parts:
        """What a ``Client`` is to use in place of sockets: ``Client(settings, **fake.parts)``."""

    def client(self, **parts: Unpack[Parts]) -> Client:
        """Return a new client, as a run of its own would have it; close it before the next one.

        Args:
            **parts: More of them, or others than ``parts`` has.
        """
        together: Parts = {**self.parts, **parts}
        return Client(self.settings, **together)

    @property
    @abstractmethod
    def _now_wrong(self) -> Faults: ...

    @property
    def faults(self) -> tuple[str, ...]:
        """What goes wrong now, as ``set_faults`` takes it."""
        return tuple(map(str, self._now_wrong.active))

    @abstractmethod
    def set_faults(self, *faults: str) -> None:
        """Let go wrong from now on what is named, and nothing else; none for nothing. What they held back is sent.

        Args:
            *faults: ``NAME[:TYPE][=VALUE]`` as in docs/sandbox.md, for example ``reject:KPR_IDE`` or ``no-answer``.

        Raises:
            UsageError: There is no such fault this way.
        """

    @property
    @abstractmethod
    def reachable(self) -> bool:
        """Whether what it sends to can be reached; False lets each attempt end with ``BusUnreachable``."""

    @reachable.setter
    @abstractmethod
    def reachable(self, reachable: bool) -> None: ...

    @property
    def received(self) -> tuple[LedgerLine, ...]:
        """Every message that FHI's side received, whatever became of it: duplicates are counted here."""
        return self._ledger.lines()

    def new_extract(self, *, lopenr: int = 2, persons: int = _PERSONS) -> tuple[Path, Path]:
        """Write both files anew with other made-up persons, as an EPJ would for a corrected delivery.

        Args:
            lopenr: The EPJ's running number.
            persons: How many.

        Returns:
            The fagmelding and the identmelding, as ``Client.submit`` takes them.
        """
        return write_pair(
            self._folder,
            year=self._year,
            persons=persons,
            seed=lopenr,
            kommunenummer=self._kommunenummer,
            lopenr=lopenr,
        )
