"""Adresseregisteret, and what comes from there: the time, FHI, ourselves, certificates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from kpr_sender.bus.probe import Probe, shake_hands
from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.events import Event, ignore
from kpr_sender.messages.transport import queue_name
from kpr_sender.net import Https
from kpr_sender.operator.certificates import in_play
from kpr_sender.operator.machine_checks import Seen, Setup, made, told_of
from kpr_sender.registry.opening import open_directory, open_registry
from kpr_sender.registry.port import Directory
from kpr_sender.settings.values import RegistryKind, RegistrySettings, Settings

# What time Adresseregisteret has. A clock that is wrong makes certificates and tokens look expired, or not yet valid.
#
# Any answer will do, also one that refuses the question: HTTP servers put the time on all of them (RFC 9110 6.6.1).


def ahead_of_us(settings: RegistrySettings, now: Callable[[], datetime]) -> timedelta | None:
    """Return how far the register's clock is ahead of ours, to about a second; None where it does not tell.

    Args:
        settings: Whom to ask; nobody is logged in for it.
        now: Our clock; aware.

    Raises:
        RegistryUnreachable: No answer.
        AccessRefused: The server's certificate is refused.
        ConfigInvalid: The address leads elsewhere, or the CA file cannot be used.
    """
    with Https(settings.ca_file, settings.timeout) as https:
        asked = now()
        answer = https.get(settings.url, {})
        answered = now()
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    # A time without a zone is GMT there, as all of HTTP's are. Whole seconds are told: the middle of one is meant.
    told = (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)) + timedelta(seconds=0.5)
    return told - (asked + (answered - asked) / 2)


# Our connection to the bus, and the links that a send and a wait attach.


def bus_tls(setup: Setup) -> Seen:
    """The bus is there, speaks TLS, and is the one that its certificate says."""
    bus = setup.settings.bus
    shown = shake_hands(bus)
    return Seen(f"{bus.host}:{bus.port}, {shown.tls if shown else 'without TLS, on this machine'}")


def bus_login(setup: Setup) -> Seen:
    """The bus lets us in."""
    setup.probe = Probe(setup.settings.bus)
    return Seen(f"as {setup.settings.bus.username}; the bus says version {setup.probe.version or 'nothing'}")


def receipts_queue(setup: Setup) -> Seen:
    """We may read our queue."""
    return _reads(setup, "bus.receipts_queue", setup.settings.bus.receipts_queue)


def error_queue(setup: Setup) -> Seen:
    """We may read our error queue."""
    return _reads(setup, "bus.error_queue", setup.settings.bus.error_queue)


def receivers_exchange(setup: Setup) -> Seen:
    """We may send to the receiver. Whether its queue exists behind an exchange, the bus tells nobody."""
    queue, exchange = made(setup.receiver).queue, setup.settings.bus.exchange or "(default)"
    made(setup.probe).sends(queue, f"exchange {exchange}, queue {queue}")
    return Seen(f"{exchange}, for {queue}: attached, nothing sent")


def _reads(setup: Setup, key: str, queue: str) -> Seen:
    made(setup.probe).reads(queue, f"{key} {queue_name(queue)}")
    return Seen(f"{queue_name(queue)}: attached, nothing taken")


SKEW_WARNED_OF: Final = 5.0
SKEW_REFUSED: Final = 60.0
"""Seconds. HelseID allows some ten for a token; certificates and receipts are judged by the same clock."""

_SERVICE: Final = "Saksbehandling"  # FHI's letter 24/04733-1: "Benytt Saksbehandling ved innsending"


def clock(setup: Setup) -> Seen:
    """Our clock is right, as far as the register can tell."""
    settings = setup.settings.registry
    if settings.kind is RegistryKind.FILES:
        return Seen("not compared: no register is configured that would tell the time")
    ahead = ahead_of_us(settings, setup.now)
    if ahead is None:
        return Seen("not compared: the register does not tell the time")
    seconds = ahead.total_seconds()
    text = f"{abs(seconds):.0f} seconds {'behind' if seconds > 0 else 'ahead of'} the register's"
    if abs(seconds) > SKEW_REFUSED:
        raise AccessRefused(f"This machine's clock is {text}.", where=settings.url)
    return Seen(text, unwise=abs(seconds) > SKEW_WARNED_OF)


def receiver(setup: Setup) -> Seen:
    """FHI is where the configuration and the year's profile say. Asked anew: an earlier answer proves nothing."""
    told: list[Event] = []
    expected = setup.expected
    found = open_registry(_asking(setup.settings), now=setup.now, observe=told.append).counterpart(
        expected.service_her_id
    )
    for objection in found.objections:
        raise objection
    setup.receiver = found
    source = "from the configuration's files" if not setup.settings.registry.url else found.provenance.source
    text = f"{found.name} ({found.her_id}), queue {found.queue}, {source}"
    if _alike(found.name) != _alike(expected.service_name):
        return Seen(f"{text}; the year's profile calls it {expected.service_name}", unwise=True)
    return told_of(text, told)


