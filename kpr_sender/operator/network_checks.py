"""The checks that ask others: Adresseregisteret, who issued certificates, and the bus. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from kpr_sender.bus.port import QUEUE_NAMES, Source, own_queues
from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.events import Event, ignore
from kpr_sender.inbound.look_memory import LookMemory
from kpr_sender.messages.transport import queue_name
from kpr_sender.model import Transport
from kpr_sender.operator.certificates import CertificateInUse, of_the_bus, own, receivers
from kpr_sender.operator.check_context import CheckContext, CheckResult, counted, found, required
from kpr_sender.operator.machine_checks import require_sizes
from kpr_sender.registry.counterpart_checks import require_openable
from kpr_sender.registry.port import RegisterEntry
from kpr_sender.settings.values import RegistryKind, Settings
from kpr_sender.texts import Text

_SKEW_WARNED_OF: Final = 5.0
_SKEW_REFUSED: Final = 60.0
"""Seconds. HelseID allows some ten for a token; certificates and receipts are evaluated by the same clock."""

_SERVICE: Final = "Saksbehandling"  # FHI's letter 24/04733-1: "Benytt Saksbehandling ved innsending"


_NOBODY: Final = Text("nobody")
_NONE: Final = Text("none")


def our_certificates(context: CheckContext) -> CheckResult:
    """Our certificates may be used, and last beyond the deadline."""
    events: list[Event] = []
    return _lasting(own(context, context.trust(events.append)), context, events)


def register(context: CheckContext) -> CheckResult:
    """Adresseregisteret answers, whatever it says."""
    settings = context.settings.registry
    if settings.kind is RegistryKind.FILES:
        return found(Text("none is configured: FHI is as the configuration's files say"))
    context.register_clock()
    return found(settings.url)


def clock(context: CheckContext) -> CheckResult:
    """Our clock is right, as far as the register can tell."""
    settings = context.settings.registry
    if settings.kind is RegistryKind.FILES:
        return found(Text("not compared: no register is configured that would tell the time"))
    ahead = context.register_clock()
    if ahead is None:
        return found(Text("not compared: the register does not tell the time"))
    seconds = ahead.total_seconds()
    off = counted(round(abs(seconds)), "second")
    text = (
        Text("{off} behind the register's", off=off) if seconds > 0 else Text("{off} ahead of the register's", off=off)
    )
    if abs(seconds) > _SKEW_REFUSED:
        raise AccessRefused(Text("This machine's clock is {text}.", text=text), where=settings.url)
    return found(
        text,
        [Text("more than {skew_warned_of} are too many", skew_warned_of=format(_SKEW_WARNED_OF, ".0f"))]
        if abs(seconds) > _SKEW_WARNED_OF
        else [],
    )


def receiver(context: CheckContext) -> CheckResult:
    """FHI is where the configuration and the year's profile say. Asked anew: an earlier answer proves nothing."""
    events: list[Event] = []
    expected = context.expected
    fhi = context.registry(events.append).counterpart(expected.service_her_id)
    for objection in fhi.objections:
        raise objection
    context.receiver = fhi
    concerns = [event.text for event in events]
    if _folded(fhi.name) != _folded(expected.service_name):
        concerns.append(Text("the year's profile calls it {service_name}", service_name=expected.service_name))
    text = Text(
        "{fhi} ({her_id}), queue {queue}, {provenance}",
        fhi=fhi.name,
        her_id=fhi.her_id,
        queue=fhi.queue,
        provenance=fhi.provenance.text,
    )
    if context.settings.transport is Transport.EDI:
        text = Text(
            "{fhi} ({her_id}), {address}, {provenance}",
            fhi=fhi.name,
            her_id=fhi.her_id,
            address=fhi.edi_address,
            provenance=fhi.provenance.text,
        )
    return found(text, concerns)


def receivers_certificates(context: CheckContext) -> CheckResult:
    """FHI's certificates may be used, and last beyond the deadline."""
    events: list[Event] = []
    return _lasting(receivers(context, context.trust(events.append)), context, events)


def sender(context: CheckContext) -> CheckResult:
    """We are in the register as we are in the configuration, and our answers come to the queues that we read."""
    settings, party = context.settings, context.settings.sender.party
    name = party.service_name
    concerns: list[str] = []
    if settings.registry.kind is not RegistryKind.FILES:
        entry = context.registry(ignore).entry(party.service_her_id)
        name = _registered(settings, entry, concerns)
        if not entry.encryption:
            concerns.append(Text("the register has no certificate that FHI could seal our receipts for"))
        if context.decrypters:  # else the keys' own check says what is wrong
            require_openable(entry, [one.certificate for one in context.decrypters])
    if _folded(_SERVICE) not in _folded(name):
        concerns.append(Text("the service's name has no {service} in it, which FHI asks for", service=_SERVICE))
    return found(f"{party.name} ({party.her_id}), {name} ({party.service_her_id})", concerns)


