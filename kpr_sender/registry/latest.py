"""The receiver as the register has it, asked anew where an earlier answer of the register does not fit any more.

HITS 1216 2.1.4: where a public certificate does not do, the cached one is dropped, the register is asked, and the same
message is tried again. How often messages of unknown senders can make us ask is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from kpr_sender.errors import KprError, RegistryUnreachable
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.registry.port import AddressRegistry, Counterpart, Provenance
from kpr_sender.texts import Text

AT_MOST_EVERY: Final = 300.0
"""Seconds between two questions past the cache, from one run to the next as well: its entry says when it was asked."""
_LONGEST_PAUSE: Final = 30.0
"""Seconds after which a register that does not answer is asked again at last; the pauses before are 1, 2, 4, 8, 16."""


@dataclass(slots=True)
class LatestCounterpart:
    """A communication party that outlives one answer of the register.

    Attributes:
        registry: Asked first; its answer may be as old as ``registry.max_age``.
        past_cache: The same with answers that are at most ``AT_MOST_EVERY`` seconds old.
    """

    her_id: int
    registry: AddressRegistry
    past_cache: AddressRegistry
    now: Callable[[], datetime]
    observe: Observer
    _known: Counterpart | None = field(default=None, init=False)
    _asked_at: datetime | None = field(default=None, init=False)
    _outage: RegistryUnreachable | None = field(default=None, init=False)
    _failed_at: datetime | None = field(default=None, init=False)
    _failures: int = field(default=0, init=False)

    @property
    def current(self) -> Counterpart:
        """What is known of it, asked for anew once that is too old; raises as ``AddressRegistry.counterpart`` does.

        Whoever waits may ask as often as it likes: a register that did not answer is given pauses, which grow.
        """
        if self._known is None or self._is_too_old(self._known.provenance):
            if self._outage is not None and self._in_pause():
                raise self._outage.with_traceback(None)
            try:
                self._known = self.registry.counterpart(self.her_id)
            except RegistryUnreachable as error:
                self._outage, self._failed_at = error, self.now()
                self._failures += 1
                raise
            self._outage, self._failures = None, 0
        return self._known

    def _in_pause(self) -> bool:
        pause = timedelta(seconds=min(_LONGEST_PAUSE, 2.0 ** min(self._failures - 1, 10)))
        return self._failed_at is not None and timedelta() <= self.now() - self._failed_at < pause

    def _is_too_old(self, provenance: Provenance) -> bool:
        """Tell whether an answer may not be used any more; one that was given just now may, whatever the settings."""
        if provenance.fetched_at is None or provenance.usable_until is None:
            return False
        return max(provenance.usable_until, provenance.fetched_at + timedelta(seconds=AT_MOST_EVERY)) <= self.now()

    def ask_again(self) -> bool:
        """Ask past the cache, unless that was just done; return whether it signs with other certificates now."""
        at = self.now()
        if self._asked_at is not None and timedelta() <= at - self._asked_at < timedelta(seconds=AT_MOST_EVERY):
            return False
        before = self.current.signing
        self._asked_at = at
        try:
            self._known = self.past_cache.counterpart(self.her_id)
        except KprError as error:
            text = Text(
                "The register could not be asked whether {her_id} has a new certificate: {what}",
                her_id=self.her_id,
                what=error.what,
            )
            self.observe(Event(EventKind.WARNING, text))
            return False
        return self._known.signing != before
