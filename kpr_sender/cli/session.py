"""One run of the engine: sandbox where it is embedded, log, progress and client, opened and closed in order."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

import click

from kpr_sender.cli import output
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.client import Client
from kpr_sender.errors import ConfigInvalid, JournalUnwritable, KprError
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.logs import log_event, logging_to
from kpr_sender.report import Report
from kpr_sender.settings.read import secrets_of
from kpr_sender.settings.sample_file import register_url
from kpr_sender.settings.values import Settings
from kpr_sender.states import SubmissionState

# How a run ends before it is done: by its time budget, Ctrl-C or SIGTERM; never in the middle of a step.
#
# The first signal lets the step under way be finished, then the run ends as any other: links closed, state told, its
# exit code. Where no step is under way it ends at once. A second signal breaks off whatever there is; the journal
# then says *in doubt* where that is what it is.
#
# SIGHUP (the terminal is gone) does what SIGTERM does, and reloads nothing. On Windows Ctrl-Break does; that was not
# run.

_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
_STDERR: Final = 2
_HEARD: Final = b"\nkpr-send: finishing the step under way; once more breaks it off.\n"


class Budget:
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


UNBOUNDED: Final = Budget()


class Ending:
    """Stops a client in an orderly way, once it is asked to.

    Attributes:
        signalled: Whether a signal asked for it.
    """

    def __init__(self, client: Client, budget: Budget) -> None:
        self.signalled = False
        self._client = client
        self._budget = budget
        # Its put() is the one way to wake another thread that a signal handler may use (Python's own documentation).
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._watch, name="kpr-ending", daemon=True)

    def on_signal(self, _number: int, _frame: object) -> None:
        """Take a signal."""
        first, self.signalled = not self.signalled, True
        if first and self._client.stop_after_step():
            self._asked.put(True)
            with contextlib.suppress(OSError):
                os.write(_STDERR, _HEARD)
            return
        raise KeyboardInterrupt

    def _watch(self) -> None:
        left = self._budget.left()
        with contextlib.suppress(queue.Empty):
            if not self._asked.get(timeout=None if left == math.inf else left):
                return
        self._client.stop()

    def begin(self) -> None:
        """Begin to watch the time."""
        self._thread.start()

    def end(self) -> None:
        """Watch no more."""
        self._asked.put(False)
        self._thread.join()


@contextlib.contextmanager
def orderly(client: Client, budget: Budget) -> Iterator[Ending]:
    """Let signals and the time budget end the client's work in an orderly way while entered."""
    ending = Ending(client, budget)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ending.begin()
    try:
        for number, handler in before.items():
            # What the caller has switched off stays off: nohup, and jobs that a shell put into the background.
            if handler is not signal.SIG_IGN:
                signal.signal(number, ending.on_signal)
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        ending.end()


_INTERRUPTED: Final = "kpr-send: interrupted; this is what is known."


@dataclass(slots=True)
class Progress:
    """What has been seen so far, for the case that the run ends early.

    Attributes:
        msg_id: A shipment that the run got to; empty before the first.
    """

    observers: tuple[Observer, ...]
    msg_id: str = field(default="")

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        self.msg_id = event.msg_id or self.msg_id
        for observe in self.observers:
            observe(event)


def run(
    invocation: Invocation,
    steps: Callable[[Client], Report],
    *,
    remark: Callable[[Report], str] = lambda _: "",
    budget: Budget = UNBOUNDED,
) -> int:
    """Run steps of the engine and print what is known after them.

    What was interrupted or lost its connection is told by the journal, like everything else (promise G5).

    Args:
        invocation: Which environment, how to print.
        steps: What to do.
        remark: What to add to the screen of a run that came to its end.
        budget: Bound on everything together: connecting, trying again, waiting.

    Returns:
        The exit code.

    Raises:
        KprError: It failed before there was a submission to tell of.
    """
    with connected_sandbox(invocation.settings()) as settings:
        return _run(invocation, _bounded(settings, budget), steps, remark, budget)


def run_offline(
    invocation: Invocation, steps: Callable[[Client], Report], *, remark: Callable[[Report], str] = lambda _: ""
) -> int:
    """Run steps that need no bus, as ``run`` does; no embedded sandbox is started for them."""
    return _run(invocation, invocation.settings(), steps, remark, UNBOUNDED)


