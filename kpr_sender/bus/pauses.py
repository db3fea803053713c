"""Trying again what could not be reached: one policy for each way to send (promise G1). No other file has tenacity."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import tenacity
from tenacity.nap import sleep_using_event

from kpr_sender.errors import BusUnreachable

_LONGEST_PAUSE: Final = 30.0  # seconds
_MOST_DOUBLINGS: Final = 10

_T = TypeVar("_T")


class Pauses:
    """Pauses that grow with each failure, 30 seconds at most, by chance up to half as long.

    Many who lost one server at the same time do not come back at the same time.

    Args:
        first: The first one, in seconds.
        closing: Ends a pause when set, and no further attempt is begun.
        monotonic: A clock that never jumps, in seconds.

    Attributes:
        over_at: When the present pause is over, by that clock; it outlives the call that began it.
    """

    def __init__(self, first: float, closing: threading.Event, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._first = first
        self._closing = closing
        self._monotonic = monotonic
        self._failures = 0  # in a row
        self.over_at = -math.inf

    def succeeded(self) -> None:
        """Begin with the first pause again; the present one goes on."""
        self._failures = 0

    def begin_anew(self) -> None:
        """Forget what failed, and the present pause with it."""
        self._failures, self.over_at = 0, -math.inf

    def begin(self) -> float:
        """Begin the next pause; return its seconds."""
        longest: float = min(_LONGEST_PAUSE, self._first * 2 ** min(self._failures, _MOST_DOUBLINGS))
        self._failures += 1
        seconds = random.uniform(longest / 2, longest)  # noqa: S311 - jitter, no secret
        self.over_at = self._monotonic() + seconds
        return seconds

    def wait_until_over(self, deadline: float) -> bool:
        """Wait for the end of a pause that an earlier call began; return whether an attempt may be made by then."""
        left = self.over_at - self._monotonic()
        return left <= 0 or (self.over_at <= deadline and not self._closing.wait(left))

    def attempts(self, connect: Callable[[], _T], deadline: float) -> Iterator[_T]:
        """Yield what ``connect`` returns, and again after a pause each time the caller comes back.

        For ``BusUnreachable`` and what the caller could not do, until the next pause would end after ``deadline``; one
        attempt is made in any case. Everything else that ``connect`` raises is final at once: repeating a wrong login
        only locks accounts.

        Raises:
            BusUnreachable: The last attempt failed with it. Otherwise the iterator just ends.
        """
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(BusUnreachable) | tenacity.retry_if_result(lambda _: True),
            wait=lambda _: self.begin(),
            stop=lambda state: self._closing.is_set() or self._monotonic() + state.upcoming_sleep > deadline,
            sleep=sleep_using_event(self._closing),
            retry_error_callback=lambda _: None,
        )
        failed: BaseException | None = None
        for attempt in attempts:
            state = attempt.retry_state
            if state.attempt_number > 1 and self._closing.is_set():
                break
            with attempt:
                made = connect()
            failed = None if state.outcome is None else state.outcome.exception()
            if failed is None:
                yield made
        if failed is not None:
            raise failed
