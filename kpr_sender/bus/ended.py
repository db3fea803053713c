"""How a connection begins and ends, in plain values."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from kpr_sender.bus.proton_engine import Condition

_LONGEST_DESCRIPTION: Final = 300  # characters; a broker may put a whole Erlang term there


class Why(enum.StrEnum):
    """Who or what ended a connection."""

    CLOSED = "closed"
    ABORTED = "aborted"
    BROKER = "broker"
    PROTOCOL = "protocol"
    SOCKET = "socket"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a connection ended.

    Attributes:
        condition: The broker's or proton's condition, or ``local:`` and the name of what happened here.
        opened: Whether it stood before it ended.
    """

    why: Why
    condition: str = ""
    description: str = ""
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """The broker opened the connection.

    Attributes:
        version: The broker's version as it says; may be empty.
    """

    version: str


def told(condition: Condition | None) -> tuple[str, str]:
    """Return a condition's name and the broker's words in one line; empty where it gave none."""
    if condition is None:
        return "", ""
    return str(condition.name), " ".join(str(condition.description or "").split())[:_LONGEST_DESCRIPTION]
