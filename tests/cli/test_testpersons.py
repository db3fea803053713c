"""The municipality's own list of test persons: found again by number, and no number kept, shown or taken as typed."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import stat
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.cli.main import run
from kpr_sender.errors import InputMissing, InputRefused
from kpr_sender.operator import testpersons
from kpr_sender.sandbox.tenor import fodselsnummer
from tests.helpers.municipality import Municipality, municipality
from tests.helpers.tenor import TENOR_ID, tenor_ids

Command = Callable[..., tuple[int, str, str]]
TODAY = date(2025, 1, 6)


def numbers(count: int, seed: int = 1) -> list[str]:
    random = Random(seed)
    made = {fodselsnummer(date(1990, 1, 1 + one % 28), woman=True, random=random) for one in range(2 * count)}
    return sorted(made)[:count]


@pytest.fixture
def place(tmp_path: Path) -> Municipality:
    return municipality(tmp_path)


@pytest.fixture
def listed(place: Municipality) -> Path:
    return testpersons.beside(place.journal)


@pytest.fixture
def command(place: Municipality, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    def call(*arguments: str, typed: str | bytes = "", options: tuple[str, ...] = ()) -> tuple[int, str, str]:
        content = typed if isinstance(typed, bytes) else typed.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        code = run(["--env", "lokal", "--config", str(place.config), *options, "testpersons", *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_numbers_go_on_the_list_are_found_and_come_off_it_again(command: Command, listed: Path) -> None:
    first, second, third = numbers(3)

    assert command("add", "--note", "EPJ course", typed=f"{first}\n{second}\n{first}\n")[:2] == (
        0,
        "TEST lokal: 2 added, 0 were there already.\n",
    )
    assert command("add", typed=f"{second}\n{third}\n")[1] == "TEST lokal: 1 added, 1 were there already.\n"
    known = testpersons.load(listed)
    assert all(known.holds(number) for number in (first, second, third))
    assert not known.holds(TENOR_ID)

    assert command("remove", typed=f"{first}\n{TENOR_ID}\n")[1] == "TEST lokal: 1 removed, 1 were not there.\n"
    assert not testpersons.load(listed).holds(first)
    assert testpersons.load(listed).holds(second)


def test_the_list_shows_how_many_when_and_why_and_never_who(command: Command, listed: Path) -> None:
    some = numbers(5)
    testpersons.add(listed, some[:2], on=TODAY, note="EPJ course")
    testpersons.add(listed, some[1:], on=date(2025, 2, 1))

    code, out, err = command("list")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"TEST lokal: 5 test persons in {listed}",
        "  2025-01-06       2  EPJ course",
        "  2025-02-01       3",
    ]
    told = json.loads(command("list", options=("--json",))[1])
    assert told == {
        "schema": 2,
        "exit_code": 0,
        "error": None,
        "environment": "lokal",
        "persons": 5,
        "listed": [
            {"added": "2025-01-06", "note": "EPJ course", "persons": 2},
            {"added": "2025-02-01", "note": "", "persons": 3},
        ],
    }
    assert command("list", options=("-q",)) == (0, "", "")


def test_without_a_list_there_is_nothing_on_it_and_none_is_made(command: Command, listed: Path) -> None:
    assert command("list")[1] == f"TEST lokal: 0 test persons in {listed}\n"
    assert command("remove", typed=TENOR_ID)[1] == "TEST lokal: 0 removed, 1 were not there.\n"
    assert not testpersons.load(listed).holds(TENOR_ID)
    assert not listed.exists()


def test_json_counts(command: Command) -> None:
    one, other = numbers(2)
    wrong = one[:-1] + str((int(one[-1]) + 1) % 10)

    added = json.loads(command("add", typed=f"{one}\n{other}\n{wrong}", options=("--json",))[1])
    assert added == {
        "schema": 2,
        "exit_code": 0,
        "error": None,
        "environment": "lokal",
        "added": 3,
        "there_already": 0,
        "impossible": 1,
        "persons": 3,
    }
    removed = json.loads(command("remove", typed=f"{one}\n{TENOR_ID}", options=("--json",))[1])
    assert removed == {
        "schema": 2,
        "exit_code": 0,
        "error": None,
        "environment": "lokal",
        "removed": 1,
        "not_there": 1,
        "persons": 2,
    }
    assert "perhaps mistyped" in command("add", typed=wrong)[1]


def test_the_file_holds_hmacs_under_its_own_key_and_no_number(command: Command, listed: Path) -> None:
    some = numbers(20)
    command("add", typed="\n".join(some))

    content = listed.read_text("utf-8")
    held = json.loads(content)
    key = bytes.fromhex(held["key"])
    assert len(key) == 32
    assert {one["hmac"] for one in held["persons"]} == {
        hmac.new(key, number.encode(), hashlib.sha256).hexdigest() for number in some
    }
    assert [one["hmac"] for one in held["persons"]] == sorted(one["hmac"] for one in held["persons"])
    assert not any(number in content or hashlib.sha256(number.encode()).hexdigest() in content for number in some)
    assert stat.S_IMODE(listed.stat().st_mode) == 0o600
    assert not list(listed.parent.glob("testpersons.json.*"))


def test_each_list_has_a_key_of_its_own_that_stays(tmp_path: Path) -> None:
    one, other = tmp_path / "one" / "list", tmp_path / "other" / "list"
    for path in (one, other):
        testpersons.add(path, [TENOR_ID], on=TODAY)
    key = testpersons.load(one).key
    testpersons.add(one, numbers(1), on=TODAY)

    assert testpersons.load(one).key == key != testpersons.load(other).key


@given(tenor_ids(), st.sampled_from(["{0}", "{0} {1}", "{0}-{1}", " {0}{1}\t", "{0}.{1}", "{0}\u00a0{1}"]))
def test_numbers_are_taken_as_people_write_them(number: str, form: str) -> None:
    written = form.format(number, "") if form == "{0}" else form.format(number[:6], number[6:])

    assert testpersons.numbers_in(f"\n{written}\r\n\n{written}") == (number,)


@pytest.mark.parametrize("wrong", ["0181804007", "Donald Duck", "018180400710 1", "0181804007x", "01818040071,2"])
def test_a_line_that_is_no_number_is_named_and_not_shown(command: Command, listed: Path, wrong: str) -> None:
    code, out, err = command("add", typed=f"{TENOR_ID}\n{wrong}\n")

    assert (code, out) == (65, "")
    assert "Line 2" in err
    assert "standard input" in err
    assert wrong not in err
    assert TENOR_ID not in err
    assert not listed.exists()


@pytest.mark.parametrize("typed", ["", "\n \n"])
def test_nothing_to_add_is_refused(command: Command, typed: str) -> None:
    assert command("add", typed=typed)[0] == 65


@pytest.mark.parametrize("name", ["add", "remove"])
def test_numbers_come_from_a_file_too(command: Command, tmp_path: Path, listed: Path, name: str) -> None:
    testpersons.add(listed, [TENOR_ID], on=TODAY)
    file = tmp_path / "numbers.txt"
    file.write_bytes(b"\xef\xbb\xbf" + TENOR_ID.encode() + b"\r\n")

    assert command(name, str(file))[0] == 0
    assert testpersons.load(listed).holds(TENOR_ID) is (name == "add")


def test_a_file_that_is_not_there_is_66(command: Command, tmp_path: Path) -> None:
    assert command("add", str(tmp_path / "nothing.txt"))[0] == 66
    assert command("add", str(tmp_path))[0] == 66


def test_two_files_are_one_too_many(command: Command, tmp_path: Path, listed: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(TENOR_ID, "utf-8")

    assert command("add", str(tmp_path / "one.txt"), str(tmp_path / "two.txt"))[0] == 64
    assert not listed.exists()


def test_a_file_of_another_kind_is_refused_whatever_its_size(command: Command, listed: Path) -> None:
    assert command("add", typed=b"\xff\x00" * 10)[0] == 65
    assert command("add", typed=f"{TENOR_ID}\n".encode() * 840_000)[0] == 65
    assert not listed.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", TENOR_ID],
        ["add", f"{TENOR_ID[:6]} {TENOR_ID[6:]}"],
        ["remove", TENOR_ID],
        ["add", "list.txt", TENOR_ID],
        [TENOR_ID],
        ["add", f"--{TENOR_ID}"],
        ["list", TENOR_ID],
        ["add", "--note", f"that is {TENOR_ID[:6]} {TENOR_ID[6:]}"],
    ],
)
@pytest.mark.parametrize("options", [(), ("--json",), ("-v",)])
def test_a_number_on_the_command_line_is_refused_and_not_repeated(
    command: Command, listed: Path, arguments: list[str], options: tuple[str, ...]
) -> None:
    code, out, err = command(*arguments, typed=TENOR_ID, options=options)

    assert code == 64
    assert TENOR_ID not in out + err
    assert TENOR_ID[6:] not in out + err
    assert not listed.exists()


def test_a_note_is_one_line_of_some_length(command: Command, listed: Path) -> None:
    assert command("add", "--note", "x" * 201, typed=TENOR_ID)[0] == 64
    assert command("add", "--note", "bell \x07", typed=TENOR_ID)[0] == 64
    assert not listed.exists()

    assert command("add", "--note", " two\nlines ", typed=TENOR_ID)[0] == 0
    assert "two lines" in command("list")[1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda held: held | {"key": held["key"][2:]},
        lambda held: held | {"key": "zz"},
        lambda held: held | {"schema": 2},
        lambda held: {"schema": 1, "key": held["key"]},
        lambda held: held | {"persons": [{"hmac": "00", "added": "2025-01-06", "note": ""}]},
        lambda held: held | {"persons": [held["persons"][0] | {"added": "yesterday"}]},
        lambda held: held | {"persons": [held["persons"][0] | {"note": TENOR_ID}]},
        lambda held: held["persons"],
    ],
)
def test_a_damaged_list_is_refused_and_left_as_it_is(
    command: Command, listed: Path, spoil: Callable[[dict[str, object]], object]
) -> None:
    testpersons.add(listed, [TENOR_ID], on=TODAY)
    listed.write_text(json.dumps(spoil(json.loads(listed.read_text("utf-8")))), "utf-8")
    before = listed.read_bytes()

    for name in ("list", "add", "remove"):
        code, out, err = command(name, typed=TENOR_ID)
        assert (code, out) == (65, "")
        assert str(listed) in err
        assert TENOR_ID not in err
    assert listed.read_bytes() == before
    with pytest.raises(InputRefused):
        testpersons.load(listed)


def test_half_a_list_is_refused(listed: Path) -> None:
    testpersons.add(listed, numbers(3), on=TODAY)
    content = listed.read_bytes()

    for length in range(0, len(content) - 2, 7):
        listed.write_bytes(content[:length])
        with pytest.raises(InputRefused):
            testpersons.load(listed)


def test_a_change_that_another_run_is_in_the_middle_of_is_not_lost(command: Command, listed: Path) -> None:
    testpersons.add(listed, numbers(3), on=TODAY)
    before = listed.read_bytes()
    draft = listed.with_name("testpersons.json.new")
    draft.write_bytes(b"")

    code, _, err = command("add", typed=TENOR_ID)
    assert code == 66
    assert str(draft) in err
    assert listed.read_bytes() == before

    draft.unlink()
    assert command("add", typed=TENOR_ID)[0] == 0


def test_a_full_disk_leaves_the_list_as_it_was(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    testpersons.add(listed, numbers(3), on=TODAY)
    before = listed.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputMissing, match="No space left"):
        testpersons.add(listed, [TENOR_ID], on=TODAY)
    assert listed.read_bytes() == before
    assert not list(listed.parent.glob("testpersons.json.*"))


def test_another_journal_has_another_list(command: Command, tmp_path: Path, listed: Path) -> None:
    other = tmp_path / "other" / "journal.db"
    assert command("add", typed=TENOR_ID, options=("--journal", str(other)))[0] == 0

    assert testpersons.load(testpersons.beside(other)).holds(TENOR_ID)
    assert not listed.exists()
