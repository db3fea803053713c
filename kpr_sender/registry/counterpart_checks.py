"""What speaks against sending to a party, by what the register says of it and by what the configuration says itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from kpr_sender import profiles
from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.messages.transport import queue_name, registered_address
from kpr_sender.model import Transport
from kpr_sender.registry.edi_address import receivers_edi_address
from kpr_sender.registry.files import configured_certificates
from kpr_sender.registry.port import RegisterEntry, Use
from kpr_sender.settings.edi import EdiSettings
from kpr_sender.settings.values import RegistryKind, Settings
from kpr_sender.texts import Text, listed

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_ASK_FHI: Final = Text("Nothing is sent. Ask kpr@fhi.no which HER-id is right.")
_KEYS: Final = {Use.ENCRYPTION: "receiver.encryption_certificate", Use.SIGNING: "receiver.signing_certificates"}


def require_one_environment(profile: profiles.Profile, settings: Settings) -> None:
    """Refuse a configuration that mixes environments: receiver, bus and register must be one's (promise G7).

    Raises:
        ConfigInvalid: Something in it is known to belong to another environment.
    """
    profiles.guard_environment(
        profile,
        settings.environment,
        receiver_her_id=profile.receivers[settings.environment].service_her_id,
        queue=settings.receiver.queue,
        host=None if settings.transport is Transport.EDI else settings.bus.host,
    )
    if settings.transport is Transport.EDI and settings.edi is not None:
        for key, address in (("address", settings.edi.address), ("receiver_address", settings.edi.receiver_address)):
            profiles.guard_edi_address(settings.environment, address, where=f"{settings.origin}: edi.{key}")
    registry = settings.registry
    urls = (registry.url, *([registry.helseid.url] if registry.helseid else ()))
    for url in urls if registry.kind is not RegistryKind.FILES else ():
        profiles.guard_registry(profile, settings.environment, urlsplit(url).hostname or "")


def objections(entry: RegisterEntry, settings: Settings, *, at: datetime) -> Iterator[ConfigInvalid]:
    """Yield what speaks against sending, the worst first.

    Raises:
        ConfigInvalid: A certificate file that the configuration names is missing.
        AccessRefused: There is no certificate in it.
    """
    yield from _party(entry, settings, at)
    yield from _edi_address(entry, settings) if settings.transport is Transport.EDI else _queue(entry, settings)
    yield from _certificates(entry, settings)


def _party(entry: RegisterEntry, settings: Settings, at: datetime) -> Iterator[ConfigInvalid]:
    party = entry.party
    where = Text("Adresseregisteret, HER-id {her_id}", her_id=party.her_id)
    ended = party.valid_to is not None and party.valid_to < at
    not_begun = party.valid_from is not None and party.valid_from > at
    if not party.active or ended or not_begun:
        yield ConfigInvalid(Text("The receiver is not in use there."), where=where, next_step=_ASK_FHI)
    owner = profiles.load(settings.report.year).receivers[settings.environment].her_id
    if party.parent_her_id != owner:
        found = (
            Text("no party")
            if party.parent_her_id is None
            else Text("HER-id {parent_her_id}", parent_her_id=party.parent_her_id)
        )
        yield ConfigInvalid(
            Text("The receiver belongs to {found} there, not to {owner}.", found=found, owner=owner),
            where=where,
            next_step=_ASK_FHI,
        )


def _queue(entry: RegisterEntry, settings: Settings) -> Iterator[ConfigInvalid]:
    address, her_id = entry.queues.asynchronous, entry.party.her_id
    where = Text("Adresseregisteret, HER-id {her_id}, E_SB_ASYNC", her_id=her_id)
    if not queue_name(address):
        yield ConfigInvalid(Text("No queue is registered for the receiver."), where=where, next_step=_ASK_FHI)
        return
    registered = registered_address(address)
    if not registered.is_complete:
        yield ConfigInvalid(
            Text("The receiver's registered address is not of the form host/exchange/queue."),
            where=where,
            next_step=_ASK_FHI,
        )
        return
    from kpr_sender.net import host_name, same_host  # noqa: PLC0415 - with it come ssl and sockets

    host = host_name(registered.hosts[0])
    if not same_host(host, settings.bus.host):
        yield ConfigInvalid(
            Text("The receiver is on the bus {host}, and we send to {host_2}.", host=host, host_2=settings.bus.host),
            where=where,
            next_step=Text(
                "If {host} is NHN's bus for this environment, set bus.host to it; else ask kundesenter@nhn.no.",
                host=host,
            ),
        )
    configured = settings.receiver.queue
    if configured and queue_name(configured) != queue_name(address):
        yield ConfigInvalid(
            Text(
                "The configuration has the queue {queue_name}, Adresseregisteret has {queue_name_2}.",
                queue_name=queue_name(configured),
                queue_name_2=queue_name(address),
            ),
            where=f"{settings.origin}: receiver.queue",
            next_step=Text("Remove the line: the registry has the queue."),
        )
    try:
        profiles.guard_environment(
            profiles.load(settings.report.year),
            settings.environment,
            receiver_her_id=her_id,
            queue=address,
            host=settings.bus.host,
        )
    except ConfigInvalid as error:
        yield ConfigInvalid(error.what, where=where, next_step=_ASK_FHI)


def _edi_address(entry: RegisterEntry, settings: Settings) -> Iterator[ConfigInvalid]:
    her_id, address = entry.party.her_id, entry.queues.edi
    try:
        receivers_edi_address(settings, settings.edi or EdiSettings(), her_id, address)
    except ConfigInvalid as error:
        yield error
    where = Text("Adresseregisteret, HER-id {her_id}, E_EDI", her_id=her_id)
    try:
        profiles.guard_edi_address(settings.environment, address, where=str(where))
    except ConfigInvalid as error:
        yield ConfigInvalid(error.what, where=where, next_step=_ASK_FHI)


def _certificates(entry: RegisterEntry, settings: Settings) -> Iterator[ConfigInvalid]:
    for use, registered in ((Use.ENCRYPTION, entry.encryption), (Use.SIGNING, entry.signing)):
        configured = configured_certificates(settings, use)
        if configured and registered and configured[0] != registered[0]:
            yield ConfigInvalid(
                Text(
                    "The configuration's certificate ({named}) is not the one in Adresseregisteret ({named_2}); "
                    "{newer}.",
                    named=_named(configured[0]),
                    named_2=_named(registered[0]),
                    newer=_newer(configured[0], registered[0]),
                ),
                where=f"{settings.origin}: {_KEYS[use]}",
                next_step=Text("Find out why, then remove the line: the registry has the certificate."),
            )


def _named(certificate: Certificate) -> str:
    return Text(
        "serial number {serial_number}, from {not_valid_before_utc}",
        serial_number=format(certificate.serial_number, "x"),
        not_valid_before_utc=format(certificate.not_valid_before_utc, "%Y-%m-%d"),
    )


def _newer(configured: Certificate, registered: Certificate) -> str:
    ours, theirs = configured.not_valid_before_utc, registered.not_valid_before_utc
    if ours == theirs:
        return Text("both begin at the same moment")
    return Text("the configuration's is newer") if ours > theirs else Text("Adresseregisteret's is newer")


def require_openable(entry: RegisterEntry, ours: Sequence[Certificate]) -> None:
    """Refuse where receipts would come that none of our keys opens; an entry without a certificate says nothing.

    Raises:
        AccessRefused: What is sealed for us by the register is sealed for none of them.
    """
    registered = entry.encryption[:1]
    if not registered or registered[0] in ours:
        return
    configured = listed(
        *(Text("serial number {serial_number}", serial_number=format(one.serial_number, "x")) for one in ours)
    ) or Text("none")
    raise AccessRefused(
        Text(
            "FHI seals its receipts for the certificate with serial number {serial_number}, which is registered on "
            "HER-id {her_id}; the certificates of our decryption keys are {configured}.",
            serial_number=format(registered[0].serial_number, "x"),
            her_id=entry.party.her_id,
            configured=configured,
        ),
        where="keys.decryption",
        next_step=Text("Add the key of the registered certificate to [[keys.decryption]], or register ours."),
    )
