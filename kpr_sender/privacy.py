"""What a national id looks like, and what must not leave the process outside sealed bytes (promise G6). Pure.

The one place that cleans what is not ours; ``written_ids`` knows how a national id is written. A text from elsewhere
becomes ``foreign_text`` where it enters; ``redact`` is the last defence of every error, event, log line and
row of the journal, ``shown`` that of every screen and JSON object. The rules:

1. What ``written_ids`` finds is a national id, wherever it stands.
2. From the first markup on, a text is payload; none of it is left.
3. PEM, long base64 and long hex are key material or sealed bytes.
4. What follows the word password, or is the value of such a key, is one.
5. What is known for what it is stays: GUIDs, a submission's id, moments, addresses, OIDs, thumbprints, grouped numbers,
   a serial number or digest by the words before it, and the value of a field by its name (``KNOWN_FIELDS``).
6. No control character or other invisible sign is left: neither a terminal nor a reader is deceived.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Final, overload

from kpr_sender import written_ids
from kpr_sender.texts import Text

ID: Final = "[id removed]"
MARKUP: Final = "[XML removed]"
KEY: Final = "[key removed]"
BLOB: Final = "[data removed]"
SECRET: Final = "***"  # noqa: S105 - what stands in its place

MAX_TEXT: Final = 4_000
"""Longest text of an error, an event or a field of the journal, in characters: a path may be so long."""

_GUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
_OWN_ID: Final = rf"(?<!\w)(?<!\d-)(?:{_GUID}|20\d\d-[0-9a-f]{{8}})(?!\w|-\d)"
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
# What people write into a reason: 10.1.2025 kl. 12:30, 2025-01-10 12:30:00; what programs write: 2025-01-10T12:30:00Z.
_DATE_AND_TIME: Final = (
    r"(?<!\d)(?:20\d\d-\d\d-\d\d|\d{1,2}\.\s?\d{1,2}\.\s?20\d\d|\d{1,2} [A-Z][a-z]{2} 20\d\d)(?:[ ,]{1,2}|T)"
    r"(?:kl\.? )?[0-2]?\d[:.][0-5]\d(?:[:.][0-5]\d(?:\.\d{1,9}|,\d{3})?)?(?:Z|[+-]\d\d:\d\d| [+-]\d{4})?(?!\d)"
)
_KNOWN: Final = "|".join((
    _OWN_ID,
    _DATE_AND_TIME,
    # In names of files: 20250110123000, 20250110-123000; no id begins so. Twelve digits may be a DUF-nummer.
    r"20[23]\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[_-]?(?:[01]\d|2[0-3])[0-5]\d[0-5]\d(?:\d{3})?(?!\d)",
    rf"(?<!\.)(?:{_OCTET}\.){{3}}{_OCTET}(?::\d{{1,5}})?(?!\w|\.\d)",
    # An OID has no leading zeros, and an arc of three digits; an id with a dot after each digit has none. Ten or eleven
    # digits of thousands may be an id that a program took for a number.
    r"(?<!\.)(?=[\d.]*\d{3})(?!\d(?:\.\d{3}){3}(?![\d.]))[0-2](?:\.(?:0|[1-9]\d{0,5})){3,}(?!\w|\.\d)",
    r"(?<![,.])(?!\d{1,2}(?:,\d{3}){3}(?![\d,]))[1-9]\d{0,2}(?:,\d{3})+(?:\.\d{1,2})?(?![\d,])",
    r"(?<!:)(?=[0-9:]*[a-fA-F])(?:[0-9a-fA-F]{2}:){3,}[0-9a-fA-F]{2}(?![0-9A-Za-z:])",
    # A certificate's SHA-1. Three letters at least, as all but one in a million have: digits with one may be an id.
    r"(?=(?:[0-9]*[a-fA-F]){3})[0-9a-fA-F]{40}(?![0-9A-Za-z])",
))  # fmt: skip
# Our own words before a number; what others write is cleaned by ``foreign_text``, which takes nobody's word for it.
_NAMED_NUMBER: Final = (
    r"(?i:(?<=serial number )|(?<=thumbprint )|(?<=key identifier )|(?<=sha256 )|(?<=certificate )|(?<=key_id = \")"
    r"|(?<=serienummer )|(?<=avtrykk )|(?<=nøkkelidentifikator )|(?<=sertifikat )|(?<=sertifikatet ))"
    r"(?!0?\d{11}(?![0-9a-fA-F:]))[0-9a-fA-F:]{8,120}(?![0-9A-Za-z])"
)
# A digest or key's id on a screen of our own words, on which there are no keys.
_LONG_HEX: Final = r"(?=(?:[0-9]*[a-fA-F]){3})[0-9a-fA-F]{32,64}(?![0-9A-Za-z])"


@functools.cache
def _known(*forms: str) -> re.Pattern[str]:
    """Return a pattern that a text is split by; what begins all forms is tried first, since it is seldom there.

    Compiled when it is first needed: most runs never do.
    """
    return re.compile(rf"((?<![0-9A-Za-z])(?=[0-9a-fA-F])(?:{'|'.join(forms)}))")


_OURS_BY_FORM: Final = (_KNOWN,)
_OURS: Final = (_NAMED_NUMBER, _KNOWN)
_OURS_SHOWN: Final = (_NAMED_NUMBER, _KNOWN, _LONG_HEX)

# What is an id where less has to be shown: a name in a certificate has no dates and times, a code in a file's header is
# short.
_ID_WITH_ANY_SIGNS: Final = re.compile(r"\d(?:[^0-9A-Za-z]{0,3}\d){10,}")
_OWN_OR_MOMENT: Final = re.compile(f"{_OWN_ID}|{_DATE_AND_TIME}")
_DAY_ALONE: Final = re.compile(
    r"(?<!\d)(?:20\d\d-[01]\d-[0-3]\d|[0-3]?\d\.\s?[01]?\d\.\s?20\d\d)(?!\d|[^0-9A-Za-z]{1,3}\d{3})"
)
"""A day as people write it, unless what follows may be the number of a person born on it."""
_ELEVEN_DIGITS: Final = re.compile(r"\d(?:(?![,;]\s)[^0-9A-Za-z]{0,3}\d){10,}")
"""Not across the comma of a list: 8140000; 8140001 are two HER-ids."""
_TOO_MANY_DIGITS: Final = 9
_RUNNING_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_PERSON_NUMBER: Final = re.compile(r"[0-9]{11,12}")
_WRITTEN_BETWEEN: Final = re.compile(r"[\s.\-]")

# <a>, <a b="c">, </a>, <a/>, <?xml, <!DOCTYPE, <![CDATA[, and the same escaped. Not <module> or <Foo object at 0x...>,
# which stack traces are full of, nor <a::b>, of which a Rust library's errors are.
_MARKUP: Final = re.compile(
    r"(?:<|&lt;|&\#0*60;|&\#x0*3c;)(?:"
    r"[?!]"
    r"|/[A-Za-z_]"
    r"|(?!(?:module|lambda|listcomp|dictcomp|setcomp|genexpr|string|stdin|locals|unknown)>|\w+::)"
    r"[A-Za-z_][\w.:-]*(?:\s*/?(?:>|&gt;)|\s+[\w.:-]+\s*=|\s*$)"
    r").*",
    re.DOTALL | re.IGNORECASE,
)
_PEM: Final = re.compile(r"-----BEGIN .*?(?:-----END [^-\n]*-----|\Z)", re.DOTALL)
_USER_INFO: Final = re.compile(r"(?<=://)[^\s/@]+(?=@)")
_NAMED_SECRET: Final = re.compile(
    r"(?P<name>(?:pass(?:phrase|word|wd)|pwd|secret|token)[\"']?\s*[=:]\s*)"
    r"(?:\"[^\"]*\"?|'[^']*'?|\S+)",
    re.IGNORECASE,
)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_=-]{24,}(?:\s*\r?\n[ \t]*[A-Za-z0-9+/=]+(?=\s|$))*")
_BASE64_WORD: Final = 20
_RESTLESS: Final = 0.38  # changes of kind for each character: about 0.65 in base64, below 0.3 in paths and names
_RESTLESS_WORD: Final = 0.35  # of a word so long
_WORTH_A_LOOK: Final = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
_HEX: Final = re.compile(r"(?<![0-9A-Za-z])(?:0x)?[0-9a-fA-F]{33,}")

_SECRET_NAME: Final = re.compile(r"pass(phrase|word|wd)|pwd|secret|token|private|credential", re.IGNORECASE)
_PLACE_NAME: Final = re.compile(r"(_env|_file|_path)\Z", re.IGNORECASE)
_PAYLOAD_NAMES: Final = frozenset({"payload", "body", "xml", "content", "sealed", "detail", "ot"})
KNOWN_FIELDS: Final = (
    ("sha256", re.compile(r"[0-9a-fA-F]{64}")),
    ("sha1", re.compile(r"[0-9a-fA-F]{40}")),
    ("serial", re.compile(r"(?!0?\d{11}\Z)[0-9a-fA-F]{1,42}")),  # whole bytes: none has eleven digits
    ("_id", re.compile(rf"{_GUID}|[0-9a-f]{{32}}|20\d\d-[0-9a-f]{{8}}")),
)
"""How the name of a field ends whose value is known for what it is, and the form it has."""
_KNOWN_ENDINGS: Final = tuple(ending for ending, _ in KNOWN_FIELDS)
_SIZES: Final = "bytes"
_LEAST_ID: Final = 10**9
"""An integer this large may be a national id that begins with 0."""

MAX_FOREIGN: Final = 300
"""Longest text of another system that is stored or shown, in characters."""
_READ_MORE: Final = 10
"""How many times more of it is looked at: what is taken out is replaced by something shorter."""
_MOST_CUT: Final = 50
_CUT_SHORT: Final = re.compile(rf"[\d\W_]{{1,{_MOST_CUT}}}\Z")
"""What may be the beginning of an id where a text was cut."""

_BYTES: Final = "".join(map(chr, range(0xDC80, 0xDD00)))
"""What Python makes of the bytes of a file's name that are no UTF-8."""
_STAYS: Final = f"\n{_BYTES}"
_DEEPEST: Final = 12
_DECIMALS: Final = 3


