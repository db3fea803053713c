"""The sandbox that speaks EDI: a mail server, KPR's message server behind it, a mailbox, and an Adresseregister.

In the folder: ``pki/`` (all keys), ``bus-password`` (the mail account's and the register's), ``mailbox/`` (the
municipality's Maildir), ``edi/`` (what the message server has to answer and remembers), ``ledger.jsonl`` (what came).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from kpr_sender.journal import witness
from kpr_sender.model import Party
from kpr_sender.sandbox.edi_answers import EdiAnswers
from kpr_sender.sandbox.edi_examine import MailExaminer
from kpr_sender.sandbox.edi_server import MessageServer, deliver
from kpr_sender.sandbox.edi_smtp import MAX_MAIL, AcceptedMail, Disposition, MailServer
from kpr_sender.sandbox.faults import NO_FAULTS, FaultName, Faults
from kpr_sender.sandbox.ledger import Ledger
from kpr_sender.sandbox.receiving_end import Fhi, open_fhi, take_lock
from kpr_sender.sandbox.register import Register
from kpr_sender.sandbox.registered import EKSEMPEL
from kpr_sender.settings.sample_file import EDI_RECEIVER, EDI_SENDER, MAILBOX


def _utc_now() -> datetime:
    return datetime.now(UTC)


def examiner(fhi: Fhi, now: Callable[[], datetime]) -> MailExaminer:
    """Return what examines the mails to FHI."""
    return MailExaminer(
        own_her_id=fhi.receiver.party.service_her_id,
        level=fhi.registered.level,
        agreement=fhi.registered.agreement,
        decrypters=fhi.registered.decrypters,
        receiver=fhi.receiver,
        policy=fhi.receiver.policy,
        now=now,
    )


def message_server(
    directory: Path, fhi: Fhi, *, apprec_version: str, ledger: Ledger, now: Callable[[], datetime]
) -> MessageServer:
    """Return KPR's message server, which answers into the Maildir of a sandbox's folder. Arguments as ``EdiSandbox``.

    Raises:
        OSError: The folder cannot be written.
    """
    answers = EdiAnswers(
        own_address=EDI_RECEIVER,
        their_address=EDI_SENDER,
        signer=fhi.registered.signer,
        impostor=fhi.impostor,
        recipient=fhi.registered.recipient,
        now=now,
    )
    return MessageServer(
        directory,
        examiner=examiner(fhi, now),
        answers=answers,
        apprec_version=apprec_version,
        ledger=ledger,
        now=now,
    )


class EdiSandbox:
    """A mail server and a receiver, from ``start`` to ``close``; a context manager.

    Args:
        directory: Its folder; made where missing. What an earlier run left in it is continued.
        sender_her_id: Level 2 HER-id of the municipality that may send.
        port: The mail server's; 0 for any free port on 127.0.0.1.
        register_port: The Adresseregister's, likewise.
        municipality: Who may send, as the register has it.
        faults: What goes wrong from the start.
        apprec_version: Of the receipts, ``1.0`` or ``1.1``.
        now: The clock for certificates and timestamps; aware.
    """

    def __init__(
        self,
        directory: Path,
        *,
        sender_her_id: int,
        port: int = 0,
        register_port: int = 0,
        municipality: Party = EKSEMPEL,
        faults: Faults = NO_FAULTS,
        apprec_version: str = "1.0",
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.directory = directory
        self.ledger = Ledger(directory)
        self._municipality = dataclasses.replace(municipality, service_her_id=sender_her_id)
        self._port = port
        self._register_port = register_port
        self._faults = faults
        self._apprec_version = apprec_version
        self._now = now
        self._mail_server: MailServer | None = None
        self._register: Register | None = None

    def free_place_of(self, journal: Path) -> None:
        """Let a new journal begin where one is gone that sent to a sandbox which is gone with it."""
        if not self.ledger.path.exists():
            witness.free(journal)

    def start(self) -> Self:
        """Make what the folder lacks, bind the ports, and answer what an earlier run left unanswered.

        Raises:
            OSError: The folder cannot be written, or a port is taken.
            JournalLocked: Another sandbox runs in this folder.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = take_lock(self.directory, self._now)
        try:
            self._begin()
        except BaseException:
            self._lock.release()
            raise
        return self

    def _begin(self) -> None:
        fhi = open_fhi(
            self.directory,
            sender_her_id=self._municipality.service_her_id,
            municipality=self._municipality,
            max_bytes=MAX_MAIL,
            faults=self._faults,
            now=self._now,
        )
        self._registered = fhi.registered
        self._server = message_server(
            self.directory, fhi, apprec_version=self._apprec_version, ledger=self.ledger, now=self._now
        )
        self._server.faults = self._faults
        self._server.resume()
        tls = fhi.pki.server_context()
        mail_server = MailServer(self, tls=tls, port=self._port)
        register = Register(self._registered, tls=tls, port=self._register_port, now=self._now)
        try:
            mail_server.start()
        except BaseException:
            register.close()
            raise
        register.start()
        self._mail_server, self._register = mail_server, register
        mail_server.call(self._answer)

    def close(self) -> None:
        """Drop every connection and free the ports; what is not answered stays on disk. Safe to call twice."""
        if self._mail_server and self._register:
            self._register.close()
            self._mail_server.close()
            self._mail_server = self._register = None
            self._lock.release()

    def __enter__(self) -> Self:
        return self if self._mail_server else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """Where the mail server listens."""
        return self._mail_server.port if self._mail_server else self._port

    @property
    def register_port(self) -> int:
        """Where its Adresseregister listens."""
        return self._register.port if self._register else self._register_port

    @property
    def faults(self) -> Faults:
        """What goes wrong now. Assigned from another thread than the server's; what a fault held back is sent."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        if self._mail_server:
            self._registered.faults = faults
            self._mail_server.result_of(self._switch)

    def put(self, mail: bytes) -> None:
        """Put a mail into the municipality's mailbox, as anybody may send it one. From any thread."""
        deliver(self.directory / MAILBOX, mail)

    def unacknowledged(self) -> tuple[str, ...]:
        """Return the eb:MessageId of every AppRec whose acknowledgement has not come. From any thread."""
        return self._server.memory.unacknowledged()

    def admits(self, user: str, password: bytes) -> bool:
        """Tell whether a login is valid; for the mail server."""
        account = user.lower() == EDI_SENDER and self._registered.password_is(password)
        return account and not self._faults.find(FaultName.REFUSE_LOGIN)

    def at_stage(self, stage: str, sender: str, recipient: str) -> Disposition:
        """Decide how the dialogue goes on; for the mail server."""
        return self._server.at_stage(stage, sender, recipient)

    def has_mailbox(self, address: str) -> bool:
        """Tell whether somebody here has an address; for the mail server."""
        return self._server.has_mailbox(address)

    def at_dot(self, mail: AcceptedMail) -> Disposition:
        """Take a complete mail; for the mail server. It is answered after that."""
        disposition = self._server.at_dot(mail)
        if self._mail_server:
            self._mail_server.call(self._answer)
        return disposition

    def _switch(self) -> None:
        self._server.faults = self._faults
        if self._mail_server and not any(fault.name is FaultName.HOLD_DISPOSITION for fault in self._faults.active):
            self._mail_server.release_held()
        self._answer()

    def _answer(self) -> None:
        wait = self._server.answer()
        if wait is not None and self._mail_server:
            self._mail_server.call_later(wait, self._answer)
