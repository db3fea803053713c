"""Adresseregisteret: opens the registry that the configuration names.

What asks a network, or reads certificates, is imported only where it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from kpr_sender.errors import ConfigInvalid
from kpr_sender.events import Observer
from kpr_sender.logins import Attempt, Login, unremembered
from kpr_sender.model import Environment
from kpr_sender.net import Stopped, never
from kpr_sender.settings.values import RegistryKind, RegistrySettings, Settings

if TYPE_CHECKING:
    from kpr_sender.registry.port import RegisterEntry, Registry, RemoteRegister

_ALWAYS_ASK: Final = 0.0


def open_registry(
    settings: Settings,
    *,
    now: Callable[[], datetime],
    observe: Observer,
    max_age: float | None = None,
    attempt: Attempt = unremembered,
    stopped: Stopped = never,
) -> Registry:
    """Return what knows the receiver's certificates and queue, and other parties' entries where a register is asked.

    Args:
        settings: Which register.
        now: The clock.
        observe: Receives warnings.
        max_age: How old an answer may be, in seconds; ``registry.max_age`` when not given.
        attempt: Entered around each question with a login.
        stopped: Breaks a question off within a second.

    Raises:
        ConfigInvalid: The kind needs an extra that is not installed.
    """
    if settings.registry.kind is RegistryKind.FILES:
        from kpr_sender.registry.files import FilesRegistry  # noqa: PLC0415 - see the module

        return FilesRegistry(settings)
    from kpr_sender.registry.cached import Cache, CachedRegistry, beside  # noqa: PLC0415 - see the module

    register = _GuardedRegister(_register(settings, now, stopped), settings.registry, attempt)
    cache = Cache(beside(settings.journal.path), settings.environment.value, settings.registry.url, observe)
    return CachedRegistry(
        register, cache, settings, settings.registry.max_age if max_age is None else max_age, now, observe
    )


def open_registry_for_sending(
    settings: Settings,
    *,
    now: Callable[[], datetime],
    observe: Observer,
    attempt: Attempt = unremembered,
    stopped: Stopped = never,
) -> Registry:
    """Return the same for sealing: in production the register is asked anew, whatever is cached."""
    always = settings.environment is Environment.PRODUKSJON
    max_age = _ALWAYS_ASK if always else None
    return open_registry(settings, now=now, observe=observe, max_age=max_age, attempt=attempt, stopped=stopped)


@dataclass(frozen=True, slots=True)
class _GuardedRegister:
    """A register whose refused login is not repeated."""

    register: RemoteRegister
    settings: RegistrySettings
    attempt: Attempt

    def fetch(self, her_id: int) -> RegisterEntry:
        with self.attempt(Login.to_register(self.settings)):
            return self.register.fetch(her_id)


def _register(settings: Settings, now: Callable[[], datetime], stopped: Stopped) -> RemoteRegister:
    if settings.registry.kind is RegistryKind.SOAP:
        from kpr_sender.registry.soap import SoapRegister  # noqa: PLC0415 - lxml takes a moment to load

        return SoapRegister(settings.registry, stopped)
    try:
        from kpr_sender.registry.rest import RestRegister  # noqa: PLC0415 - needs what only the extra installs
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("joserfc"):
            raise
        raise ConfigInvalid(
            'registry.kind = "rest" needs the extra helseid, which is not installed.',
            where=f"{settings.origin}: registry.kind",
            next_step="Install it: pip install 'kpr-sender[helseid]'.",
        ) from None
    return RestRegister(settings.registry, now, stopped)
