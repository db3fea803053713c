"""``kpr-send check``: which files by which rules, and text, JSON and exit code that agree (promise G5)."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from kpr_sender.cli import check as check_command
from kpr_sender.model import Environment
from kpr_sender.operator import testpersons
from kpr_sender.preflight.report import CheckReport
from kpr_sender.sandbox.sample import write_pair
from tests.helpers.check_reports import BLANK, DROP, NOTE, REMARK, STOP, report, year
from tests.helpers.municipality import Municipality
from tests.helpers.tenor import TENOR_ID

Command = Callable[..., tuple[int, str, str]]


class Checking:
    """Stands in for the library's check: takes what it is called with, and answers with a report made by hand."""

    def __init__(self, answer: CheckReport) -> None:
        self.answer = answer
        self.files: tuple[bytes, bytes]
        self.last_year: bytes | None
        self.year: int
        self.environment: Environment
        self.names: tuple[str, str, str]
        self.organisation_number: str
        self.listed: bool

    def __call__(
        self,
        fagmelding: Iterable[bytes],
        identmelding: Iterable[bytes],
        year: int,
        *,
        environment: Environment,
        organisation_number: str,
        is_test_person: Callable[[str], bool],
        last_year: Iterable[bytes] | None,
        names: tuple[str, str, str],
    ) -> CheckReport:
        self.files = (b"".join(fagmelding), b"".join(identmelding))
        self.last_year = None if last_year is None else b"".join(last_year)
        self.year, self.environment, self.names = year, environment, names
        self.organisation_number = organisation_number
        self.listed = is_test_person(TENOR_ID)
        return self.answer


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[CheckReport], Checking]:
    def answer(with_report: CheckReport) -> Checking:
        checking = Checking(with_report)
        monkeypatch.setattr(check_command, "check", checking)
        return checking

    return answer


Answering = Callable[[CheckReport], Checking]


def test_with_env_the_configuration_says_files_year_and_environment(
    command: Command, made: Municipality, answering: Answering
) -> None:
    checking = answering(report())

    code, out, _ = command("--env", "lokal", "--config", made.config, "check")

    assert code == 0
    assert checking.files == (made.fagmelding.read_bytes(), made.identmelding.read_bytes())
    assert (checking.year, checking.environment) == (2024, Environment.LOKAL)
    assert checking.organisation_number == "", "the configuration tells none"
    assert checking.names[:2] == (str(made.fagmelding), str(made.identmelding))
    assert "Rules        2024, lokal\n" in out


def test_the_command_line_counts_before_the_configuration(
    command: Command, made: Municipality, answering: Answering, tmp_path: Path
) -> None:
    checking = answering(report())
    first, second, last = tmp_path / "first", tmp_path / "second", tmp_path / "last"
    for path in (first, second, last):
        path.write_text(path.name)

    command("--env", "lokal", "--config", made.config, "check", first, second, "--year", "2023", "--compare", last)

    assert (checking.files, checking.year, checking.last_year) == ((b"first", b"second"), 2023, b"last")


def test_the_command_that_accepts_names_the_files_where_they_were_named_and_on_the_page_no_path(
    command: Command, made: Municipality, answering: Answering, tmp_path: Path
) -> None:
    answering(report({DROP: 2}))
    first, second, page = tmp_path / "first file", tmp_path / "second", tmp_path / "page.html"
    for path in (first, second):
        path.write_text(path.name)
    _, out, _ = command("--env", "lokal", "--config", made.config, "check", first, second, "--html", page)

    wanted = f"kpr-send --env lokal --config {made.config} send --accept-findings 2 '{first}' {second}"
    assert f"    {wanted}" in out.splitlines()
    assert "kpr-send --env lokal send --accept-findings 2<" in page.read_text("utf-8")


