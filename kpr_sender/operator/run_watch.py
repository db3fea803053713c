"""What is told of a run to those who do not look: a ping, notices, metrics. It changes nothing of what the run is.

Everything here happens after the result is printed. What cannot be done is said, and decides nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Final, TypeVar

from kpr_sender.deadline import Stopped, wait_for
from kpr_sender.errors import InternalError, JournalLocked, KprError
from kpr_sender.journal.port import JournalStorage
from kpr_sender.journal.values import NoticeRecord
from kpr_sender.notify.port import Delivery, MetricsFile, Notifier, Pinger
from kpr_sender.operator import notice_plan
from kpr_sender.operator.certificates import CertificateInUse
from kpr_sender.operator.metrics import GOOD_CODES, Before, RunFigures, certificates_looked_at
from kpr_sender.operator.notices import Situation
from kpr_sender.privacy import shown_text
from kpr_sender.report import Report, deadline_of
from kpr_sender.result import environment_mark
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

T = TypeVar("T")

_CERTIFICATE_SECONDS: Final = 30.0
"""Longest for the look at the certificates, once a day: register and bus are asked."""


@dataclass(slots=True, kw_only=True)
class RunWatch:
    """Watches one run.

    Attributes:
        settings: Whose.
        who: The person or account that the journal is opened for.
        now: The clock.
        journal: Where the journal is stored.
        ping: What was told that the run begins; None where nobody is pinged.
        notifier: Makes what sends notices; None where none are sent.
        metrics: Makes the metrics file; None from it where none is written.
        scheduled: Whether it is a run that a watcher waits for, and that looks at the certificates once a day.
        certificates: Looks at the certificates in use.
        say: Says a text in the language of the notices; the commands that it names are complete.
        concerns: What could not be done.
    """

    settings: Settings
    who: str
    now: Callable[[], datetime]
    journal: JournalStorage
    ping: Pinger | None
    notifier: Callable[[], Notifier] | None
    metrics: Callable[[], MetricsFile | None]
    scheduled: bool
    certificates: Callable[[], tuple[CertificateInUse, ...]]
    say: Callable[[Text], str] = str
    concerns: list[Text] = field(default_factory=list)

    def end(self, code: int, stopped: Stopped) -> None:
        """Tell how the run ended, and what a person must know.

        Args:
            code: Its exit code.
            stopped: Ends the waiting within a second.
        """
        if (ping := self.ping) is not None:
            self._tried("ping", lambda: self._end_ping(ping, code, stopped))
        metrics = self._tried("metrics", self.metrics)
        before: Before = {} if metrics is None else self._tried("metrics", metrics.read) or {}
        notifier = None if self.notifier is None else self._tried("notices", self.notifier)
        if notifier is None and metrics is None:
            return
        known = self._tried("journal", lambda: self._known(before, stopped))
        waiting = None
        if known is not None and notifier is not None:
            waiting = self._tried("notices", lambda: self._tell(known, notifier, stopped))
        if metrics is not None:
            measured = code if self.scheduled else None
            run = RunFigures(self.settings.environment, measured, self.now(), known, waiting, before)
            self._tried("metrics", lambda: metrics.write(run.figures()))

    def _end_ping(self, ping: Pinger, code: int, stopped: Stopped) -> None:
        text = f"{environment_mark(self.settings.environment)}kpr-send: exit code {code}"
        why = ping.end(failure=None if code in GOOD_CODES else code, text=text, stopped=stopped)
        if why and not stopped():
            self.concerns.append(Text("The ping address did not take the ping: {why}.", why=why))

    def _tried(self, what: str, work: Callable[[], T]) -> T | None:
        """Do one of these things; None where it cannot be done, which is said."""
        try:
            return work()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - also a panic of a native library, which must not stop the others
            self.concerns.append(failed(what, error))
        return None

    def _known(self, before: Before, stopped: Stopped) -> Situation:
        """Return what is known now, with the certificates where they were not looked at today.

        Raises:
            JournalUnwritable: The journal cannot be read, or is another user's, who could not use what this one writes.
        """
        self.journal.require_own()
        now = self.now()
        with self.journal.reading() as journal:
            records = () if journal is None else journal.notices()
        last = certificates_looked_at(before, self.settings.environment)
        todays = notice_plan.certificates_looked_at(records, now) if self.notifier else False
        in_file = last is not None and notice_plan.same_day(last, now) if self.settings.monitor.metrics_file else todays
        certificates = None
        if self.scheduled and not (in_file and (todays or not self.notifier)):
            certificates = self._tried("certificates", lambda: _bounded(self.certificates, stopped))
        return self._situation(certificates)

    def _situation(self, certificates: tuple[CertificateInUse, ...] | None) -> Situation:
        now, settings = self.now(), self.settings
        with self.journal.reading() as journal:
            submissions = () if journal is None else journal.submissions()
            reports = tuple(Report.of(settings, journal, one, at=now) for one in submissions if journal is not None)
        year = settings.report.year
        return Situation(reports, year, deadline_of(settings, year), now, certificates)

    def _tell(self, known: Situation, notifier: Notifier, stopped: Stopped) -> int:
        """Send what is due, and return how many notices wait to be sent again.

        With the journal's lock, so that two runs never tell the same; where another run has it, that one tells.
        """
        with self.journal.reading() as journal:
            stored = () if journal is None else journal.notices()
        records, due = notice_plan.plan(stored, known, notifier.addresses)
        changed = _changed(records, stored, known)
        if (changed or due) and not stopped():
            if due:
                self.concerns += (error.text for error in notifier.flaws())
            try:
                return self._told(known.certificates, notifier, stopped)
            except JournalLocked:
                pass
        return sum(bool(one.waits) for one in stored)

    def _told(self, certificates: tuple[CertificateInUse, ...] | None, notifier: Notifier, stopped: Stopped) -> int:
        with closing(self.journal.open(who=self.who)) as journal:
            known, stored = self._situation(certificates), journal.notices()
            records, due = notice_plan.plan(stored, known, notifier.addresses)
            journal.note_notices([*_changed(records, stored, known), *notice_plan.claimed(due, known.now)])
            if due:
                journal.note_notices(self._sent(due, notifier, stopped))
            return sum(bool(one.waits) for one in journal.notices())

    def _sent(self, due: Sequence[notice_plan.Due], notifier: Notifier, stopped: Stopped) -> tuple[NoticeRecord, ...]:
        """Send each address all that it is to be told in one message; return what to store of that."""
        addresses = frozenset[int]().union(*(one.addresses for one in due))
        messages = {place: self._message([one for one in due if place in one.addresses]) for place in addresses}
        became = notifier.send(messages, stopped=stopped)
        lost = sum(one is not Delivery.SENT for one in became.values())
        if lost and not stopped():
            self.concerns.append(
                Text(
                    "A notice did not reach {count} address; a later run tries again.",
                    plural="A notice did not reach {count} addresses; a later run tries again.",
                    count=lost,
                )
            )
        sent = frozenset(one for one, outcome in became.items() if outcome is Delivery.SENT)
        unsure = frozenset(one for one, outcome in became.items() if outcome is Delivery.UNKNOWN)
        return notice_plan.settled(due, sent, unsure, self.now())

    def _message(self, due: Sequence[notice_plan.Due]) -> tuple[str, str]:
        """Return title and body of one message about several things."""
        notices = [one.notice for one in due]
        title = notices[0].title
        if len(notices) > 1:
            title = Text("{count} notice", plural="{count} notices", count=len(notices))
        parts = [f"{self.say(one.title)}\n{self.say(one.text)}" for one in notices]
        head = f"{environment_mark(self.settings.environment)}kpr-send: {self.say(title)}"
        return shown_text(head), shown_text("\n\n".join(parts))  # a path in a command may hold anything


def failed(what: str, error: BaseException) -> Text:
    """Return what is said where one of these things cannot be done; of what is unexpected its kind alone.

    Its text might show an address.
    """
    if isinstance(error, KprError):
        return error.text
    return Text("{what}: an unexpected {kind} in kpr-sender.", what=what, kind=type(error).__name__)


def _changed(records: Sequence[NoticeRecord], stored: Sequence[NoticeRecord], known: Situation) -> list[NoticeRecord]:
    """Return what is to be stored of these, and that the certificates were looked at where they were."""
    changed = [one for one in records if one not in stored]
    return changed if known.certificates is None else [*changed, notice_plan.look_at_certificates(known.now)]


def _bounded(work: Callable[[], T], stopped: Stopped) -> T:
    """Do something on a thread of its own, as long as it may take."""
    reply: Future[T] = Future()

    def carry_out() -> None:
        try:
            reply.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            reply.set_exception(error)

    threading.Thread(target=carry_out, name="kpr-certificates", daemon=True).start()
    try:
        wait_for(reply, monotonic() + _CERTIFICATE_SECONDS, stopped)
    except TimeoutError:
        raise InternalError(Text("They could not be looked at in time.")) from None
    return reply.result()
