"""What every reader of a message raises. Here, so that who only catches it need not load what reads XML."""

from __future__ import annotations

from kpr_sender.texts import Text


class MessageRefused(ValueError):
    """A message is not valid.

    The text has no content of the message: it is safe to log, to show and to store (promise G6).

    Args:
        reason: One clause: what is wrong.
        line: Where, counted from 1; 0 where no line can be named.
    """

    def __init__(self, reason: str, *, line: int = 0) -> None:
        super().__init__(Text("{reason} (line {line})", reason=reason, line=line) if line else reason)
        self.reason = reason
        self.line = line
