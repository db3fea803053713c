"""Rules on the two files together: each person stands in both, once, and both are of the same extract.

Fed while the files are read. What is held of a person is a number and a line for each file, and of a national id eight
bytes that only the key's holder can make (promise G6).
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from kpr_sender.model import MessageType
from kpr_sender.preflight.findings import Finding
from kpr_sender.preflight.header import shown
from kpr_sender.privacy import is_running_number

_IPL, _IDE = MessageType.KPR_IPL, MessageType.KPR_IDE
_DIGITS_KEPT: Final = 18  # a pid of so many digits is kept as its value; any other text as a negative hash
_BIRTH_DATE: Final = 6  # digits: the fid of typeID 9 is ddmmyy (XPR), which many persons share
_HALF: Final = 2**63

_SAME_DAYS: Final = (("pair.period", "iiFraDato", "fraDatoPeriode"), ("pair.period", "iiTilDato", "tilDatoPeriode"))
_SAME_TEXTS: Final = (("pair.system", "iiSysID", "navnEPJ"), ("pair.system", "iiSysVersjon", "versjonEPJ"))
_SAME_EXTRACT: Final = ("pair.extracted", "iiLagetDato", "uttakDato")


class Pair:
    """Collects the persons of both files, and says what does not agree when both have been read.

    Args:
        key: Random bytes, at most 64, new for each check and forgotten with it.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._persons, self._person_lines = array("q"), array("Q")
        self._pids, self._fids, self._ident_lines = array("q"), array("q"), array("Q")
        self._birth_dates: set[int] = set()
        self._headers: tuple[Finding, ...] = ()

    def person(self, pid: str, line: int) -> None:
        """Take one PERSON of the fagmelding.

        Args:
            pid: Its pePeID.
            line: Where it begins.
        """
        self._persons.append(self._number(pid))
        self._person_lines.append(line)

    def ident(self, pid: str, fid: str, line: int) -> None:
        """Take one PasientIdent of the identmelding.

        Args:
            pid: Its pid.
            fid: Its national id, or whatever its typeID says that it is; not kept.
            line: Where it stands.
        """
        hashed = self._hash(fid)
        self._pids.append(self._number(pid))
        self._fids.append(hashed)
        self._ident_lines.append(line)
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
        persons, pids = _sorted(self._persons), _sorted(self._pids)
        shared = _repeated(_sorted(self._fids)) - self._birth_dates
        agreed = persons == pids and not _repeated(pids)
        if not agreed:
            yield from self._of_persons(persons, pids)
        yield from self._headers
        if shared or not agreed:
            yield from self._of_idents(persons, pids, shared)

    def _of_persons(self, persons: array[int], pids: array[int]) -> Iterator[Finding]:
        repeated, first_lines = _repeated(persons), dict[int, int]()
        for pid, line in zip(self._persons, self._person_lines, strict=True):
            if pid in first_lines:
                said = f"The same pePeID stands at line {first_lines[pid]}."
                yield Finding("person.duplicate", _IPL, line, f"{_path('PERSON', pid)} / pePeID", said)
                continue
            if pid in repeated:
                first_lines[pid] = line
            if not _holds(pids, pid):
                yield Finding(
                    "pair.no-ident", _IPL, line, _path("PERSON", pid), "No PasientIdent has this pePeID as its pid."
                )

    def _of_idents(self, persons: array[int], pids: array[int], shared: set[int]) -> Iterator[Finding]:
        repeated = _repeated(pids)
        of_pid: dict[int, tuple[int, int]] = {}
        of_fid: dict[int, tuple[int, int]] = {}
        for pid, fid, line in zip(self._pids, self._fids, self._ident_lines, strict=True):
            if pid in of_pid:
                earlier, at = of_pid[pid]
                path = f"{_path('PasientIdent', pid)} / pid"
                rule = "pair.repeated-ident" if fid == earlier else "pair.several-ids"
                yield Finding(rule, _IDE, line, path, f"The same pid stands at line {at}.")
            else:
                if pid in repeated:
                    of_pid[pid] = fid, line
                if not _holds(persons, pid):
                    yield Finding(
                        "pair.no-person", _IDE, line, _path("PasientIdent", pid), "No PERSON has this pePeID."
                    )
            if fid in shared:
                earlier, at = of_fid.setdefault(fid, (pid, line))
                if pid != earlier:
                    said = f"The same national id stands at line {at} under another pid."
                    yield Finding("pair.several-pids", _IDE, line, f"{_path('PasientIdent', pid)} / fid", said)

    def _number(self, pid: str) -> int:
        """A pid's value; pePeID is a number, so ``0017`` is 17. Other texts become a negative hash."""
        pid = pid.strip()
        if len(pid) <= _DIGITS_KEPT and pid.isascii() and pid.isdigit():
            return int(pid)
        return -1 - abs(self._hash(pid)) % _HALF

    def _hash(self, text: str) -> int:
        digest = hashlib.blake2b(text.encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "big", signed=True)


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
    for rule, ours, theirs in (*_SAME_DAYS, *_SAME_TEXTS, _SAME_EXTRACT):
        fag, ident = innhinfo.get(ours, "").strip(), melding.get(theirs, "").strip()
        if not fag or not ident:
            continue  # another rule's
        same = fag == ident if rule == "pair.system" else fag == ident.replace("-", "")
        if not same:
            said = f"The fagmelding's {ours} is {shown(fag)}, the identmelding's {theirs} {shown(ident)}."
            yield Finding(rule, _IDE, 0, f"Melding / {theirs}", said)
