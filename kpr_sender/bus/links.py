"""What a sending and a receiving link have in common: a session of its own, and how attaching to it ends.

RabbitMQ reports nearly every error of a link by ending its whole session. Therefore one session for each link.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kpr_sender.bus.proton_engine import Condition, Delivery, Link, Session, Terminus
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.privacy import foreign_text
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.bus.io_thread import IoThread


class EndedBy(enum.StrEnum):
    """Who or what ended a connection."""

    CLOSED = "closed"
    ABORTED = "aborted"
    BROKER = "broker"
    PROTOCOL = "protocol"
    SOCKET = "socket"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class ConnectionEnded:
    """Why a connection ended.

    Attributes:
        condition: The broker's or proton's condition, or ``local:`` and the name of what happened here.
        opened: Whether it was open before it ended.
    """

    by: EndedBy
    condition: str = ""
    description: str = ""
    opened: bool = False


@dataclass(frozen=True, slots=True)
class LinkAttached:
    """The broker attached; ``max_message_size`` in bytes, 0 when it does not say."""

    max_message_size: int


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """The broker closed the link or ended its session."""

    condition: str
    description: str


AttachReply = Future[LinkAttached | LinkRefused | ConnectionEnded]


class BrokerViolation(Exception):
    """The broker does what no broker may: the connection ends. The text quotes nothing of what it sent."""


def described(read: Callable[[], Condition | None]) -> tuple[str, str]:
    """Return a condition's name and the broker's words, each one line, bounded and clean; empty where it gave none.

    A broker may put a whole Erlang term there, or what it cannot route.

    Args:
        read: Reads it from proton, which raises what it likes where it cannot be decoded.
    """
    try:
        condition = read()
    except Exception:  # noqa: BLE001 - nested too deep, or no UTF-8
        return "local:unreadable", Text("the bus gives a reason that cannot be read")
    if condition is None:
        return "", ""
    return foreign_text(condition.name), foreign_text(condition.description or "")


class SessionLink(ABC):
    """A link with a session of its own. Everything in it runs on the I/O thread.

    Attributes:
        alive: False from when the broker, the connection or we ended it. Any thread may read it.
    """

    def __init__(self, io: IoThread, address: str) -> None:
        self.alive = False
        self._io = io
        self._address = address
        self._link: Link | None = None
        self._attaching: AttachReply | None = None

    def attach(self, reply: AttachReply) -> None:
        """Begin a session and attach, once; the reply says how it went."""
        session = self._io.connection.session()
        session.open()
        self._attaching = reply
        self._link = self._make(session, f"{self._io.name}-{self._address}")
        self._io.add(self)

    @abstractmethod
    def _make(self, session: Session, name: str) -> Link:
        """Make and open the link itself."""

    @abstractmethod
    def _terminus(self, link: Link) -> Terminus:
        """Return the broker's end of what was asked for; unspecified when it is about to refuse."""

    @abstractmethod
    def on_delivery(self, delivery: Delivery) -> None:
        """Something happened to a delivery."""

    def owns(self, session: Session) -> bool:
        """Whether the session is this link's own."""
        return self._link is not None and bool(self._link.session == session)

    def on_open(self, link: Link) -> None:
        """The broker attached; without a terminus it means to refuse, and says why in a moment."""
        if self._terminus(link).type != Terminus.UNSPECIFIED:
            self.alive = True
            reached(FaultPoint.AFTER_ATTACH)
            self._answer_attach(LinkAttached(int(link.remote_max_message_size or 0)))

    def on_refused(self, condition: str, description: str) -> None:
        """The broker closed the link or its session."""
        self._drop()
        self._answer_attach(LinkRefused(condition, description))

    def on_end(self, ended: ConnectionEnded) -> None:
        """The connection is over."""
        self._drop()
        self._answer_attach(ended)

    def feed(self) -> bool:
        """Nothing to send here."""
        return False

    def tick(self, now: float) -> float | None:  # noqa: ARG002 - the receiving link's business
        """Return None: this link has no timer."""
        return None

    def leave(self) -> None:
        """End the session."""
        if self._link is not None:
            self._link.session.close()
        self._io.remove(self)
        self._drop()

    def _drop(self) -> None:
        self.alive = False
        self._link = None

    def _answer_attach(self, answer: LinkAttached | LinkRefused | ConnectionEnded) -> None:
        reply, self._attaching = self._attaching, None
        if reply is not None and not reply.done():
            reply.set_result(answer)


class OutwardLink(SessionLink):
    """A link to send by, each transfer answered with an outcome."""

    def _make(self, session: Session, name: str) -> Link:
        link = session.sender(name)
        link.target.address = self._address
        link.source.address = self._io.name
        link.snd_settle_mode = Link.SND_UNSETTLED
        link.rcv_settle_mode = Link.RCV_FIRST
        link.open()
        return link

    def _terminus(self, link: Link) -> Terminus:
        return link.remote_target

    def on_delivery(self, delivery: Delivery) -> None:
        """Nothing is sent by this link itself."""


class InwardLink(SessionLink):
    """A link to receive by; it has no credit until it asks for some."""

    def _make(self, session: Session, name: str) -> Link:
        link = session.receiver(name)
        link.source.address = self._address
        link.target.address = self._io.name
        link.rcv_settle_mode = Link.RCV_FIRST
        link.open()
        return link

    def _terminus(self, link: Link) -> Terminus:
        return link.remote_source

    def on_delivery(self, delivery: Delivery) -> None:  # noqa: ARG002 - the receiving link's business
        """Nothing was asked for."""
        raise BrokerViolation(Text("it sent a message that nobody asked for"))
