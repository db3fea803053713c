"""One play on the stage: the real engine and journal, a bus that knows the truth, and the model beside them.

The bus and the engine's events tell the model what happened, transaction by transaction. At a crash the journal must
say what the model says, with or without the transactions that were under way, the first of them first: each is atomic.
"""

from __future__ import annotations

import copy
import hashlib
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from kpr_sender.bus.port import Inbound, Outbound, Outcome, Verdict
from kpr_sender.client import Client
from kpr_sender.ebxml.mail import attempt_id, header_block, mail_head
from kpr_sender.errors import BY_CODE, AlreadySubmitted, InDoubt, KprError, NothingSubmitted, Overdue, UsageError
from kpr_sender.events import Event, EventKind
from kpr_sender.fault_points import armed
from kpr_sender.inbound.receipt import Handling
from kpr_sender.journal.queries import SqlView
from kpr_sender.messages.transport import SEALED_MESSAGE_ID
from kpr_sender.model import Submission, Transport
from kpr_sender.operator.resolve import Decision
from kpr_sender.report import Report
from kpr_sender.states import PERSON_CAUSES, Cause
from tests.helpers.ledger_bus import Crash, Fuse, LedgerBus
from tests.helpers.stage import BEGIN, Stage
from tests.proofs.model import SIGNALS, Letter, Meaning, Model, Pair, S
from tests.proofs.play_journal import InFile, MakesJournal

_AFTER_OUTCOME: Final = {Verdict.ACCEPTED: S.PUBLISHED, Verdict.NOT_SENT: S.SEALED, Verdict.IN_DOUBT: S.IN_DOUBT}
_OUTCOME_KNOWN: Final = {EventKind.PUBLISHED, EventKind.NOT_SENT, EventKind.IN_DOUBT}

_OPEN: Final = {S.PUBLISHED, S.IN_DOUBT}

Transaction = Callable[[Model], None]
_Known = tuple[str, str, str, bool, bool, bool, bool, int, datetime | None, datetime | None]
"""What journal and model must agree on of a shipment."""


