"""One run of a client for a command: the embedded sandbox, the log, the progress and the client, closed in order.

A run that is ended before it is done, by its time limit, Ctrl-C or SIGTERM, ends after the step under way (one
attempt to publish, or one message handled), never in the middle of it. The first signal lets that step be finished;
then the run ends like any other: links closed, state printed, the state's exit code. Where no step is under way it ends
at once. A second signal breaks off whatever there is; the journal then says *in doubt* where that is what it is.
Which signals, and what they do when the result is known: ``ending``.
"""

from __future__ import annotations

import dataclasses
import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import click

from kpr_sender.cli import console, output
from kpr_sender.cli.ending import Ending
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.cli.status import journal_of, report_on
from kpr_sender.cli.streams import as_it_is, warn_now
from kpr_sender.client import Client
from kpr_sender.errors import (
    AlreadySubmitted,
    ConfigInvalid,
    Fault,
    InDoubt,
    InputMissing,
    InputRefused,
    JournalUnwritable,
    KprError,
    RegistryUnreachable,
    SealedForAnother,
    weighs_as_obstacle,
    worst,
)
from kpr_sender.events import Event, EventKind, Observer, contained
from kpr_sender.logs import log_event, logging_to
from kpr_sender.model import SubmissionState, Transport
from kpr_sender.outbound.publish import next_sealed
from kpr_sender.render.language import say
from kpr_sender.report import Report
from kpr_sender.settings.exposure import concerns, loosened
from kpr_sender.settings.sample_file import register_url
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

_STOPPING: Final = Text("kpr-send: finishing the step under way; once more breaks it off.")
_INTERRUPTED: Final = Text("kpr-send: interrupted; this is what is known.")


class TimeLimit:
    """How long a run may take, from now on.

    Args:
        seconds: The bound; infinite for none.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Return what is left, in seconds; never below 0."""
        return max(0.0, self._ends - time.monotonic())


NO_LIMIT: Final = TimeLimit()


def run(
    invocation: Invocation,
    work: Callable[[Client], Report],
    *,
    remark: Callable[[Report], str] = lambda _: "",
    limit: TimeLimit = NO_LIMIT,
    scheduled: bool = False,
    settings: Settings | None = None,
) -> int:
    """Let a client work and print what is known afterwards.

    Also for a run that was interrupted or lost its connection the journal says what is known (promise G5).

    Args:
        invocation: Which environment, how to print.
        work: What to do.
        remark: What to add to the screen of a run that came to its end.
        limit: Bound on everything together: connecting, retrying, waiting.
        scheduled: Whether it is a run that a watcher waits for.
        settings: What ``own_settings`` has read; None where it has not.

    Returns:
        The exit code.

    Raises:
        KprError: It failed before there was a submission to report.
    """
    with connected_sandbox(settings or own_settings(invocation, scheduled=scheduled)) as connected:
        return _run(invocation, _limited(connected, limit), work, remark, limit)


def run_offline(
    invocation: Invocation, work: Callable[[Client], Report], *, remark: Callable[[Report], str] = lambda _: ""
) -> int:
    """Do work that needs no bus, as ``run`` does; no embedded sandbox is started for it."""
    return _run(invocation, own_settings(invocation, scheduled=False), work, remark, NO_LIMIT)


def own_settings(invocation: Invocation, *, scheduled: bool) -> Settings:
    """Read the configuration, and let others be told of this run, however it ends; as ``Invocation.own_settings``."""

    def watch(settings: Settings) -> None:
        told = settings.notify.urls or settings.monitor.ping_url or settings.monitor.metrics_file
        if told and invocation.ending.afterwards is None:
            from kpr_sender.cli.watching import watched  # noqa: PLC0415 - most runs tell nobody

            watched(invocation, settings, scheduled=scheduled)

    return invocation.own_settings(watch)


