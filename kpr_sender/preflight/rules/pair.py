"""Rules on the two files together: each person stands in both, once, is the same in both, and both are of one extract.

Fed while the files are read. What is held of a person is a number, a line, an age and a sex for each file, and of a
national id eight bytes that only the key's holder can make (promise G6).
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from itertools import pairwise
from typing import Final

from kpr_sender.model import MessageType
from kpr_sender.preflight.header import shown, shown_day
from kpr_sender.preflight.lexical import day_of
from kpr_sender.preflight.lines import WHITE
from kpr_sender.preflight.model import Finding
from kpr_sender.preflight.person_ids import is_woman
from kpr_sender.privacy import is_running_number
from kpr_sender.texts import Text

_IPL, _IDE = MessageType.KPR_IPL, MessageType.KPR_IDE
_PID_DIGITS: Final = 18  # a pid of so many digits is stored as its value; any other text as a negative hash
_BIRTH_DATE: Final = 6  # digits: the fid of typeID 9 is ddmmyy (XPR), which many persons share
_HALF: Final = 2**63

_UNKNOWN: Final = -1_000  # an age that is not written, or that a number does not tell
_OLDEST: Final = 9_999  # stands for all ages above it
_MAN, _WOMAN = 1, 2
_SEXES: Final = {"M": _MAN, "K": _WOMAN}  # kodeverk 3100
_OFF_BY: Final = {
    1: Text("By the number the person is one year older."),
    -1: Text("By the number the person is one year younger."),
}
_ANOTHER_AGE: Final = Text("By the number the person is of another age.")
"""How far off an age is: one year shows that it was counted on another day, more would give the number away."""

LEAST_COMPARED: Final = 20
"""With fewer persons whose age or sex can be compared, a share says nothing."""
MOST_DIFFERING: Final = 5
"""Percent. With a larger share of differing persons the identmelding is taken to be of others."""

_SAME: Final = (
    ("pair.period", "iiFraDato", "fraDatoPeriode"),
    ("pair.period", "iiTilDato", "tilDatoPeriode"),
    ("pair.system", "iiSysID", "navnEPJ"),
    ("pair.system", "iiSysVersjon", "versjonEPJ"),
    ("pair.extracted", "iiLagetDato", "uttakDato"),
    ("pair.running-number", "iiLopenr", "lopenr"),
)
"""What must be the same in both headers: the rule, where INNHINFO says it, where Melding does."""


class _PersonTable:
    """One file's persons, in its order: number, line, age on 31 December and sex of each."""

    __slots__ = ("ages", "lines", "numbers", "sexes")

    def __init__(self) -> None:
        self.numbers, self.lines = array("q"), array("Q")
        self.ages, self.sexes = array("h"), array("b")

    def add(self, number: int, line: int, age: int, sex: int) -> None:
        """Take the next one; ``_UNKNOWN`` for an age that is not known, 0 for a sex."""
        self.numbers.append(number)
        self.lines.append(line)
        self.ages.append(age)
        self.sexes.append(sex)


