"""The only file that imports proton: its protocol engine, and nothing that touches a socket, a thread or TLS.

Why the engine and not proton's BlockingConnection or Container: only the engine shows whether the last byte of a
transfer left the process, it keeps heartbeats going while a caller waits for hours, and RabbitMQ's way of reporting
errors (it ends the session) passes the others by. proton's own TLS is never used: some of its builds have none.
"""

from __future__ import annotations

import logging
from typing import Final

from proton import (
    SASL,
    Collector,
    Condition,
    Connection,
    Data,
    Delivery,
    Described,
    Endpoint,
    Event,
    Link,
    Message,
    Receiver,
    Sender,
    Session,
    Terminus,
    Transport,
    TransportException,
    symbol,
    ulong,
)

__all__ = [
    "SASL",
    "SERVER",
    "Collector",
    "Condition",
    "Connection",
    "Data",
    "Delivery",
    "Described",
    "Endpoint",
    "Event",
    "Link",
    "Message",
    "Receiver",
    "Sender",
    "Session",
    "Terminus",
    "Transport",
    "TransportException",
    "silent_transport",
    "symbol",
    "ulong",
]

SERVER: Final = Transport.SERVER

# proton's Python code logs handler errors with message contents in them.
_logger = logging.getLogger("proton")
_logger.addHandler(logging.NullHandler())
_logger.propagate = False


def silent_transport(mode: int | None = None) -> Transport:
    """Return a transport that prints nothing.

    With PN_TRACE_FRM, PN_TRACE_RAW or PN_LOG in the environment proton prints frames to standard error, the SASL
    frame with the password among them (promise G6). Without them it prints warnings of what the other side sends, which
    end nowhere here.

    Args:
        mode: ``SERVER`` for the accepting side; the connecting side when None.
    """
    transport = Transport(mode)
    transport.trace(Transport.TRACE_OFF)
    transport.tracer = _say_nothing
    return transport


def _say_nothing(_transport: Transport, _message: str) -> None:
    """Take what proton would print."""
