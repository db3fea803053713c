"""One connection and the one thread that owns it, from the open socket to the closed one.

1. No proton object is touched by, or handed to, any other thread: work goes in as functions, plain values come out.
   (proton's reference counts are not atomic; shared between threads it crashes the process.)
2. A connection is never repaired: when it ends, its thread ends and leaves its reason; the next one is new throughout.
3. The clock is monotonic. Heartbeats are this thread's business, however long a caller waits.
4. After our own close the broker gets two seconds; then the socket is closed whatever happens. A socket left open
   keeps messages from their owner.
"""

from __future__ import annotations

import collections
import contextlib
import secrets
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from kpr_sender.bus.dial import hang_up
from kpr_sender.bus.links import BrokerViolation, ConnectionEnded, EndedBy, described
from kpr_sender.bus.proton_engine import (
    SASL,
    Collector,
    Connection,
    Delivery,
    Endpoint,
    Event,
    Link,
    Session,
    TransportException,
    silent_transport,
    symbol,
)
from kpr_sender.bus.transfer_tracker import LARGEST_CHUNK, SocketWriter, TransferTracker
from kpr_sender.privacy import foreign_text
from kpr_sender.texts import Text, said

if TYPE_CHECKING:
    from kpr_sender.bus.links import SessionLink

_CLOSE_SECONDS: Final = 2.0
_LONGEST_SLEEP: Final = 30.0  # seconds
_READ_BYTES: Final = 64 * 1024
_READS_A_ROUND: Final = 64  # then commands, timers and writing get their turn
_MOST_DISCARDED: Final = 100  # messages; what is under way when a session ends is 15 at most, for each of two queues
_LONGEST_VERSION: Final = 60  # characters
_LINK_ENDINGS: Final = (Event.LINK_REMOTE_CLOSE, Event.LINK_REMOTE_DETACH)


