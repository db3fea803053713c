"""An AMQP 1.0 server on loopback that does what a test's script says, where no real broker can be made to.

It is no broker: no routing, no queues; each accepted connection is served by a thread of its own.
"""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Self

from kpr_sender.bus.proton_engine import (
    SERVER,
    Collector,
    Condition,
    Connection,
    Delivery,
    Event,
    Link,
    Terminus,
    TransportException,
    silent_transport,
    symbol,
)
from kpr_sender.bus.transfer_tracker import TransferTracker

_SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"
OUTCOMES: Final = {
    "accepted": Delivery.ACCEPTED,
    "released": Delivery.RELEASED,
    "rejected": Delivery.REJECTED,
    "modified": Delivery.MODIFIED,
    "unknown-state": 0x99,
}


@dataclass
class Script:
    """What the server does; every field is a departure from a bus that accepts all.

    Attributes:
        transfer: On a message: an outcome's name, ``settled-without-state``, ``silence``, ``drop``, ``end-session``,
            ``detach`` or ``close``; the last three with ``condition``.
        partial: Do it on the first part of a message, not on the whole.
        accept_first: So many messages are accepted before it does that.
        then: What follows at once on the first message's outcome: ``end-session``, ``detach`` or ``close``.
        credit: For sending links.
        max_message_size: Announced on sending links, in bytes.
        refuse: Condition with which an address is refused, or None.
        refuse_how: By ``end-session``, ``detach`` or ``close``.
        read_at_most: Bytes of the client's AMQP stream that are read; then nothing more is.
        hang_up_after: Bytes of the client's AMQP stream after which the connection is reset.
        deliver: Encoded messages for a receiving link, by its address.
        login: Whether the password is right.
        login_outcome: Another outcome of the login, by its number in AMQP 1.0, 5.3.3.6.
        open: Whether the open is answered.
        answer_end: Whether the end of a session is answered.
        idle_timeout: The client must say something within it, in seconds; 0 for never.
    """

    transfer: str = "accepted"
    partial: bool = False
    accept_first: int = 0
    then: str = ""
    condition: str = ""
    description: str = ""
    credit: int = 100
    max_message_size: int = 0
    version: str = "3.10.8"
    refuse: Callable[[str], str | None] = lambda _: None
    refuse_how: str = "end-session"
    read_at_most: int | None = None
    hang_up_after: int | None = None
    deliver: dict[str, list[bytes]] = field(default_factory=dict)
    login: bool = True
    login_outcome: int = 0
    open: bool = True
    answer_end: bool = True
    idle_timeout: float = 0.0


@dataclass
class Record:
    """What the server saw. Lists only grow; tests wait on them."""

    connections: int = 0
    sessions_ended: int = 0
    messages: list[bytes] = field(default_factory=list)
    attached: list[str] = field(default_factory=list)
    dispositions: list[str] = field(default_factory=list)
    closed_properly: int = 0
    tls_ended: int = 0
    login: list[bytes] = field(default_factory=list)
    transfers: TransferTracker = field(default_factory=TransferTracker)


class ScriptedBus:
    """The server; a context manager."""

    def __init__(
        self, script: Script | None = None, context: ssl.SSLContext | None = None, receive_buffer: int = 0
    ) -> None:
        self.script = script or Script()
        self.saw = Record()
        self._context = context
        self._stopping = threading.Event()
        self._conversations: list[_Conversation] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for conversation in self._conversations:
            conversation.thread.join(5)

    def tell(self, work: Callable[[_Conversation], None]) -> None:
        """Have something done on the newest connection's thread."""
        self._conversations[-1].work.put(work)

    def credit_of(self, address: str) -> int:
        """Return the credit the client has given for an address, on the newest connection."""
        answer: queue.Queue[int] = queue.Queue()
        self.tell(lambda conversation: answer.put(conversation.senders[address].credit))
        return answer.get(timeout=5)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.saw.connections += 1
            conversation = _Conversation(accepted, self.script, self.saw, self._stopping, self._context)
            self._conversations.append(conversation)
            conversation.thread.start()