def test_without_a_configuration_productions_rules_hold_and_it_is_said(
    command: Command, made: Municipality, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    checking = answering(report())
    monkeypatch.chdir("/")

    code, out, _ = command("check", made.fagmelding, made.identmelding, "--year", "2024")

    assert code == 0
    assert checking.environment is Environment.PRODUKSJON
    assert "no --env: production's rules" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["check", "a", "b"],
        ["check", "--year", "2024"],
        ["check", "a", "--year", "2024"],
        ["check", "a", "b", "--year", "24"],
        ["--config", "x.toml", "check", "a", "b", "--year", "2024"],
    ],
)
def test_what_cannot_be_known_without_a_configuration_must_be_named(command: Command, arguments: list[str]) -> None:
    assert command(*arguments)[0] == 64


def test_the_municipalitys_own_test_persons_are_asked_about(
    command: Command, made: Municipality, answering: Answering
) -> None:
    checking = answering(report())
    command("--env", "lokal", "--config", made.config, "check")
    assert checking.listed is False

    (made.folder / "numbers").write_text(TENOR_ID)
    command("--env", "lokal", "--config", made.config, "testpersons", "add", made.folder / "numbers")
    command("--env", "lokal", "--config", made.config, "check")

    assert checking.listed is True
    assert testpersons.beside(made.journal).exists()


@pytest.mark.parametrize(
    ("counts", "code"),
    [({}, 0), ({NOTE: 3}, 0), ({REMARK: 3, BLANK: 2}, 0), ({DROP: 1}, 65), ({STOP: 1}, 65)],
)
def test_g5_text_json_and_exit_code_say_the_same(
    command: Command, made: Municipality, answering: Answering, counts: dict[str, int], code: int
) -> None:
    answering(report(counts))
    where = ("--env", "lokal", "--config", made.config)

    text = command(*where, "check")
    told = command(*where, "--json", "check")
    quiet = command(*where, "-q", "check")

    object_ = json.loads(told[1])
    assert (text[0], told[0], quiet[0], object_["exit_code"]) == (code,) * 4
    assert f"TEST lokal: {object_['verdict']}" == text[1].splitlines()[0]
    assert f"Exit code    {code}\n" in text[1]
    assert sum(object_["counts"].values()) == sum(counts.values())
    assert (quiet[1], object_["verdict"] in quiet[2]) == ("", code != 0)


def test_the_json_is_the_documented_one(command: Command, made: Municipality, answering: Answering) -> None:
    answering(report({DROP: 2}, last=year({"15": 40}, of=2023)))

    told = json.loads(command("--env", "lokal", "--config", made.config, "--json", "check")[1])

    documented = (Path(__file__).parents[2] / "docs" / "check.md").read_text("utf-8").split("## For programs")[1]
    names = set(re.findall(r"`([a-z_]+)`", documented))
    assert told["schema"] == 2
    assert _keys(told) <= names


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


def test_the_screen_has_the_verdict_first_then_the_worst_then_the_numbers(
    command: Command, made: Municipality, answering: Answering
) -> None:
    answering(report({REMARK: 30, DROP: 12, BLANK: 3, NOTE: 9}))

    _, out, _ = command("--env", "lokal", "--config", made.config, "check")

    lines = out.splitlines()
    assert lines[0] == "TEST lokal: 12 rows would be dropped, 3 values blanked; 30 remarks."
    marks = [line.split()[0] for line in lines if line.endswith("]")]
    assert marks == ["DROPPED", "look", "look"]
    assert "  DROPPED  The service ended before the reporting year: 12  [tjeneste.outside-year]" in lines
    assert "           fagmelding line 100: PERSON 17 / TJENESTE 3: Case 0." in lines
    assert "           ... and 9 more, shown with --all" in lines
    assert f"    kpr-send --env lokal --config {made.config} send --accept-findings 12" in lines
    assert "  Persons      57, of them 2 without service" in lines
    assert len(lines) <= 40