class Play:
    """A municipality's January, as often interrupted as one likes.

    Args:
        journal: Makes its journal: in a file where nothing else is said.
        transport: Which way submissions go as it begins.

    Attributes:
        counts: What happened, for the figures.
        sound: Whether all that was demanded so far held.
    """

    def __init__(self, stage: Stage, journal: MakesJournal = InFile, transport: Transport = Transport.AMQP) -> None:
        self.stage = stage
        self.folder = Path(tempfile.mkdtemp())
        self.journal = journal(stage.in_folder(self.folder))
        self.settings = replace(self.journal.settings, transport=transport)
        self.now = BEGIN
        self._limit = self.settings.report.overdue_after
        self.model = Model()
        self.fuse = Fuse(self.journal.died)
        self.bus = LedgerBus(self.fuse, self._seen)
        self.bus.way = self._way
        self.meanings: dict[str, Meaning] = {}
        self.counts: Counter[str] = Counter()
        self._client: Client | None = None
        self._reader: SqlView | None = None
        self._changed = False
        self.sound = True
        self._under_way: deque[Transaction] = deque()
        self._submitting: tuple[int, bool] | None = None
        self._creating: Callable[[], None] | None = None
        self._last_verdict: Verdict | None = None
        self._sealed_anew: set[str] = set()

    # -- what may happen ------------------------------------------------------------------------------------------

    def submit(self, extract: int, *, replaces: str | None = None, crash_after: int | None = None) -> None:
        """Run ``send`` without waiting."""
        pair = self.model.of_extract(extract)
        admissible = self._admissible(extract, pair, replaces)

        def creates() -> None:
            """The queue was read before, for what is replaced: only now it is clear whether it may be."""
            nonlocal admissible
            admissible = self._admissible(extract, pair, replaces)
            self._under_way.append(lambda model: self._created(model, extract, replaces))

        def send(client: Client) -> None:
            self._creating = creates if pair is None else None
            self._submitting, self._last_verdict = (extract, admissible or pair is None), None
            reason = "Agreed with FHI." if replaces else ""
            try:
                report = client.submit(*self.stage.extracts[extract], replaces=replaces, reason=reason)
            except (AlreadySubmitted, InDoubt, UsageError):
                self._confirm()
                _demand(not self._admissible(extract, pair, replaces))
                return
            except KprError as error:
                _demand(error is self.bus.connect_error)
                return
            self._confirm()
            assert admissible
            self._demand_nothing_left_behind(extract)
            self._demand_agreement(report)

        self._run(send, crash_after)

    def configure(self, transport: Transport) -> None:
        """Let a person change which way new submissions go: the next process reads it."""
        self.restart()
        self.settings = replace(self.settings, transport=transport)

    def wait(self, submission_id: str | None = None, *, crash_after: int | None = None) -> None:
        """Run ``wait`` for as long as it takes to read what is there."""

        def wait(client: Client) -> None:
            try:
                report = client.wait(submission_id, timeout=0)
            except NothingSubmitted:
                _demand(not self.model.pairs)
                return
            except KprError as error:
                _demand(error is self.bus.receive_error)
                return
            self._confirm()
            self._demand_agreement(report)

        self._run(wait, crash_after)

    def hand_in(self, inbound: Inbound, *, crash_after: int | None = None) -> None:
        """Let a vendor's own listener hand a message in."""
        meaning = self.meanings[inbound.message_id]

        def hand_in(client: Client) -> None:
            self._answered(meaning)
            settled = self._may_settle(meaning)
            assert (client.handle(inbound) is Handling.SETTLE) == settled

        self._run(hand_in, crash_after)

    def decide(self, letter: Letter, decision: Decision, *, crash_after: int | None = None) -> None:
        """Let a person decide, wisely or not."""
        msg_id = letter.msg_id
        self._person(
            lambda: self._decided(msg_id, decision.cause),
            lambda client: client.resolve(msg_id, decision, reason="Asked FHI.", by="Kari Vakt", again=True),
            crash_after,
        )

    def resend(self, letter: Letter, *, transport: Transport | None = None, crash_after: int | None = None) -> None:
        """Let a person send a shipment's content again, wisely or not; all that waits of its pair goes another way."""
        msg_id, file = letter.msg_id, letter.payload
        ipl, ide = self.stage.extracts[self.model.pair_of(letter).extract]
        reason = "The certificate is right now."

        def admissible() -> bool:
            return self._decided(msg_id, Cause.PERSON_RESENDS) if transport is None else self._goes(msg_id, transport)

        def resend(client: Client) -> None:
            files = replace(client.settings.files, fagmelding=ipl, identmelding=ide)
            client.settings = replace(client.settings, files=files)
            client.resend(msg_id, file, reason=reason, by="Kari Vakt", again=True, transport=transport)

        self._person(admissible, resend, crash_after)

    def _person(self, admissible: Callable[[], bool], act: Callable[[Client], object], crash_after: int | None) -> None:
        """Let a person do something: it is taken where the model allows it, and refused where it does not."""

        def work(client: Client) -> None:
            allowed = admissible()  # after the journal has recovered
            try:
                act(client)
            except (UsageError, InDoubt, Overdue):
                _demand(not allowed)
            else:
                assert allowed

        self._run(work, crash_after)

    def mail_of(self, letter: Letter) -> bytes:
        """Return the mail that a shipment is, as the receiver's message server gets it."""
        view = self._view()
        assert view is not None
        envelope, body = view.envelope(letter.msg_id), view.sealed(letter.msg_id)
        attempt = attempt_id(envelope.properties[SEALED_MESSAGE_ID], "1")
        head = mail_head(envelope.reply_to, envelope.queue, envelope.subject, envelope.content_type)
        return header_block(head, at=self.now, attempt=attempt, host="rehearsal.example") + body

    @property
    def unbelieved(self) -> list[tuple[Letter, tuple[str, str]]]:
        """Each answer that is stored and not believed, with its shipment."""
        return [(one, known) for one in self.model.letters for known, believed in one.digests.items() if not believed]

    def accept(self, answer: tuple[Letter, tuple[str, str]], *, crash_after: int | None = None) -> None:
        """Let a person accept an answer whose sender is another, wisely or not."""
        (letter, known), number = answer, self._receipt_number(*answer[1])
        msg_id = letter.msg_id

        def admissible() -> bool:
            allowed = self.model.letter(msg_id).may_accept(known)
            if allowed:
                self._under_way.append(lambda model: model.letter(msg_id).accept(known))
                self.counts["accepted"] += 1
            return allowed

        self._person(
            admissible,
            lambda client: client.accept_receipt(number, reason="Asked FHI.", by="Kari Vakt"),
            crash_after,
        )

    def _receipt_number(self, about: str, digest: str) -> int:
        view = self._view()
        assert view is not None
        documents = [one for pair in view.submissions() for one in view.receipt_documents(pair.submission_id)]
        return next(
            one.receipt.receipt_id
            for one in documents
            if one.receipt.msg_id == about and hashlib.sha256(one.sealed).hexdigest() == digest
        )

    def restart(self) -> None:
        """Let the process end as it should, alone with its journal."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._client is not None:
            self._client.close()
            self._client = None

    def jump(self, by: timedelta) -> None:
        """Set the machine's clock."""
        self.now += by
        self._changed = True
        self.counts["clock jumps"] += 1

    def put(self, inbound: Inbound, meaning: Meaning) -> Inbound:
        """Let a message come to one of our queues."""
        self.meanings[inbound.message_id] = meaning
        self.bus.put(inbound)
        return inbound

    def end_well(self, receipt_for: Callable[[Letter], tuple[Inbound, Meaning]]) -> list[Letter]:
        """Let the world be sound again: bus up, FHI answering all it has. Then everything ends (G2).

        Returns:
            The shipments that nobody can tell of but a person: what the bus never had and was not known not to have.
        """
        self.restart()
        self.bus.plan.clear()
        for pair in self.model.pairs:
            self.submit(pair.extract)
        taken = {message.message_id for message in self.bus.ledger}
        answered = set[str]()
        while True:
            due = [one for one in self.model.letters if one.state in _OPEN and one.message_id in taken - answered]
            for letter in due:
                self.put(*receipt_for(letter))
            answered |= {letter.message_id for letter in due}
            self._wait_for_each()
            # An acknowledgement that comes only now opens what was faulted: FHI has it, and answers.
            if not any(one.state in _OPEN for one in self.model.letters if one.message_id in taken - answered):
                break
        self.demand_promises()
        left = [letter for letter in self.model.letters if letter.state in _OPEN]
        forgotten = [letter for letter in left if letter.message_id in taken and not letter.settled]
        assert not forgotten, "G2: an answer was forgotten"
        assert not [pair for pair in self.model.pairs if pair.next], "G2: left behind"
        self._let_persons_end_it(receipt_for)
        return left

    def _wait_for_each(self) -> None:
        """One wait is for one submission, and ends once that is answered."""
        two_ways = len({letter.transport for letter in self.model.letters}) > 1
        for pair in self.model.pairs:
            self.journal.forget_looks()
            self.wait(pair.submission_id if two_ways else None)

    def _let_persons_end_it(self, receipt_for: Callable[[Letter], tuple[Inbound, Meaning]]) -> None:
        """G2: no dead end. A person finds a way on for whatever has no end yet, and is offered it."""
        self._demand_the_same_ways()
        for pair in self.model.pairs:
            while any(self.model.way_on(letter) for letter in pair.letters):
                for letter in pair.letters:
                    cause = self.model.way_on(letter)
                    if cause is Cause.PERSON_RESENDS:
                        self.resend(letter)
                    elif cause is not None:
                        self.decide(letter, next(one for one in Decision if one.cause is cause))
                    self.counts["ways on"] += cause is not None
                self.submit(pair.extract)
                for letter in [one for one in pair.letters if one.state is S.PUBLISHED]:
                    inbound, meaning = receipt_for(letter)
                    self.meanings[inbound.message_id] = meaning
                    self.hand_in(inbound)
            self.demand_promises()
        self.counts["dead ends"] = sum(not letter.has_ended for letter in self.model.letters)
        assert not self.counts["dead ends"], "G2: a dead end"

    def _demand_the_same_ways(self) -> None:
        """A person is offered what the model allows, and nothing else."""
        for letter in self.model.letters:
            case = self._opened().case(letter.msg_id)
            offered = {one.cause for one in case.open_to} | ({Cause.PERSON_RESENDS} if case.may_be_resent else set())
            assert offered == {cause for cause in PERSON_CAUSES if self.model.may_decide(letter.msg_id, cause)}, letter

    def strike(self) -> None:
        """End the play."""
        self.restart()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- what must hold -------------------------------------------------------------------------------------------

    def demand_promises(self) -> None:
        """Compare bus, journal and model: G1 to G5."""
        if not self._changed:
            return
        self._changed = self.sound = False
        journal = self._journal()
        assert self._agrees(self.model, journal), self._difference(journal)
        taken = Counter(message.message_id for message in self.bus.ledger)
        offered: dict[str, Outbound] = {}
        for message in self.bus.offered:
            if message.message_id not in self._sealed_anew:
                assert offered.setdefault(message.message_id, message) == message, "G3: other bytes than before"
        assert not taken - self._may_be_taken(), "G1: the bus has it twice"
        for letter in self.model.letters:
            assert letter.state is not S.DELIVERED or letter.confirmed, "G4: delivered without a receipt"
        for submission in journal:
            self._demand_agreement(Report(submission, overdue_after=self._limit, asked_at=self.now))
        self.sound = True

    def breaches(self) -> dict[str, int]:
        """Count from the bus's side what must not be, however it came about."""
        taken = Counter(message.message_id for message in self.bus.ledger)
        said = [letter for letter in self.model.letters if letter.vouched or letter.acknowledged]
        known = {message_id for letter in self.model.letters for message_id in letter.message_ids}
        return {
            "lost": sum(
                letter.state is S.PUBLISHED and letter not in said and not taken[letter.message_id]
                for letter in self.model.letters
            )
            + sum(message_id not in known for message_id in taken),
            "duplicated": (taken - self._may_be_taken()).total(),
            "misclassified": sum(
                letter.state is S.SEALED and taken[letter.message_id] > letter.released[letter.message_id]
                for letter in self.model.letters
            ),
        }

    def _may_be_taken(self) -> Counter[str]:
        """How often at most the bus may have taken what is under each message-id: once, and once for each word."""
        allowed = Counter(message_id for letter in self.model.letters for message_id in letter.message_ids)
        for letter in self.model.letters:
            allowed += letter.released
        return allowed

    def _demand_nothing_left_behind(self, extract: int) -> None:
        """G2: a run that ends well has tried to publish whatever may be published."""
        pair = self.model.of_extract(extract)
        assert pair is not None
        assert pair.next is None or self._last_verdict is Verdict.NOT_SENT, "G2: left behind"

    def _demand_agreement(self, report: Report) -> None:
        """G5: exit code, text, JSON and journal say the same, and what the model says."""
        pair = next(one for one in self.model.pairs if one.submission_id == report.submission.submission_id)
        as_json, exit_code = report.as_json(), report.exit_code
        assert as_json["exit_code"] == exit_code
        assert [one["state"] for one in as_json["shipments"]] == [letter.state.value for letter in pair.letters]
        codes = [
            BY_CODE[one["last_error"]["code"]].exit_code
            for state in ("sealed", "published")
            for one in as_json["shipments"]
            if one["last_error"] and not one["settled"] and one["state"] == state
        ]
        limit = timedelta(seconds=self._limit)
        overdue = any(letter.is_overdue(limit, self.now) and not letter.settled for letter in pair.letters)
        expected = pair.exit_codes(codes[0] if codes else None, overdue=overdue)
        if report.replacement is not None:
            beside = expected & {76, 83} or (
                {82} if any(one.needs_person or one.alarmed for one in pair.letters) else set()
            )
            codes = [*beside, report.replacement.exit_code]
            assert exit_code == next((code for code in (83, 76, 82) if code in codes), codes[-1])
            return
        assert exit_code in expected, (exit_code, expected)
        delivered = all(letter.state is S.DELIVERED and not letter.settled for letter in pair.letters)
        assert (exit_code == 0) == (report.error is None)
        assert (exit_code == 0 and delivered) == ("Both shipments are delivered" in report.text())

    # -- how the model is told ------------------------------------------------------------------------------------

    def _run(self, work: Callable[[Client], None], crash_after: int | None) -> None:
        assert not self._under_way
        self._changed, self.sound = True, False
        self.counts["runs"] += 1
        try:
            with self.fuse.burning(crash_after), armed(self._point):
                work(self._opened())
            self._confirm()
        except Crash:
            self._bury()
        self._submitting = None

    def _opened(self) -> Client:
        """Return the running process, or start one: it recovers first."""
        if self._client is None:
            self.journal.until_free()
            self._under_way.append(Model.recovered)
            self._client = Client(
                self.settings,
                bus=self.bus,
                registry=self.stage.registry(),
                now=lambda: self.now,
                on_event=self._happened,
                by="cron",
            )
            self._client._app.session.opened()
            self._confirm()
        return self._client

    def _way(self) -> Transport:
        return self.settings.transport if self._client is None else self._client._app.settings.transport

    def _point(self, point: str) -> None:
        self.fuse.boundary(f"fault point {point}")

    def _bury(self) -> None:
        self.counts["crashes"] += 1
        self.counts[self.fuse.passed[-1]] += 1
        self.restart()
        self.journal.put_back()
        self._reconcile()

    def _reconcile(self) -> None:
        """Find out how many of the transactions under way are durable: the first ones, and no other."""
        if self._submitting is not None and self._submitting[1] and self._last_verdict is not Verdict.NOT_SENT:
            extract = self._submitting[0]
            self._under_way.append(lambda model: _begun(model, extract))
        journal = self._journal()
        model = copy.deepcopy(self.model)
        while not self._agrees(model, journal):
            assert self._under_way, self._difference(journal)
            self._under_way.popleft()(model)
        self.model = model
        self._under_way.clear()

    def _confirm(self) -> None:
        """Take it that whatever was under way is durable now."""
        while self._under_way:
            self._under_way.popleft()(self.model)

    def _happened(self, event: Event) -> None:
        if event.kind in _OUTCOME_KNOWN:
            self._confirm()
        if event.kind is EventKind.CHECKED and self._creating is not None:
            self._confirm()
            self._creating()
            self._creating = None
        self.fuse.boundary(f"event {event.kind}")

    def _seen(self, what: str, message: Outbound | Inbound, outcome: Outcome | None) -> None:
        self._confirm()
        if isinstance(message, Outbound):
            letter = next((one for one in self.model.letters if one.message_id == message.message_id), None)
            assert letter is not None, "G1: published under an id that a person gave up"
            if outcome is None:
                assert letter.may_be_published, f"G1: published though {letter.state}"
                letter.begin()
                self.counts["transfers"] += 1
                self.counts["by mail"] += letter.transport is Transport.EDI
            else:
                msg_id, self._last_verdict = letter.msg_id, outcome.verdict
                after = _AFTER_OUTCOME[outcome.verdict]
                self._under_way.append(lambda model: model.letter(msg_id).told(after, self.now))
            return
        meaning = self.meanings[message.message_id]
        if what == "received":
            self._answered(meaning)
        else:
            assert (what == "settled") == self._may_settle(meaning), f"{what}: {meaning}"

    def _answered(self, meaning: Meaning) -> None:
        """An answer is about to take effect: one transaction for each shipment that it may be about."""
        self.counts["answers"] += 1
        for letter in self.model.about(meaning):
            self.counts["signals"] += meaning.cause in SIGNALS
            self._under_way.append(lambda model, msg_id=letter.msg_id: model.answered(msg_id, meaning, self.now))  # type: ignore[misc]

    def _may_settle(self, meaning: Meaning) -> bool:
        """Whether a message may be settled: it is ours for good, or a copy of what a person has accepted."""
        if meaning.cause in SIGNALS:  # about a mail: not of ours where what it names has gone the other way since
            return self.model.letter(meaning.msg_id).transport is Transport.EDI
        return meaning.settled or any(one.digests.get((meaning.msg_id, meaning.digest)) for one in self.model.letters)

    def _decided(self, msg_id: str, cause: Cause) -> bool:
        """A person is about to decide; return whether it is one's to decide."""
        admissible = self.model.may_decide(msg_id, cause)
        if admissible:
            letter = self.model.letter(msg_id)
            if cause is Cause.PERSON_RESENDS and letter.state is S.CANCELLED:
                self._sealed_anew.add(letter.message_id)
            self._under_way.append(lambda model: model.decided(msg_id, cause, self.now, self._ids(msg_id)))
            self.counts["decisions"] += 1
        return admissible

    def _goes(self, msg_id: str, transport: Transport) -> bool:
        """A person is about to send another way; return whether it is one's to decide. Both halves go, or none."""
        halves = self.model.other_way(msg_id, transport)
        for letter in halves:
            if letter.state is S.CANCELLED:
                self._sealed_anew.add(letter.message_id)
        going = [letter.msg_id for letter in halves]

        def go(model: Model) -> None:
            for one in going:
                model.decided(one, Cause.PERSON_RESENDS, self.now, self._ids(one), transport)

        if going:
            self._under_way.append(go)
            self.counts["other way"] += 1
        return bool(going)

    def _ids(self, msg_id: str) -> tuple[str, str]:
        """The ids that the journal has now for what has or had a MsgId."""
        shipments = (shipment for submission in self._journal() for shipment in submission.shipments)
        found = next(shipment for shipment in shipments if msg_id in shipment.msg_ids)
        return found.msg_id, found.message_id

    def _admissible(self, extract: int, pair: Pair | None, replaces: str | None) -> bool:
        latest = self.model.pairs[-1] if self.model.pairs else None
        if pair is not None:
            return replaces in {None, pair.replaces}
        if latest is None or replaces is None:
            return latest is None and replaces is None
        return replaces == latest.submission_id and self.model.may_replace(self.stage.extracts[extract])

    def _created(self, model: Model, extract: int, replaces: str | None) -> None:
        known = {pair.submission_id for pair in model.pairs}
        new = [submission for submission in self._journal() if submission.submission_id not in known]
        if not new:
            return
        (created,) = new
        model.replaced()
        kept = {letter.msg_id: letter for letter in model.letters}
        letters = tuple(
            kept.get(one.msg_id)
            or Letter(one.msg_id, one.message_id, one.type, file, transport=self.settings.transport)
            for one, file in zip(created.shipments, self.stage.extracts[extract], strict=True)
        )
        self.counts["kept"] += any(letter in kept.values() for letter in letters)
        model.pairs.append(Pair(created.submission_id, extract, replaces, letters))
        self.counts["submissions"] += 1

    def _journal(self) -> tuple[Submission, ...]:
        view = self._view()
        return () if view is None else view.submissions()

    def _view(self) -> SqlView | None:
        """Return the journal as another process sees it that reads beside the present one."""
        if self._reader is None:
            self._reader = self.journal.view()
        return self._reader

    def _agrees(self, model: Model, journal: tuple[Submission, ...]) -> bool:
        return _of_model(model) == _of_journal(journal) and self._signals() == {
            digest for letter in model.letters for digest in letter.signals
        }

    def _signals(self) -> set[str | int]:
        """The digests of the mails that the journal has noted: one that moved nothing does not count later either."""
        view = self._view() if self.counts["signals"] else None
        events = () if view is None else view.events(None)
        return {event.details["signal_sha256"] for event in events if "signal_sha256" in event.details}

    def _difference(self, journal: tuple[Submission, ...]) -> str:
        return f"the journal says {_of_journal(journal)}, and must say {_of_model(self.model)}"


