"""The composition root: configuration in, working parts out. The only module that knows all adapters.

Bus, keys and receipts are imported when they are first used: a run that has nothing to do loads no AMQP, CMS or XML.
"""

from __future__ import annotations

import getpass
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, TypedDict, Unpack

from kpr_sender import ways
from kpr_sender.bus.port import Bus
from kpr_sender.deadline import Stopped, never
from kpr_sender.errors import AccessRefused, ConfigInvalid, InternalError, KprError, RegistryUnreachable
from kpr_sender.events import Event, EventKind, Observer, contained, ignore
from kpr_sender.inbound.archive import ReceiptCopies
from kpr_sender.inbound.look_memory import report_now
from kpr_sender.journal.configured import Together as Together  # noqa: PLC0414 - for the fleet and its page
from kpr_sender.journal.configured import configured_storage
from kpr_sender.journal.port import Journal, JournalStorage
from kpr_sender.journal.session import Closing, CriticalSection, JournalSession
from kpr_sender.keys.port import Keys
from kpr_sender.logins import RefusedLogins
from kpr_sender.model import Environment, Submission, Transport
from kpr_sender.operator import testpersons
from kpr_sender.outbound.publish import Publisher
from kpr_sender.outbound.submit import Submitter
from kpr_sender.profiles import admit, load
from kpr_sender.registry.configured import Registers
from kpr_sender.registry.counterpart_checks import require_one_environment
from kpr_sender.registry.latest import LatestCounterpart
from kpr_sender.registry.port import AddressRegistry
from kpr_sender.report import Report
from kpr_sender.settings.exposure import require_unexposed
from kpr_sender.settings.values import ReceiptSender, Settings
from kpr_sender.texts import Text
from kpr_sender.trust.port import Trust

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from kpr_sender.inbound.listen import Listener
    from kpr_sender.inbound.receipt import ReceiptHandler
    from kpr_sender.outbound.reseal import Resealer


class Parts(TypedDict, total=False):
    """What is used in place of what the configuration names; each may be absent.

    Attributes:
        bus: For tests, and for vendors with their own connection.
        registry: Another source of certificates and queues.
        keys: Other keys than the configured files', for example in a hardware module.
        now: The clock; aware datetimes.
        monotonic: A clock that never jumps, in seconds, by which waits and looks at our queues end.
        new_id: Makes lower-case UUIDs.
        on_event: Called with each ``Event``, on the thread that causes it. What it raises is logged, no more.
        by: Who does it, for the journal's event log; the login name when not given.
    """

    bus: Bus | None
    registry: AddressRegistry | None
    keys: Keys | None
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    on_event: Observer
    by: str


def utc_now() -> datetime:
    """Return the time: the clock, where none is given."""
    return datetime.now(UTC)


def journal_storage(settings: Settings, *, now: Callable[[], datetime] = utc_now) -> JournalStorage:
    """Return where the journal is stored, and what is done with it as a whole; nothing is opened yet."""
    return configured_storage(settings, now)


def trust(settings: Settings, observe: Observer, stopped: Stopped = never) -> Trust:
    """Return what is required of certificates; ``stopped`` breaks off the asking for revocation.

    Raises:
        ConfigInvalid: The authorities that the configuration names cannot be read.
    """
    from kpr_sender.trust.policy import ConfiguredTrust

    return ConfiguredTrust.of(settings, observe, stopped)


def own_keys(settings: Settings, *, now: Callable[[], datetime] = utc_now) -> Keys:
    """Return our own keys; none is read yet."""
    from kpr_sender.keys.configured import ConfiguredKeys

    return ConfiguredKeys(settings, RefusedLogins(journal_storage(settings).document("logins"), now).attempt)