def sender(setup: Setup) -> Seen:
    """We are in the register as we are in the configuration, and our answers come to the queues that we read."""
    settings, own = setup.settings, setup.settings.sender.party
    name = own.service_name
    concerns: list[str] = []
    if settings.registry.kind is not RegistryKind.FILES:
        name = _registered(setup, open_directory(_asking(settings), now=setup.now, observe=ignore), concerns)
    if _alike(_SERVICE) not in _alike(name):
        concerns.append(f"the service's name has no {_SERVICE} in it, which FHI asks for")
    text = f"{own.name} ({own.her_id}), {name} ({own.service_her_id})"
    return Seen("; ".join([text, *concerns]), unwise=bool(concerns))


def _registered(setup: Setup, register: Directory, concerns: list[str]) -> str:
    """Compare the register's entry about ourselves, and return the service's name in it."""
    settings, own = setup.settings, setup.settings.sender.party
    party = register.party(own.service_her_id).value
    queues = register.queues(own.service_her_id).value
    where = f"Adresseregisteret, HER-id {own.service_her_id}"
    mended = "Correct what is wrong: [sender] and [bus] here, or our entry there."
    if not party.active:
        raise ConfigInvalid("Our service is not in use there.", where=where, next_step=mended)
    if party.parent_her_id != own.her_id:
        raise ConfigInvalid(
            f"It belongs to {party.parent_her_id or 'nobody'} there, not to {own.her_id}.",
            where=where,
            next_step=mended,
        )
    for address, key, queue in (
        (queues.asynchronous, "bus.receipts_queue", settings.bus.receipts_queue),
        (queues.error, "bus.error_queue", settings.bus.error_queue),
    ):
        if queue_name(address) != queue_name(queue):
            raise ConfigInvalid(
                f"The queue registered for us is {queue_name(address) or 'none'}, and we read {queue_name(queue)}.",
                where=f"{where}, {key}",
                next_step=mended,
            )
    if party.parent_name and _alike(party.parent_name) != _alike(own.name):
        concerns.append(f"the register calls the municipality {party.parent_name}")
    return party.name


def certificates(setup: Setup) -> Seen:
    """All certificates in play may be used, and will do beyond the deadline."""
    told: list[Event] = []
    now, deadline = setup.now(), setup.profile.deadline
    # Why one could not be had at all is another line's matter.
    rows = [row for row in in_play(setup.settings, now=now, observe=told.append) if row.certificate is not None]
    for row in rows:
        if row.error is not None:
            raise row.error
    concerns = [f"{row.role}: {concern}" for row in rows if (concern := row.concern(now, deadline))]
    left = [days for row in rows if row.counts and (days := row.days_left(now)) is not None]
    text = f"{len(left)}, the first ends in {min(left, default=0)} days"
    return Seen("; ".join([text, *concerns]), unwise=True) if concerns else told_of(text, told)


def _asking(settings: Settings) -> Settings:
    """Return settings by which the register is really asked."""
    return replace(settings, registry=replace(settings.registry, max_age=0.0, stale_for=0.0))


def _alike(name: str) -> str:
    return " ".join(name.split()).casefold()