def _run(
    invocation: Invocation,
    settings: Settings,
    work: Callable[[Client], Report],
    remark: Callable[[Report], str],
    limit: TimeLimit,
) -> int:
    with _observers(invocation, settings) as observers:
        observe = _Relay(observers)
        _warn_of_open_secrets(settings, observe)
        client = Client(settings, on_event=observe)
        note = added = ""
        try:
            with graceful_shutdown(client, limit, invocation.ending) as shutdown, client:
                report = work(client)
                added = remark(report)
            invocation.ending.known(report.exit_code)
            if shutdown.signalled:
                note = _INTERRUPTED
        except KeyboardInterrupt:
            known = _known(settings, observe.msg_id)
            if known is None:
                raise
            report, note = known, _INTERRUPTED
        except KprError as error:
            if shutdown.signalled and isinstance(error, RegistryUnreachable) and not observe.msg_id:
                raise KeyboardInterrupt from None  # the register was asked no more: that says nothing about it
            invocation.ending.known(error.exit_code)
            known = _known(settings, observe.msg_id)
            if known is None or _counts_more(error, known, drop=settings.files.drop is not None):
                raise
            # What is nobody's move is no mail of cron's.
            silent = invocation.loudness is Loudness.QUIET and error.fault is Fault.NOBODY
            report, note = known, "" if silent else Text("kpr-send: {error}", error=error.text)
        invocation.ending.known(report.exit_code)
        observe(_finished(report))
    if note:
        console.say(invocation.called, [note], err=True)
    return output.report(invocation, settings, report, remark=added)


def _limited(settings: Settings, limit: TimeLimit) -> Settings:
    """Let no single attempt to connect take longer than the run may."""
    longest = min(settings.bus.connect_timeout, limit.seconds)
    return dataclasses.replace(settings, bus=dataclasses.replace(settings.bus, connect_timeout=longest))


def _known(settings: Settings, msg_id: str) -> Report | None:
    """Return what is known of a shipment's submission; None where there is none yet or the journal cannot be read."""
    if not msg_id:
        return None
    try:
        with journal_of(settings) as journal:
            return report_on(settings, journal, msg_id)
    except KprError:
        # The first error is what the person must see.
        return None


def _counts_more(error: KprError, known: Report, *, drop: bool) -> bool:
    """Return whether the submission's own state says nothing of why the run ended.

    So where it is sealed and its journal cannot be written or its files are gone, where what takes its place is
    refused, where another HER-id keeps a half from being sent, whatever did so before, and where nothing is wrong with
    it but something is with another pair that lies in the drop folder.
    """
    if isinstance(error, InputMissing | JournalUnwritable):
        return known.submission.state is SubmissionState.SEALED
    if isinstance(error, SealedForAnother) and known.error is not None and next_sealed(known.submission) is not None:
        return weighs_as_obstacle(known.error)
    if drop and known.error is None and isinstance(error, AlreadySubmitted | InputRefused):
        return True
    return isinstance(error, InDoubt) and worst([known.error, error]) is error


def _finished(report: Report) -> Event:
    details: dict[str, str | int] = {"state": report.submission.state.value, "exit_code": report.exit_code}
    return Event(EventKind.FINISHED, report.text(), details=details)


class Shutdown:
    """Stops a client after the step under way, when a signal or the time limit asks for it.

    Attributes:
        signalled: Whether a signal asked for it.
    """

    def __init__(self, client: Client, limit: TimeLimit, ending: Ending) -> None:
        self.signalled = False
        self._stopping = f"\n{say(_STOPPING)}\n".encode()  # said here: a handler loads no catalogue
        self._client = client
        self._limit = limit
        self._ending = ending
        # Its put() is the one way to wake another thread that a signal handler may use (Python's own documentation).
        self._requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._watch, name="kpr-shutdown", daemon=True)

    def finish_step(self) -> bool:
        """Let the step under way be the last one; return whether there is one. For a signal's handler."""
        self.signalled = True
        if not self._client.stop_after_step():
            return False
        self._requests.put(True)
        warn_now(self._stopping)
        return True

    def start(self) -> None:
        """Begin to watch the time."""
        self._thread.start()

    def finish(self) -> None:
        """Watch no more."""
        self._requests.put(False)
        self._thread.join()

    def _watch(self) -> None:
        left = self._limit.left()
        with suppress(queue.Empty):
            if not self._requests.get(timeout=None if left == math.inf else left):
                return
        self._ending.hurry()
        self._client.stop()


@contextmanager
def graceful_shutdown(client: Client, limit: TimeLimit, ending: Ending) -> Iterator[Shutdown]:
    """Let signals and the time limit end the client's work after the step under way, while entered."""
    shutdown = Shutdown(client, limit, ending)
    before = ending.finish_step
    shutdown.start()
    try:
        ending.finish_step = shutdown.finish_step
        yield shutdown
    finally:
        ending.finish_step = before
        shutdown.finish()


