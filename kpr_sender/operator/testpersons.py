"""The municipality's own list of test persons: a JSON file beside the journal that holds no number.

KPR messages have no names, and a test person's number has valid check digits: only the municipality knows it.

The list has an HMAC-SHA256 of each number under a random key of its own. A bare hash would be the number itself to
whoever cares: eleven digits are guessed through in minutes, and ready-made tables of all of them would fit every
municipality's list. Key and list lie in one file, which only its owner may read: whoever has the complete file can try
every number. A slow hash would not help, because each person of a municipality is looked up.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Final

from kpr_sender.durable import rewriting
from kpr_sender.errors import InputMissing, InputRefused, UsageError
from kpr_sender.privacy import holds_national_id, person_number
from kpr_sender.regular_file import read_regular
from kpr_sender.texts import Text

_NAME: Final = "testpersons.json"
_SCHEMA: Final = 1
_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = 32
_MOST_BYTES: Final = 50_000_000

_LONGEST_NOTE: Final = 200


@dataclass(frozen=True, slots=True)
class ListEntry:
    """What is stored of a person beside the HMAC: when it was listed, and why."""

    added: date
    note: str


@dataclass(frozen=True, slots=True)
class PersonList:
    """The list as it was read.

    Attributes:
        key: The list's own key; empty where there is no list yet.
    """

    key: bytes
    entries: Mapping[bytes, ListEntry]

    def holds(self, number: str) -> bool:
        """Tell whether a number, digits only, is on the list."""
        return bool(self.entries) and self.digest(number) in self.entries

    def digest(self, number: str) -> bytes:
        """Return what stands for a number on this list."""
        return hmac.digest(self.key, number.encode(), "sha256")


@dataclass(frozen=True, slots=True)
class ListChange:
    """How many numbers were added or removed, how many needed no change, and how many are on the list now."""

    changed: int
    unchanged: int
    listed: int


def beside(journal: Path) -> Path:
    """Return where the list that belongs to a journal lies."""
    return journal.with_name(_NAME)


def numbers_in(text: str) -> tuple[str, ...]:
    """Return the numbers of a text, one a line, without the spaces, dots and dashes people write into them.

    Raises:
        InputRefused: A line holds something else; it is named, never shown.
    """
    found = []
    for line, written in enumerate(text.splitlines(), start=1):
        number = person_number(written)
        if number is None:
            raise InputRefused(
                Text(
                    "Line {line} is not a person's number: eleven digits are expected, or twelve of a DUF-nummer.",
                    line=line,
                ),
                next_step=Text("Write one number a line and nothing else; the list is as it was."),
            )
        if number:
            found.append(number)
    return tuple(dict.fromkeys(found))


def load(path: Path) -> PersonList:
    """Read the list; one that is not there yet is empty.

    Raises:
        InputMissing: It cannot be read.
        InputRefused: It is damaged. Nothing is checked against half a list.
    """
    try:
        content = read_regular(path, most=_MOST_BYTES)
    except FileNotFoundError:
        return PersonList(b"", {})
    except OSError as error:
        raise InputMissing(
            Text("The list of test persons cannot be read: {reason}.", reason=error.strerror), where=str(path)
        ) from None
    try:
        return _list_of(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError, UsageError):
        raise InputRefused(
            Text("The list of test persons is damaged."),
            where=str(path),
            next_step=Text("Restore the file from a backup, or delete it and add the persons again."),
        ) from None


def add(path: Path, numbers: Iterable[str], *, on: date, note: str = "") -> ListChange:
    """Put numbers, as ``numbers_in`` returns them, on the list; those that are there keep their date and note.

    Raises:
        UsageError: The note is too long, or holds a number.
        InputMissing, InputRefused: The list cannot be written, or is damaged.
    """
    entry = ListEntry(on, _note(note))
    with _rewriting(path) as draft:
        before = load(path)
        known = PersonList(before.key or secrets.token_bytes(_KEY_BYTES), before.entries)
        given = {known.digest(number): entry for number in numbers}
        after = given | dict(known.entries)
        draft.write(_content(known.key, after))
    added = len(after) - len(before.entries)
    return ListChange(added, len(given) - added, len(after))


def remove(path: Path, numbers: Iterable[str]) -> ListChange:
    """Take numbers, as ``numbers_in`` returns them, off the list.

    Raises:
        InputMissing, InputRefused: The list cannot be written, or is damaged.
    """
    wanted = tuple(numbers)
    if not load(path).entries:
        return ListChange(0, len(wanted), 0)
    with _rewriting(path) as draft:
        before = load(path)
        given = {before.digest(number) for number in wanted}
        after = {digest: entry for digest, entry in before.entries.items() if digest not in given}
        draft.write(_content(before.key, after))
    removed = len(before.entries) - len(after)
    return ListChange(removed, len(given) - removed, len(after))


def _note(note: str) -> str:
    one_line = " ".join(note.split())
    if holds_national_id(one_line):
        raise UsageError(
            Text("The note holds a number like a person's; it is not stored."),
            next_step=Text("Write why the persons are listed, without any number of theirs; the list is as it was."),
        )
    if len(one_line) > _LONGEST_NOTE or not one_line.isprintable():
        raise UsageError(
            Text("A note is one line of at most {longest_note} characters.", longest_note=_LONGEST_NOTE),
            next_step=Text("Write a shorter one."),
        )
    return one_line


def _list_of(value: Mapping[str, Any]) -> PersonList:
    key = bytes.fromhex(value["key"])
    entries = {
        bytes.fromhex(one["hmac"]): ListEntry(date.fromisoformat(one["added"]), _note(one["note"]))
        for one in value["persons"]
    }
    if value["schema"] != _SCHEMA or len(key) != _KEY_BYTES or any(len(digest) != _DIGEST_BYTES for digest in entries):
        raise ValueError
    return PersonList(key, entries)


def _content(key: bytes, entries: Mapping[bytes, ListEntry]) -> bytes:
    # By HMAC, not in the order they were added: the order of a list of patients says something of them.
    persons = [
        {"hmac": digest.hex(), "added": entry.added.isoformat(), "note": entry.note}
        for digest, entry in sorted(entries.items())
    ]
    value = {"schema": _SCHEMA, "key": key.hex(), "persons": persons}
    return json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace") + b"\n"


@contextmanager
def _rewriting(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes the list's place at once and complete; one change at a time, so that none is lost."""
    draft = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with rewriting(path, draft=draft, alone=True) as file:
            yield file
    except FileExistsError:
        raise InputMissing(
            Text("Another run is changing the list of test persons, or one was cut off in the middle of it."),
            where=str(draft),
            next_step=Text(
                "Run it again; if no other run is under way, delete that file first. The list is as it was."
            ),
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> InputMissing:
    return InputMissing(
        Text("The list of test persons cannot be written: {reason}.", reason=error.strerror),
        where=str(path),
        next_step=Text("Make room or fix the permissions, then run the same command again; the list is as it was."),
    )
