"""What a killed run speaks to, NHN Tjenestebuss or mail server and mailbox: what each has taken, and answers."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from kpr_sender.model import MessageType, Transport
from kpr_sender.sandbox import peer
from kpr_sender.sandbox.answers import Answer as Written
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.sandbox.edi_smtp import AcceptedMail, Disposition
from kpr_sender.sandbox.evaluation import Assessment
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.ledger import LedgerLine
from kpr_sender.sandbox.links import STORING
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from kpr_sender.settings.sample_file import MAILBOX
from tests.helpers.edi_municipality import account
from tests.helpers.municipality import SENDER_HER_ID, Municipality

_FRAME: Final = 16_384  # bytes; so that the larger message takes two
_STORED: Final = ("250", "stored", *(fate.value for fate in STORING))


def has_taken(line: LedgerLine) -> bool:
    """Tell whether a line is of one of our messages that the other side has: no mail that it refused, no signal."""
    return line.disposition.startswith(_STORED) and line.type in set(MessageType)


class Wire(Protocol):
    """One way, with the receiver at its end.

    Attributes:
        transport: Which way.
        folder: Where its ledger is.
        sections: What a configuration says of it.
    """

    transport: Transport
    folder: Path
    sections: Mapping[str, Mapping[str, object]]

    def lines(self) -> list[LedgerLine]:
        """Return every message that it has taken; ``sha256`` is of the bytes that were sealed."""

    def go_wrong(self, faults: Iterable[str]) -> None:
        """Let go wrong what is named, and nothing else."""

    def is_idle(self) -> bool:
        """Tell whether every connection has ended, and all that came over it is in the ledger."""

    def answer_late(self, type_: MessageType) -> None:
        """Write a receipt for the first of a type that was taken since the last time, whatever it was told at first."""

    def empty(self) -> None:
        """Take away what was not settled, and what is still to be answered."""

    def unacknowledged(self) -> int:
        """Return how many receipts await our acknowledgement."""


class BusWire:
    """NHN Tjenestebuss."""

    transport: Transport = Transport.AMQP

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._late = _LateAnswers(sandbox)
        self.folder = sandbox.ledger.path.parent
        self.sections: Mapping[str, Mapping[str, object]] = {
            "bus": {"tls": False, "port": sandbox.port, "reconnect_budget": "1s"}
        }

    def lines(self) -> list[LedgerLine]:
        return [line for line in self._sandbox.ledger.lines() if has_taken(line)]

    def go_wrong(self, faults: Iterable[str]) -> None:
        self._sandbox.faults = Faults.parse(faults)

    def is_idle(self) -> bool:
        return not self._sandbox._on_bus(lambda: self._sandbox._broker._peers)  # type: ignore[union-attr]

    def answer_late(self, type_: MessageType) -> None:
        self._late.answer(type_)

    def empty(self) -> None:
        empty_queues(self._sandbox)

    def unacknowledged(self) -> int:
        """None: nobody acknowledges on the bus."""
        return 0


class _LateAnswers:
    """What a sandbox's receiver evaluated, so that what it said is wrong is answered all the same, and later."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._answers = sandbox, sandbox._receiver._answers
        self._first: dict[str, Assessment] = {}
        sandbox._receiver._answers = self  # type: ignore[assignment]  # it writes what the other writes

    def write(self, evaluation: Assessment, faults: Faults) -> Iterator[Written]:
        """Write as the receiver's own does."""
        self._first.setdefault(evaluation.message.subject, evaluation)
        return self._answers.write(evaluation, faults)

    def answer(self, type_: MessageType) -> None:
        """Write a receipt for the first of its type that was answered since the last time."""
        evaluation = replace(self._first[type_], fault=None)
        self._first.clear()
        for answer in self._answers.write(evaluation, NO_FAULTS):
            self._sandbox.put(answer.queue, answer.message)


def empty_queues(sandbox: Sandbox) -> None:
    """Take away what came back because the settlement never left, and what is still to be answered: it is settled."""

    def take() -> None:
        sandbox._receiver._pending.clear()
        for queue in (sandbox.receipts_queue, sandbox.error_queue):
            spool = sandbox._queues[queue].spool
            while spool.ready:
                spool.remove(spool.ready.popleft())

    sandbox._on_bus(take)


class MailWire:
    """A mail server with KPR's message server behind it, and our mailbox."""

    transport: Transport = Transport.EDI

    def __init__(self, box: EdiSandbox) -> None:
        self._box = box
        self.folder = box.directory
        self._bodies: list[str] = []
        self._first: dict[str, AcceptedMail] = {}
        self._at_dot = box._server.at_dot
        box._server.at_dot = self._taking  # type: ignore[method-assign]
        mailbox = {"mailbox": f"maildir:{box.directory / MAILBOX}", "look_every": "0.05s", "reconnect_budget": "0.1s"}
        self.sections: Mapping[str, Mapping[str, object]] = {"edi": account(box, **mailbox)}

    def _taking(self, mail: AcceptedMail) -> Disposition:
        decided = self._at_dot(mail)
        self._bodies.append(hashlib.sha256(mail.data.partition(b"\r\n\r\n")[2]).hexdigest())
        line = self._box.ledger.lines()[-1]
        if has_taken(line):
            self._first.setdefault(line.type, mail)
        return decided

    def lines(self) -> list[LedgerLine]:
        together = zip(self._box.ledger.lines(), self._bodies, strict=True)
        return [replace(line, sha256=body) for line, body in together if has_taken(line)]

    def go_wrong(self, faults: Iterable[str]) -> None:
        self._box.faults = Faults.parse(faults, Transport.EDI)

    def is_idle(self) -> bool:
        server = self._box._mail_server
        assert server is not None
        return server.result_of(lambda: all(one.transport is None for one in server._dialogues))

    def answer_late(self, type_: MessageType) -> None:
        mail = self._first[type_]
        self._on_server(lambda: self._box._server._send_receipts(self._box._server._examined(mail.data)))

    def empty(self) -> None:
        self._first.clear()

        def take() -> None:
            for pending in self._box._server._pending:
                self._box._server._inbox.remove(pending.entry)
            self._box._server._pending.clear()
            for folder in ("new", "cur"):
                for mail in (self._box.directory / MAILBOX / folder).iterdir():
                    mail.unlink()

        self._on_server(take)

    def unacknowledged(self) -> int:
        return len(self._box.unacknowledged())

    def _on_server(self, what: Callable[[], Any]) -> None:
        assert self._box._mail_server is not None
        self._box._mail_server.result_of(what)


@contextmanager
def bus_wire(made: Municipality) -> Iterator[BusWire]:
    """Start a bus in the municipality's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer, "_MAX_FRAME", _FRAME)
        with Sandbox(made.folder, sender_her_id=SENDER_HER_ID, behaviour=Behaviour(tls=False)) as sandbox:
            yield BusWire(sandbox)


@contextmanager
def mail_wire(made: Municipality) -> Iterator[MailWire]:
    """Start a mail server in a folder of its own, beside a bus's, with the same keys."""
    folder = made.folder / "mail"
    shutil.copytree(made.pki.folder, folder / "pki")
    shutil.copy(made.folder / "bus-password", folder)
    with EdiSandbox(folder, sender_her_id=SENDER_HER_ID) as box:
        yield MailWire(box)


WIRES: Final[Mapping[Transport, Callable[[Municipality], AbstractContextManager[Wire]]]] = {
    Transport.AMQP: bus_wire,
    Transport.EDI: mail_wire,
}
