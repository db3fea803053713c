"""A run with a drop folder: each pair ends where it belongs, none is sent twice, and a person decides on a new one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpr_sender.client import Client
from kpr_sender.errors import (
    AlreadySubmitted,
    BusUnreachable,
    InputMissing,
    InputRefused,
    KprError,
    RegistryUnreachable,
    UsageError,
)
from kpr_sender.fleet.dropped import DropDecision, DropRun, second_look
from kpr_sender.model import MessageType
from kpr_sender.outbound.drop import DropFolder
from kpr_sender.report import Report
from kpr_sender.sandbox.sample import write_pair
from kpr_sender.texts import Text
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import SENDER_HER_ID, YEAR, Changes, Municipality
from tests.outbound.test_submit_findings import drop_two

AT = datetime(2025, 1, 10, 12, tzinfo=UTC)
NOTHING = DropDecision()
DROP: Changes = {"files": {"fagmelding": None, "identmelding": None, "drop": "in"}}


class Scene:
    """A municipality with a drop folder, and the bus that its runs use."""

    def __init__(self, kommune: Municipality) -> None:
        self.kommune, self.folder = kommune, kommune.folder / "in"
        self.folder.mkdir()
        self.settings = kommune.configure(DROP)
        self.bus = MemoryBus(Fhi(kommune.pki).answer)

    def correct_her_id(self) -> None:
        sender: Changes = {"sender": {"service_her_id": SENDER_HER_ID + 1}}
        self.settings = self.kommune.configure({**DROP, **sender})

    def lay(self, lopenr: int = 1, **more: str) -> None:
        """Let the EPJ lay an extract there."""
        write_pair(self.folder, year=YEAR, persons=5, seed=lopenr, lopenr=lopenr, **more)

    def run(self, decision: DropDecision = NOTHING) -> Report:
        """Do one run, half a minute after its first look."""
        folder = DropFolder.of(self.settings)
        assert folder is not None
        times = iter((AT, AT + timedelta(seconds=30)))
        slept: list[float] = []
        look = second_look(folder, now=lambda: next(times), sleep=slept.append)
        assert slept in ([30.0], [])
        with Client(self.settings, bus=self.bus) as client:
            return DropRun(client, folder, look, lambda _: client.wait(timeout=0)).carry_out(decision)

    def finish(self) -> None:
        """Let runs follow until the pair is delivered: one may only put back what was taken halfway."""
        for _ in range(2):
            try:
                if self.run().exit_code == 0:
                    return
            except InputMissing:
                continue

    def lying(self) -> dict[str, int]:
        """How many files lie in each folder, however deep."""
        found = [path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file()]
        tops = [path.parts[0] for path in found if not path.name.startswith(".")]
        return {top: tops.count(top) for top in sorted(set(tops))}

    def answering(self, fhi: Callable[[Fhi], MemoryBus]) -> None:
        self.bus = fhi(Fhi(self.kommune.pki))


@pytest.fixture
def scene(kommune: Municipality) -> Scene:
    return Scene(kommune)


def refused(scene: Scene, kind: type[KprError], decision: DropDecision = NOTHING) -> KprError:
    with pytest.raises(kind) as raised:
        scene.run(decision)
    return raised.value


def test_what_is_delivered_ends_in_sent_and_is_not_sent_again_because_it_lies_there_again(scene: Scene) -> None:
    scene.lay()
    assert scene.run().exit_code == 0
    assert (scene.lying(), len(scene.bus.published)) == ({"sent": 2}, 2)

    assert scene.run().exit_code == 0, "a run that finds nothing new"
    scene.lay()
    assert scene.run().exit_code == 0
    assert (scene.lying(), len(scene.bus.published)) == ({"sent": 4}, 2)


def test_what_waits_for_its_receipt_stays_taken_and_goes_on(scene: Scene) -> None:
    scene.answering(lambda _: MemoryBus())
    scene.lay()
    assert scene.run().exit_code == 80
    assert scene.lying() == {"taken": 2}
    assert scene.run().exit_code == 80
    assert len(scene.bus.published) == 2
    published = scene.bus.published
    scene.bus = MemoryBus()
    fhi = Fhi(scene.kommune.pki)
    scene.bus.inbox.extend(answer for message in published for answer in fhi.answer(message))

    assert scene.run().exit_code == 0
    assert scene.lying() == {"sent": 2}


def test_what_the_check_refuses_ends_in_refused_with_its_page_and_what_is_wrong(scene: Scene) -> None:
    scene.lay(kommunenummer="1103")
    error = refused(scene, InputRefused)
    assert "refused" in error.what
    (why,) = scene.folder.glob("refused/*/check.txt")
    assert "The file is for kommunenummer 1103, the configuration says 9999." in why.read_text("utf-8")
    assert "<html" in (why.parent / "check.html").read_text("utf-8")
    assert scene.lying() == {"refused": 4}
    assert scene.bus.published == []

    scene.lay(lopenr=2)
    assert scene.run().exit_code == 0, "the EPJ's next extract"
    assert scene.lying() == {"refused": 4, "sent": 2}


def test_a_new_pair_waits_until_a_person_sends_it_in_place_of_the_rejected_one(scene: Scene) -> None:
    scene.answering(lambda fhi: MemoryBus(lambda message: fhi.answer(message, status="2")))
    scene.lay()
    rejected = scene.run()
    assert (rejected.exit_code, scene.lying()) == (81, {"taken": 2})
    scene.lay(lopenr=2)
    error = refused(scene, AlreadySubmitted)
    assert scene.lying() == {"taken": 2, "waiting": 2}
    assert f"--replaces {rejected.submission.submission_id}" in error.next_step
    assert scene.run().exit_code == 81, "what FHI said counts more, at each run"
    wrong = DropDecision(replaces="2024-none", reason="Avtalt", by="Kari")
    refused(scene, KprError, wrong)
    assert scene.lying() == {"taken": 2, "waiting": 2}, "what does not hold moves nothing"

    scene.answering(lambda fhi: MemoryBus(fhi.answer))
    agreed = DropDecision(replaces=rejected.submission.submission_id, reason="Avtalt med FHI", by="Kari")
    replaced = scene.run(agreed)

    assert (replaced.exit_code, replaced.submission.replaces) == (0, rejected.submission.submission_id)
    assert scene.lying() == {"refused": 2, "sent": 2}
    assert len(scene.bus.published) == 2


def test_a_new_pair_after_the_delivery_is_a_person_s_at_each_run(scene: Scene) -> None:
    scene.lay()
    scene.run()
    scene.lay(lopenr=2)
    for _ in range(2):
        error = refused(scene, AlreadySubmitted)
        assert error.exit_code == 86
        assert scene.lying() == {"sent": 2, "waiting": 2}
    assert len(scene.bus.published) == 2


def sealed_only(scene: Scene) -> DropDecision:
    """The bus was away: the pair is sealed, no byte of it was sent. Return a person's decision to replace it."""
    scene.bus.connect_error = BusUnreachable(Text("Away."))
    scene.lay()
    refused(scene, BusUnreachable)
    assert scene.lying() == {"taken": 2}
    scene.bus.connect_error = None
    with Client(scene.settings) as client:
        sealed = client.status()
    assert sealed is not None
    return DropDecision(replaces=sealed.submission.submission_id, reason="Feil uttrekk", by="Kari")


