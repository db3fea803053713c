"""The kinds of values a configuration may hold: what is expected, and how a TOML value becomes ours.

A value is never repeated in a message: somebody may have written a password in the wrong place.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from kpr_sender.model import has_check_digit
from kpr_sender.texts import Text

_DURATION: Final = Text('a duration such as "30s", "10m" or "2h", or a number of seconds')

_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
NO_END: Final = 2**63 - 1
"""The largest integer that TOML has; its digits would be taken for a national id."""
_WRITTEN: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", re.ASCII)


def parse_duration(written: str) -> float:
    """Return a duration as people write it (``30s``, ``10m``, ``2h``) in seconds.

    Raises:
        ValueError: It is none.
    """
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise ValueError(_DURATION)
    return float(match[1]) * _SECONDS[match[2]]


def write_duration(seconds: float) -> str:
    """Write a duration in its largest whole unit, for example ``10m``."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{_plain(seconds / size)}{unit}"
    return f"{_plain(seconds)}s"


def _plain(number: float) -> str:
    """Write a number without an exponent and without zeros that say nothing."""
    return f"{number:.3f}".rstrip("0").rstrip(".")


class Unfit(ValueError):
    """The value is not of this kind. What it says, if anything, never repeats the value."""


@dataclass(frozen=True, slots=True)
class ValueKind:
    """One kind of value.

    Attributes:
        expected: What must stand there, in words that fit after "expected".
        parse: Turns the TOML value, and the folder that relative paths start in, into ours; raises ValueError.
        evident: Whether one written value shows well enough what is expected.
        write: Turns our value into the one that would be written.
    """

    expected: str
    parse: Callable[[object, Path], object]
    evident: bool = True
    write: Callable[[Any], object] = lambda value: value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise Unfit
    if "\0" in value:  # no path, name or address has it, and every library fails on it in another way
        raise Unfit(Text("without NUL"))
    return value.strip()


def _filled(value: object) -> str:
    if not (text := _string(value)):
        raise Unfit
    return text


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit
    return value


def _path(value: object, base: Path) -> Path:
    try:
        text = _filled(value)
        path = Path(text).expanduser() if "~" in text else text
    except RuntimeError:
        raise Unfit(Text("nobody knows the home folder that it begins with (~)")) from None
    # Without ".." in it a path is the same wherever it is shown, and whatever the working directory becomes. By texts:
    # a fleet's configurations name thousands.
    return Path(os.path.abspath(os.path.join(base, path)))  # noqa: PTH100, PTH118 - resolve() would follow symlinks


def _paths(value: object, base: Path) -> tuple[Path, ...]:
    if not isinstance(value, list) or not value:
        raise Unfit
    return tuple(_path(one, base) for one in value)


def integer(low: int, high: int, unit: str = "") -> ValueKind:
    """An integer from ``low`` to ``high``, both included; a person reads nothing of ``NO_END``."""

    def read(value: object, _base: Path) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Unfit
        return value

    if high == NO_END:
        return ValueKind(Text("a whole number, {low} or more", low=low), read)
    return ValueKind(
        Text("a whole number of {unit} from {low} to {high}", unit=unit, low=low, high=high)
        if unit
        else Text("a whole number from {low} to {high}", low=low, high=high),
        read,
    )


def pattern(regex: str, expected: str, *, evident: bool = True) -> ValueKind:
    """A string that matches ``regex`` as a whole."""
    compiled = re.compile(regex, re.ASCII)

    def read(value: object, _base: Path) -> str:
        text = _string(value)
        if compiled.fullmatch(text) is None:
            raise Unfit
        return text

    return ValueKind(expected, read, evident=evident)


def seconds(low: float, high: float) -> ValueKind:
    """A duration from ``low`` to ``high`` seconds, both included."""

    def read(value: object, _base: Path) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise Unfit
        length = parse_duration(value) if isinstance(value, str) else float(value)
        if not low <= length <= high:
            raise Unfit
        return length

    return ValueKind(
        Text(
            "{duration}, from {write_duration} to {write_duration_2}",
            duration=_DURATION,
            write_duration=write_duration(low),
            write_duration_2=write_duration(high),
        ),
        read,
        write=write_duration,
    )


