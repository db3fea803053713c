"""How people and programs write a national id, and where one stands in a text. Pure.

A text is read as it is, and with what stands for other signs decoded: escapes, entities, digits of other alphabets and
forms, signs that nobody sees. In each reading is an id:

1. Eleven digits in a row, wherever they stand.
2. Eleven with up to three signs between two groups, grouped as people group them and beginning with a date. Not within
   a name, as of a file, where a date and a running number look the same, nor across the comma of a list.
3. Where the shape says less, what has a date and both check digits: whole groups of eleven digits with up to three
   signs between two, a date with its century and five digits, groups of thousands, a float, ten digits in a row, and
   groups with more signs or a letter between them.

What each of these costs is linear in the text: others choose it.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

Place = tuple[int, int]
"""Where something begins and ends."""
_Candidate = tuple[Place, list[str]]
"""Where something stands that is an id if its digits are, eleven of them or more, in the groups they are written in."""

_ID_DIGITS: Final = 11
_FEWEST_DIGITS: Final = 9
"""Of a date without leading zeros, and five digits."""


@functools.cache
def _pattern(written: str) -> re.Pattern[str]:
    """Compile a pattern when it is first needed: most runs never do."""
    return re.compile(written)


# What is meant by a sign.

_IGNORABLE: Final = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""The code points with the property Default_Ignorable_Code_Point (DerivedCoreProperties.txt of Unicode 16): drawn as
nothing. Some are letters and printable for Python, such as the Hangul fillers; it does not know the property."""
_ONLY_DIGITS: Final = r"[\W_]*[0-9]{1,2}[\W_]*"


def has_no_width(sign: str) -> bool:
    """Tell whether a sign is drawn as nothing."""
    return unicodedata.category(sign) == "Cf" or _pattern(_IGNORABLE).match(sign) is not None


def without_ignorable(text: str) -> str:
    """Return a text without the signs that are drawn as nothing, of which Python calls some printable."""
    return text if text.isascii() else _pattern(_IGNORABLE).sub("", text)


@functools.lru_cache(maxsize=4096)
def _meant_by_sign(sign: str) -> str:
    """Return the digits that a sign is a form of (wide, raised, in a circle, of another alphabet), or the sign."""
    if has_no_width(sign):
        return ""
    if sign.isdigit():
        return str(unicodedata.digit(sign))
    plain = unicodedata.normalize("NFKC", sign) if sign.isnumeric() else sign
    return plain if _pattern(_ONLY_DIGITS).fullmatch(plain) else sign


# What stands for a sign. Each run has a bound where it could begin anew at each of its signs.
_BACKSLASH: Final = (
    r"(?:\\{1,8}x[0-9a-fA-F]{2})+|(?:\\{1,8}u[0-9a-fA-F]{4})+|\\{1,8}u\{[0-9a-fA-F]{1,6}\}|(?:\\{1,8}U[0-9a-fA-F]{8})+"
    r"|(?:\\{1,8}0(?:6[0-7]|7[01]))+|(?:\\{1,8}3[0-9])+|\\{1,8}[nrtv]"  # octal digits; those of a DN (RFC 4514)
)
_ENTITY: Final = (
    r"&(?:amp;){0,4}(?:\#[xX]0{0,8}[0-9a-fA-F]{1,6};?|\#0{0,8}[0-9]{1,7};?|[A-Za-z][A-Za-z0-9]{1,31};|[A-Za-z]{2,6})"
)
_PERCENT: Final = r"(?:%(?:25){0,4}[0-9a-fA-F]{2})+|(?:%u[0-9a-fA-F]{4})+"
_QUOTED_PRINTABLE: Final = r"(?:=[0-9a-fA-F]{2})+|=[ \t]{0,8}\r?\n"
_UNUSUAL: Final = r"[^\x00-\x7fæøåÆØÅ]"
_READINGS: Final = (
    ("", ()),
    (None, (_UNUSUAL,)),
    ("\\&", (_BACKSLASH, _ENTITY, _UNUSUAL)),
    ("%", (_BACKSLASH, _ENTITY, _PERCENT, _UNUSUAL)),
    ("=", (_QUOTED_PRINTABLE, _UNUSUAL)),
)
"""What is decoded in each reading, and the signs of which one is there if it differs from the one before (None: any
that is not ASCII). ``%30`` and ``=30`` may also be a sign and two digits of an id: there is a reading without them."""
_HEX_BYTES: Final = r"[x%=](?:25){0,4}([0-9a-fA-F]{2})"
_HEX_SIGNS: Final = r"[uU]\{?([0-9a-fA-F]{1,8})"
_MAX_CODE_POINT: Final = 0x10FFFF