def person_number(written: str) -> str | None:
    """Return the digits of a national id (eleven) or a DUF-nummer (twelve) as a person wrote it, with signs or not.

    Returns:
        Digits alone; empty where nothing is written; None where it is something else.
    """
    digits = _WRITTEN_BETWEEN.sub("", written)
    return digits if not digits or _PERSON_NUMBER.fullmatch(digits) else None


def holds_national_id(text: str) -> bool:
    """Tell whether a text that a person wrote holds eleven digits, with up to three signs between any two, or an id.

    Our own ids, days, a day with its time, and numbers in a list are none.
    """
    text = _OWN_OR_MOMENT.sub("-known-", text)
    return _ELEVEN_DIGITS.search(_DAY_ALONE.sub("-day-", text)) is not None or bool(written_ids.places(text))


def may_hold_national_id(value: str) -> bool:
    """Tell whether a single value has nine digits, whatever is between them: too many for a date or a code."""
    return sum(map(str.isnumeric, value)) >= _TOO_MANY_DIGITS


def is_running_number(text: str) -> bool:
    """Tell whether a number is short enough to be shown: a national id without its leading zero has ten digits."""
    return _RUNNING_NUMBER.fullmatch(text) is not None


def foreign_text(text: object, most: int = MAX_FOREIGN) -> str:
    """Return what another system says: one line, cut and clean. The first thing done with a text that is not ours.

    Args:
        text: What it says, of any length.
        most: The longest that is wanted, in characters.

    Returns:
        The text as ``redact_text`` leaves it, but for one thing: no number is taken for what the words before it say.
    """
    return _redacted(_one_line(_beginning(str(text), most)), _OURS_BY_FORM)[:most].rstrip()