def _registered(settings: Settings, entry: RegisterEntry, concerns: list[str]) -> str:
    """Compare the register's entry about ourselves, and return the service's name in it."""
    ours = settings.sender.party
    party, queues = entry.party, entry.queues
    where = Text("Adresseregisteret, HER-id {service_her_id}", service_her_id=ours.service_her_id)
    next_step = Text("Correct what is wrong: [sender] and [bus] here, or our entry there.")
    if not party.active:
        raise ConfigInvalid(Text("Our service is not in use there."), where=where, next_step=next_step)
    if party.parent_her_id != ours.her_id:
        raise ConfigInvalid(
            Text(
                "It belongs to {parent_her_id} there, not to {her_id}.",
                parent_her_id=party.parent_her_id or _NOBODY,
                her_id=ours.her_id,
            ),
            where=where,
            next_step=next_step,
        )
    by_mail = settings.transport is Transport.EDI  # no queue is read then
    for address, key, queue in (
        (queues.asynchronous, "bus.receipts_queue", settings.bus.receipts_queue),
        (queues.error, "bus.error_queue", settings.bus.error_queue),
    ):
        if queue and not by_mail and queue_name(address) != queue_name(queue):
            raise ConfigInvalid(
                Text(
                    "The queue registered for us is {queue_name}, and we read {queue_name_2}.",
                    queue_name=queue_name(address) or _NONE,
                    queue_name_2=queue_name(queue),
                ),
                where=Text("{where}, {key}", where=where, key=key),
                next_step=next_step,
            )
    if party.parent_name and _folded(party.parent_name) != _folded(ours.name):
        concerns.append(Text("the register calls the municipality {parent_name}", parent_name=party.parent_name))
    return party.name


def bus_tls(context: CheckContext) -> CheckResult:
    """The bus is there, speaks TLS, and is the one that its certificate says."""
    bus = context.settings.bus
    shown = context.shake_hands()
    tls = shown.tls if shown else Text("without TLS, on this machine")
    return found(Text("{host}:{port}, {tls}", host=bus.host, port=bus.port, tls=tls))


def bus_certificate(context: CheckContext) -> CheckResult:
    """The bus's certificate lasts beyond the deadline."""
    if not context.settings.bus.tls:
        return found(Text("none is needed: without TLS, on this machine"))
    return _lasting(of_the_bus(context), context, [])


def bus_login(context: CheckContext) -> CheckResult:
    """The bus lets us in."""
    context.probe = context.log_in()
    version = context.probe.version
    says = Text("says version {version}", version=version) if version else Text("does not say its version")
    return found(Text("as {username}; the bus {says}", username=context.settings.bus.username, says=says))


def receipts_queue(context: CheckContext) -> CheckResult:
    """We may read our queue."""
    return _reads(context, "bus.receipts_queue", Source.RECEIPTS)


def error_queue(context: CheckContext) -> CheckResult:
    """We may read our error queue."""
    return _reads(context, "bus.error_queue", Source.ERRORS)


def receivers_exchange(context: CheckContext) -> CheckResult:
    """We may send to the receiver. Whether its queue exists behind an exchange, the bus tells nobody."""
    queue, exchange = required(context.receiver).queue, context.settings.bus.exchange or "(default)"
    largest = required(context.probe).sends(
        queue, Text("exchange {exchange}, queue {queue}", exchange=exchange, queue=queue)
    )
    if largest:
        require_sizes(context.settings, largest, whose=Text("the largest message that the bus takes"))
    return found(Text("{exchange}, for {queue}: attached, nothing sent", exchange=exchange, queue=queue))


def _reads(context: CheckContext, key: str, source: Source) -> CheckResult:
    queue = own_queues(context.settings.bus).get(source)
    if queue is None:
        return found(Text("not read: receipts come from the folder (bus.receipts_from)"))
    name = queue_name(queue)
    required(context.probe).reads(queue, f"{key} {name}")
    looks = LookMemory.load(context.journal.document("looks")).looks[source]
    concerns = [] if looks.looked_at is None else [looks.text(QUEUE_NAMES[source])]
    return found(Text("{name}: attached, nothing taken", name=name), concerns)


def _lasting(certificates: Iterable[CertificateInUse], context: CheckContext, events: Sequence[Event]) -> CheckResult:
    """Evaluate certificates by the limits of ``kpr-send certs``; the first that must not be used is raised."""
    rows, now = [*certificates], context.now()
    for row in rows:
        if row.error is not None and not row.is_unknown:
            raise row.error
    concerns: list[str] = [
        Text("{role}: {concern}", role=row.role, concern=concern)
        for row in rows
        if (concern := row.concern(now, context.deadline))
    ]
    concerns += [event.text for event in events]
    left = [days for row in rows if row.counts and (days := row.days_left(now)) is not None]
    if not left:
        return found("", [Text("no certificate found"), *concerns])
    first = Text("in {counted}", counted=counted(min(left), "day")) if min(left) else Text("today")
    ends = Text("the first ends {first}", first=first) if len(left) > 1 else Text("it ends {first}", first=first)
    return found(Text("{certificates}, {ends}", certificates=counted(len(left), "certificate"), ends=ends), concerns)


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
