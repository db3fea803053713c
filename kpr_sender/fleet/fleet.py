"""Many municipalities in one program: the same steps as ``kpr-send fleet``, by threads of the program's own.

with Fleet("/etc/kpr-sender/fleet.toml", "produksjon") as fleet:
    for name in fleet.municipalities:
        fleet.submit(name)
        report = fleet.wait(name, timeout=60)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kpr_sender.app import Parts, utc_now
from kpr_sender.client import Client
from kpr_sender.errors import UsageError
from kpr_sender.fleet.dropped import DropDecision, DropRun, second_look, settle_taken
from kpr_sender.fleet.file import FleetFile
from kpr_sender.fleet.overview import MunicipalityStatus, overview
from kpr_sender.model import Environment
from kpr_sender.outbound.drop import DropFolder
from kpr_sender.report import Report
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.events import Event


class Fleet:
    """The municipalities of a fleet file. It may be shared by threads, and each of them by several.

    A municipality's journal is locked for the length of one call, so that ``kpr-send`` and other machines get their
    turn. Two calls for one municipality, or for bydeler that share a journal, come one after another.

    Args:
        path: The fleet file.
        environment: Whose it must be (promise G7).
        environ: Where secrets in environment variables are; the process's own where none is given.
        on_event: Called with a municipality's name and each ``Event`` of its, on the thread that causes it.
        parts: Returns what is used for a municipality in place of what is configured; see ``kpr_sender.app.Parts``.

    Raises:
        UsageError: There is no such environment.
        ConfigInvalid: The file is missing or wrong. What is wrong with one municipality is raised by its own calls.
    """

    def __init__(
        self,
        path: str | Path,
        environment: str | Environment,
        *,
        environ: Mapping[str, str] | None = None,
        on_event: Callable[[str, Event], None] | None = None,
        parts: Callable[[str], Parts] | None = None,
    ) -> None:
        self._file = FleetFile.load(Path(path).absolute(), environment, environ=environ)
        self._on_event = on_event
        self._parts = parts
        self._guard = threading.Lock()
        self._groups: dict[str, threading.RLock] = {}
        self._under_way: set[Client] = set()
        self._stopped = threading.Event()

    @property
    def municipalities(self) -> tuple[str, ...]:
        """What the municipalities are called, in the order of the file: ``0301``, or ``0301-03`` with its bydel."""
        return tuple(one.name for one in self._file.municipalities)

    def client(self, name: str) -> Client:
        """Return a client of one municipality, for whatever else is to be done; the caller closes it.

        Raises:
            UsageError: There is none of that name.
            ConfigInvalid: Its configuration is wrong.
        """
        settings = self._file.named(name).settings()
        parts: Parts = {} if self._parts is None else self._parts(name)
        if (on_event := self._on_event) is not None and "on_event" not in parts:
            parts = {**parts, "on_event": lambda event: on_event(name, event)}
        return Client(settings, **parts)

    def submit(
        self,
        name: str,
        fagmelding: Path | None = None,
        identmelding: Path | None = None,
        *,
        replaces: str | None = None,
        reason: str = "",
        accept_findings: int | None = None,
        by: str = "",
    ) -> Report:
        """Check, seal and publish one municipality's pair, or go on with it; as ``Client.submit``.

        Without files the configured ones are meant, or what lies in the drop folder: then a pair that is new there is
        taken at the second look, 30 seconds after the first.

        Raises:
            InputMissing: A file is missing, or no complete pair lies in the drop folder and nothing is under way.
            KprError: As ``Client.submit`` and ``client``.
        """
        decision = DropDecision(replaces, reason, accept_findings, by)
        with self._looking_after(name) as client:
            folder = DropFolder.of(client.settings) if fagmelding is None else None
            if folder is not None:
                look = second_look(folder, sleep=self._stopped.wait)
                return DropRun(client, folder, look, lambda report: report).carry_out(decision)
            return client.submit(
                fagmelding, identmelding, replaces=replaces, reason=reason, accept_findings=accept_findings, by=by
            )

    def wait(self, name: str, submission_id: str | None = None, *, timeout: float = 30 * 60) -> Report:
        """Wait for the receipts of one municipality; as ``Client.wait``.

        Raises:
            KprError: As ``Client.wait`` and ``client``.
        """
        with self._looking_after(name) as client:
            report = client.wait(submission_id, timeout=timeout)
            if (folder := DropFolder.of(client.settings)) is not None:
                settle_taken(client, folder)
            return report

    def status(self, *names: str) -> tuple[MunicipalityStatus, ...]:
        """Return what the journals say of the municipalities that are named; of all where none is. Takes no lock.

        Raises:
            UsageError: There is none of a name.
        """
        return overview(self._file.only(names), utc_now())

    def stop(self) -> None:
        """End what other threads do, for good: a present attempt or message is finished, nothing more begins."""
        self._stopped.set()
        with self._guard:
            under_way = tuple(self._under_way)
        for client in under_way:
            client.stop()

    def close(self) -> None:
        """Do as ``stop``, and wait until it has ended. Safe to call twice."""
        self.stop()
        with self._guard:
            groups = tuple(self._groups.values())
        for group in groups:
            with group:
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _looking_after(self, name: str) -> Iterator[Client]:
        """Yield a client that no other call for the same journal has meanwhile."""
        with self._guard:
            group = self._groups.setdefault(self._file.named(name).group, threading.RLock())
        with group:
            with self._guard:
                if self._stopped.is_set():
                    raise UsageError(
                        Text("This fleet is closed: it takes no more calls."), next_step=Text("Make a new Fleet.")
                    )
                client = self.client(name)
                self._under_way.add(client)
            try:
                with client:
                    yield client
            finally:
                with self._guard:
                    self._under_way.discard(client)