class Pair:
    """Collects the persons of both files, and says what does not agree when both have been read.

    Args:
        key: Random bytes, at most 64, new for each check and forgotten with it.
        year: The reporting year.
    """

    def __init__(self, key: bytes, year: int) -> None:
        self._key = key
        self._year = year
        self._persons, self._idents = _PersonTable(), _PersonTable()
        self._fids = array("q")
        self._birth_dates: set[int] = set()
        self._headers: tuple[Finding, ...] = ()

    def person(self, pid: str, line: int, *, age: str = "", sex: str = "") -> None:
        """Take one PERSON of the fagmelding.

        Args:
            pid: Its pePeID.
            line: Where it begins.
            age: Its peAlder, as it stands.
            sex: Its peKjonn, as it stands.
        """
        years = min(int(age), _OLDEST) if age.isascii() and age.isdigit() and len(age) <= _PID_DIGITS else _UNKNOWN
        self._persons.add(self._number(pid), line, years, _SEXES.get(sex, 0))

    def ident(self, pid: str, fid: str, line: int, born: date | None = None) -> None:
        """Take one PasientIdent of the identmelding.

        Args:
            pid: Its pid.
            fid: Its national id, or whatever its typeID says that it is; not stored.
            line: Where it stands.
            born: The date of birth in it; None where it holds none.
        """
        hashed = self._hash(fid)
        if born is None:
            self._idents.add(self._number(pid), line, _UNKNOWN, 0)
        else:
            self._idents.add(self._number(pid), line, self._year - born.year, _WOMAN if is_woman(fid) else _MAN)
        self._fids.append(hashed)
        if len(fid) <= _BIRTH_DATE:
            self._birth_dates.add(hashed)

    def headers(self, innhinfo: Mapping[str, str], melding: Mapping[str, str]) -> None:
        """Take both headers.

        Args:
            innhinfo: The texts of INNHINFO's simple children, by name.
            melding: Melding's attributes.
        """
        self._headers = tuple(_disagreements(innhinfo, melding))

    def findings(self) -> Iterator[Finding]:
        """Yield what does not agree: of the fagmelding, then of the identmelding, each in its file's order."""
        persons, pids = _sorted(self._persons.numbers), _sorted(self._idents.numbers)
        shared = _repeated(_sorted(self._fids)) - self._birth_dates
        twice_ours, twice_theirs = _repeated(persons), _repeated(pids)
        repeated = twice_ours | twice_theirs
        agreed = persons == pids and not repeated
        if not agreed:
            yield from self._of_persons(twice_ours, pids)
        yield from self._of_others(pids, repeated)
        yield from self._headers
        if shared or not agreed:
            yield from self._of_idents(persons, twice_theirs, shared)

    def _of_others(self, pids: array[int], repeated: Collection[int]) -> Iterator[Finding]:
        """Yield where age or sex contradicts the person's number, and whether all in all it is of others."""
        compared = differing = by_a_year = 0
        persons, idents = self._persons, self._idents
        for here, there in self._joined(pids, repeated):
            age, sex = persons.ages[here], persons.sexes[here]
            number_age, number_sex = idents.ages[there], idents.sexes[there]
            if number_age == _UNKNOWN or (age == _UNKNOWN and not sex):
                continue
            compared += 1
            other_age, other_sex = age not in {number_age, _UNKNOWN}, sex not in {number_sex, 0}
            if not (other_age or other_sex):
                continue
            differing += 1
            path, line = _path("PERSON", persons.numbers[here]), persons.lines[here]
            if other_age:
                by_a_year += not other_sex and abs(number_age - age) == 1
                message = _OFF_BY.get(number_age - age, _ANOTHER_AGE)
                yield Finding("pair.age", _IPL, line, f"{path} / peAlder", message)
            if other_sex:
                yield Finding("pair.sex", _IPL, line, f"{path} / peKjonn", Text("The number is one of the other sex."))
        if compared >= LEAST_COMPARED and 100 * differing > MOST_DIFFERING * compared:
            yield Finding("pair.other-persons", _IDE, 0, "", _of_other_persons(differing, compared, by_a_year))

    def _joined(self, pids: array[int], repeated: Collection[int]) -> Iterator[tuple[int, int]]:
        """Yield where each person stands in the two files, of those that stand in both, once."""
        ours, theirs = self._persons.numbers, self._idents.numbers
        if ours == theirs and not repeated:
            yield from ((at, at) for at in range(len(ours)))
            return
        order = array("Q", sorted(range(len(theirs)), key=theirs.__getitem__))
        for at, pid in enumerate(ours):
            found = bisect_left(pids, pid)
            if found < len(pids) and pids[found] == pid and pid not in repeated:
                yield at, order[found]

    def _of_persons(self, repeated: Collection[int], pids: array[int]) -> Iterator[Finding]:
        first_lines = dict[int, int]()
        for pid, line in zip(self._persons.numbers, self._persons.lines, strict=True):
            if pid in first_lines:
                message = Text("The same {key} stands at line {line}.", key="pePeID", line=first_lines[pid])
                yield Finding("person.duplicate", _IPL, line, f"{_path('PERSON', pid)} / pePeID", message)
                continue
            if pid in repeated:
                first_lines[pid] = line
            if not _holds(pids, pid):
                message = Text("No PasientIdent has this pePeID as its pid.")
                yield Finding("pair.no-ident", _IPL, line, _path("PERSON", pid), message)

    def _of_idents(self, persons: array[int], repeated: Collection[int], shared: set[int]) -> Iterator[Finding]:
        of_pid: dict[int, tuple[int, int]] = {}
        of_fid: dict[int, tuple[int, int]] = {}
        for pid, fid, line in zip(self._idents.numbers, self._fids, self._idents.lines, strict=True):
            if pid in of_pid:
                earlier, at = of_pid[pid]
                path = f"{_path('PasientIdent', pid)} / pid"
                rule = "pair.repeated-ident" if fid == earlier else "pair.several-ids"
                message = Text("The same {key} stands at line {line}.", key="pid", line=at)
                yield Finding(rule, _IDE, line, path, message)
            else:
                if pid in repeated:
                    of_pid[pid] = fid, line
                if not _holds(persons, pid):
                    message = Text("No PERSON has this pePeID.")
                    yield Finding("pair.no-person", _IDE, line, _path("PasientIdent", pid), message)
            if fid in shared:
                earlier, at = of_fid.setdefault(fid, (pid, line))
                if pid != earlier:
                    message = Text("The same national id stands at line {line} under another pid.", line=at)
                    yield Finding("pair.several-pids", _IDE, line, f"{_path('PasientIdent', pid)} / fid", message)

    def _number(self, pid: str) -> int:
        """A pid's value; pePeID is a number, so ``0017`` is 17. Other texts become a negative hash."""
        pid = pid.strip(WHITE)
        if len(pid) <= _PID_DIGITS and pid.isascii() and pid.isdigit():
            return int(pid)
        return -1 - abs(self._hash(pid)) % _HALF

    def _hash(self, text: str) -> int:
        digest = hashlib.blake2b(text.encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "big", signed=True)


