"""The registry that the configuration names. What asks a network is imported only where it is asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kpr_sender.errors import ConfigInvalid
from kpr_sender.events import Observer
from kpr_sender.model import Environment
from kpr_sender.profiles import Profile, guard_environment, guard_registry
from kpr_sender.registry.files import FilesRegistry
from kpr_sender.registry.latest import AT_MOST_EVERY
from kpr_sender.settings.values import RegistryKind, Settings

if TYPE_CHECKING:
    from kpr_sender.registry.cached import CachedRegistry
    from kpr_sender.registry.port import RemoteRegister

    Registry = FilesRegistry | CachedRegistry

_ALWAYS_ASK = 0.0


def open_registry(settings: Settings, *, now: Callable[[], datetime], observe: Observer) -> Registry:
    """Return what knows the receiver's certificates and queue, and other parties' entries where a register is asked.

    Args:
        settings: The configuration.
        now: The clock; aware datetimes.
        observe: Receives a warning when the register cannot be reached and an earlier answer is used.
    """
    return _open(settings, settings.registry.max_age, now, observe)


def open_registry_for_sending(settings: Settings, *, now: Callable[[], datetime], observe: Observer) -> Registry:
    """Return the same for sealing: in production the register is asked anew, whatever is cached."""
    always = settings.environment is Environment.PRODUKSJON
    return _open(settings, _ALWAYS_ASK if always else settings.registry.max_age, now, observe)


def open_registry_past_cache(settings: Settings, *, now: Callable[[], datetime], observe: Observer) -> Registry:
    """Return the same for a receipt that no certificate we hold fits: hardly anything that is cached is used."""
    return _open(settings, min(settings.registry.max_age, AT_MOST_EVERY), now, observe)


def _open(settings: Settings, max_age: float, now: Callable[[], datetime], observe: Observer) -> Registry:
    if settings.registry.kind is RegistryKind.FILES:
        return FilesRegistry(settings)
    # Only where a register is asked.
    from kpr_sender.registry.cached import Cache, CachedRegistry, beside  # noqa: PLC0415

    register = _register(settings, now)
    cache = Cache(beside(settings.journal.path), settings.environment.value, register.url, observe)
    return CachedRegistry(register, cache, settings, max_age, now, observe)


def _register(settings: Settings, now: Callable[[], datetime]) -> RemoteRegister:
    if settings.registry.kind is RegistryKind.SOAP:
        from kpr_sender.registry.soap import SoapRegister  # noqa: PLC0415 - httpx takes a moment to load

        return SoapRegister(settings.registry)
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
    return RestRegister(settings.registry, now)


def require_one_environment(profile: Profile, settings: Settings) -> None:
    """Refuse a configuration that mixes environments: receiver, bus and register must be one's (promise G7).

    Args:
        profile: The configured year's.
        settings: The configuration.

    Raises:
        ConfigInvalid: Something in it is known to belong to another environment.
    """
    guard_environment(
        profile,
        settings.environment,
        receiver_her_id=profile.receivers[settings.environment].service_her_id,
        queue=settings.receiver.queue,
        host=settings.bus.host,
    )
    registry = settings.registry
    urls = (registry.url, *([registry.helseid.url] if registry.helseid else ()))
    for url in urls if registry.kind is not RegistryKind.FILES else ():
        guard_registry(profile, settings.environment, urlsplit(url).hostname or "")