def _tokens(kinds: tuple[str, ...]) -> re.Pattern[str]:
    return _pattern(rf"(?=[\\&%=]|{_UNUSUAL})(?:{'|'.join(kinds)})")


def _decoded(token: str) -> str:
    """Return what an escape, an entity or a sign stands for."""
    if len(token) == 1:
        return _meant_by_sign(token)
    return _of_entity(token) if token[0] == "&" else _in_digits(_of_escape(token.lstrip("\\")))


def _in_digits(text: str) -> str:
    return text if text.isascii() else "".join(map(_meant_by_sign, text))


@functools.lru_cache(maxsize=4096)
def _of_entity(token: str) -> str:
    import html  # noqa: PLC0415 - with its two thousand names, which most runs never need

    before = ""
    while token != before:
        before, token = token, html.unescape(token)
    return _in_digits(token)


def _of_escape(token: str) -> str:
    if token[0] in "nrtv":
        return " "
    if token[0] in "uU" or token.startswith("%u"):
        codes = (int(code, 16) for code in _pattern(_HEX_SIGNS).findall(token))
        return "".join(chr(code) if code <= _MAX_CODE_POINT else " " for code in codes)
    if token[0] == "0":
        return "".join(chr(int(code, 8)) for code in re.findall(r"0([67][0-7])", token))
    if token[0] == "3":
        return "".join(re.findall(r"3([0-9])", token))
    data = bytes.fromhex("".join(_pattern(_HEX_BYTES).findall(token)))  # none in the soft line end of quoted-printable
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


class _Reading(NamedTuple):
    """A text with what stands for other signs decoded.

    Attributes:
        text: What is read.
        tokens: For each token where it begins and ends in what is read, and then in the text.
        starts: The first of each.
    """

    text: str
    tokens: list[tuple[int, int, int, int]]
    starts: list[int]

    @classmethod
    def of(cls, text: str, kinds: tuple[str, ...]) -> _Reading:
        """Read a text with these kinds of tokens decoded."""
        if not kinds:
            return cls(text, [], [])
        if not text.isascii():  # most digits of other forms are one sign, too: at once
            text = text.translate({ord(sign): str(unicodedata.digit(sign)) for sign in set(text) if sign.isdigit()})
        pieces: list[str] = []
        tokens: list[tuple[int, int, int, int]] = []
        size = last = 0
        for found in _tokens(kinds).finditer(text):
            meant = _decoded(found[0])
            if meant != found[0]:
                start, end = found.span()
                pieces += text[last:start], meant
                size += start - last + len(meant)
                tokens.append((size - len(meant), size, start, end))
                last = end
        return cls("".join((*pieces, text[last:])), tokens, [token[0] for token in tokens])

    def place_in_text(self, place: Place) -> Place:
        """Return where something that was read stands in the text; of a token, it is the whole."""
        (start, _), (_, end) = (self._sign(at) for at in (place[0], place[1] - 1))
        return start, end

    def _sign(self, at: int) -> Place:
        token = bisect_right(self.starts, at) - 1
        if token < 0:
            return at, at + 1
        _, end, text_start, text_end = self.tokens[token]
        return (text_start, text_end) if at < end else (text_end + at - end, text_end + at - end + 1)


# The shapes. A sign is what is neither letter nor digit.

# Days with 40 added are D-numbers', months with 40, 65 and 80 of H-numbers and synthetic ones (preflight.person_ids).
_DAYS: Final = (("[04]", "[1-9]"), ("[1256]", "[0-9]"), ("[37]", "[01]"))
_MONTHS: Final = (
    *(("0", "[1-9]"), ("1", "[0-2]"), ("4", "[1-9]"), ("5", "[0-2]")),
    *(("6", "[6-9]"), ("7", "[0-7]"), ("8", "[1-9]"), ("9", "[0-2]")),
)


def _either(pairs: tuple[tuple[str, str], ...], between: str = "") -> str:
    return f"(?:{'|'.join(map(between.join, pairs))})"


_DAY, _MONTH = _either(_DAYS), _either(_MONTHS)
_PERSON: Final = f"{_DAY}{_MONTH}|[89]"
"""How a person's number begins; a felles hjelpenummer has no date."""