def choice(options: type[enum.StrEnum]) -> ValueKind:
    """One of an enumeration's values."""
    expected = Text("one of {options}", options=", ".join(f'"{option.value}"' for option in options))
    return ValueKind(expected, lambda value, _base: options(_string(value)), evident=False)


def _organisation_number(value: object, _base: Path) -> str:
    text = _string(value).replace(" ", "")
    if re.fullmatch(r"\d{9}", text, re.ASCII) is None or not has_check_digit(text):
        raise Unfit
    return text


def _date(value: object, _base: Path) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    return date.fromisoformat(_string(value))


def _database_url(value: object, _base: Path) -> str:
    from urllib.parse import parse_qs, unquote, urlsplit  # noqa: PLC0415 - read only where a database is named

    from kpr_sender.net import is_loopback  # noqa: PLC0415 - the same

    text = _filled(value)
    parts = urlsplit(text)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/") or not text.isprintable():
        raise Unfit
    asked = parse_qs(parts.query)
    if parts.password is not None or not asked.keys().isdisjoint({"password", "sslpassword"}):
        raise Unfit(Text("without the password, which stands in journal.password_file or pgpass"))
    listed = parts.netloc.rpartition("@")[2].split(",")  # libpq tries several hosts, each with a port of its own
    named = [one[1:].partition("]")[0] if one.startswith("[") else unquote(one.partition(":")[0]) for one in listed]
    hosts = named + [one for key in ("host", "hostaddr") for each in asked.get(key, []) for one in each.split(",")]
    here = all(host.startswith("/") or is_loopback(host) for host in hosts if host) and "service" not in asked
    if here or asked.get("sslmode", [""])[-1] in {"verify-full", "verify-ca"}:
        return text
    if "sslmode" in asked:
        raise Unfit(Text("with sslmode=verify-full, since the server is another machine"))
    return f"{text}{'&' if parts.query else '?'}sslmode=verify-full"


TEXT: Final = pattern(r"(?s:.*)", Text("a text"))
NAME: Final = pattern(r"[^\r\n]+", Text("a text that is not empty"))
HER_ID: Final = integer(1, 2_147_483_647)
ORGANISATION_NUMBER: Final = ValueKind(
    Text("an organisation number: nine digits with a valid check digit"), _organisation_number, evident=False
)
KOMMUNENUMMER: Final = pattern(r"\d{4}", Text('four digits in quotation marks, for example "0301"'), evident=False)
BYDEL: Final = pattern(r"\d{2}", Text('two digits in quotation marks, "00" where bydel is not used'), evident=False)
PORT: Final = integer(1, 65_535)
HOST: Final = pattern(r"[A-Za-z0-9._:-]+", Text("a host name or address without scheme, port or path"))
HTTPS_URL: Final = pattern(
    r"https://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]*)?",
    Text("an address that begins with https://, without user, query or fragment"),
)
QUEUE: Final = pattern(r"[^\s]+", Text("a queue's name, or its complete registered address"))
VARIABLE: Final = pattern(r"[A-Za-z_][A-Za-z0-9_]*", Text("the name of an environment variable, not the secret itself"))
CREDENTIAL: Final = pattern(
    r"(?!\.)[A-Za-z0-9._-]{1,255}",
    Text("the name of a credential as in LoadCredential=NAME:PATH, not the secret itself"),
)
DATABASE_URL: Final = ValueKind(
    Text("an address: postgresql:// and then user@host/database, without the password"), _database_url
)
HEX: Final = ValueKind(Text("pairs of hexadecimal digits"), lambda value, _base: bytes.fromhex(_filled(value)))
DATE: Final = ValueKind(Text('a day such as "2025-01-15"'), _date)
FLAG: Final = ValueKind(Text("true or false"), lambda value, _base: _boolean(value))
PATH: Final = ValueKind(Text("a path, absolute or relative to the configuration file"), _path)
PATHS: Final = ValueKind(Text("a list of paths, each absolute or relative to the configuration file"), _paths)
