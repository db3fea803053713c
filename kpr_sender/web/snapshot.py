"""What is known of all municipalities, read again at most every few seconds, however many look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from typing import Final

from kpr_sender.errors import InternalError, KprError
from kpr_sender.texts import Text
from kpr_sender.web.port import Municipalities, MunicipalityLine

FRESH_SECONDS: Final = 10.0
"""How old what is shown may be before it is read again."""
_SHOWN_SECONDS: Final = 60.0
"""How old it may be and still be shown to whoever asks while it is being read again."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All municipalities at one moment.

    Attributes:
        number: Grows with each look.
        at: When they were last looked at successfully; None where they never were.
        lines: What is known of each.
        error: Why the last look failed; None where it did not.
    """

    number: int
    at: datetime | None
    lines: Sequence[MunicipalityLine] = field(default=(), repr=False)
    error: KprError | None = None


class Snapshots:
    """Looks at all municipalities on a thread of its own, one look at a time. For one event loop.

    Args:
        municipalities: Who knows them.
        now: The clock.
        unexpected: Told of whatever goes wrong in the program.
    """

    def __init__(
        self,
        municipalities: Municipalities,
        *,
        now: Callable[[], datetime],
        unexpected: Callable[[Exception], object],
    ) -> None:
        self._municipalities, self._now, self._unexpected = municipalities, now, unexpected
        self._latest = Snapshot(0, None)
        self._looked_at: float | None = None
        self._look: asyncio.Task[Snapshot] | None = None

    async def latest(self) -> Snapshot:
        """Return what is known; where that is old, what is known after another look."""
        age = float("inf") if self._looked_at is None else monotonic() - self._looked_at
        if age > FRESH_SECONDS and self._look is None:
            self._look = asyncio.get_running_loop().create_task(self._again())
        if age > _SHOWN_SECONDS and self._look is not None:
            return await asyncio.shield(self._look)  # one reader that goes away ends nobody else's look
        return self._latest

    async def _again(self) -> Snapshot:
        try:
            self._latest = await asyncio.to_thread(self._looked)
            return self._latest
        finally:
            self._looked_at, self._look = monotonic(), None

    def _looked(self) -> Snapshot:
        number = self._latest.number + 1
        try:
            return Snapshot(number, self._now(), self._municipalities.lines())
        except KprError as error:
            return replace(self._latest, number=number, error=error)
        except Exception as error:  # noqa: BLE001 - the page says it, and shows what was known before
            self._unexpected(error)
            unexpected = InternalError(Text("An unexpected {name}.", name=type(error).__name__))
            return replace(self._latest, number=number, error=unexpected)