def test_many_rules_take_a_line_each_so_that_the_verdict_stays_on_the_screen(
    command: Command, made: Municipality, answering: Answering
) -> None:
    answering(report(dict.fromkeys((DROP, BLANK, REMARK, "ident.age", "ident.kind", "ident.duf"), 9)))
    where = ("--env", "lokal", "--config", made.config)

    short, everything = command(*where, "check")[1], command(*where, "check", "--all")[1]

    assert "Shown in full with --all" in short
    assert short.count("What to do") == 4
    assert everything.count("What to do") == 6
    assert everything.count("Case 8.") == 6


def test_notes_are_shown_to_whoever_asks_for_everything(
    command: Command, made: Municipality, answering: Answering
) -> None:
    answering(report({NOTE: 2}))
    where = ("--env", "lokal", "--config", made.config)

    assert NOTE not in command(*where, "check")[1]
    assert f"[{NOTE}]" in command(*where, "check", "--all")[1]


@pytest.mark.parametrize("counts", [{STOP: 1, DROP: 4}, {BLANK: 4}])
def test_what_cannot_or_need_not_be_accepted_is_not_offered(
    command: Command, made: Municipality, answering: Answering, counts: dict[str, int]
) -> None:
    answering(report(counts))

    assert "--accept-findings" not in command("--env", "lokal", "--config", made.config, "check")[1]


def test_the_table_shows_both_years_with_bars(command: Command, made: Municipality, answering: Answering) -> None:
    this = year({"1": 20, "3": 9, "6": 40, "27": 5, "": 1})
    answering(report(this=this, last=year({"1": 20, "3": 18, "6": 20, "29": 10}, of=2023)))

    _, out, _ = command("--env", "lokal", "--config", made.config, "check")

    rows = {line[2:5].strip(): line[40:] for line in out.splitlines() if re.match(r"  [ \d]{2}\d \S", line)}
    assert {code: row.split(maxsplit=2) for code, row in rows.items()} == {
        "1": ["20", "20", "=  =========="],
        "3": ["18", "9", "-50 %  ====-----"],
        "6": ["20", "40", "+100 %  ==========++++++++++"],
        "27": ["0", "5", "new  ++"],
        "29": ["10", "0", "-100 %  -----"],
    }
    assert "(no valid code)" in out


def test_the_page_is_written_where_it_was_asked_for(command: Command, made: Municipality, answering: Answering) -> None:
    answering(report({DROP: 2}))
    page = made.folder / "check.html"
    page.write_text("an earlier one")
    page.chmod(0o644)

    code, out, _ = command("--env", "lokal", "--config", made.config, "check", "--html", page)

    assert code == 65
    assert f"Page         {page}" in out
    assert page.stat().st_mode & 0o777 == 0o600, "it may say of a person what is wrong"
    text = page.read_text("utf-8")
    assert "2 rows would be dropped." in text
    assert "fagmelding.xml" in text
    assert str(made.folder) not in text


@pytest.mark.parametrize(("options", "moves"), [((), True), (("-q",), False), (("-v",), False)])
def test_a_line_moves_at_a_terminal(
    command: Command,
    made: Municipality,
    answering: Answering,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    *,
    moves: bool,
) -> None:
    answering(report())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    _, out, err = command("--env", "lokal", "--config", made.config, *options, "check")

    assert ("Checking the files" in err) is moves
    assert "Checking" not in out


def test_the_page_is_not_written_through_a_link(command: Command, made: Municipality, answering: Answering) -> None:
    answering(report())
    victim, page = made.folder / "victim", made.folder / "page.html"
    victim.write_text("somebody's")
    page.symlink_to(victim)

    code, _, err = command("--env", "lokal", "--config", made.config, "check", "--html", page)

    assert (code, victim.read_text()) == (66, "somebody's")
    assert "no regular file" in err


