from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment, MessageType
from kpr_sender.profiles import Profile, admit, known_years, load

LETTER = "24/04733-1"


def test_what_the_letter_says_about_2024() -> None:
    profile = load(2024)
    assert (profile.year, profile.letter, profile.deadline) == (2024, LETTER, date(2025, 1, 15))
    assert {name: (party.her_id, party.service_her_id) for name, party in profile.receivers.items()} == {
        Environment.PRODUKSJON: (85217, 122612),
        Environment.VALIDERING: (85217, 171479),
        Environment.AR_TEST: (85217, 8133973),
        Environment.LOKAL: (85217, 171479),
    }
    assert set(profile.refused_her_ids) == {2397, 134197}
    assert [each.version for each in profile.formats[MessageType.KPR_IPL]] == ["3.7"]
    assert [each.version for each in profile.formats[MessageType.KPR_IDE]] == ["53.1.2", "53.1.3"]


def carried(profile: Profile) -> tuple[object, ...]:
    return (profile.receivers, profile.refused_her_ids, profile.formats, profile.hosts)


@pytest.mark.parametrize("year", [2025, 2026])
def test_years_without_a_letter_carry_2024_s_values(year: int) -> None:
    profile = load(year)
    assert carried(profile) == carried(load(2024))
    assert (profile.year, profile.letter, profile.carried_from) == (year, "", LETTER)
    assert profile.deadline == date(year + 1, 1, 15)


def test_every_year_there_is_loads() -> None:
    assert known_years() == (2024, 2025, 2026)
    assert [load(year).year for year in known_years()] == [2024, 2025, 2026]


@pytest.mark.parametrize("year", [2023, 2027, 0, -1])
def test_another_year_is_a_fault_of_the_configuration(year: int) -> None:
    with pytest.raises(ConfigInvalid, match="2024, 2025, 2026") as refused:
        load(year)
    assert refused.value.where == "report.year"


def test_nothing_in_a_profile_can_be_changed() -> None:
    with pytest.raises(TypeError):
        load(2024).refused_her_ids[1] = "x"  # type: ignore[index]


@pytest.mark.parametrize("environment", Environment)
@pytest.mark.parametrize("letter", ["", "25/00001-1"])
def test_a_confirmed_year_goes_everywhere_without_a_word(environment: Environment, letter: str) -> None:
    assert admit(load(2024), environment, letter) is None


@pytest.mark.parametrize("year", [2025, 2026])
@pytest.mark.parametrize("environment", [each for each in Environment if each is not Environment.PRODUKSJON])
@pytest.mark.parametrize("letter", ["", LETTER])
def test_an_unconfirmed_year_warns_outside_production(year: int, environment: Environment, letter: str) -> None:
    warning = admit(load(year), environment, letter)
    assert warning is not None
    assert f"no letter confirms them for {year}" in warning


@pytest.mark.parametrize("year", [2025, 2026])
@pytest.mark.parametrize("letter", ["", "  ", LETTER, f" {LETTER} "])
def test_an_unconfirmed_year_never_reaches_production(year: int, letter: str) -> None:
    """Also not by naming the letter of the year before."""
    with pytest.raises(ConfigInvalid, match=f"{year} is not sent to produksjon") as refused:
        admit(load(year), Environment.PRODUKSJON, letter)
    assert refused.value.where == "report.letter"
    assert str(year) in refused.value.next_step


@pytest.mark.parametrize("year", [2025, 2026])
def test_a_letter_that_the_configuration_names_opens_production(year: int) -> None:
    warning = admit(load(year), Environment.PRODUKSJON, "25/01234-1")
    assert warning is not None
    assert "25/01234-1" in warning


_COUNTING = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from kpr_sender.cli.main import run
run(["--env", "lokal", "--config", sys.argv[1], "config", "check"])
print(sum(path.endswith("2024.toml") for path in opened))
"""


def test_a_run_reads_its_year_once() -> None:
    """Asked in another process, where nothing is cached yet."""
    config = Path(__file__).resolve().parents[2] / "config" / "lokal.toml"
    ran = subprocess.run([sys.executable, "-c", _COUNTING, str(config)], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "1"