class _Conversation:
    """One connection."""

    def __init__(
        self,
        accepted: socket.socket,
        script: Script,
        saw: Record,
        stopping: threading.Event,
        context: ssl.SSLContext | None,
    ) -> None:
        self.script, self.saw = script, saw
        self.senders: dict[str, Link] = {}
        self.unsettled: list[Delivery] = []
        self.work: queue.SimpleQueue[Callable[[_Conversation], None]] = queue.SimpleQueue()
        self.socket = accepted
        self._context = context
        self._stopping = stopping
        self._read = 0
        self._dropped = False
        self._tag = 0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.socket.settimeout(5)
            if self._context is not None:
                self.socket = self._context.wrap_socket(self.socket, server_side=True, suppress_ragged_eofs=False)
            if self._log_in():
                self._serve()
        except (OSError, EOFError):
            pass
        finally:
            self.socket.close()

    def reset(self) -> None:
        """Hang up at once, with a TCP reset."""
        self._dropped = True
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    # SASL by hand: proton's own server side offers no PLAIN

    def _log_in(self) -> bool:
        self._receive(8)
        self.socket.sendall(_SASL_HEADER + _sasl_frame(b"\x00\x53\x40\xc0\x08\x01\xa3\x05PLAIN"))
        size = struct.unpack(">I", self._receive(4))[0]
        self.saw.login.append(self._receive(size - 4))
        self.socket.sendall(
            _sasl_frame(b"\x00\x53\x44\xc0\x03\x01\x50" + bytes([self.script.login_outcome or not self.script.login]))
        )
        return self.script.login

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    # AMQP by proton's engine

    def _serve(self) -> None:
        self.connection, self._collector = Connection(), Collector()
        self.connection.collect(self._collector)
        self.transport = silent_transport(SERVER)
        self.transport.idle_timeout = self.script.idle_timeout
        self.transport.bind(self.connection)
        self.socket.settimeout(0)
        while not self._stopping.is_set() and not self._dropped:
            while not self.work.empty():
                self.work.get()(self)
            self._events()
            self.transport.tick(time.monotonic())
            self._write()
            if not self._take_in():
                break
        with contextlib.suppress(TransportException):
            self.transport.unbind()
        self.connection.free()

    def _take_in(self) -> bool:
        if self._dropped:
            return False
        limit = self.script.read_at_most
        if limit is not None and self._read >= limit:
            self._stopping.wait(0.01)
            return True
        undeciphered = self.socket.pending() if isinstance(self.socket, ssl.SSLSocket) else 0
        if not undeciphered and not select.select([self.socket], [], [], 0.005)[0]:
            return True
        cut = self.script.hang_up_after
        most = min([65536, self._capacity(), *(bound - self._read for bound in (limit, cut) if bound is not None)])
        try:
            data = self.socket.recv(most)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        self._read += len(data)
        if not data:
            self.saw.tls_ended += isinstance(self.socket, ssl.SSLSocket)
            return False
        self.saw.transfers.accepted(data)
        self.transport.push(data)
        self._events()
        if cut is not None and self._read >= cut:
            self._write()
            self.reset()
        return True

    def _capacity(self) -> int:
        try:
            return max(1, self.transport.capacity())
        except TransportException:
            raise EOFError from None

    def _write(self) -> None:
        while not self._dropped:
            self._events()
            try:
                pending = self.transport.pending()
            except TransportException:
                return
            if pending <= 0:
                return
            try:
                sent = self.socket.send(self.transport.peek(pending) or b"")
            except (BlockingIOError, ssl.SSLWantWriteError):
                return
            self.transport.pop(sent)

    def _events(self) -> None:
        while (event := self._collector.peek()) is not None:
            self._handle(event)
            self._collector.pop()

    def _handle(self, event: Any) -> None:
        if event.type is Event.CONNECTION_REMOTE_OPEN and self.script.open:
            self.connection.properties = {symbol("version"): self.script.version}
            self.connection.open()
        elif event.type is Event.CONNECTION_REMOTE_CLOSE:
            self.saw.closed_properly += 1
            self.connection.close()
        elif event.type is Event.SESSION_REMOTE_OPEN:
            event.session.open()
        elif event.type is Event.SESSION_REMOTE_CLOSE:
            self.saw.sessions_ended += 1
            if self.script.answer_end:
                event.session.close()
        elif event.type is Event.LINK_REMOTE_OPEN:
            self._attach(event.link)
        elif event.type is Event.LINK_FLOW and event.link.is_sender:
            self._deliver(event.link)
        elif event.type is Event.DELIVERY:
            self._delivery(event.link, event.delivery)

    def _attach(self, link: Any) -> None:
        address = link.remote_target.address if link.is_receiver else link.remote_source.address
        self.saw.attached.append(address)
        link.source.address, link.target.address = link.remote_source.address, link.remote_target.address
        condition = self.script.refuse(address)
        if condition is not None:
            if self.script.refuse_how == "detach":  # AMQP 1.0, 2.6.3: attach without a terminus, then detach
                link.source.type = link.target.type = Terminus.UNSPECIFIED
                link.open()
            self._end(link, self.script.refuse_how, Condition(condition, f"refused {address}"))
            return
        if link.is_receiver:
            link.max_message_size = self.script.max_message_size
            link.open()
            link.flow(self.script.credit)
        else:
            self.senders[address] = link
            link.open()

    def _deliver(self, link: Any) -> None:
        waiting = self.script.deliver.get(link.remote_source.address, [])
        while waiting and link.credit > 0:
            self._tag += 1
            self.unsettled.append(link.delivery(str(self._tag)))
            link.stream(waiting.pop(0))
            link.advance()

    def _delivery(self, link: Any, delivery: Any) -> None:
        if link.is_sender:
            if delivery.settled:
                self.saw.dispositions.append(_name(delivery.remote_state))
                delivery.settle()
                self.unsettled = [other for other in self.unsettled if other != delivery]
            return
        if delivery.partial:
            if self.script.partial and delivery.pending:
                self._answer(link, delivery)
            return
        if not delivery.readable:
            return
        self.saw.messages.append(bytes(link.recv(delivery.pending)))
        link.advance()
        link.flow(1)
        self._answer(link, delivery)

    def _answer(self, link: Any, delivery: Any) -> None:
        how, condition = self.script.transfer, Condition(self.script.condition, self.script.description)
        if len(self.saw.messages) <= self.script.accept_first and not delivery.partial:
            how = "accepted"
        if how in OUTCOMES:
            if how == "rejected" and self.script.condition:
                delivery.local.condition = condition
            delivery.update(OUTCOMES[how])
            delivery.settle()
        elif how == "settled-without-state":
            delivery.settle()
        elif how == "drop":
            self.reset()
        else:
            self._end(link, how, condition)
        if len(self.saw.messages) == 1:
            self._end(link, self.script.then, condition)

    def _end(self, link: Any, how: str, condition: Condition) -> None:
        """End a link, its session or the connection; anything else ends nothing."""
        if how == "end-session":
            end_session(link, condition.name, condition.description or "")
        elif how == "detach":
            link.condition = condition
            link.close()
        elif how == "close":
            self.connection.condition = condition
            self.connection.close()


def end_session(link: Any, condition: str, description: str = "") -> None:
    """End a link's session, as RabbitMQ does for nearly every error."""
    link.session.condition = Condition(condition, description)
    link.session.close()


def _sasl_frame(body: bytes) -> bytes:
    return struct.pack(">IBBH", 8 + len(body), 2, 1, 0) + body


def _name(state: Any) -> str:
    return next((name for name, value in OUTCOMES.items() if int(value) == int(state or 0)), f"state {state}")