def test_g1_what_was_never_sent_is_not_sent_just_before_what_replaces_it(scene: Scene) -> None:
    decision = sealed_only(scene)
    scene.lay(lopenr=2)

    replaced = scene.run(decision)

    assert (replaced.exit_code, replaced.submission.replaces) == (0, decision.replaces)
    fhi = Fhi(scene.kommune.pki)
    sent = [fhi.hodemelding(message).msg_id for message in scene.bus.published]
    assert sent == [one.msg_id for one in replaced.submission.shipments], "of the new pair alone"
    assert scene.lying() == {"refused": 2, "sent": 2}


def test_what_has_not_left_is_replaced_from_the_corrected_her_id(scene: Scene) -> None:
    decision = sealed_only(scene)
    scene.correct_her_id()
    error = refused(scene, AlreadySubmitted)
    assert error.where == "sender.service_her_id"
    assert f"--replaces {decision.replaces}" in error.next_step
    assert (scene.bus.published, scene.lying()) == ([], {"taken": 2}), "no new pair that a person could send"
    scene.lay(lopenr=2)
    scene.answering(lambda _: MemoryBus())

    assert scene.run(decision).exit_code == 80, "published, and nothing is wrong with it"

    senders = [message.envelope.properties["fromHerId"] for message in scene.bus.published]
    assert (senders, scene.lying()) == ([str(SENDER_HER_ID + 1)] * 2, {"refused": 2, "taken": 2})