def _of_other_persons(differing: int, compared: int, by_a_year: int) -> Text:
    if not by_a_year:
        return Text(
            "Age or sex contradicts the number of {differing:,} of the {compared:,} persons that were compared.",
            differing=differing,
            compared=compared,
        )
    return Text(
        "Age or sex contradicts the number of {differing:,} of the {compared:,} persons that were compared; "
        "of {by_a_year:,} of them only the age, by one year.",
        differing=differing,
        compared=compared,
        by_a_year=by_a_year,
    )


def _sorted(numbers: array[int]) -> array[int]:
    return array("q", sorted(numbers))


def _repeated(numbers: array[int]) -> set[int]:
    return {number for number, following in pairwise(numbers) if number == following}


def _holds(numbers: array[int], wanted: int) -> bool:
    at = bisect_left(numbers, wanted)
    return at < len(numbers) and numbers[at] == wanted


def _path(element: str, pid: int) -> str:
    return f"{element} {pid}" if is_running_number(str(pid)) else element


def _disagreements(innhinfo: Mapping[str, str], melding: Mapping[str, str]) -> Iterator[Finding]:
    for rule, ours, theirs in _SAME:
        fag, ident = innhinfo.get(ours, "").strip(WHITE), melding.get(theirs, "").strip(WHITE)
        if not fag or not ident:
            continue  # another rule's
        if fag != ident and _compared(rule, fag) != _compared(rule, ident):
            message = Text(
                "The fagmelding's {ours} is {value}, the identmelding's {theirs} {other}.",
                ours=ours,
                value=shown(fag),
                theirs=theirs,
                other=shown_day(ident),
            )
            yield Finding(rule, _IDE, 0, f"Melding / {theirs}", message)


def _compared(rule: str, text: str) -> str:
    """Return what two texts that say the same have in common: a day is written in two ways, a number with zeros."""
    if rule == "pair.system":
        return text
    return text.lstrip("0") if rule == "pair.running-number" else day_of(text) or text