_IN_A_ROW: Final = r"[0-9]{11,}"
_BETWEEN: Final = r"(?![,;]\s)[\W_]{1,3}+"  # not the comma of a list
_GROUPED: Final = (
    rf"(?<![0-9])(?:{_DAY}{_MONTH}[0-9]{{2}}|{_DAY}{_BETWEEN}{_MONTH}{_BETWEEN}[0-9]{{2}}){_BETWEEN}"
    rf"(?:[0-9]{{5}}|[0-9]{{3}}{_BETWEEN}[0-9]{{2}})(?![0-9])"
    rf"|(?<![0-9]){_either(_DAYS, _BETWEEN)}{_BETWEEN}{_either(_MONTHS, _BETWEEN)}(?:{_BETWEEN}[0-9]){{7}}(?![0-9])"
)
"""How people group a national id; the first six digits are a date."""
_NAME_SIGNS: Final = r"[0-9._-]+"
_NAME_BEFORE: Final = r"[^\W\d_][_-]?\Z"
_NAME_AFTER: Final = r"[_-]?[^\W\d_]|\.[a-z]{2,4}(?!\w)"
"""What stands beside a date and a running number in the name of a file."""

_CHAIN: Final = r"([0-9](?:[\W_]{0,3}+[0-9]){10,}+)"
_GAP: Final = r"[\W_]{0,20}+[^\W\d_]?+[\W_]{0,20}+"
"""More signs than between one group and the next, or a letter, which may stand for a sign."""
_GROUPS: Final = rf"(?<![0-9])(?=({_DAY}{_GAP}{_MONTH}{_GAP}[0-9][0-9]{_GAP}[0-9]{{3}}{_GAP}[0-9][0-9])(?![0-9]))"
_SINGLES: Final = rf"(?<![0-9])([0-9](?:(?![0-9]){_GAP}[0-9](?![0-9])){{10,}}+)"
_THOUSANDS: Final = (
    r"(?<![0-9])(?<![0-9][\W_])([0-9]{1,2}(?P<sign>[\W_])[0-9]{3}(?:(?P=sign)[0-9]{3}){2})(?!(?P=sign)?[0-9])"
)
_FLOAT: Final = r"(?<![0-9.,])([1-9])[.,]([0-9]{1,10}?)0*[eE]\+?(0?9|10)(?![0-9])"
_NO_ZERO: Final = r"(?<![0-9A-Fa-f])([1-9][0-9]{9})(?![0-9A-Fa-f])"  # not in a digest
_DATED: Final = tuple(
    rf"(?<![0-9]){date}[\W_]{{1,3}}+(?P<rest>[0-9]{{5}}|[0-9]{{3}}{_BETWEEN}[0-9]{{2}})(?![0-9])"
    for date in (
        r"(?P<day>[1-9]|[0-7][0-9])(?P<sign>[\W_]{1,2})(?P<month>[1-9]|[0-9]{2})(?P=sign)(?:1[89]|20)?(?P<year>[0-9]{2})",
        r"(?P<day>[0-7][0-9])(?P<month>[0-9]{2})(?:1[89]|20)(?P<year>[0-9]{2})",
        r"(?:1[89]|20)(?P<year>[0-9]{2})(?P<sign>[\W_]{0,2})(?P<month>[0-9]{2})(?P=sign)(?P<day>[0-7][0-9])",
    )
)
"""A date as people write one, which may have a century and no leading zeros, and the five digits after it."""
_DUMPED: Final = (
    r"(?<![0-9])(?:(?:0x)?3[0-9](?:[\W_]{1,3}+(?:0x)?+3[0-9]){10,}+"
    r"|(?:4[89]|5[0-7])(?:[\W_]{1,3}+(?:4[89]|5[0-7])){10,}+)(?![0-9])"
)
"""The bytes of ASCII digits, in hexadecimal or decimal."""
_DIGITS: Final = r"[0-9]+"


def places(text: str) -> list[Place]:
    """Return where national ids stand in a text, in order."""
    found: list[Place] = []
    rest = text
    for signs, kinds in _READINGS:
        if not may_hold_one(rest):
            break
        if signs == "" or (not rest.isascii() if signs is None else any(sign in rest for sign in signs)):
            reading = _Reading.of(rest, kinds)
            more = [reading.place_in_text(place) for place in _places(reading.text)]
            rest = _blanked(rest, more)
            found += more
    return _merged(found)


def without(text: str, instead: str) -> str:
    """Return a text without national ids, and what stands in their place."""
    found = places(text)
    if not found:
        return text
    ends = [0, *(end for _, end in found)]
    starts = [*(start for start, _ in found), len(text)]
    return instead.join(text[end:start] for end, start in zip(ends, starts, strict=True))


def may_hold_one(text: str) -> bool:
    """Tell at once whether a text has as many digits, of whatever form, as a national id may have."""
    if len(text) < _FEWEST_DIGITS:
        return False
    if text.isascii():
        digits = len(text) - len(text.encode("ascii").translate(None, b"0123456789"))
    else:
        digits = sum(map(str.isnumeric, text))
    return digits >= _FEWEST_DIGITS