def test_what_was_sent_before_the_her_id_was_corrected_is_waited_for_and_ends_in_sent(scene: Scene) -> None:
    scene.answering(lambda _: MemoryBus())
    scene.lay()
    scene.run()
    scene.correct_her_id()
    assert (scene.run().exit_code, scene.lying()) == (80, {"taken": 2})
    fhi = Fhi(scene.kommune.pki)
    scene.bus.inbox.extend(answer for message in scene.bus.published for answer in fhi.answer(message))

    assert (scene.run().exit_code, scene.lying()) == (0, {"sent": 2})
    assert len(scene.bus.published) == 2


def test_g1_what_a_person_gives_up_is_not_sent_where_what_replaces_it_is_refused(scene: Scene) -> None:
    decision = sealed_only(scene)
    scene.lay(lopenr=2, kommunenummer="1103")
    refused(scene, InputRefused, decision)
    assert (scene.bus.published, scene.lying()) == ([], {"refused": 4, "taken": 2})

    scene.lay(lopenr=3)
    assert scene.run(decision).submission.replaces == decision.replaces, "nothing stands in the way of the next one"


def test_g1_what_a_person_gives_up_is_not_sent_where_no_pair_is_there_yet_to_replace_it(scene: Scene) -> None:
    decision = sealed_only(scene)
    error = refused(scene, InputMissing, decision)
    assert "No pair lies in the drop folder" in error.what
    assert (scene.bus.published, scene.lying()) == ([], {"taken": 2})


