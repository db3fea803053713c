"""The two ways a submission can go, each made of its adapters: NHN Tjenestebuss, and EDI. ``app.py`` hands them on.

Above the ports nobody knows which it is. What belongs to one way alone is imported when that way is used.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from kpr_sender.bus.port import Bus, Source, own_queues
from kpr_sender.errors import ConfigInvalid
from kpr_sender.events import Observer
from kpr_sender.inbound.look_memory import LookMemory
from kpr_sender.logins import Attempt, Login
from kpr_sender.model import Transport
from kpr_sender.settings.edi import UNUSED_HOST, EdiSettings
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.bus.amqp import AmqpBus
    from kpr_sender.cms.port import Signer
    from kpr_sender.documents import Document
    from kpr_sender.ebxml.answers import PayloadMessage
    from kpr_sender.ebxml.read_mail import MailBounds
    from kpr_sender.edi.port import MailboxProbe, SmtpProbe
    from kpr_sender.edi.transport import EdiTransport
    from kpr_sender.inbound.folder import ReceiptsFolder
    from kpr_sender.inbound.receipt import ReceiptHandler
    from kpr_sender.journal.session import Closing
    from kpr_sender.outbound.port import Sealing
    from kpr_sender.registry.port import Counterpart


def edi_of(settings: Settings) -> EdiSettings:
    """Return our EDI account; ``ConfigInvalid`` where none is configured."""
    if settings.edi is None or not settings.edi.address or not settings.edi.smtp_host:
        raise ConfigInvalid(
            Text("No EDI account is configured: its address, mail server and mailbox are needed."),
            where=f"{settings.origin}: edi",
            next_step=Text("docs/edi.md says what must be ordered from NHN."),
        )
    return settings.edi


def settings_for(settings: Settings, transport: Transport) -> Settings:
    """Return the configuration with another way; ``ConfigInvalid`` where that way is not configured."""
    if transport is Transport.EDI:
        edi_of(settings)
    elif settings.bus.host == UNUSED_HOST:
        raise ConfigInvalid(Text("Tjenestebuss is not configured."), where=f"{settings.origin}: bus")
    return replace(settings, transport=transport)


def queues_of(settings: Settings) -> Collection[Source]:
    """Return what answers are read from."""
    return {Source.RECEIPTS} if settings.transport is Transport.EDI else own_queues(settings.bus)


def sealing_of(settings: Settings, now: Callable[[], datetime]) -> Sealing:
    """Return what seals for the way that is configured."""
    if settings.transport is Transport.EDI:
        from kpr_sender.outbound.mail_sealing import MailSealing

        return MailSealing(settings, edi_of(settings), now)
    from kpr_sender.outbound.sealing import QueueSealing

    return QueueSealing(settings)


def memory_of(settings: Settings, document: Document) -> LookMemory:
    """Return what is remembered of earlier looks: nothing of a mailbox, where looking takes nothing (promise G8)."""
    if settings.transport is Transport.EDI:
        return _Unremembered(document)
    return LookMemory.load(document)


@dataclass
class _Unremembered(LookMemory):
    def keep(self, *_: object) -> None:
        """Remember nothing."""


def receipts_folder(
    settings: Settings,
    handler: Callable[[], ReceiptHandler],
    section: AbstractContextManager[object],
    monotonic: Callable[[], float],
    now: Callable[[], datetime],
    observe: Observer,
) -> ReceiptsFolder | None:
    """Return the folder that another message server lays our receipts from the bus down in; None where none does."""
    bus = settings.bus
    if bus.receipts_inbox is None or settings.transport is not Transport.AMQP:
        return None
    from kpr_sender.inbound.folder import ReceiptsFolder

    return ReceiptsFolder(
        path=bus.receipts_inbox,
        handler=handler,
        section=section,
        monotonic=monotonic,
        now=now,
        max_bytes=bus.max_inbound,
        observe=observe,
    )


def open_bus(
    settings: Settings,
    attempt: Attempt,
    closing: Closing,
    monotonic: Callable[[], float],
    their_her_id: int,
    *,
    document: Callable[[str], Document],
    now: Callable[[], datetime],
) -> AmqpBus | EdiTransport:
    """Return the bus of the way that is configured; nothing is connected yet.

    Args:
        settings: Which way, and how.
        attempt: Entered around each login.
        closing: Ends connecting and waiting.
        monotonic: A clock that never jumps, in seconds.
        their_her_id: The receiver's level 2.
        document: Returns what is stored beside the journal under a name.
        now: The clock.

    Raises:
        ConfigInvalid: There is no EDI account, or its mailbox needs an extra that is not installed.
    """
    if settings.transport is Transport.AMQP:
        from kpr_sender.bus.amqp import AmqpBus

        return AmqpBus(settings.bus, closing=closing, login=lambda: attempt(Login.to_bus(settings.bus)))
    from kpr_sender.edi.mailboxes import mailbox
    from kpr_sender.edi.seen_mails import DOCUMENT, SeenMails
    from kpr_sender.edi.smtp import SmtpSender
    from kpr_sender.edi.transport import EdiTransport

    edi, stopped = edi_of(settings), closing.is_set
    sender = SmtpSender(edi, login=lambda: attempt(Login.to_mail_server(edi)), stopped=stopped)
    box = mailbox(edi, login=lambda: attempt(Login.to_mailbox(edi)), stopped=stopped)
    her_ids = (settings.sender.service_her_id, their_her_id)
    login = Login.to_mailbox(edi)
    on_server = edi.mailbox is not None and edi.mailbox.path is None
    reader = " ".join((*login.names, *map(str, her_ids)))
    seen = SeenMails(document(DOCUMENT), reader, now) if on_server else SeenMails()
    return EdiTransport(edi, sender, box, her_ids=her_ids, closing=closing, monotonic=monotonic, seen=seen)


def mail_bounds(settings: Settings) -> MailBounds:
    """Return how much of a mail is read: as much as is fetched, whoever brings it."""
    from kpr_sender.ebxml.read_mail import USUAL_BOUNDS, MailBounds

    return USUAL_BOUNDS if settings.edi is None else MailBounds(max_bytes=settings.edi.max_inbound)


def acknowledging(
    settings: Settings,
    bus: Callable[[], Bus],
    *,
    document: Document,
    counterpart: Callable[[], Counterpart],
    signer: Callable[[], Signer],
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    observe: Observer,
) -> Callable[[PayloadMessage], bool] | None:
    """Return what acknowledges the receiver's receipts; None where nothing is acknowledged.

    Args:
        settings: Which way.
        bus: Returns the bus of that way.
        document: Where what was sent is stored.
        counterpart: Returns the receiver as the register has it.
        signer: Returns our signing key.
        now: The clock.
        new_id: Makes lower-case UUIDs.
        observe: Receives warnings.
    """
    if settings.transport is not Transport.EDI or not edi_of(settings).acknowledges:
        return None
    from kpr_sender.ebxml.mail import MailAddresses
    from kpr_sender.edi.acknowledge import Acknowledger, Acknowledging
    from kpr_sender.edi.transport import EdiTransport

    def acknowledge(message: PayloadMessage) -> bool:
        transport, edi, theirs = bus(), edi_of(settings), counterpart()
        if not isinstance(transport, EdiTransport):
            return True  # a vendor's own connection: who reads the mailbox there acknowledges
        addresses = MailAddresses(edi.address, theirs.edi_address or edi.receiver_address)
        between = Acknowledging(settings.sender.service_her_id, theirs.her_id, addresses)
        acknowledger = Acknowledger(between, signer, document, transport.submit, now, new_id, observe)
        return acknowledger.acknowledge(message)

    return acknowledge


def mail_server_of(settings: Settings, attempt: Attempt) -> SmtpProbe:
    """Connect to the mail server and log in; return what it says of itself. Raises as ``SmtpSender.connect``."""
    from kpr_sender.edi.smtp import SmtpSender

    edi = edi_of(settings)
    with SmtpSender(edi, login=lambda: attempt(Login.to_mail_server(edi))) as sender:
        return sender.probe()


def mailbox_of(settings: Settings, attempt: Attempt) -> MailboxProbe:
    """Look at our mailbox; return what it says of itself. Raises as ``Mailbox`` does."""
    from kpr_sender.edi.mailboxes import mailbox

    edi = edi_of(settings)
    box = mailbox(edi, login=lambda: attempt(Login.to_mailbox(edi)))
    try:
        return box.probe()
    finally:
        box.close()
