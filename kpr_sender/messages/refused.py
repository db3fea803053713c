"""Why a message was refused."""

from __future__ import annotations


class MessageRefused(ValueError):
    """A message is not what it must be.

    The text holds no content of the message: it is safe to log, to show and to keep (promise G6).

    Args:
        reason: One clause: what is wrong.
        line: The line it is wrong at, counted from 1; 0 where no line can be named.
    """

    def __init__(self, reason: str, *, line: int = 0) -> None:
        super().__init__(f"{reason} (line {line})" if line else reason)
        self.reason = reason
        self.line = line