def _bounded(settings: Settings, budget: Budget) -> Settings:
    """Let no single attempt to connect take longer than the whole run may."""
    longest = min(settings.bus.connect_timeout, budget.seconds)
    return dataclasses.replace(settings, bus=dataclasses.replace(settings.bus, connect_timeout=longest))


def _run(
    invocation: Invocation,
    settings: Settings,
    steps: Callable[[Client], Report],
    remark: Callable[[Report], str],
    budget: Budget,
) -> int:
    with _observers(invocation, settings) as observers:
        progress = Progress(observers)
        _warn_of_open_secrets(settings, progress)
        client = Client(settings, on_event=progress)
        note = added = ""
        try:
            with orderly(client, budget) as ending, client:
                report = steps(client)
                added = remark(report)
            if ending.signalled:
                note = _INTERRUPTED
        except KeyboardInterrupt:
            known = _known(client, progress)
            if known is None:
                raise
            report, note = known, _INTERRUPTED
        except KprError as error:
            known = _known(client, progress)
            if known is None or _could_not_be_noted(error, known):
                raise
            report, note = known, f"kpr-send: {error}"
        progress(_finished(report))
    if note:
        click.echo(note, err=True)
    return output.report(invocation, settings, report, remark=added)


def _could_not_be_noted(error: KprError, known: Report) -> bool:
    """Tell whether nothing was sent because of what the journal itself cannot say: that it cannot be written."""
    return isinstance(error, JournalUnwritable) and known.submission.state is SubmissionState.SEALED


def _finished(report: Report) -> Event:
    details: dict[str, str | int] = {"state": report.submission.state.value, "exit_code": report.exit_code}
    return Event(EventKind.FINISHED, report.text(), details=details)


@contextmanager
def connected_sandbox(settings: Settings) -> Iterator[Settings]:
    """Run the embedded sandbox where the configuration asks for it, and yield settings that reach it."""
    if settings.sandbox is None or not settings.sandbox.embedded:
        yield settings
        return
    from kpr_sender.sandbox.sandbox import Sandbox  # noqa: PLC0415 - loaded for lokal only

    folder = settings.sandbox.dir
    party = settings.sender.party
    sandbox = Sandbox(folder, sender_her_id=party.service_her_id, municipality=party)
    try:
        sandbox.start()
    except OSError as error:
        raise ConfigInvalid(f"The sandbox cannot start: {error.strerror}.", where=f"sandbox.dir: {folder}") from None
    try:
        yield dataclasses.replace(
            settings,
            bus=dataclasses.replace(settings.bus, port=sandbox.port),
            registry=dataclasses.replace(settings.registry, url=register_url(sandbox.register_port)),
        )
    finally:
        sandbox.close()


def _warn_of_open_secrets(settings: Settings, observe: Observer) -> None:
    for secret in secrets_of(settings):
        if secret.concern:
            observe(Event(EventKind.WARNING, secret.concern))


def _known(client: Client, progress: Progress) -> Report | None:
    try:
        return client.status(progress.msg_id) if progress.msg_id else None
    except KprError:
        # The first error is what the person must see.
        return None


@contextmanager
def _observers(invocation: Invocation, settings: Settings) -> Iterator[tuple[Observer, ...]]:
    with ExitStack() as stack:
        observers: list[Observer] = []
        target = settings.log.file or (sys.stderr if _logs_to_stderr(invocation) else None)
        level = "debug" if invocation.loudness is Loudness.VERBOSE else settings.log.level
        if target is not None:
            logger = stack.enter_context(logging_to(target, level=level, environment=settings.environment.value))
            observers.append(lambda event: log_event(logger, event))
        if invocation.loudness is Loudness.NORMAL and sys.stderr.isatty():
            observers.append(stack.enter_context(_display()))
        yield tuple(observers)


def _logs_to_stderr(invocation: Invocation) -> bool:
    """On a terminal the progress display says it better, and -q wants neither."""
    if invocation.loudness is Loudness.NORMAL:
        return not sys.stderr.isatty()
    return invocation.loudness is Loudness.VERBOSE


@contextmanager
def _display() -> Iterator[Observer]:
    from kpr_sender.cli.display import Display  # noqa: PLC0415 - rich is loaded on a terminal only

    with Display() as display:
        yield display.show