def redact_name(text: str, most: int = MAX_FOREIGN) -> str:
    """Return a certificate's name for somebody as ``foreign_text``; no organisation has eleven digits."""
    return foreign_text(_ID_WITH_ANY_SIGNS.sub(SECRET, _beginning(text, most)), most)


@overload
def redact_text(text: Text, most: int | None = None) -> Text: ...
@overload
def redact_text(text: str, most: int | None = None) -> str: ...
def redact_text(text: str, most: int | None = None) -> str:
    """Return the text without ids, payload, key material, passwords and invisible signs.

    Args:
        text: Of any number of lines. A ``Text`` stays one: its values are cleaned.
        most: Given for what must be one line of at most so many characters.
    """
    if not text:
        return text
    clean = _clean(str(text), most)
    if not isinstance(text, Text) or clean == text:
        return text if clean == text else clean
    filled = text.with_values(lambda value: _redact_value(value, most))
    return filled if _clean(str(filled), most) == filled else Text("{text}", text=clean)


def _clean(text: str, most: int | None) -> str:
    if most is None:
        return _redacted(_visible(text), _OURS)
    return _redacted(_one_line(_beginning(text, most)), _OURS)[:most].rstrip()


def _redact_value(value: object, most: int | None) -> object:
    """Return a value of a text, clean where it is words: what a number is only the whole text tells."""
    if isinstance(value, str):
        return redact_text(value, most)
    return redact_text(str(value), most) if isinstance(value, PurePath) else value


