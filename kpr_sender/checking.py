"""The composition root of what is asked before, or beside, a send: self-checks, certificates in use, a look-up.

Each adapter is made when it is first used, as in ``app``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from kpr_sender import ways
from kpr_sender.app import journal_storage, trust, utc_now
from kpr_sender.events import Observer
from kpr_sender.keys.port import Keys
from kpr_sender.logins import Attempt, Login, RefusedLogins
from kpr_sender.profiles import load
from kpr_sender.registry.configured import age_for_sending, open_registry
from kpr_sender.registry.counterpart_checks import require_one_environment
from kpr_sender.registry.port import Registry
from kpr_sender.settings.values import Settings

if TYPE_CHECKING:
    from kpr_sender.operator.certificates import CertificateInUse
    from kpr_sender.operator.look_up import LookedUp
    from kpr_sender.operator.self_check import Check, CheckContext, CheckResult


def run_checks(
    settings: Settings,
    *,
    keys: Keys | None = None,
    now: Callable[[], datetime] = utc_now,
    max_seconds: float = math.inf,
    checks: tuple[Check, ...] | None = None,
) -> Iterator[CheckResult]:
    """Carry out self-checks, all where none are named, and yield each result as soon as it is known.

    Args:
        settings: What is checked.
        keys: Other keys than the configured ones.
        now: The clock.
        max_seconds: Bound on all together.
        checks: Rows of ``self_check.CHECKS``.
    """
    from kpr_sender.operator.self_check import CHECKS, carry_out

    # Whoever asks whether it works wants each login tried; but once, since a token counts every wrong PIN.
    attempt = RefusedLogins(journal_storage(settings).document("logins"), now, anyway=True).attempt
    asked = replace(settings, registry=replace(settings.registry, max_age=0.0, stale_for=0.0))  # an answer proves today

    def registry(observe: Observer) -> Registry:
        return open_registry(asked, now=now, observe=observe, attempt=attempt)

    context = _check_context(settings, now, attempt, registry, keys)
    return carry_out(CHECKS if checks is None else checks, context, max_seconds=max_seconds)


def certificates_in_use(
    settings: Settings, *, now: Callable[[], datetime], observe: Observer
) -> tuple[CertificateInUse, ...]:
    """Collect all certificates that are used: ours, FHI's where a send would take them from, and the bus's.

    Args:
        settings: Whose.
        now: The clock.
        observe: Called with what a person should know beside them.

    Raises:
        ConfigInvalid: The authorities that the configuration names cannot be read.
    """
    from kpr_sender.operator.self_check import in_use

    attempt = RefusedLogins(journal_storage(settings).document("logins"), now).attempt

    def registry(observe: Observer) -> Registry:
        return open_registry(settings, now=now, observe=observe, max_age=age_for_sending(settings), attempt=attempt)

    return in_use(replace(_check_context(settings, now, attempt, registry), observe=observe))


def look_up(
    settings: Settings, our_her_id: int, their_her_id: int, *, now: Callable[[], datetime] = utc_now
) -> LookedUp:
    """Ask the configured register, once, for our tjenestested and FHI's; for whoever sets a configuration up.

    Args:
        settings: Which register, and how to log in.
        our_her_id: Our level 2.
        their_her_id: FHI's.
        now: The clock.

    Raises:
        KprError: The configuration mixes environments (promise G7), or the register gives no answer.
    """
    from kpr_sender.operator.look_up import look_up as asked
    from kpr_sender.registry.configured import remote_register

    require_one_environment(load(settings.report.year), settings)
    return asked(remote_register(settings, now), our_her_id, their_her_id)


def _check_context(
    settings: Settings,
    now: Callable[[], datetime],
    attempt: Attempt,
    registry: Callable[[Observer], Registry],
    keys: Keys | None = None,
) -> CheckContext:
    from kpr_sender.bus.probe import Probe, shake_hands
    from kpr_sender.keys.configured import ConfiguredKeys, load
    from kpr_sender.notify import configured as notify
    from kpr_sender.operator.self_check import CheckContext
    from kpr_sender.registry.client import clock_ahead_of_us

    def log_in() -> Probe:
        with attempt(Login.to_bus(settings.bus)):
            return Probe(settings.bus)

    return CheckContext(
        settings=settings,
        now=now,
        journal=journal_storage(settings, now=now),
        keys=keys or ConfiguredKeys(settings, attempt),
        load_key=lambda source: load(source, attempt),
        trust=lambda observe: trust(settings, observe),
        registry=registry,
        register_clock=lambda: clock_ahead_of_us(settings.registry, now),
        shake_hands=lambda: shake_hands(settings.bus),
        log_in=log_in,
        mail_server=lambda: ways.mail_server_of(settings, attempt),
        mailbox=lambda: ways.mailbox_of(settings, attempt),
        notifier=lambda: notify.notifier(settings),
        pinger=lambda: notify.pinger(settings),
        metrics_file=lambda: notify.metrics_file(settings),
    )
