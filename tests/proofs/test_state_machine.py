"""G1 to G5 under anything at any time: the real engine and the real journal against a model, as long as one likes.

Once on a bus that is NHN Tjenestebuss, and once where submissions go by mail as well, and from one way to the other.

Rules are what can happen: runs of ``send`` and ``wait`` on a bus that ends a transfer in every way there is, crashes
at any boundary of bus, journal and events, receipts right and wrong, clock jumps, replacements and people's decisions.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kpr_sender.bus.port import Inbound
from kpr_sender.errors import AccessRefused, BusUnreachable
from kpr_sender.keys import configured
from kpr_sender.model import Transport
from kpr_sender.operator.resolve import Decision
from kpr_sender.texts import Text
from tests.helpers.figures import figure
from tests.helpers.ledger_bus import Transfer
from tests.helpers.nightly import scaled
from tests.helpers.postgres import Database
from tests.helpers.stage import EXTRACTS, Stage, stage, strike
from tests.proofs.inbox import Kind, message
from tests.proofs.inbox_mail import MailKind, mail
from tests.proofs.model import Letter, Meaning
from tests.proofs.play import Play
from tests.proofs.play_journal import InFile, MakesJournal, in_postgres

STEPS: Final = 20
EXAMPLES: Final = 500
EXAMPLES_POSTGRES: Final = 4
EXAMPLES_EDI: Final = 14
EXAMPLES_EDI_POSTGRES: Final = 2
PARTS: Final = 10
EXAMPLES_POSTGRES_NIGHTLY: Final = 200
EXAMPLES_NIGHTLY: Final = 20_000
EXAMPLES_EDI_NIGHTLY: Final = 5_000
EXAMPLES_EDI_POSTGRES_NIGHTLY: Final = 50
PARTS_NIGHTLY: Final = 100
BY_EDI: Final = "state machine by EDI"
BY_EDI_POSTGRES: Final = "PostgreSQL: state machine by EDI"

transfers = st.lists(st.sampled_from(list(Transfer)), max_size=3)
crashes = st.one_of(st.none(), st.integers(0, 30))
early_crashes = st.one_of(st.none(), st.integers(0, 5))
which = st.integers(0, 99)
mail_kinds = st.one_of(
    st.sampled_from(list(MailKind)),
    st.sampled_from([MailKind.ACKNOWLEDGMENT, MailKind.MESSAGE_ERROR, MailKind.BOUNCE, MailKind.OK, MailKind.REJECTED]),
)
ways = st.sampled_from([Transport.EDI, Transport.EDI, Transport.AMQP])
kinds = st.one_of(st.sampled_from(list(Kind)), st.sampled_from([Kind.OK, Kind.ERROR_QUEUE, Kind.REJECTED]))
jumps = st.sampled_from([timedelta(hours=-1), timedelta(minutes=7), timedelta(hours=25), timedelta(days=365)])
refusals = st.sampled_from([None, None, None, BusUnreachable(Text("Down.")), AccessRefused(Text("Wrong password."))])


class January(RuleBasedStateMachine):
    """What can happen to a municipality."""

    on: Stage
    journal: MakesJournal
    name: str
    transport: ClassVar[Transport] = Transport.AMQP
    counted: ClassVar[tuple[str, ...]] = (
        "runs",
        "transfers",
        "crashes",
        "answers",
        "decisions",
        "accepted",
        "kept",
        "ways on",
    )

    def __init__(self) -> None:
        super().__init__()
        self.play = Play(self.on, self.journal, self.transport)
        self.sent: list[tuple[Inbound, Meaning]] = []

    # -- runs -----------------------------------------------------------------------------------------------------

    @initialize(plan=transfers, crash=crashes)
    def begins(self, plan: list[Transfer], crash: int | None) -> None:
        self._submit(0, None, plan, crash)

    @rule(plan=transfers, crash=crashes, refusal=refusals)
    def sends_again(self, plan: list[Transfer], crash: int | None, refusal: AccessRefused | None) -> None:
        self.play.bus.connect_error = refusal
        self._submit(len(self.play.model.pairs) - 1 if self.play.model.pairs else 0, None, plan, crash)
        self.play.bus.connect_error = None

    @rule(extract=st.integers(0, EXTRACTS - 1), plan=transfers, crash=crashes)
    def sends_any(self, extract: int, plan: list[Transfer], crash: int | None) -> None:
        self._submit(extract, None, plan, crash)

    @precondition(lambda self: self.play.model.pairs)
    @rule(plan=transfers, crash=crashes, number=which)
    def replaces(self, plan: list[Transfer], crash: int | None, number: int) -> None:
        pairs = self.play.model.pairs
        newest = pairs[-1] if number % 4 else pairs[number % len(pairs)]
        self._submit(min(len(pairs) + number % 2, EXTRACTS - 1), newest.submission_id, plan, crash)

    @rule(crash=crashes, refusal=refusals)
    def waits(self, crash: int | None, refusal: AccessRefused | None) -> None:
        self.play.bus.receive_error = refusal
        self.play.wait(crash_after=crash)
        self.play.bus.receive_error = None

    @rule()
    def ends(self) -> None:
        self.play.restart()

    @rule(by=jumps)
    def clock_jumps(self, by: timedelta) -> None:
        if self.play.now.year < 2050:
            self.play.jump(by)

    # -- what comes -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.play.model.pairs)
    @rule(kind=kinds, number=which)
    def comes(self, kind: Kind, number: int) -> None:
        inbound, meaning = message(self.play.stage, kind, self._letter(number))
        self.sent.append((self.play.put(inbound, meaning), meaning))

    @precondition(lambda self: self.sent)
    @rule(number=which)
    def comes_again(self, number: int) -> None:
        inbound, meaning = self.sent[number % len(self.sent)]
        self.play.put(inbound, meaning)

    @precondition(lambda self: self.play.model.pairs)
    @rule(kind=kinds, number=which, crash=crashes)
    def is_handed_in(self, kind: Kind, number: int, crash: int | None) -> None:
        inbound, meaning = message(self.play.stage, kind, self._letter(number))
        self.play.meanings[inbound.message_id] = meaning
        self.play.hand_in(inbound, crash_after=crash)

    # -- what people do -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.play.model.pairs)
    @rule(number=which, crash=crashes)
    def person_resends(self, number: int, crash: int | None) -> None:
        self.play.resend(self._letter(number), crash_after=crash)

    @precondition(lambda self: self.play.model.pairs)
    @rule(decision=st.sampled_from(list(Decision)), number=which, crash=crashes)
    def person_decides(self, decision: Decision, number: int, crash: int | None) -> None:
        self.play.decide(self._letter(number), decision, crash_after=crash)

    @precondition(lambda self: self.play.model.pairs)
    @rule(number=which, crash=crashes)
    def person_accepts(self, number: int, crash: int | None) -> None:
        inbound, meaning = message(self.play.stage, Kind.WRONG_HER_ID, self._letter(number))
        self.play.meanings[inbound.message_id] = meaning
        self.play.hand_in(inbound)
        self.play.accept(self.play.unbelieved[number % len(self.play.unbelieved)], crash_after=crash)

    # -- what holds -----------------------------------------------------------------------------------------------

    @invariant()
    def promises_hold(self) -> None:
        self.play.demand_promises()

    def teardown(self) -> None:
        left = self.play.end_well(self._receipt) if self.play.sound else []
        self.play.strike()
        figure(
            self.name,
            examples=1,
            told_to_a_person=len(left),
            **{key: self.play.counts[key] for key in self.counted},
            dead_ends=self.play.counts["dead ends"],
            **self.play.breaches(),
        )

    def _submit(self, extract: int, replaces: str | None, plan: list[Transfer], crash: int | None) -> None:
        self.play.bus.plan.clear()
        self.play.bus.plan.extend(plan)
        self.play.submit(extract, replaces=replaces, crash_after=crash)

    def _receipt(self, letter: Letter) -> tuple[Inbound, Meaning]:
        return message(self.play.stage, Kind.OK, letter)

    def _letter(self, number: int) -> Letter:
        letters = list(self.play.model.letters)
        return letters[number % len(letters)]


class JanuaryByMail(January):
    """What can happen besides to a municipality whose submissions go by mail, and that can go the other way, too."""

    transport = Transport.EDI
    counted = (*January.counted, "by mail", "signals", "other way")

    @rule(way=ways)
    def another_way_is_configured(self, way: Transport) -> None:
        self.play.configure(way)

    @precondition(lambda self: self._by_mail())
    @rule(kind=mail_kinds, number=which)
    def mail_comes(self, kind: MailKind, number: int) -> None:
        inbound, meaning = self._mail(kind, number)
        self.sent.append((self.play.put(inbound, meaning), meaning))

    @precondition(lambda self: self._by_mail())
    @rule(kind=mail_kinds, number=which, crash=crashes)
    def mail_is_handed_in(self, kind: MailKind, number: int, crash: int | None) -> None:
        inbound, meaning = self._mail(kind, number)
        self.play.meanings[inbound.message_id] = meaning
        self.sent.append((inbound, meaning))
        self.play.hand_in(inbound, crash_after=crash)

    @precondition(lambda self: self.play.model.pairs)
    @rule(way=ways, number=which, crash=early_crashes)
    def person_sends_another_way(self, way: Transport, number: int, crash: int | None) -> None:
        self.play.resend(self._letter(number), transport=way, crash_after=crash)

    def _by_mail(self) -> list[Letter]:
        """Whatever a message server can have seen: nobody answers a mail that never began to leave."""
        offered = {message.message_id for message in self.play.bus.offered}
        by_mail = [letter for letter in self.play.model.letters if letter.transport is Transport.EDI]
        return [letter for letter in by_mail if letter.message_id in offered]

    def _mail(self, kind: MailKind, number: int) -> tuple[Inbound, Meaning]:
        letters = self._by_mail()
        return self._answer(kind, letters[number % len(letters)])

    def _answer(self, kind: MailKind, letter: Letter) -> tuple[Inbound, Meaning]:
        return mail(self.play.stage, kind, letter, self.play.mail_of(letter), self.play.now)

    def _receipt(self, letter: Letter) -> tuple[Inbound, Meaning]:
        return super()._receipt(letter) if letter.transport is Transport.AMQP else self._answer(MailKind.OK, letter)


@pytest.fixture(scope="module")
def on() -> Iterator[Stage]:
    made = stage()
    yield made
    strike(made)


def play(
    on: Stage,
    examples: int,
    monkeypatch: pytest.MonkeyPatch,
    journal: MakesJournal = InFile,
    name: str = "state machine",
    machine: type[January] = January,
    *,
    derandomize: bool = False,
) -> None:
    monkeypatch.setattr(configured, "load_key", on.load_key)
    monkeypatch.setattr(January, "on", on, raising=False)
    monkeypatch.setattr(January, "journal", staticmethod(journal), raising=False)
    monkeypatch.setattr(January, "name", name, raising=False)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=derandomize,
            phases=(Phase.generate,),  # a history of twenty steps is readable as it is; shrinking one takes minutes
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_g1_to_g5_hold_whatever_happens(on: Stage, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    play(on, EXAMPLES // PARTS, monkeypatch)


def test_g1_to_g5_hold_by_edi_too(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same few histories in each run; at night they are drawn anew."""
    play(on, EXAMPLES_EDI, monkeypatch, name=BY_EDI, machine=JanuaryByMail, derandomize=True)