@contextmanager
def connected_sandbox(settings: Settings) -> Iterator[Settings]:
    """Run the embedded sandbox where the configuration asks for it, and yield settings that reach it."""
    if settings.sandbox is None or not settings.sandbox.embedded:
        yield settings
        return
    from kpr_sender.sandbox.serving import sandbox_class  # noqa: PLC0415 - loaded for lokal only

    folder = settings.sandbox.dir
    party = settings.sender.party
    sandbox = sandbox_class(settings.transport)(folder, sender_her_id=party.service_her_id, municipality=party)
    try:
        sandbox.start()
    except OSError as error:
        raise ConfigInvalid(
            Text("The sandbox cannot start: {reason}.", reason=error.strerror), where=f"sandbox.dir: {folder}"
        ) from None
    sandbox.free_place_of(settings.journal.path)
    try:
        yield dataclasses.replace(
            settings,
            **_reaching(settings, sandbox.port),
            registry=dataclasses.replace(settings.registry, url=register_url(sandbox.register_port)),
        )
    finally:
        sandbox.close()


def _reaching(settings: Settings, port: int) -> dict[str, Any]:
    """Return the section that names the sandbox's port."""
    if settings.transport is Transport.EDI and settings.edi is not None:
        return {"edi": dataclasses.replace(settings.edi, smtp_port=port)}
    return {"bus": dataclasses.replace(settings.bus, port=port)}


@dataclass(slots=True)
class _Relay:
    """Passes events on, and remembers which shipment the run got to.

    Attributes:
        msg_id: Of the latest shipment that an event was about; empty before the first.
    """

    observers: tuple[Observer, ...]
    msg_id: str = field(default="")

    def __call__(self, event: Event) -> None:
        self.msg_id = event.msg_id or self.msg_id
        for observe in self.observers:
            observe(event)


def _warn_of_open_secrets(settings: Settings, observe: Observer) -> None:
    for concern in concerns(settings):
        observe(Event(EventKind.WARNING, concern))


def _completed(invocation: Invocation, event: Event) -> Event:
    return dataclasses.replace(event, text=invocation.called.completed(event.text))


def _say_lost(why: str) -> None:
    click.echo(say(Text("kpr-send: log lines are lost, since the log cannot be written: {why}.", why=why)), err=True)


def _to_stderr(invocation: Invocation) -> bool:
    """Whether log lines go to standard error where no file is named: on a terminal the progress display is better."""
    quiet = invocation.loudness is Loudness.QUIET or sys.stderr.isatty()
    return invocation.loudness is Loudness.VERBOSE or not quiet


@contextmanager
def logged(invocation: Invocation, settings: Settings) -> Iterator[Observer | None]:
    """Open the log, and yield what writes an event into it; None where there is none."""
    target = settings.log.file or (as_it_is(sys.stderr) if _to_stderr(invocation) else None)
    if target is None:
        yield None
        return
    level = "debug" if invocation.loudness is Loudness.VERBOSE else settings.log.level
    whose = {"municipality": invocation.municipality} if invocation.municipality else {}
    where = settings.environment.value
    with logging_to(target, level=level, lost=_say_lost, environment=where, **whose) as logger:
        yield lambda event: log_event(logger, _completed(invocation, event))


@contextmanager
def _observers(invocation: Invocation, settings: Settings) -> Iterator[tuple[Observer, ...]]:
    """Open what shows the run's events: log lines in a file or on standard error, or the progress on a terminal."""
    on_terminal = sys.stderr.isatty()
    with ExitStack() as stack:
        observers: list[Observer] = []
        if (log := stack.enter_context(logged(invocation, settings))) is not None:
            observers.append(log)
        if invocation.loudness is Loudness.NORMAL and on_terminal:
            from kpr_sender.cli.display import Display  # noqa: PLC0415 - rich is loaded on a terminal only

            observers.append(stack.enter_context(Display(invocation.called)).show)
        elif not _to_stderr(invocation) or settings.log.file:  # -q, or events in a file alone
            for text in loosened(settings):
                console.say(invocation.called, [f"kpr-send: {text}"], err=True)
        yield tuple(map(contained, observers))
