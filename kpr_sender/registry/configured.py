"""Adresseregisteret: opens the registry that the configuration names, for each use with answers as old as it allows.

What asks a network, or reads certificates, is imported only where it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

from kpr_sender.deadline import Stopped, never
from kpr_sender.errors import ConfigInvalid, KprError
from kpr_sender.events import Observer
from kpr_sender.logins import Attempt, Login, unremembered
from kpr_sender.model import Environment, Party
from kpr_sender.registry.latest import AT_MOST_EVERY
from kpr_sender.settings.values import RegistryKind, RegistrySettings, Settings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.registry.port import AddressRegistry, Directory, RegisterEntry, Registry, RemoteRegister

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

    register = _GuardedRegister(remote_register(settings, now, stopped), settings.registry, attempt)
    cache = Cache(beside(settings.journal.path), settings.environment.value, settings.registry.url, observe)
    return CachedRegistry(
        register, cache, settings, settings.registry.max_age if max_age is None else max_age, now, observe
    )


def age_for_sending(settings: Settings) -> float | None:
    """Return how old an answer may be to seal by: in production the register is asked anew, whatever is cached."""
    return _ALWAYS_ASK if settings.environment is Environment.PRODUKSJON else None


class Registers:
    """The registry for each use, opened when it is first asked for.

    Args:
        settings: Which register.
        given: What is used for all of them in its place; None for none.
        now: The clock.
        observe: Receives warnings.
        attempt: Entered around each question with a login.
        stopped: Breaks a question off within a second.
    """

    def __init__(
        self,
        settings: Settings,
        given: AddressRegistry | None,
        *,
        now: Callable[[], datetime],
        observe: Observer,
        attempt: Attempt,
        stopped: Stopped,
    ) -> None:
        self._settings = settings
        self._given = given
        self._open = partial(open_registry, settings, now=now, observe=observe, attempt=attempt, stopped=stopped)

    @cached_property
    def for_receipts(self) -> AddressRegistry:
        """What receipts are verified with; its answers may be as old as ``registry.max_age``."""
        return self._given or self._open()

    @cached_property
    def for_sending(self) -> AddressRegistry:
        """The same for sealing, asked anew in production."""
        return self._given or self._open(max_age=age_for_sending(self._settings))

    @property
    def past_cache(self) -> AddressRegistry:
        """The same for a receipt that no certificate of an earlier answer fits."""
        return self._given or self._past_cache

    @property
    def directory(self) -> Directory | None:
        """What knows our own entry in the register; None where no register is asked."""
        asked = self._given is None and self._settings.registry.kind is not RegistryKind.FILES
        return self._past_cache if asked else None

    @cached_property
    def _past_cache(self) -> Registry:
        """The register, with hardly any answer from the cache."""
        return self._open(max_age=min(self._settings.registry.max_age, AT_MOST_EVERY))

    def queues_owner(self, ours: Party) -> str:
        """Say whom our queues are registered for: the register's word, where it is asked and answers, else ours."""
        names, source = (ours.name, ours.service_name), Text("by the configuration")
        if self.directory is not None:
            with suppress(KprError):
                party = self.directory.entry(ours.service_her_id).party
                names, source = (party.parent_name or ours.name, party.name), Text("in Adresseregisteret")
        return Text(
            "The queue is that of {names} (HER-id {service_her_id}) {source}; which other systems read it, "
            "neither the register nor the bus says.",
            names=", ".join(names),
            service_her_id=ours.service_her_id,
            source=source,
        )


@dataclass(frozen=True, slots=True)
class _GuardedRegister:
    """A register whose refused login is not repeated."""

    register: RemoteRegister
    settings: RegistrySettings
    attempt: Attempt

    def fetch(self, her_id: int) -> RegisterEntry:
        with self.attempt(Login.to_register(self.settings)):
            return self.register.fetch(her_id)


def remote_register(settings: Settings, now: Callable[[], datetime], stopped: Stopped = never) -> RemoteRegister:
    """Return the register itself, without cache; ``stopped`` breaks a question off within a second.

    Raises:
        ConfigInvalid: The kind needs an extra that is not installed.
    """
    if settings.registry.kind is RegistryKind.SOAP:
        from kpr_sender.registry.soap import SoapRegister  # noqa: PLC0415 - lxml takes a moment to load

        return SoapRegister(settings.registry, stopped)
    try:
        from kpr_sender.registry.rest import RestRegister  # noqa: PLC0415 - needs what only the extra installs
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("joserfc"):
            raise
        raise ConfigInvalid(
            Text('registry.kind = "rest" needs the extra helseid, which is not installed.'),
            where=f"{settings.origin}: registry.kind",
            next_step=Text("Install it: pip install 'kpr-sender[helseid]'."),
        ) from None
    return RestRegister(settings.registry, now, stopped)
