"""A municipality in a folder that sends by EDI, with a mail server in the process and the sandbox's FHI behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from kpr_sender.app import Parts
from kpr_sender.model import Transport
from kpr_sender.sandbox.edi_in_process import InProcessEdi, InProcessPost
from kpr_sender.sandbox.edi_sandbox import message_server
from kpr_sender.sandbox.edi_smtp import MAX_MAIL
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.in_process import InProcessRegistry
from kpr_sender.sandbox.receiving_end import open_fhi
from kpr_sender.settings.sample_file import EDI_RECEIVER, MAILBOX
from kpr_sender.testing.municipality import NO_PORT, FakeMunicipality
from kpr_sender.ways import edi_of

_LOOK_EVERY: Final = 0.05  # seconds
_BUDGET: Final = 0.6  # seconds
"""What is certainly not sent is tried once more: the first pause is half a second."""


class FakeEdi(FakeMunicipality):
    """EDI as the sandbox plays it: mail server, KPR's message server, mailbox and FHI, and who sends to them.

    The message server is strict by HITS 1172, acknowledges what it takes, and answers into a Maildir in the folder;
    the client acknowledges receipts (docs/sandbox.md). Nothing opens a socket. May be used from several threads, by one
    client at a time. Arguments as ``FakeMunicipality``. Needs ``kpr-sender[edi]``.
    """

    _transport = Transport.EDI

    def _begin(self, now: Callable[[], datetime]) -> None:
        fhi = open_fhi(
            self._folder,
            sender_her_id=self._municipality.service_her_id,
            municipality=self._municipality,
            max_bytes=MAX_MAIL,
            faults=NO_FAULTS,
            now=now,
        )
        server = message_server(self._folder, fhi, apprec_version="1.0", ledger=self._ledger, now=now)
        server.resume()
        self._post = InProcessPost(server, fhi.registered)
        self._receiver_her_id = fhi.receiver.party.service_her_id
        self.registry = InProcessRegistry(fhi.registered)

    def _way(self, sections: dict[str, dict[str, object]]) -> dict[str, Any]:
        times = {"look_every": _LOOK_EVERY, "reconnect_budget": _BUDGET}
        edi = {**sections["edi"], "smtp_port": NO_PORT, "receiver_address": EDI_RECEIVER, **times}
        return {"transport": Transport.EDI.value, "edi": edi}

    @property
    def parts(self) -> Parts:
        """What a ``Client`` is to use in place of sockets, new for each: ``Client(settings, **edi.parts)``."""
        her_ids = (self._municipality.service_her_id, self._receiver_her_id)
        bus = InProcessEdi(edi_of(self.settings), self._post, self._folder / MAILBOX, her_ids)
        return {"bus": bus, "registry": self.registry}

    @property
    def _now_wrong(self) -> Faults:
        return self._post.faults

    def set_faults(self, *faults: str) -> None:
        """Let go wrong from now on what is named, and nothing else; none for nothing. What they held back is sent.

        Args:
            *faults: ``NAME[:TYPE][=VALUE]`` as in docs/sandbox.md, for example ``message-error:KPR_IDE`` or ``bounce``.

        Raises:
            UsageError: There is no such fault.
        """
        self._post.faults = Faults.parse(faults, Transport.EDI)

    @property
    def reachable(self) -> bool:
        """Whether mail server and mailbox can be reached; False lets each attempt end with ``BusUnreachable``."""
        return self._post.reachable

    @reachable.setter
    def reachable(self, reachable: bool) -> None:
        self._post.reachable = reachable

    def put(self, mail: bytes) -> None:
        """Put a mail of anybody's into the municipality's mailbox."""
        self._post.put(mail)

    def waiting(self) -> int:
        """Return how many mails are in the municipality's mailbox."""
        return self._post.waiting()

    def unacknowledged(self) -> tuple[str, ...]:
        """Return the eb:MessageId of every receipt that the client has not acknowledged."""
        return self._post.unacknowledged()