def test_what_replaces_and_was_taken_by_a_run_that_ended_is_sent_by_the_same_decision(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> Report:
        raise Killed

    decision = sealed_only(scene)
    scene.lay(lopenr=2)
    with monkeypatch.context() as patched:
        patched.setattr(Client, "submit", killed)
        with pytest.raises(Killed):
            scene.run(decision)
    assert scene.lying() == {"taken": 4}

    assert scene.run(decision).submission.replaces == decision.replaces
    assert (len(scene.bus.published), scene.lying()) == (2, {"refused": 2, "sent": 2})


def test_what_cannot_be_sealed_now_stays_taken(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> Report:
        raise RegistryUnreachable("No answer.")  # type: ignore[arg-type]  # a test's own words

    scene.lay()
    with monkeypatch.context() as patched:
        patched.setattr(Client, "submit", unreachable)
        refused(scene, RegistryUnreachable)
    assert scene.lying() == {"taken": 2}
    assert scene.run().exit_code == 0
    assert scene.lying() == {"sent": 2}


def test_a_decision_needs_a_pair_that_it_is_about(scene: Scene) -> None:
    refused(scene, InputMissing, DropDecision(accept_findings=3, by="Kari"))
    refused(scene, InputMissing, DropDecision(replaces="2024-none", reason="x", by="Kari"))
    scene.lay()
    refused(scene, UsageError, DropDecision(replaces="2024-none", reason="", by="Kari"))
    assert scene.lying() == {"waiting": 2}


def test_findings_are_accepted_of_the_pair_that_was_set_aside(scene: Scene) -> None:
    scene.lay()
    drop_two(Municipality(scene.folder))
    error = refused(scene, InputRefused)
    assert scene.lying() == {"refused": 4}
    assert "--accept-findings 2" in error.next_step

    assert scene.run(DropDecision(accept_findings=2, by="Kari")).exit_code == 0
    assert scene.lying() == {"sent": 4}, "with what was found"


def settled_with_one_half_rejected(scene: Scene) -> Report:
    """FHI has refused the identmelding, and a person has settled that: the pair is moved away."""
    scene.answering(lambda fhi: MemoryBus(lambda one: fhi.answer(one, status="12"[one.envelope.subject == "KPR_IDE"])))
    scene.lay()
    half = scene.run()
    with Client(scene.settings) as client:
        client.settle(half.submission.shipments[1].msg_id, reason="FHI tar den ikke.", by="Kari")
    assert scene.run().exit_code == 0
    assert scene.lying() == {"refused": 2}
    return half


def let_go(scene: Scene, half: Report) -> Path:
    """A person sends the identmelding again, from where it lies now; return that."""
    folder = DropFolder.of(scene.settings)
    assert folder is not None
    (pair,) = folder.pairs("refused")
    identmelding = pair.files[MessageType.KPR_IDE]
    with Client(scene.settings, bus=scene.bus) as client:
        client.resend(half.submission.shipments[1].msg_id, identmelding, reason="FHI tar den nå.", by="Kari")
    return identmelding


@pytest.mark.parametrize("note", ["there", "gone"])
def test_g2_what_a_person_lets_go_after_its_pair_was_moved_away_is_sent(scene: Scene, note: str) -> None:
    half = settled_with_one_half_rejected(scene)
    identmelding = let_go(scene, half)
    if note == "gone":
        (identmelding.parent / ".submission").unlink()
    scene.answering(lambda fhi: MemoryBus(fhi.answer))

    assert scene.run().exit_code == 0

    assert [one.envelope.subject for one in scene.bus.published] == ["KPR_IDE"]
    assert scene.lying() == {"sent": 2}


def test_g2_what_is_to_be_sent_and_has_no_pair_any_more_is_66_until_it_is_laid_there_again(scene: Scene) -> None:
    half = settled_with_one_half_rejected(scene)
    identmelding = let_go(scene, half)
    shutil.rmtree(identmelding.parent)
    error = refused(scene, InputMissing)
    assert (error.exit_code, half.submission.submission_id in error.what) == (66, True)
    assert len(scene.bus.published) == 2

    scene.lay()
    scene.answering(lambda fhi: MemoryBus(fhi.answer))
    assert scene.run().exit_code == 0
    assert (scene.lying(), len(scene.bus.published)) == ({"sent": 2}, 1)


class Killed(BaseException):
    """What ends a run in the middle, as a kill does: nothing after it is done."""


@pytest.mark.parametrize("survived", [0, 1, 2])
def test_a_run_that_is_killed_between_two_renames_loses_nothing_and_sends_nothing_twice(
    scene: Scene, survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.lay()
    contents = sorted(path.read_bytes() for path in scene.folder.glob("*.xml"))
    renames, rename = iter(range(100)), Path.rename

    def rename_or_die(self: Path, target: Path) -> Path:
        # The two halves into taken, then the pair into sent.
        if scene.folder in self.parents and next(renames) == survived:
            raise Killed
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename_or_die)
        with pytest.raises(Killed):
            scene.run()
    assert sorted(path.read_bytes() for path in scene.folder.rglob("*.xml")) == contents

    scene.finish()

    assert scene.lying() == {"sent": 2}
    assert sorted(path.read_bytes() for path in scene.folder.rglob("*.xml")) == contents
    assert len(scene.bus.published) == 2