def _demand(holds: object) -> None:
    assert holds


def _begun(model: Model, extract: int) -> None:
    pair = model.of_extract(extract)
    if pair is not None and pair.next is not None:
        pair.next.begin()


def _of_model(model: Model) -> dict[str, _Known]:
    return {
        one.msg_id: (
            one.message_id,
            one.state.value,
            one.transport.value,
            one.acknowledged,
            one.needs_person,
            one.alarmed,
            one.settled,
            one.unbelieved,
            _since(one.state, one.published_at),
            _since(one.state, one.arrived_at),
        )
        for one in model.letters
    }


def _of_journal(journal: tuple[Submission, ...]) -> dict[str, _Known]:
    return {
        shipment.msg_id: (
            shipment.message_id,
            shipment.state.value,
            shipment.transport.value,
            shipment.acknowledged_at is not None,
            shipment.needs_person,
            bool(shipment.alarm),
            shipment.settled,
            sum(not receipt.verified for receipt in shipment.receipts),
            _since(shipment.state, shipment.published_at),
            _since(shipment.state, shipment.arrived_at),
        )
        for submission in journal
        for shipment in submission.shipments
    }


def _since(state: S, published_at: datetime | None) -> datetime | None:
    """What a receipt is waited for since: a person who says once more that it has arrived changes nothing else."""
    return published_at if state is S.PUBLISHED else None
