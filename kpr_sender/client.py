"""The library's front door: two files in, two verified receipts out.

    with Client.from_config("/etc/kpr-sender/validering.toml", "validering") as client:
        client.submit(Path("fagmelding.xml"), Path("identmelding.xml"))
        report = client.wait(timeout=30 * 60)

A ``Client`` may be shared by threads. It sets up no logging and never exits the process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from kpr_sender.app import App, Parts
from kpr_sender.bus.port import Inbound
from kpr_sender.errors import InternalError, UsageError
from kpr_sender.events import Event, EventKind
from kpr_sender.inbound.looks import require_reason as require_reason_to_look
from kpr_sender.journal.admission import require_answered, require_clean, require_reason
from kpr_sender.journal.port import Journal
from kpr_sender.journal.values import ReceiptDocument
from kpr_sender.model import Environment, Shipment, Submission, Transport
from kpr_sender.operator.resolve import (
    Case,
    Decision,
    case_of,
    decide,
    look_up,
    newest_awaiting,
    nothing_submitted,
    require_once,
    require_resendable,
    require_reviewable,
    require_unchanged,
)
from kpr_sender.outbound.payload_file import files_of, named_files
from kpr_sender.outbound.publish import next_sealed
from kpr_sender.report import Report
from kpr_sender.settings import load as load_settings
from kpr_sender.settings.values import Settings
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.inbound.receipt import Handling


class Client:
    """Sends a municipality's pair and takes its receipts, for one environment and one journal.

    Where ``by`` is not given to a method, the client's own is used. Whatever writes the journal may raise
    ``JournalLocked`` (another run holds it) and ``JournalUnwritable`` (nothing has changed, or what came from the bus
    was not settled); whatever reads it, the latter. Whatever needs bus, register or keys may raise ``AccessRefused``
    (login, certificate or key was refused) and ``ConfigInvalid`` (a queue is unknown, or a file is missing). Once it
    is closed every other call raises ``UsageError``.

    Args:
        settings: One environment's configuration.
        **parts: What is used in place of what it names; see ``kpr_sender.app.Parts``.

    Raises:
        ConfigInvalid: The configuration is wrong, or it mixes environments (promise G7).
    """

    def __init__(self, settings: Settings, **parts: Unpack[Parts]) -> None:
        self.settings = settings
        self._app = App(settings, **parts)
        self._one_at_a_time = threading.RLock()

    @classmethod
    def from_config(
        cls,
        path: str | Path,
        environment: str | Environment,
        *,
        environ: Mapping[str, str] | None = None,
        **parts: Unpack[Parts],
    ) -> Self:
        """Read a TOML file, which must be for that environment (promise G7), and make a client of it.

        Secrets named by ``*_env`` are looked up in ``environ``, or in the process's environment where it is not given.

        Raises:
            UsageError, ConfigInvalid: There is no such environment; the file is missing or wrong.
        """
        where = os.environ if environ is None else environ
        return cls(load_settings(Path(path), environment, environ=where), **parts)

    def lock(self) -> None:
        """Lock and open the journal now; else what needs it does."""
        self._app.session.opened()

    def submit(
        self,
        fagmelding: Path | None = None,
        identmelding: Path | None = None,
        *,
        replaces: str | None = None,
        reason: str = "",
        accept_findings: int | None = None,
        by: str = "",
    ) -> Report:
        """Check, seal and publish the pair; when it is submitted already, go on where it stands.

        Idempotent: the same two files never make a second submission. What is sealed is published, what may have
        been published is not published again.

        Args:
            fagmelding: The KPR_IPL file; the configured one when not given, as is the other.
            identmelding: The KPR_IDE file.
            replaces: Id of the submission this one replaces, after contact with FHI.
            reason: Why, in words; required with ``replaces``.
            accept_findings: How many findings a person has read and accepts that FHI would drop something for. It must
                be their exact number; stored in the journal.
            by: Who submits, replaces and accepts.

        Returns:
            What is known now. ``Report.sent`` counts the shipments the bus took from this call.

        Raises:
            InputMissing: A file is missing.
            InputRefused: A file is not what it must be, or FHI would drop of it what nobody has accepted.
            InDoubt: A half of what it replaces has no answer; our queues were looked at for one.
            AlreadySubmitted: Other data for the same municipality and year is submitted already.
            NeedsPerson: FHI has answered what somebody else sent, and no person has settled that.
            BusUnreachable: Nothing of what is still sealed could be sent; it stays sealed.
            RegistryUnreachable: The register does not answer, and no earlier answer may be used; nothing was sealed.
        """
        if bool(replaces) != bool(reason.strip()):
            raise UsageError(
                Text("A replacement needs both the id it replaces and the reason."),
                next_step=Text("Give --replaces ID together with --reason TEXT (what was agreed with FHI)."),
            )
        require_clean(reason, by)
        with self._one_at_a_time:
            with self._app.section:
                self._app.reevaluate_before_sending()
            if replaces:
                self._require_answered(replaces)
            submission = self._app.submitter(by.strip()).submit(
                named_files(self.settings, fagmelding, identmelding),
                replaces=replaces,
                reason=reason,
                accept_findings=accept_findings,
            )
            if next_sealed(submission) is None:  # what is published already needs no bus, nor the time to load one
                return self._app.report(submission)
            begun = _attempts(submission)
            submission, sent = self._app.publisher(submission.transport).publish_all(submission)
            return self._app.report(submission, sent, _attempts(submission) - begun)

    def _require_answered(self, submission_id: str) -> None:
        """Look for the answers of what is to be replaced; refuse to replace what has none: both could arrive."""
        journal = self._app.session.opened()
        replaced = journal.submission(submission_id)
        if replaced is not None and replaced.awaits_answer:
            require_answered(self.wait(submission_id, timeout=0).submission)

    def wait(
        self,
        submission_id: str | None = None,
        *,
        timeout: float = 30 * 60,
        look_anyway: bool = False,
        emptied: bool = False,
        reason: str = "",
        by: str = "",
    ) -> Report:
        """Wait until every shipment that may be with FHI is answered, or the time is up.

        Where messages of others lie on our queue it is looked at now and then only, and at last not at all (promise
        G8): the report's ``error`` says that, too (88).

        Args:
            submission_id: Which submission; the newest one that waits when not given.
            timeout: How long at most, in seconds; 0 takes what is there.
            look_anyway: A person asks for one look more at a queue that is not looked at now.
            emptied: The owner of the other messages says that the queue was read.
            reason: Why it is to be looked at, in words; required with ``look_anyway``.
            by: Who asks for it; required with ``look_anyway``.

        Returns:
            What is known now. Running out of time is no error here: the report says *published*; where bus or register
            could not be reached at the end, its ``error`` says that, too (69).

        Raises:
            UsageError: The id is unknown, or a look is asked for without reason or name.
            NothingSubmitted: Nothing is submitted for the configured year, and nothing earlier is open.
            QueueShared: One look more than by itself was asked for, and is one too many.
            InputMissing: ``bus.receipts_inbox`` cannot be read.
        """
        require_reason_to_look(reason, by, look_anyway=look_anyway, emptied=emptied)
        with self._one_at_a_time:
            journal = self._app.session.opened()
            wanted = newest_awaiting(journal, self.settings) if submission_id is None else None
            found = wanted or look_up(journal, submission_id, self.settings)
            if found is None:
                raise nothing_submitted(self.settings.report.year, self.settings.journal.place)
            from kpr_sender.inbound.listen import obstacles_noted

            listener, asked = self._app.listener(found.transport), {"reason": reason.strip(), "by": by.strip()}
            with obstacles_noted(journal, found):
                anyway = listener.ask(found, **asked, emptied=emptied) if look_anyway else ()
                text, details = Text("Looking for FHI's receipts."), {"timeout": int(timeout)}
                self._app.observe(Event(EventKind.WAITING, text, found.shipments[0].msg_id, details=details))
                known = listener.wait(found, timeout, anyway=anyway)
                self._app.copies_left = False
                return self._app.report(known)

    @property
    def may_have_copies(self) -> bool:
        """Whether this client verified a stored receipt, whose copy on our queue ``wait`` is to settle."""
        return self._app.copies_left

    def status(self, submission_id: str | None = None) -> Report | None:
        """Return what the journal says, without touching the bus or the lock; None when there is no submission.

        It may be named by a MsgId of it. When it is not named, it is the newest of the configured year, or of an
        earlier one that is not over.

        Raises:
            UsageError: The id is unknown.
        """
        with self._app.session.reading() as journal:
            found = None if journal is None else look_up(journal, submission_id, self.settings)
            return None if found is None else self._app.report(found)

    def receipts(self, submission_id: str | None = None) -> tuple[ReceiptDocument, ...]:
        """Return a submission's receipts as they came, verified or not.

        Raises:
            UsageError: The id is unknown.
        """
        with self._app.session.reading() as journal:
            found = None if journal is None else look_up(journal, submission_id, self.settings)
            return () if found is None or journal is None else journal.receipt_documents(found.submission_id)

    def handle(self, inbound: Inbound) -> Handling:
        """Take one message that a vendor's own listener read from the receipts or error queue.

        The message's ``token`` may be anything. ``SETTLE`` is returned for what is ours and durable: accept it;
        ``HOLD`` for what is to be left to others.
        """
        with self._app.section:
            self._app.session.opened()
            return self._app.receipt_handler.handle(inbound)

    def add_receipt(self, data: bytes, *, name: str = "") -> Report:
        """Take a receipt from a file, because another consumer took it off our queue. Never touches the bus.

        It is evaluated as if from there: CMS (also as PEM, S/MIME or base64), plain XML, or EDI's mail, as a whole.
        The name is the file's, for an error's text. ``Report.taken`` is 0 when the journal had it already.

        Raises:
            InputRefused: It is no receipt for anything in this journal. Nothing was stored.
        """
        from kpr_sender.inbound.receipt_file import require_message, take_message

        self._app.session.require_open()
        body = require_message(data, name=name)
        with self._app.section:
            self._app.session.opened()
            self._app.reevaluate()
            submission, new = take_message(self._app.receipt_handler, body, name=name)
            return self._app.report(submission, taken=int(new))

    def accept_receipt(self, number: int, *, reason: str, by: str = "") -> Report:
        """Let a person accept a receipt whose signature holds, and whose sender has another HER-id or none.

        It never overrides MsgId or type, and nothing is accepted that FHI's registered certificate has not signed.
        The number is ``Receipt.receipt_id``; the reason, in words, is stored in the journal.

        Raises:
            UsageError: There is no such receipt, more speaks against it, or the reason is missing or not clean.
        """
        return self._decide_on_receipt(number, accepted=True, reason=reason, by=by)

    def discard_receipt(self, number: int, *, reason: str, by: str = "") -> Report:
        """Let a person discard a receipt that is not verified: it counts no more; when it comes again it is settled."""
        return self._decide_on_receipt(number, accepted=False, reason=reason, by=by)

    def _decide_on_receipt(self, number: int, *, accepted: bool, reason: str, by: str) -> Report:
        from kpr_sender.inbound.receipt import undecided

        who = by.strip() or self._app.by
        require_reason(reason, who)
        with self._one_at_a_time:
            journal = self._app.session.opened()
            with self._app.section:
                _, shipment = undecided(journal, number)
                if accepted:
                    shipment = self._app.receipt_handler.accept(number, reason=reason.strip(), by=who)
                else:
                    journal.discard_receipt(number, reason=reason.strip(), by=who)
            submission = journal.submission(shipment.submission_id)
            if submission is None:
                raise InternalError(Text("The journal has a shipment without its submission."))
            return self._app.report(submission)

    def case(self, msg_id: str) -> Case:
        """Return all that is known of one shipment, for the person who must decide on it.

        Takes the journal's lock only where an earlier run may have ended in the middle of a transfer.

        Raises:
            UsageError: It is not in this journal.
        """
        with self._app.session.reading() as journal:
            if journal is None:
                raise UsageError(Text("Nothing was submitted with this journal yet."), where="MSGID")
            found = case_of(journal, msg_id)
        if found.shipment.state is not ShipmentState.PUBLISHING:
            return found
        return case_of(self._app.session.opened(), msg_id)

    def resolve(
        self,
        msg_id: str,
        decision: Decision,
        *,
        reason: str,
        by: str = "",
        again: bool = False,
        seen: Case | None = None,
    ) -> Report:
        """Let a person decide on a shipment. Never touches the bus.

        Args:
            msg_id: Its MsgId, in capitals or not.
            decision: What FHI said, or what the person makes of it.
            reason: Why, in words; stored in the journal.
            by: Who decides.
            again: That what has not arrived may go although its content was sent again before.
            seen: What the person was shown: nothing is decided when something has happened since.

        Raises:
            UsageError: There is nothing to decide, or not in this way, or something has happened since.
        """
        with self._deciding(msg_id, seen) as (journal, found):
            who = by.strip() or self._app.by
            shipment = decide(journal, found, decision, new_id=self._app.new_id, reason=reason, by=who, again=again)
            return self._decided(found, shipment, decision.value)

    def settle(self, msg_id: str, *, reason: str, by: str = "", seen: Case | None = None) -> Report:
        """Let a person end what nothing else can: the state stays, and nobody is called any more."""
        return self.resolve(msg_id, Decision.SETTLED, reason=reason, by=by, seen=seen)

    def resend(
        self,
        msg_id: str,
        file: Path | None = None,
        *,
        reason: str,
        by: str = "",
        again: bool = False,
        transport: Transport | None = None,
        seen: Case | None = None,
    ) -> Report:
        """Let a person send one half's content again: after a fault, a rejection, or before the bus ever had it.

        It is sealed anew, as configured and registered now; ``submit`` publishes it. The file is the very one that was
        sent; the configured one where none is given. With ``transport`` all of the pair that waits goes that way. All
        else is as for ``resolve``.

        Raises:
            UsageError: It is not to be sent again, or not in this way, or something has happened since.
            InDoubt, Overdue: A half may be with FHI, so that nothing goes another way.
            InputMissing, InputRefused: A file is missing, or another than the one that was sent.
            RegistryUnreachable: The register does not answer, and no earlier answer may be used; nothing was sealed.
        """
        with self._deciding(msg_id, seen) as (_, found):
            from kpr_sender.operator.other_way import require_other_way

            halves = require_resendable(found) if transport is None else require_other_way(found, transport)
            require_once(found, again=again)
            files, way = files_of(self.settings, halves, file), transport or found.shipment.transport
            sealed = self._app.resender(way).resend(files, reason=reason, by=by.strip() or self._app.by)
            return self._decided(found, sealed[0], Text("send again"))

    @contextmanager
    def _deciding(self, msg_id: str, seen: Case | None) -> Iterator[tuple[Journal, Case]]:
        """Let a person decide on what is known now, and not interrupt it."""
        with self._one_at_a_time:
            journal = self._app.session.opened()
            with self._app.section:
                found = case_of(journal, msg_id)
                if seen is not None:
                    require_unchanged(seen, found)
                yield journal, found

    def _decided(self, case: Case, shipment: Shipment, what: str) -> Report:
        text = Text(
            "A person decided on the {norwegian} ({msg_id}): {what}.",
            norwegian=shipment.type.norwegian,
            msg_id=shipment.msg_id,
            what=what,
        )
        self._app.observe(Event(EventKind.DECIDED, text, shipment.msg_id, shipment.type))
        journal = self._app.session.opened()
        return self._app.report(journal.submission(case.submission.submission_id) or case.submission)

    def reviewed(self, submission_id: str | None = None, *, by: str = "", note: str = "") -> Report:
        """Store that a person looked at a delivered submission in FHI's feedback view. Never touches the bus.

        FHI's letter 24/04733-1 requires it of every municipality during the reception period. A submission may be
        named by a MsgId of it; the newest is meant where none is named. The note, in words, is stored in the journal.

        Raises:
            UsageError: There is no such submission, it is not delivered, or the note may hold a national id.
        """
        with self._one_at_a_time:
            journal = self._app.session.opened()
            with self._app.section:
                submission = require_reviewable(look_up(journal, submission_id, self.settings), note=note, by=by)
                journal.note_review(submission.own[0].msg_id, note=note.strip(), by=by.strip() or self._app.by)
            return self._app.report(submission)

    def stop(self) -> None:
        """End what another thread does, within a second and for good: its attempt is finished, nothing more begins."""
        self._app.closing.set()

    def stop_after_step(self) -> bool:
        """Do as ``stop`` does, from a signal handler: takes no lock; return whether a step is under way."""
        self._app.section.ask_to_stop()
        return self._app.section.under_way

    def close(self) -> None:
        """End a wait, give back foreign messages, close the connection, free the journal. Safe to call twice."""
        self._app.closing.set()
        with self._one_at_a_time, self._app.section:
            self._app.close()

    def __enter__(self) -> Self:
        self._app.session.require_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _attempts(submission: Submission) -> int:
    return sum(shipment.attempts for shipment in submission.shipments)
