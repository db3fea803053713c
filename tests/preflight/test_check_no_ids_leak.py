"""G6: ten thousand national ids in the inputs, every command in every form, and none of them in any output.

What stays of a run is looked through as well: log files, copies of receipts, pages, the list of test persons, and
every text in the journal. Only the sealed bytes and receipts in it are not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kpr_sender.cli.main import run
from tests.helpers.configuration import LOKAL
from tests.helpers.figures import figure
from tests.helpers.municipality import municipality
from tests.helpers.planted_ids import IDS, Pair, found_in, ids, planted

EMBEDDED = f'{LOKAL}[log]\nlevel = "debug"\n'
RECEIVED = frozenset({"own number", "pid", "contact", "running number", "comment"})
"""Pairs that are sent to a receiver; the others meet none, and most are refused before."""
NOT_OUTPUT = frozenset({"fagmelding.xml", "identmelding.xml", "last-year.xml", "numbers.txt"})

Call = Callable[..., str]

_NO_MSG_ID = "00000000-0000-4000-8000-000000000000"

FORMS: tuple[tuple[str, ...], ...] = ((), ("--json",), ("-v",), ("-q",))
OF_A_PAIR: tuple[tuple[str, ...], ...] = (
    ("send", "--wait", "10s"),
    ("check", "--all", "--compare", "last-year.xml", "--html", "page.html"),
)
"""Commands that read the two files."""
AFTER: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("receipts",),
    ("config", "check"),
    ("journal", "verify"),
    ("journal", "export"),
    ("testpersons", "add", "numbers.txt"),
    ("testpersons", "list"),
    ("testpersons", "remove", "numbers.txt"),
)
"""Commands that look at what a run left, and those that take numbers."""
OF_THE_REST: tuple[tuple[str, ...], ...] = (
    ("wait", "--wait", "0s"),
    ("resolve", _NO_MSG_ID),
    ("doctor",),
    ("certs",),
)
"""Commands about the bus, the keys and a shipment: the files are at hand, and none of them is about persons."""


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: str) -> str:
        run(["--env", "lokal", "--config", "lokal.toml", *arguments])
        told = capfd.readouterr()
        return f"{told.out}\n{told.err}"

    return call


def _commands(name: str) -> Iterator[tuple[str, ...]]:
    """Yield the command lines that one pair is put through.

    A pair that is refused is read once in each form: by which of the two commands makes no difference to what is said.
    """
    send, check = OF_A_PAIR
    if name in RECEIVED:
        yield from ((*form, *command) for command in OF_A_PAIR for form in FORMS)
    elif name.startswith("broken"):
        yield from (("--json", *check), ("-v", *send))
    else:
        yield from (check, ("--json", *check), ("-v", *send), ("-q", *send))
    forms = FORMS if name in RECEIVED else FORMS[:1]  # of what was refused little is left to look at
    for command in AFTER if not name.startswith("broken") else ():
        yield from ((*form, *command) for form in forms)
    for command in OF_THE_REST if name in {"own number", "contact"} else ():
        yield from ((*form, *command) for form in FORMS[1:3])


def _prepare(folder: Path, name: str, pair: Pair, wanted: frozenset[str], log: str | None) -> set[str]:
    """Set a municipality up with the pair; return the ids in it."""
    made = municipality(folder)
    if name in RECEIVED:
        to_file = f'file = "{log}"\n' if log else ""
        made.config.write_text(EMBEDDED + to_file, "utf-8")
    else:
        made.configure({"bus": {"reconnect_budget": "0s"}, "log": {"level": "debug", "file": log}})
    pair.write(folder)
    (folder / "last-year.xml").write_text(pair.of_last_year(), "utf-8")
    here = found_in(pair.fagmelding, wanted) | found_in(pair.identmelding, wanted)
    (folder / "numbers.txt").write_text("\n".join(sorted(here)), "utf-8")
    return here


def _of_this(command: tuple[str, ...]) -> tuple[str, ...]:
    """Name a shipment of this folder's journal where the command wants one."""
    if _NO_MSG_ID not in command or not Path("journal.db").exists():
        return command
    with closing(sqlite3.connect("journal.db")) as journal:
        (msg_id,) = journal.execute("SELECT msg_id FROM shipment LIMIT 1").fetchone() or (_NO_MSG_ID,)
    return tuple(msg_id if each == _NO_MSG_ID else each for each in command)


def _left(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what a run leaves behind, by name."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in NOT_OUTPUT and not path.name.startswith("journal.db"):
            yield path.name, path.read_bytes().decode("latin-1")


def _stored(folder: Path) -> str:
    """Return every text in a run's journal."""
    if not (folder / "journal.db").exists():
        return ""
    with closing(sqlite3.connect(folder / "journal.db")) as journal:
        tables = journal.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        rows = (row for (name,) in tables for row in journal.execute(f'SELECT * FROM "{name}"'))  # noqa: S608 - its own
        return "\n".join(value for row in rows for value in row if isinstance(value, str))


def test_none_of_ten_thousand_ids_in_the_inputs_is_in_any_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    numbers = ids()
    wanted = frozenset(numbers)
    planted_ids: set[str] = set()
    outputs = 0
    leaks = []
    for at, (name, pair) in enumerate(planted(tmp_path / "sample", numbers)):
        folder = tmp_path / f"pair{at}"
        planted_ids |= _prepare(folder, name, pair, wanted, "kpr.log" if at % 2 else None)
        monkeypatch.chdir(folder)
        told = [(" ".join(command), call(*_of_this(command))) for command in _commands(name)]
        for place, text in (*told, *_left(folder)):
            outputs += 1
            if found_in(text, wanted):
                leaks.append(f"{name}: {place}")  # where, not which
        if found_in(_stored(folder), wanted):
            leaks.append(f"{name}: the journal")

    assert planted_ids == wanted
    figure("national ids looked for in every output", ids=IDS, outputs=outputs, leaked=len(leaks))
    assert leaks == []


@pytest.mark.parametrize(
    "form", ["{0}{1}", "x{0}{1}y", "12{0}{1}3", "{0} {1}", "{0}-{1}", "{0}.{1}", "a\n{0}\u2013{1}"]
)
def test_an_id_is_found_however_it_is_written(form: str) -> None:
    one, *_ = ids(1)

    assert found_in(form.format(one[:6], one[6:]), frozenset({one})) == {one}
    assert found_in(form.format(one[:6], one[7:]), frozenset({one})) == set()


def test_an_id_is_found_without_its_leading_zero() -> None:
    one = next(number for number in ids(100) if number.startswith("0"))

    assert found_in(f"PERSON {int(one)} /", frozenset({one})) == {one}
