"""A municipality in a folder, with a bus in the process and the sandbox's FHI behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from kpr_sender.app import Parts
from kpr_sender.bus.port import Bus, Source
from kpr_sender.errors import UsageError
from kpr_sender.model import Transport
from kpr_sender.sandbox.dialect import DEFAULT_DIALECT
from kpr_sender.sandbox.faults import NO_FAULTS, FaultName, Faults
from kpr_sender.sandbox.in_process import InProcessBus, InProcessRegistry
from kpr_sender.sandbox.receiving_end import open_receiving_end, own_queues
from kpr_sender.sandbox.sandbox import MAX_MESSAGE_SIZE
from kpr_sender.testing.municipality import NO_PORT, FakeMunicipality
from kpr_sender.texts import Text


class FakeTjenestebuss(FakeMunicipality):
    """Tjenestebuss, Adresseregisteret and FHI as the sandbox plays them, and a municipality that sends to them.

    FHI verifies and evaluates what it receives, and answers with sealed receipts (docs/sandbox.md). Nothing opens a
    socket. May be used from several threads, by one client at a time. Arguments as ``FakeMunicipality``.

    Attributes:
        bus: What a client is handed as its bus, and what a test reads as a vendor's own listener would.
    """

    bus: Bus
    _transport = Transport.AMQP

    def _begin(self, now: Callable[[], datetime]) -> None:
        end = open_receiving_end(
            self._folder,
            sender_her_id=self._municipality.service_her_id,
            municipality=self._municipality,
            dialect=DEFAULT_DIALECT,
            max_bytes=MAX_MESSAGE_SIZE,
            apprec_version="1.0",
            faults=NO_FAULTS,
            now=now,
        )
        end.receiver.resume()
        queues = own_queues(self._municipality.service_her_id)
        names = dict(zip((Source.RECEIPTS, Source.ERRORS), queues, strict=True))
        self._bus = InProcessBus(end, names, MAX_MESSAGE_SIZE)
        self.bus = self._bus
        self.registry = InProcessRegistry(end.registered)

    def _way(self, sections: dict[str, dict[str, object]]) -> dict[str, Any]:
        return {"bus": {**sections["bus"], "port": NO_PORT}}

    @property
    def parts(self) -> Parts:
        """What a ``Client`` is to use in place of sockets: ``Client(settings, **tjenestebuss.parts)``."""
        return {"bus": self.bus, "registry": self.registry}

    @property
    def _now_wrong(self) -> Faults:
        return self._bus.faults

    def set_faults(self, *faults: str) -> None:
        """Let go wrong from now on what is named, and nothing else; none for nothing. What they held back is sent.

        Args:
            *faults: ``NAME[:TYPE][=VALUE]`` as in docs/sandbox.md, for example ``reject:KPR_IDE`` or ``no-answer``.

        Raises:
            UsageError: There is no such fault, or it needs the sandbox's own broker.
        """
        parsed = Faults.parse(faults)
        if parsed.find(FaultName.FOREIGN_OWNER):
            raise UsageError(
                Text(
                    "{name} needs kpr-send sandbox serve --dir DIR: here nothing happens by itself.",
                    name="foreign-owner",
                )
            )
        self._bus.faults = parsed

    @property
    def reachable(self) -> bool:
        """Whether the bus can be reached; False lets each attempt end with ``BusUnreachable``."""
        return self._bus.reachable

    @reachable.setter
    def reachable(self, reachable: bool) -> None:
        self._bus.reachable = reachable

    def waiting(self, source: Source = Source.RECEIPTS) -> int:
        """Return how many messages are on one of the municipality's queues."""
        return self._bus.depth(source)
