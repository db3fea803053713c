"""Trying again to connect, and only that: the one file that imports tenacity.

Nothing here repeats a transfer (promise G1). What is retried is reaching the bus, where nothing was sent.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Final, TypeVar

import tenacity
from tenacity.nap import sleep_using_event

from kpr_sender.errors import BusUnreachable

_FIRST_WAIT: Final = 0.2  # seconds
_LONGEST_WAIT: Final = 30.0  # seconds
_Standing = TypeVar("_Standing")


def persistently(attempt: Callable[[], _Standing], *, budget: float, closing: threading.Event) -> _Standing:
    """Call until it works: exponential back-off with full jitter, for ``BusUnreachable`` and nothing else.

    Wrong logins, certificates and addresses are final at once: repeating them only locks accounts.

    Args:
        attempt: Connects once.
        budget: Bound on all attempts and waits together, in seconds; the first attempt is made in any case.
        closing: Ends the wait, and the trying, when set.

    Raises:
        BusUnreachable: The last attempt's, when the budget is used up.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(BusUnreachable),
        wait=tenacity.wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
        stop=tenacity.stop_any(tenacity.stop_before_delay(budget), tenacity.stop_when_event_set(closing)),
        sleep=sleep_using_event(closing),
        reraise=True,
    )
    return retrying(attempt)


def pause_after(short_lives: int) -> float:
    """Return how long to wait before the next attempt when connections stand but do not last, in seconds.

    Args:
        short_lives: How many in a row did not last.
    """
    longest: float = min(_LONGEST_WAIT, _FIRST_WAIT * 2**short_lives)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, no secret