def test_g1_to_g5_hold_in_postgresql_too(on: Stage, postgres: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_postgres(postgres) as journal:
        play(on, EXAMPLES_POSTGRES, monkeypatch, journal, "PostgreSQL: state machine")


def test_g1_to_g5_hold_by_edi_in_postgresql_too(on: Stage, postgres: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same two histories in each run; at night they are drawn anew."""
    with in_postgres(postgres) as journal:
        play(on, EXAMPLES_EDI_POSTGRES, monkeypatch, journal, BY_EDI_POSTGRES, JanuaryByMail, derandomize=True)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS_NIGHTLY))
def test_g1_to_g5_hold_all_night(on: Stage, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    play(on, scaled(EXAMPLES_NIGHTLY // PARTS_NIGHTLY), monkeypatch)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS_NIGHTLY))
def test_g1_to_g5_hold_by_edi_all_night(on: Stage, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    play(on, scaled(EXAMPLES_EDI_NIGHTLY // PARTS_NIGHTLY), monkeypatch, name=BY_EDI, machine=JanuaryByMail)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
def test_g1_to_g5_hold_in_postgresql_all_night(
    on: Stage, postgres: Database, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_postgres(postgres) as journal:
        play(on, scaled(EXAMPLES_POSTGRES_NIGHTLY // PARTS), monkeypatch, journal, "PostgreSQL: state machine")


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
def test_g1_to_g5_hold_by_edi_in_postgresql_all_night(
    on: Stage, postgres: Database, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_postgres(postgres) as journal:
        examples = scaled(EXAMPLES_EDI_POSTGRES_NIGHTLY // PARTS)
        play(on, examples, monkeypatch, journal, BY_EDI_POSTGRES, JanuaryByMail)
