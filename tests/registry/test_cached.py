"""What the register said lately: how long it counts, when it is asked again, and what is done when it is away."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import timedelta

import pytest

from kpr_sender.errors import AccessRefused, ConfigInvalid, RegistryUnreachable
from kpr_sender.model import Environment
from kpr_sender.registry.cached import beside
from tests.helpers import pki
from tests.helpers.register_scene import Scene
from tests.helpers.registry_stub import KPR_VALIDERING, fault, says

OUTAGE = says(503, b"<html>")
QUESTIONS = 4
"""To fetch one party."""


def _fetched(scene: Scene) -> float:
    return len(scene.stub.questions) / QUESTIONS


@pytest.mark.parametrize(("minutes", "fetched"), [(0, 1), (59, 1), (60, 2), (600, 2)])
def test_an_answer_counts_until_its_age_is_reached(scene: Scene, minutes: int, fetched: int) -> None:
    scene.ask()
    scene.later(minutes=minutes)

    found = scene.ask()

    assert _fetched(scene) == fetched
    assert found.queue == "171479_async"
    assert found.provenance.stale is False
    assert scene.warnings == []


def test_a_kept_answer_says_what_a_fresh_one_says(scene: Scene) -> None:
    opened = scene.open()
    first = opened.entry(KPR_VALIDERING), opened.counterpart(KPR_VALIDERING)

    again = scene.open()

    assert (again.entry(KPR_VALIDERING), again.counterpart(KPR_VALIDERING)) == first
    assert _fetched(scene) == 1


def test_a_send_to_produksjon_asks_whatever_is_kept(scene: Scene) -> None:
    settings = replace(scene.configure(), environment=Environment.PRODUKSJON)
    scene.open(settings).entry(KPR_VALIDERING)

    scene.open(settings).entry(KPR_VALIDERING)
    assert _fetched(scene) == 1

    scene.open_for_sending(settings).entry(KPR_VALIDERING)
    assert _fetched(scene) == 2

    scene.stub.mishap = OUTAGE
    scene.open_for_sending(settings).entry(KPR_VALIDERING)
    assert "cannot be asked" in scene.warnings[0]


def test_the_last_good_answer_has_to_do_when_the_register_is_away_and_it_is_said(scene: Scene) -> None:
    first = scene.ask()
    scene.stub.mishap = OUTAGE
    scene.later(hours=23)

    found = scene.ask()

    assert replace(found, provenance=first.provenance) == first
    assert found.provenance.stale is True
    assert "the register cannot be reached now" in found.provenance.text
    (warning,) = scene.warnings
    assert "HTTP 503" in warning
    assert f"{first.provenance.fetched_at:%Y-%m-%d %H:%M} UTC is used" in warning


@pytest.mark.parametrize(("stale_for", "hours"), [("24h", 24), ("2h", 3), (0, 1)])
def test_no_answer_has_to_do_for_longer_than_that(scene: Scene, stale_for: str | int, hours: int) -> None:
    settings = scene.configure(registry={"stale_for": stale_for})
    scene.ask(settings)
    scene.stub.close()
    scene.later(hours=hours)

    with pytest.raises(RegistryUnreachable):
        scene.ask(settings)

    assert scene.warnings == []


def test_an_answer_from_the_future_is_another_clocks(scene: Scene) -> None:
    scene.ask()
    scene.later(minutes=-5)

    scene.ask()
    assert _fetched(scene) == 2

    scene.stub.mishap = OUTAGE
    scene.later(minutes=-5)
    with pytest.raises(RegistryUnreachable):
        scene.ask()


def test_a_party_that_is_no_longer_known_is_not_sent_to_by_an_earlier_answer(scene: Scene) -> None:
    scene.ask()
    scene.later(hours=2)
    scene.stub.mishap = says(500, fault())

    with pytest.raises(ConfigInvalid, match="does not know"):
        scene.ask()

    scene.stub.mishap = OUTAGE
    with pytest.raises(RegistryUnreachable):
        scene.ask()


def test_a_refusal_of_our_user_is_no_outage_and_says_nothing_of_the_party(scene: Scene) -> None:
    scene.ask()
    scene.later(hours=2)
    scene.stub.mishap = says(401, b"")

    with pytest.raises(AccessRefused, match="refuses our user"):
        scene.ask()

    scene.stub.mishap = OUTAGE
    assert scene.ask().provenance.stale is True


def test_the_signing_certificate_before_this_one_is_still_believed(scene: Scene) -> None:
    encryption, first = scene.lists().certificates
    scene.ask()
    for kind in (pki.Kind.SIGNER, pki.Kind.NEXT_SIGNER):
        scene.lists(certificates=(encryption, pki.certificate(kind)))
        scene.later(hours=2)
        found = scene.ask()
        assert found.signing == (pki.certificate(kind), first)
        first = pki.certificate(kind)


def test_g4_a_signing_certificate_that_was_replaced_is_believed_for_some_time_only(scene: Scene) -> None:
    """A key that was stolen is why certificates are replaced; its own end may be years off."""
    encryption, first = scene.lists().certificates
    scene.ask()
    second = pki.certificate(pki.Kind.NEXT_SIGNER)
    scene.lists(certificates=(encryption, second))
    scene.later(hours=2)
    assert scene.ask().signing == (second, first)
    for _ in range(59):  # asked daily: each answer says it anew, and the time is still that of the first
        scene.later(days=1)
        assert scene.ask().signing == (second, first)
    scene.later(hours=23, minutes=50)
    until = scene.ask().provenance.usable_until
    assert until == scene.now + timedelta(minutes=10), "whoever remembers the answer asks again then"
    scene.later(minutes=11)
    scene.stub.mishap = OUTAGE
    found = scene.ask()
    assert (found.signing, found.provenance.stale) == ((second,), False)
    scene.stub.mishap = None
    scene.lists(certificates=(encryption, first))
    scene.later(hours=2)
    assert scene.ask().signing == (first, second), "and back"
    never = scene.configure(registry={"previous_for": "0s"})
    assert scene.ask(never).signing == (first,)


def test_an_earlier_version_s_file_says_nothing_of_when_it_was_replaced(scene: Scene) -> None:
    encryption, first = scene.lists().certificates
    scene.ask()
    second = pki.certificate(pki.Kind.NEXT_SIGNER)
    scene.lists(certificates=(encryption, second))
    scene.later(hours=2)
    scene.ask()
    stored = json.loads(scene.cache.read_text())
    for party in stored["parties"].values():
        del party["replaced_at"]
    scene.cache.write_text(json.dumps(stored))
    scene.later(days=59)
    assert scene.ask().signing == (second, first)
    scene.later(days=2)
    assert scene.ask().signing == (second,)


def test_another_register_or_environment_has_answers_of_its_own(scene: Scene) -> None:
    settings = scene.configure()
    scene.ask(settings)

    scene.open(replace(settings, environment=Environment.VALIDERING)).entry(KPR_VALIDERING)
    assert _fetched(scene) == 2

    scene.ask(settings)
    other = replace(settings, registry=replace(settings.registry, url=f"{settings.registry.url}/2"))
    scene.ask(other)
    assert _fetched(scene) == 4


def test_the_file_lies_beside_the_journal_for_its_owner_alone_and_holds_no_password(scene: Scene) -> None:
    settings = scene.configure()
    scene.ask(settings)

    assert beside(settings.journal.path) == scene.cache
    assert stat.S_IMODE(scene.cache.stat().st_mode) == 0o600
    assert [path.name for path in scene.cache.parent.glob("*.part")] == []
    assert "hemmelig" not in scene.cache.read_text()
    assert json.loads(scene.cache.read_text())["environment"] == "lokal"


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda scene: scene.cache.chmod(0o620), id="others-may-write"),
        pytest.param(lambda scene: scene.cache.write_text("{"), id="truncated"),
        pytest.param(lambda scene: scene.cache.write_bytes(b"\xff"), id="no-text"),
        pytest.param(
            lambda scene: scene.cache.write_text(scene.cache.read_text().replace('"queues"', '"q"')), id="other-keys"
        ),
        pytest.param(
            lambda scene: scene.cache.write_text(scene.cache.read_text().replace("MII", "AAA")), id="certificate"
        ),
        pytest.param(lambda scene: scene.cache.write_text("[" * 100_000), id="deep"),
        pytest.param(
            lambda scene: scene.cache.write_text(scene.cache.read_text().replace("+00:00", "")), id="no-time-zone"
        ),
    ],
)
def test_a_file_that_cannot_be_trusted_is_not_used_and_made_anew(scene: Scene, spoil: object) -> None:
    scene.ask()
    assert callable(spoil)
    spoil(scene)

    assert scene.ask().queue == "171479_async"

    assert _fetched(scene) == 2
    assert str(scene.cache) in scene.warnings[0]
    scene.told.clear()
    scene.ask()
    assert (_fetched(scene), scene.warnings) == (2, [])


def test_where_nothing_can_be_kept_the_answer_counts_all_the_same(scene: Scene) -> None:
    scene.cache.mkdir()

    assert scene.ask().queue == "171479_async"

    assert any("are not stored" in warning for warning in scene.warnings)


def test_a_journal_folder_that_is_not_there_yet_is_not_made(scene: Scene) -> None:
    settings = scene.configure()
    elsewhere = scene.made.folder / "later" / "journal.db"

    scene.ask(replace(settings, journal=replace(settings.journal, path=elsewhere)))

    assert not elsewhere.parent.exists()
    assert scene.warnings == []