@pytest.mark.parametrize("name", ["fagmelding.xml", "identmelding.xml", "last.xml"])
def test_the_page_is_never_written_over_what_is_checked(
    command: Command, made: Municipality, answering: Answering, name: str
) -> None:
    answering(report())
    (made.folder / "last.xml").write_text("last")
    before = (made.folder / name).read_bytes()
    where = ("--env", "lokal", "--config", made.config)

    code, _, err = command(*where, "check", "--compare", made.folder / "last.xml", "--html", made.folder / name)

    assert code == 64
    assert "would write over" in err
    assert (made.folder / name).read_bytes() == before


def test_a_page_that_cannot_be_written_is_told(command: Command, made: Municipality, answering: Answering) -> None:
    answering(report())

    code, _, err = command("--env", "lokal", "--config", made.config, "check", "--html", made.folder / "no" / "x.html")

    assert code == 66
    assert "cannot be written" in err


def test_a_missing_file_is_66_and_one_object(command: Command, made: Municipality) -> None:
    code, out, _ = command("--json", "check", made.folder / "none.xml", made.identmelding, "--year", "2024")

    assert code == 66
    assert json.loads(out)["error"]["code"] == "input-missing"


def test_swapped_files_are_65_with_what_to_do(command: Command, made: Municipality) -> None:
    code, out, _ = command("--json", "check", made.identmelding, made.fagmelding, "--year", "2024")

    assert code == 65
    assert json.loads(out)["exit_code"] == 65


def test_the_samples_are_clean_and_nobody_is_shown(command: Command, made: Municipality) -> None:
    page = made.folder / "check.html"
    where = ("--env", "lokal", "--config", made.config)
    last_year, _ = write_pair(made.folder / "last", year=2023, persons=5)

    code, out, err = command(*where, "check", "--compare", last_year, "--html", page, "--all")
    told = command(*where, "--json", "check", "--compare", last_year)[1]

    ids = re.findall(r'fid="(\d+)"', made.identmelding.read_text("utf-8"))
    assert code == 0, out
    assert out.startswith("TEST lokal: Nothing here would be refused, dropped or blanked")
    assert "Users of each tjenestetype" in out
    assert json.loads(told)["comparison"]["last_year"]["persons"] == 5
    assert len(ids) == 5
    assert not [number for number in ids if number in out + err + told + page.read_text("utf-8")]


def test_another_municipalitys_file_is_refused_as_send_refuses_it(command: Command, made: Municipality) -> None:
    made.configure({"sender": {"kommunenummer": "3101"}})
    asked = ("--env", "lokal", "--config", made.config)
    code, _, err = command(*asked, "check")
    assert code == 65
    assert "The file is for kommunenummer 9999, the configuration says 3101" in err
    assert command(*asked, "send")[2] == err


def test_in_norwegian_the_screen_the_page_and_an_error_are_and_the_object_is_english(
    command: Command, made: Municipality, answering: Answering
) -> None:
    answering(report({DROP: 2, BLANK: 1}, last=year({"15": 20}, of=2023)))
    page = made.folder / "side.html"
    where = ("--env", "lokal", "--config", made.config)

    out = command("--lang", "nb", *where, "check", "--html", page)[1]
    told = command("--lang", "nb", "--json", *where, "check")[1]
    code, _, err = command("--lang", "nb", *where, "check", "--html", made.fagmelding)

    assert out.splitlines()[0] == "TEST lokal: 2 rader ville bli forkastet, 1 verdi tømt."
    assert "  FORKASTES Tjenesten ble avsluttet før rapporteringsåret: 2  [tjeneste.outside-year]" in out
    assert "            Gjør dette Utelat den fra uttrekket, eller rett tjTilDato hvis tjenesten fortsatte." in out
    text = page.read_text("utf-8")
    assert '<html lang="nb">' in text
    assert "<h1>KPR-data for 2024: hva FHI ville gjøre med dem</h1>" in text
    assert json.loads(told)["verdict"] == "2 rows would be dropped, 1 value blanked."
    assert json.loads(told)["findings"][0]["title"] == "the service ended before the reporting year"
    assert (code, "--html ville skrive over" in err) == (64, True)