class App:
    """One environment's adapters, connected. Each is made when it is first used; nothing is opened before.

    Attributes:
        section: Entered for each attempt to publish and each message handled, so that none is interrupted.
        closing: Set for good when nothing further may begin.
        copies_left: Whether a stored receipt was verified, whose copy on our queue may still have to be settled.

    Raises:
        ConfigInvalid: The configuration is wrong, or it mixes environments (promise G7).
    """

    def __init__(self, settings: Settings, **given: Unpack[Parts]) -> None:
        self.settings, self._configured = settings, settings.transport
        self.profile = load(settings.report.year)
        self.now = given.get("now", utc_now)
        self.monotonic = given.get("monotonic", time.monotonic)
        self.new_id = given.get("new_id", lambda: str(uuid.uuid4()))
        self.observe, self.by = contained(given.get("on_event", ignore)), given.get("by") or login_name()
        confirmed = admit(self.profile, settings.environment, settings.report.letter)
        warnings = confirmed, settings.bus.concern, settings.receiver.concern
        for warning in filter(None, warnings):
            self.observe(Event(EventKind.WARNING, warning))
        require_one_environment(self.profile, settings)
        self._given = given
        self.copies_left = False
        self.closing = Closing()
        self.section = CriticalSection(self.closing)
        self.storage = journal_storage(settings, now=self.now)
        self._attempt = RefusedLogins(self.storage.document("logins"), self.now).attempt
        self._left: list[Bus] = []
        self.registers = self._registers()
        self.copies = ReceiptCopies(settings.journal.receipts_dir, self.observe)
        self.session = JournalSession(
            self.storage, self.copies.catch_up, who=self.by, observe=self.observe, finish_pruning=self._finish_pruning
        )

    def _registers(self) -> Registers:
        return Registers(
            self.settings,
            self._given.get("registry"),
            now=self.now,
            observe=self.observe,
            attempt=self._attempt,
            stopped=self.closing.is_set,
        )

    def go(self, transport: Transport) -> None:
        """Take the way that a submission goes, from here on; does nothing where it is the present one.

        Raises:
            ConfigInvalid: That way is not configured, or mixes environments (promise G7).
        """
        if transport is self.settings.transport:
            return
        other = ways.settings_for(self.settings, transport)
        require_one_environment(self.profile, other)
        if (bus := vars(self).pop("bus", None)) is not None:
            bus.detach()
            self._left.append(bus)
        vars(self).pop("receipt_handler", None)
        self.settings, self.registers = other, self._registers()

    def _finish_pruning(self, journal: Journal) -> None:
        from kpr_sender.operator.retention import finish

        finish(journal, self.copies)

    @cached_property
    def bus(self) -> Bus:
        """The bus of the configured way; nothing is connected to yet."""
        theirs = self.profile.receivers[self.settings.environment].service_her_id
        return self._given.get("bus") or ways.open_bus(
            self.settings,
            self._attempt,
            self.closing,
            self.monotonic,
            theirs,
            document=self.storage.document,
            now=self.now,
        )

    @cached_property
    def keys(self) -> Keys:
        """Our own keys; none is read yet."""
        from kpr_sender.keys.configured import ConfiguredKeys

        return self._given.get("keys") or ConfiguredKeys(self.settings, self._attempt)

    def submitter(self, by: str) -> Submitter:
        """Return what makes a submission of two files, by the app's own ``by`` where it is empty. Opens the journal.

        Raises:
            ConfigInvalid: In produksjon: others may read a secret or private key of ours.
        """
        if self.settings.environment is Environment.PRODUKSJON:
            require_unexposed(self.settings)
        self.go(self._configured)
        return Submitter(
            journal=self.session.opened(),
            settings=self.settings,
            go=self.go,
            profile=self.profile,
            registry=lambda: self.registers.for_sending,
            directory=lambda: self.registers.directory,
            keys=lambda: self.keys,
            sealing=lambda: ways.sealing_of(self.settings, self.now),
            trust=lambda: trust(self.settings, self.observe, self.closing.is_set),
            is_test_person=testpersons.load(testpersons.beside(self.settings.journal.path)).holds,
            now=self.now,
            new_id=self.new_id,
            observe=self.observe,
            by=by or self.by,
        )

    def resender(self, transport: Transport) -> Resealer:
        """Return what lets a shipment's content go again, that way. Opens the journal."""
        resealer = self.submitter("").resealer()
        self.go(transport)
        return resealer

    def publisher(self, transport: Transport | None = None) -> Publisher:
        """Return what publishes sealed shipments of that way, else of the configured one. Opens the journal."""
        self.go(transport or self._configured)
        return Publisher(self.session.opened(), self.bus, self.section, self.closing, self.observe)

    def listener(self, transport: Transport | None = None) -> Listener:
        """Return what reads our queues, or mailbox, until a submission of that way is answered. Opens the journal."""
        from kpr_sender.inbound.listen import Listener

        self.go(transport or self._configured)
        # A receipt may be durable, and its acknowledgement not sent, or its mail not taken, where a run was killed.
        self.copies_left |= self.settings.transport is Transport.EDI
        folder = ways.receipts_folder(
            self.settings, lambda: self.receipt_handler, self.section, self.monotonic, self.now, self.observe
        )
        return Listener(
            journal=self.session.opened(),
            bus=self.bus,
            queues=ways.queues_of(self.settings),
            folder=folder,
            handler=lambda: self.receipt_handler,
            reevaluate=self._reevaluated,
            closing=self.closing,
            section=self.section,
            monotonic=self.monotonic,
            now=self.now,
            held_cap=self.settings.bus.held_cap,
            memory=cache(lambda: ways.memory_of(self.settings, self.storage.document("looks"))),
            registered_for=lambda: self.registers.queues_owner(self.settings.sender.party),
            observe=self.observe,
        )

    @cached_property
    def receipt_handler(self) -> ReceiptHandler:
        """What handles an inbound message. Opens the journal, reads keys and certificates."""
        from kpr_sender.cms.algorithms import Policy
        from kpr_sender.cms.certificates import CertificateUse
        from kpr_sender.inbound.examine import Examiner
        from kpr_sender.inbound.receipt import ReceiptHandler
        from kpr_sender.inbound.signals import SignalHandler

        settings = self.settings
        journal = self.session.opened()
        receiver = self.profile.receivers[settings.environment]
        usual, past_cache = self.registers.for_receipts, self.registers.past_cache
        sender = LatestCounterpart(receiver.service_her_id, usual, past_cache, self.now, self.observe)
        level1 = settings.receiver.receipt_sender is ReceiptSender.LEVEL1
        examiner = Examiner(
            journal=journal,
            sender=sender,
            decrypters=self.keys.decrypters(),
            others=cache(lambda: tuple(self._sealed_for_by_mistake(sender))),
            signing_use=CertificateUse(settings.protection.signing_key_usage),
            trust=trust(settings, self.observe, self.closing.is_set),
            policy=Policy(accept_3des=settings.protection.accept_3des),
            # A mail has its signature. XML without one was opened by somebody else: it is shown, and verifies nothing.
            accept_unsealed=settings.receiver.unsealed_receipts and settings.transport is not Transport.EDI,
            xml_signed=settings.hodemelding.xmldsig,
            now=self.now,
            level1_her_id=receiver.her_id if level1 else None,
            her_id=settings.sender.service_her_id,
            mail_bounds=ways.mail_bounds(settings),
        )
        require_digests = settings.edi is not None and settings.edi.require_digests
        signals = SignalHandler(journal, require_digests, examiner.certificate_problem, self.observe)
        acknowledge = ways.acknowledging(
            settings,
            lambda: self.bus,
            document=self.storage.document("acknowledgements"),
            counterpart=lambda: sender.current,
            signer=lambda: self.keys.signer(at=self.now()),
            now=self.now,
            new_id=self.new_id,
            observe=self.observe,
        )
        our_her_id = settings.sender.service_her_id
        return ReceiptHandler(journal, examiner, our_her_id, self.observe, self.copies.store, signals, acknowledge)

    def reevaluate(self) -> None:
        """Evaluate the stored receipts anew whose verdict may have changed. Opens the journal; keys only where needed.

        Raises:
            KprError: As ``receipt_handler`` and its ``evaluate`` do.
        """
        if self.session.opened().unverified_receipts():
            self.copies_left |= self.receipt_handler.reevaluate()

    def _reevaluated(self) -> bool:
        """Do as ``reevaluate``, not interrupted; return whether a copy may be left on our queue."""
        with self.section:
            self.reevaluate()
        return self.copies_left

    def reevaluate_before_sending(self) -> None:
        """Let a stored answer that is verified by now count before anything goes out; where it cannot, send anyway."""
        try:
            self.reevaluate()
        except (AccessRefused, ConfigInvalid, RegistryUnreachable) as error:
            self.observe(
                Event(
                    EventKind.WARNING, Text("Stored receipts could not be evaluated again. {error}", error=error.text)
                )
            )

    def _sealed_for_by_mistake(self, sender: LatestCounterpart) -> Iterator[Certificate]:
        """Yield what an answer may be sealed for in place of our present certificates: it is said whose it is."""
        with suppress(KprError):
            yield self.keys.signer(at=self.now()).certificate
        with suppress(KprError):
            yield from (sender.current.encryption, *sender.current.signing)
        with suppress(KprError):
            if (directory := self.registers.directory) is not None:
                yield from directory.entry(self.settings.sender.party.service_her_id).encryption

    def report(self, submission: Submission, sent: int = 0, begun: int = 0, *, taken: int = 0) -> Report:
        """Return what is known of a submission now.

        Args:
            submission: As the journal has it.
            sent: How many shipments this call handed to the bus.
            begun: How many transfers it began.
            taken: How many receipts this call was the first to bring.
        """
        with self.session.reading() as journal:
            if journal is None:
                raise InternalError(Text("There is no journal to report on."))
            known = report_now(
                self.settings, journal, submission, self.storage.document("looks", within=journal), self.now()
            )
        return replace(known, sent=sent, begun=begun, taken=taken)

    def close(self) -> None:
        """Close the bus, unless the configured one was never used, and the journal. Safe to call twice."""
        if self._given.get("bus") is not None or "bus" in vars(self):
            self.bus.close()
        for bus in self._left:
            bus.close()
        self.session.close()


def login_name() -> str:
    """Return who runs this."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # No login name, as in some containers: the journal says so rather than failing.
        return "unknown"