def shown(value: Any) -> Any:
    """Return our own values, of which others' words are a part, as a JSON object or a row of the journal may have them.

    The last defence: national ids and invisible signs alone are looked for, in all depth, and no text is longer than
    ``MAX_TEXT``. Values of known fields stay.
    """
    return _shown(value, 0)


def shown_text(text: str) -> str:
    """Return lines for a person, of which others' words are a part, as a screen or a page may show them."""
    if text.isascii() and text.isprintable() and not written_ids.may_hold_one(text):
        return text  # as most are: nothing can be found in it
    return _outside(_OURS_SHOWN, _visible(text, bytes_too=False), _without_ids)


def redact(value: object) -> object:
    """Return the value as plain JSON-like data, clean in all its depth.

    Args:
        value: Anything: mappings and sequences are gone through, exceptions become their type and text, bytes become
            their number, and everything else becomes its clean ``repr``.
    """
    return _redact(value, 0)


def redact_fields(fields: Mapping[str, object], depth: int = 0) -> dict[str, object]:
    """Return named values, clean in all their depth; some names say by themselves what a value is."""
    return {redact_text(str(name)): _field(str(name), value, depth) for name, value in fields.items()}


def _shown(value: Any, depth: int, name: str = "") -> Any:
    if isinstance(value, str):
        return value if _is_known(name, value) else shown_text(_beginning(value, MAX_TEXT))[:MAX_TEXT]
    if value is None or isinstance(value, int):
        return value if value is None or isinstance(value, bool) or _is_known(name, value) else ID
    if depth >= _DEEPEST:
        return "[too deep]"
    if isinstance(value, Mapping):
        return {_shown_name(key): _shown(inner, depth + 1, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(inner, depth + 1, name) for inner in value]
    return value


@functools.lru_cache(maxsize=1024)
def _shown_name(name: Any) -> Any:
    """Return the name of a value; there are few, and each is shown hundreds of times."""
    return _shown(name, _DEEPEST)


def _is_known(name: str, value: str | int) -> bool:
    """Tell whether a value is what its field says, so that no digits in it are an id."""
    if isinstance(value, int):
        return abs(value) < _LEAST_ID or name.endswith(_SIZES)
    if name.endswith(_KNOWN_ENDINGS):
        for ending, form in KNOWN_FIELDS:
            if name.endswith(ending) and form.fullmatch(value):
                return True
    return False


_PLAIN: Final[tuple[tuple[type | tuple[type, ...], Callable[[Any], object]], ...]] = (
    ((type(None), bool), lambda value: value),
    (str, redact_text),
    (int, lambda value: value if abs(value) < _LEAST_ID else ID),
    # More decimals than anybody needs look like an id.
    (float, lambda value: round(value, _DECIMALS) if abs(value) < _LEAST_ID else ID),
    ((bytes, bytearray, memoryview), lambda value: f"[{len(value)} bytes removed]"),
    (BaseException, lambda value: redact_text(f"{type(value).__name__}: {value}")),
)


def _redact(value: object, depth: int) -> object:
    for types, clean in _PLAIN:
        if isinstance(value, types):
            return clean(value)
    if depth >= _DEEPEST:
        return "[too deep]"
    if isinstance(value, Mapping):
        return redact_fields(value, depth + 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact(inner, depth + 1) for inner in value]
    return redact_text(repr(value))


def _field(name: str, value: object, depth: int) -> object:
    if name.lower() in _PAYLOAD_NAMES:
        return BLOB
    if _SECRET_NAME.search(name) and not _PLACE_NAME.search(name):
        return SECRET
    if isinstance(value, str | int) and not isinstance(value, bool) and _is_known(name, value):
        return value
    return _redact(value, depth)


def _redacted(text: str, known: tuple[str, ...]) -> str:
    text = _MARKUP.sub(MARKUP, text)
    text = _PEM.sub(KEY, text)
    text = _NAMED_SECRET.sub(rf"\g<name>{SECRET}", _USER_INFO.sub(SECRET, text))
    return _outside(known, text, lambda part: _without_ids(_HEX.sub(BLOB, _BASE64.sub(_without_blob, part))))


def _without_ids(text: str) -> str:
    return written_ids.without(text, ID)


def _outside(known: tuple[str, ...], text: str, clean: Callable[[str], str]) -> str:
    """Clean what is between the parts of a text that are known for what they are."""
    if not (written_ids.may_hold_one(text) or _WORTH_A_LOOK.search(text)):
        return text
    return "".join(part if number % 2 else clean(part) for number, part in enumerate(_known(*known).split(text)))


def _visible(text: str, *, bytes_too: bool = True) -> str:
    """Return a text without invisible signs; its line ends stay.

    Args:
        text: Any.
        bytes_too: Whether a byte that is no UTF-8 becomes an escape here. Else whatever writes it replaces it.
    """
    text = written_ids.without_ignorable(text)
    if text.isprintable() or text.replace("\n", "").isprintable():
        return text
    stays = "\n" if bytes_too else _STAYS
    return "".join(sign if sign.isprintable() or sign in stays else _in_sight(sign) for sign in text)


def _beginning(text: str, most: int) -> str:
    """Return as much of a text as is looked at, without the beginning of an id where it was cut."""
    end = most * _READ_MORE
    if len(text) <= end:
        return text
    start = max(end - _MOST_CUT, 0)  # nowhere else can it match, and to try takes longer than all the rest
    return text[:start] + _CUT_SHORT.sub("", text[start:end])


def _one_line(text: str) -> str:
    return " ".join(_visible(text).split())


def _in_sight(sign: str) -> str:
    """Return what stands for a sign that cannot be seen: nothing where it has no width, else a blank."""
    if sign in _BYTES:
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return "" if written_ids.has_no_width(sign) else " "


def _without_blob(match: re.Match[str]) -> str:
    """Take out base64, but not a path or a name that is merely long."""
    candidate = match[0]
    # Words between / and _ are short in paths and names; base64 has one of each in 64 characters.
    words = re.split(r"[/_\-\s]", candidate)
    return BLOB if any(map(_looks_random, words)) or _are_restless(words, _RESTLESS) else candidate


def _looks_random(word: str) -> bool:
    return len(word) >= _BASE64_WORD and _are_restless([word], _RESTLESS_WORD)


def _are_restless(words: list[str], least: float) -> bool:
    """Tell base64, also where separators happen to cut it into short words: its characters change kind more often.

    Only within the words: that a path has many folders says nothing.
    """
    changes = 0
    for word in words:
        kinds = [(character.isdigit(), character.isupper(), character.islower()) for character in word]
        changes += sum(before != after for before, after in itertools.pairwise(kinds))
    return changes > least * sum(map(len, words)) and _has_every_kind("".join(words))


def _has_every_kind(text: str) -> bool:
    return (
        any(character.isdigit() for character in text)
        and any(character.isupper() for character in text)
        and any(character.islower() for character in text)
    )