class IoThread:
    """A connection to the bus.

    Args:
        connected: Non-blocking socket, TLS done; the thread's own from now on.
        host: As configured, for the open frame.
        idle_timeout: A silent connection is given up after this many seconds.
        on_end: Called once, on the I/O thread, when it is over.
    """

    def __init__(
        self,
        connected: socket.socket,
        *,
        host: str,
        username: str,
        password: str,
        idle_timeout: float,
        on_end: Callable[[ConnectionEnded], None],
    ) -> None:
        self.name = f"kpr-sender-{secrets.token_hex(6)}"
        self.opened: Future[str | ConnectionEnded] = Future()  # the broker's version as it says; may be empty
        self.ended: ConnectionEnded | None = None
        self.transfers = TransferTracker()
        self._writer = SocketWriter(connected, self.transfers)
        self.connection: Connection
        self._socket = connected
        self._open_frame = (host, username, password, idle_timeout)
        self._on_end = on_end
        self._lock = threading.Lock()
        self._commands: collections.deque[tuple[Callable[[Future[Any]], None], Future[Any]]] = collections.deque()
        self._waiting: list[Future[Any]] = []
        self._links: list[SessionLink] = []
        self._close_by: float | None = None
        self._aborted: ConnectionEnded | None = None
        self._hung_up = False
        self._discarded = 0
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    # For any thread

    def ask(self, work: Callable[[Future[Any]], None]) -> Future[Any]:
        """Have ``work`` called on the I/O thread with the reply it is to resolve, now or later.

        Returns:
            The reply. It resolves to ``ConnectionEnded`` when the connection ends first, or has ended already.
        """
        reply: Future[Any] = Future()
        with self._lock:
            if self.ended is not None:
                reply.set_result(self.ended)
                return reply
            self._commands.append((work, reply))
            # Under the lock, because the ending thread closes the pair.
            with contextlib.suppress(BlockingIOError):
                self._wake_out.send(b".")
        return reply

    def do(self, work: Callable[[], None]) -> Future[Any]:
        """Have ``work`` called on the I/O thread; the reply resolves when it is done, or to ``ConnectionEnded``."""

        def then_answer(reply: Future[Any]) -> None:
            work()
            reply.set_result(None)

        return self.ask(then_answer)

    def close(self) -> None:
        """Give back what is unsettled, end the sessions, close connection and socket; returns when done."""
        self.do(self._begin_close)
        self._thread.join(_CLOSE_SECONDS * 2)

    def abort(self, why: str = "") -> None:
        """Close the socket at once: nothing more leaves the process. Returns when it is done."""
        self.do(lambda: self.abort_here(why))
        self._thread.join(_CLOSE_SECONDS * 2)

    def forget_after_fork(self) -> None:
        """In a child process, where the I/O thread does not run: close this process's copy of the socket."""
        self._socket.close()
        self._wake_in.close()
        self._wake_out.close()

    # For links, on the I/O thread

    def add(self, link: SessionLink) -> None:
        """Let a link have its events."""
        if link not in self._links:
            self._links.append(link)

    def remove(self, link: SessionLink) -> None:
        """Let a link have no more events."""
        if link in self._links:
            self._links.remove(link)

    def abort_here(self, why: str = "") -> None:
        """Close the socket before anything more leaves the process."""
        self._aborted = self._ended(EndedBy.ABORTED, "local:aborted", why)

    # The thread

    def _run(self) -> None:
        ended = ConnectionEnded(EndedBy.FAULT)
        try:
            self._open()
            ended = self._until_the_end()
        except OSError as error:
            ended = self._ended(EndedBy.SOCKET, f"local:{type(error).__name__}", error.strerror or "")
        except BrokerViolation as error:
            ended = self._ended(EndedBy.PROTOCOL, "local:violation", said(error))
        except TransportException:
            ended = self._ended(EndedBy.PROTOCOL, *described(lambda: self._transport.condition))
        except Exception as error:  # noqa: BLE001 - a fault here must end the connection, not leave callers waiting
            # No text: it might show what proton was handling.
            ended = self._ended(EndedBy.FAULT, f"local:{type(error).__name__}", Text("an error in the program"))
        finally:
            self._clean_up(ended)

    def _ended(self, by: EndedBy, condition: str = "", description: str = "") -> ConnectionEnded:
        return ConnectionEnded(by, condition, description, opened=self.opened.done())

    def _open(self) -> None:
        host, username, password, idle_timeout = self._open_frame
        self._open_frame = ("", "", "", 0.0)
        self._collector = Collector()
        self.connection = Connection()
        self.connection.collect(self._collector)
        self.connection.container = self.name
        self.connection.hostname = host
        self.connection.user = username
        self.connection.password = password
        self._transport = silent_transport()
        self._transport.idle_timeout = idle_timeout
        self._transport.max_frame_size = LARGEST_CHUNK  # what RabbitMQ 4 allows at most
        sasl = self._transport.sasl()
        # Without this proton may take AMQPLAIN for PLAIN and fall back to ANONYMOUS without a word.
        sasl.allowed_mechs("PLAIN")
        # TLS is outside proton, which therefore takes the connection for clear text; dial.py requires TLS.
        sasl.allow_insecure_mechs = True
        self._transport.bind(self.connection)
        self.connection.open()

    def _until_the_end(self) -> ConnectionEnded:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_in, selectors.EVENT_READ)
            selector.register(self._socket, selectors.EVENT_READ)
            while True:
                self._run_commands()
                self._handle_events()
                due = self._run_timers()
                blocked = self._write()
                if (ended := self._end_seen()) is not None:
                    return ended
                selector.modify(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if blocked else 0))
                selector.select(max(0.0, due - time.monotonic()) if not self._undeciphered() else 0)
                with contextlib.suppress(BlockingIOError):
                    self._wake_in.recv(4096)
                self._read()

    def _run_commands(self) -> None:
        while self._commands:
            work, reply = self._commands.popleft()
            self._waiting = [other for other in self._waiting if not other.done()]
            self._waiting.append(reply)
            work(reply)

    def _run_timers(self) -> float:
        now = time.monotonic()
        times = [link.tick(now) for link in tuple(self._links)]
        times += [self._transport.tick(now) or None]
        if self._close_by is not None:
            times.append(self._go_on_closing(self._close_by))
        return min([now + _LONGEST_SLEEP, *(when for when in times if when is not None)])

    def _write(self) -> bool:
        """Send what there is; whether the socket would take no more."""
        while True:
            self._handle_events()
            if self._aborted is not None:
                return False
            pending = self._pending()
            if pending <= 0:
                if any(link.feed() for link in tuple(self._links)):
                    continue
                return False
            chunk = self._transport.peek(min(pending, LARGEST_CHUNK)) or b""
            try:
                sent = self._writer.send(chunk)
            except (BlockingIOError, ssl.SSLWantWriteError):
                return True
            except ssl.SSLWantReadError:
                return False
            except OSError:
                # The broker may have said why before it hung up, or even settled our transfer.
                self._read()
                if self._end_seen() is None:
                    raise
                return False
            self._transport.pop(sent)

    def _read(self) -> None:
        for _ in range(_READS_A_ROUND):
            capacity = _or_ended(self._transport.capacity)
            if capacity <= 0:
                return
            try:
                data = self._socket.recv(min(capacity, _READ_BYTES))
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            if not data:
                self._hung_up = True
                self._transport.close_tail()
                self._handle_events()
                return
            self._transport.push(data)
            self._handle_events()
            if not self.opened.done():
                # A refused login shows only on the output side, and the hang-up after it would hide it.
                self._pending()
            if self._transport.condition is not None:
                return

    def _end_seen(self) -> ConnectionEnded | None:
        if self._aborted is not None:
            return self._aborted
        remote_closed = bool(self.connection.state & Endpoint.REMOTE_CLOSED)
        if self._close_by is not None:
            over = remote_closed or self._hung_up or self._transport.condition is not None
            return self._ended(EndedBy.CLOSED) if over or time.monotonic() >= self._close_by else None
        if remote_closed:
            return self._ended(EndedBy.BROKER, *described(lambda: self.connection.remote_condition))
        condition = self._transport.condition
        if condition is not None:
            # proton says unauthorized-access of every login that did not succeed; only this outcome is about ours.
            outcome = self._transport.sasl().outcome
            if outcome in (None, SASL.OK, SASL.AUTH):
                return self._ended(EndedBy.PROTOCOL, *described(lambda: condition))
            return self._ended(
                EndedBy.BROKER,
                "local:login-not-checked",
                Text("the bus's login failed, outcome {outcome}", outcome=outcome),
            )
        return self._ended(EndedBy.SOCKET, "local:closed", Text("the bus hung up")) if self._hung_up else None

    def _begin_close(self) -> None:
        if self._close_by is None:
            self._close_by = time.monotonic() + _CLOSE_SECONDS
            for link in tuple(self._links):
                link.leave()

    def _go_on_closing(self, close_by: float) -> float:
        """Close the connection once the sessions have ended at the broker, too; return when to look again.

        Sent at once, the close overtakes the dispositions before it: RabbitMQ 3.x handles it in another process, and
        what we had just settled comes again.
        """
        patience = close_by - _CLOSE_SECONDS / 2
        if self.connection.state & Endpoint.LOCAL_ACTIVE:
            ending = self.connection.session_head(Endpoint.LOCAL_CLOSED | Endpoint.REMOTE_ACTIVE)
            if ending is not None and time.monotonic() < patience:
                return patience
            self.connection.close()
        return close_by

    def _pending(self) -> int:
        return _or_ended(self._transport.pending)

    def _undeciphered(self) -> bool:
        """Whether TLS holds bytes that the selector cannot see."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    # Events

    def _handle_events(self) -> None:
        while (event := self._collector.peek()) is not None:
            try:
                self._handle(event)
            finally:
                self._collector.pop()

    def _handle(self, event: Event) -> None:
        if event.type is Event.CONNECTION_REMOTE_OPEN:
            self._handle_open()
        elif event.type is Event.CONNECTION_REMOTE_CLOSE:
            self.connection.close()
        elif event.type is Event.SESSION_REMOTE_OPEN and event.session is not None:
            _require_ours(event.session)
        elif event.type is Event.SESSION_REMOTE_CLOSE and event.session is not None:
            self._refused(event.session, event.session)
        elif event.link is not None:
            self._handle_link(event, event.link)

    def _handle_link(self, event: Event, proton_link: Link) -> None:
        if event.type is Event.LINK_REMOTE_OPEN:
            _require_ours(proton_link)
        link = self._link_of(proton_link.session)
        if link is None:
            if event.type is Event.DELIVERY and event.delivery is not None:
                self._discard(proton_link, event.delivery)
            return
        if event.type is Event.LINK_REMOTE_OPEN:
            link.on_open(proton_link)
        elif event.type is Event.DELIVERY and event.delivery is not None:
            link.on_delivery(event.delivery)
        elif event.type in _LINK_ENDINGS:
            self._refused(proton_link.session, proton_link)

    def _discard(self, proton_link: Link, delivery: Delivery) -> None:
        """Let go of what arrives on a session that we have ended, and stays the broker's: proton would store it all.

        A smaller session window would bound it, too, but proton then says a credit below zero in between, at which
        RabbitMQ 4.0 ends the session (measured).
        """
        if not proton_link.is_receiver or delivery.aborted or not delivery.readable:
            return
        proton_link.recv(delivery.pending)
        if not delivery.partial:
            proton_link.advance()
            self._discarded += 1
        if self._discarded > _MOST_DISCARDED:
            raise BrokerViolation(Text("it goes on sending on a session that has ended"))

    def _handle_open(self) -> None:
        # A broker that refuses opens first and closes in the same breath.
        if not any(described(lambda: self.connection.remote_condition)) and not self.opened.done():
            self.opened.set_result(_version(lambda: self.connection.remote_properties))

    def _refused(self, session: Session, ended: Session | Link) -> None:
        link = self._link_of(session)
        session.close()
        if link is not None:
            self.remove(link)
            link.on_refused(*described(lambda: ended.remote_condition))

    def _link_of(self, session: Session) -> SessionLink | None:
        return next((link for link in self._links if link.owns(session)), None)

    # The end

    def _clean_up(self, ended: ConnectionEnded) -> None:
        with self._lock:
            self.ended = ended
            hang_up(self._socket, agreed=ended.by in (EndedBy.CLOSED, EndedBy.BROKER))
            self._wake_in.close()
            self._wake_out.close()
        for link in self._links:
            link.on_end(ended)
        self._links.clear()
        for reply in [self.opened, *self._waiting, *(reply for _, reply in self._commands)]:
            if not reply.done():
                reply.set_result(ended)
        self._waiting.clear()
        self._commands.clear()
        self._let_go_of_proton()
        self._on_end(ended)

    def _let_go_of_proton(self) -> None:
        """Free proton's objects here and now: left to the garbage collector they would go on another thread."""
        if not hasattr(self, "_transport"):
            return
        with contextlib.suppress(TransportException):
            self._transport.unbind()
        while self._collector.peek() is not None:
            self._collector.pop()
        self.connection.free()
        del self.connection, self._transport, self._collector


def _version(read_properties: Callable[[], Any]) -> str:
    """Return the broker's version as it says; empty where it says none, or nothing that can be read."""
    try:
        properties = read_properties()
    except Exception:  # noqa: BLE001 - nested too deep, or no UTF-8; proton raises what it likes
        return ""
    version = properties.get(symbol("version")) if isinstance(properties, dict) else None
    return foreign_text(version, _LONGEST_VERSION) if isinstance(version, str) else ""


def _require_ours(opened: Session | Link) -> None:
    """Refuse sessions and links that the broker begins: proton would store as many as it likes."""
    if opened.state & Endpoint.LOCAL_UNINIT:
        raise BrokerViolation(Text("it began a session or a link of its own"))


def _or_ended(count: Callable[[], int]) -> int:
    """Return a count of bytes; proton raises or goes negative at the end of the stream."""
    try:
        return count()
    except TransportException:
        return -1
