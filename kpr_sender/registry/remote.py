"""The receiver as a register on the network has it: asked when needed, kept for a while, judged for sending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kpr_sender.errors import RegistryUnreachable
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.registry.assembling import counterpart_of
from kpr_sender.registry.cache import Cache
from kpr_sender.registry.listing import Listing, Register, UnknownParty
from kpr_sender.registry.objections import objections
from kpr_sender.registry.port import Answer, Counterpart, Provenance, Queues, RegisteredParty, Use
from kpr_sender.registry.static import configured_certificates
from kpr_sender.settings.values import Settings

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True)
class RemoteRegistry:
    """Answers from a register, or from what it said lately.

    Attributes:
        register: Whom to ask.
        cache: Its last good answers.
        settings: The configuration.
        max_age: How old an answer may be before it is asked for again, in seconds.
        now: The clock; aware datetimes.
        observe: Told when an old answer had to do.
    """

    register: Register
    cache: Cache
    settings: Settings
    max_age: float
    now: Callable[[], datetime]
    observe: Observer

    def counterpart(self, her_id: int) -> Counterpart:
        """Return what is registered for a level 2 HER-id, with what speaks against sending to it.

        Raises:
            ConfigInvalid: The register does not know it, or a configured certificate's file is missing.
            AccessRefused: The register refuses our user or has no certificate; or its own is refused.
            RegistryUnreachable: It does not answer, and no earlier answer may be used.
        """
        listing = self._listing(her_id)
        found = counterpart_of(listing, her_id)
        # Earlier ones in the configuration are there to be believed, whatever the register says.
        signing = dict.fromkeys((*found.signing, *configured_certificates(self.settings, Use.SIGNING)))
        against = tuple(objections(listing, self.settings, at=self.now()))
        return replace(found, signing=tuple(signing), objections=against)

    def party(self, her_id: int) -> Answer[RegisteredParty]:
        """Return who it is."""
        return self._listing(her_id).party(her_id)

    def queues(self, her_id: int) -> Answer[Queues]:
        """Return the addresses of its queues."""
        return self._listing(her_id).queues(her_id)

    def certificate(self, her_id: int, use: Use) -> Answer[tuple[Certificate, ...]]:
        """Return its certificates for that use."""
        return self._listing(her_id).certificate(her_id, use)

    def _listing(self, her_id: int) -> Listing:
        kept = self.cache.get(her_id)
        if kept is not None and (fresh := self._usable(kept, self.max_age)) is not None:
            return fresh
        try:
            return self._fetch(her_id, kept)
        except RegistryUnreachable as error:
            stale = None if kept is None else self._usable(kept, self.settings.registry.stale_for)
            if stale is None:
                raise
            self._say(error, stale.provenance)
            return replace(stale, provenance=replace(stale.provenance, stale=True))
        except UnknownParty:
            self.cache.forget(her_id)
            raise

    def _fetch(self, her_id: int, kept: Listing | None) -> Listing:
        now = self.now()
        lasts = timedelta(seconds=self.max_age)
        listing = replace(
            self.register.fetch(her_id).after(kept), provenance=Provenance(self.register.url, now, now + lasts)
        )
        if listing.whole:
            self.cache.put(her_id, listing)
        else:
            self.cache.forget(her_id)
        return listing

    def _usable(self, kept: Listing, seconds: float) -> Listing | None:
        """Return an answer that is not older than that, with until when it may be used."""
        fetched_at = kept.provenance.fetched_at
        if fetched_at is None:
            return None
        until = fetched_at + timedelta(seconds=seconds)
        # What was fetched in the future was fetched by another clock.
        if not fetched_at <= self.now() < until:
            return None
        return replace(kept, provenance=replace(kept.provenance, usable_until=until))

    def _say(self, error: RegistryUnreachable, provenance: Provenance) -> None:
        text = (
            f"Adresseregisteret cannot be asked ({error.what}) Its answer of "
            f"{provenance.fetched_at:%Y-%m-%d %H:%M} UTC is used, until {provenance.usable_until:%Y-%m-%d %H:%M} UTC."
        )
        self.observe(Event(EventKind.WARNING, text))
