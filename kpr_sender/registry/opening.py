"""The registry that the configuration asks for. What talks to a network is imported only for who does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from kpr_sender.events import Observer
from kpr_sender.model import Environment
from kpr_sender.profiles import Profile, guard_registry
from kpr_sender.registry.port import AddressRegistry
from kpr_sender.registry.static import StaticRegistry
from kpr_sender.settings.values import RegistryKind, Settings

_ALWAYS_ASK = 0.0


def open_registry(settings: Settings, *, now: Callable[[], datetime], observe: Observer) -> AddressRegistry:
    """Return what knows the receiver's certificates and queue.

    Args:
        settings: The configuration.
        now: The clock; aware datetimes.
        observe: Told when the register cannot be reached and an earlier answer is used.
    """
    return _open(settings, settings.registry.max_age, now, observe)


def open_registry_for_sending(settings: Settings, *, now: Callable[[], datetime], observe: Observer) -> AddressRegistry:
    """Return the same for sealing: real data is never sealed for what was true an hour ago, if it can be asked."""
    always = settings.environment is Environment.PRODUKSJON
    return _open(settings, _ALWAYS_ASK if always else settings.registry.max_age, now, observe)


def demand_own_register(profile: Profile, settings: Settings) -> None:
    """Refuse a register of another environment (promise G7).

    Raises:
        ConfigInvalid: Its host is known to belong to another one.
    """
    if settings.registry.kind is not RegistryKind.FILES:
        guard_registry(profile, settings.environment, urlsplit(settings.registry.url).hostname or "")


def _open(settings: Settings, max_age: float, now: Callable[[], datetime], observe: Observer) -> AddressRegistry:
    if settings.registry.kind is RegistryKind.FILES:
        return StaticRegistry(settings)
    from kpr_sender.registry.cache import Cache, beside  # noqa: PLC0415 - only where a register is asked
    from kpr_sender.registry.remote import RemoteRegistry  # noqa: PLC0415 - the same
    from kpr_sender.registry.soap import SoapRegister  # noqa: PLC0415 - httpx takes a moment to load

    register = SoapRegister(settings.registry)
    cache = Cache(beside(settings.journal.path), settings.environment.value, register.url, observe)
    return RemoteRegistry(register, cache, settings, max_age, now, observe)
