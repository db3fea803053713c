"""``python -m bench.check_data``: the pairs that checking is measured with, in .cache/bench.

Writes one line of JSON: where the official schema of the fagmelding is, or that it is not here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

from bench.measure import DATA
from kpr_sender.sandbox.sample import write_pair
from kpr_sender.sandbox.tenor import fodselsnummer
from tests.helpers.shared import NO_SHARED, SHARED

YEAR: Final = 2024
SIZES: Final = {"start": 0, "20mb": 20_000_000, "200mb": 200_000_000}  # bytes of fagmelding
_PERSONS: Final = 10_000  # made up one by one, some 40 MB; a larger file has each of them several times
_FIRST_DAY: Final = date(1940, 1, 1)
_DAYS: Final = 29_000
_PERSON: Final = re.compile('<PERSON pePeID="([0-9]+)">.*?</PERSON>\n', re.DOTALL)


def main() -> None:
    """Make what is not there yet."""
    missing = {name: length for name, length in SIZES.items() if not (DATA / f"check-{name}" / "whole").exists()}
    if missing:
        base = DATA / "check-base"
        base.mkdir(parents=True, exist_ok=True)
        sample = [path.read_text(encoding="utf-8") for path in write_pair(base, year=YEAR, persons=_PERSONS)]
        for name, length in missing.items():
            _write(DATA / f"check-{name}", length, *sample)
    shared: object = SHARED  # a stand-in where there is none
    if isinstance(shared, Path):
        print(json.dumps({"schema": str(shared / "schemas" / "kpr" / "iplos-3.x" / "iplos_2019.xsd")}))
    else:
        print(json.dumps({"missing": NO_SHARED}))


def _write(folder: Path, length: int, fagmelding: str, identmelding: str) -> None:
    """Write a pair whose fagmelding has about so many bytes, and at least one person."""
    folder.mkdir(exist_ok=True)
    head, ident_head = fagmelding.partition("<PERSON")[0], identmelding.partition("<PasientIdent")[0]
    with (
        (folder / "fagmelding.xml").open("w", encoding="utf-8", newline="\n") as fag,
        (folder / "identmelding.xml").open("w", encoding="utf-8", newline="\n") as ident,
    ):
        fag.write(head)
        ident.write(ident_head)
        written = 0
        for person, patient in zip(_persons(fagmelding), _patients(), strict=False):
            written += fag.write(person)
            ident.write(patient)
            if written >= length:
                break
        fag.write("</IPLOS>\n")
        ident.write("</Institusjon>\n</Melding>\n")
    (folder / "whole").touch()


def _persons(fagmelding: str) -> Iterator[str]:
    """Yield the sample's persons again and again, under numbers of their own."""
    made = [(found[1], found[0]) for found in _PERSON.finditer(fagmelding)]
    for number in count():
        before, person = made[number % len(made)]
        yield person.replace(f'PeID="{before}"', f'PeID="{number + 1}"')


def _patients() -> Iterator[str]:
    random = Random(YEAR)  # noqa: S311 - the same synthetic numbers each time are wanted
    taken = set[str]()
    for number in count(1):
        while (fid := _fid(random)) in taken:
            pass
        taken.add(fid)
        yield f'<PasientIdent pid="{number}" fid="{fid}" typeID="1"/>\n'


def _fid(random: Random) -> str:
    born = _FIRST_DAY + timedelta(days=random.randrange(_DAYS))
    return fodselsnummer(born, woman=random.choice((True, False)), random=random)


if __name__ == "__main__":
    main()