def _merged(found: Iterable[Place]) -> list[Place]:
    """Return places in order; those that overlap are one."""
    merged: list[Place] = []
    for start, end in sorted(found):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def _blanked(text: str, found: list[Place]) -> str:
    """Return a text of the same length with letters in these places, so that nothing is found there again."""
    if not found:
        return text
    pieces: list[str] = []
    last = 0
    for start, end in _merged(found):
        pieces += text[last:start], "x" * (end - start)
        last = end
    return "".join((*pieces, text[last:]))


def _places(text: str) -> list[Place]:
    """Return where national ids stand in a reading, in no order."""
    found = [row.span() for row in _pattern(_IN_A_ROW).finditer(text)]
    text = _blanked(text, found)
    grouped = [chain.span() for chain in _pattern(_CHAIN).finditer(text) if _is_grouped_as_id(text, *chain.span())]
    text = _blanked(text, grouped)
    if may_hold_one(text):
        found += (row.span() for row in _pattern(_DUMPED).finditer(text))
        found += _with_person_number(list(_candidates(text)))
    return found + grouped


def _is_grouped_as_id(text: str, start: int, end: int) -> bool:
    """Tell of digits with signs between them whether some are grouped as an id, and not as numbers in a row."""
    return not all(map(_is_in_name, _pattern(_GROUPED).finditer(text, start, end)))


def _is_in_name(group: re.Match[str]) -> bool:
    start, end = group.span()
    return _pattern(_NAME_SIGNS).fullmatch(group[0]) is not None and (
        _pattern(_NAME_BEFORE).search(group.string, max(start - 2, 0), start) is not None
        or _pattern(_NAME_AFTER).match(group.string, end) is not None
    )


def _candidates(text: str) -> Iterator[_Candidate]:
    for found in _pattern(_CHAIN).finditer(text):
        yield found.span(), _pattern(_DIGITS).findall(found[0])
    for shape in (_GROUPS, _SINGLES, _THOUSANDS, _NO_ZERO):
        for found in _pattern(shape).finditer(text):
            groups = _pattern(_DIGITS).findall(found[1])
            yield found.span(1), groups if shape is _SINGLES else ["".join(groups).zfill(_ID_DIGITS)]
    for found in _pattern(_FLOAT).finditer(text):
        whole, decimals, exponent = found.groups()
        yield found.span(), [f"{whole}{decimals:0<{int(exponent)}}".zfill(_ID_DIGITS)]
    for shape in _DATED:
        for found in _pattern(shape).finditer(text):
            if not _is_in_name(found):
                date = "".join(part.zfill(2) for part in found.group("day", "month", "year"))
                yield found.span(), [date + "".join(_pattern(_DIGITS).findall(found["rest"]))]


_FIRST_CHECK: Final = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1, 0)
_SECOND_CHECK: Final = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
_MOD: Final = 11
_CHECKED: Final = bytes(rest % _MOD == 0 for rest in range(256))
_FIRST_CHECKED: Final = bytes(rest % _MOD in {0, 1, 2, 3} for rest in range(256))
"""What the first sum may leave from 2032 on (Skatteetaten); 0 until then."""


@functools.cache
def _times(weight: int) -> bytes:
    """Return a table from an ASCII digit to what it adds to a sum."""
    return bytes(int(chr(sign)) * weight % _MOD if chr(sign) in "0123456789" else 0 for sign in range(256))


def _with_check_digits(digits: bytes) -> bytes:
    """Return for each place 1 where the eleven digits from there on have both check digits, else 0.

    All places at once, as the columns of one long number: others choose how many there are. No sum is above 110.
    """
    count = max(len(digits) - _ID_DIGITS + 1, 0)
    both = -1
    for weights, checked in ((_FIRST_CHECK, _FIRST_CHECKED), (_SECOND_CHECK, _CHECKED)):
        columns = (digits.translate(_times(weight))[at : at + count] for at, weight in enumerate(weights))
        sums = sum(int.from_bytes(column, "little") for column in columns)
        both &= int.from_bytes(sums.to_bytes(count, "little").translate(checked), "little")
    return both.to_bytes(count, "little")


def _with_person_number(candidates: list[_Candidate]) -> Iterator[Place]:
    """Yield where whole groups can be a person's number: by date, or as a felles hjelpenummer, and by check digits.

    A part of a group is none: of two numbers side by side, such as HER-ids, some eleven digits have check digits.
    """
    digits = "".join(group for _, groups in candidates for group in groups)
    checked = _with_check_digits(digits.encode("ascii"))
    start = 0
    for place, groups in candidates:
        begins = list(itertools.accumulate(map(len, groups), initial=start))
        start, edges = begins[-1], set(begins)
        if any(at + _ID_DIGITS in edges and checked[at] and _pattern(_PERSON).match(digits, at) for at in begins[:-1]):
            yield place
