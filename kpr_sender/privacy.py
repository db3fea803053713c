"""What a national id looks like, and what must not leave the process outside sealed bytes (promise G6). Pure.

The only module that knows how people write a national id. ``redact`` is the last defence of every log line: the code
around it is written so that nothing of the kind gets there, and it errs on the side of removing too much. Its rules:

1. Eleven digits are a national id, wherever they stand and whatever spaces or dashes are between them.
2. From the first markup on, a text is payload; none of it is left.
3. PEM, long base64 and long hex are key material or sealed bytes. Only the value of a key ending in ``sha256`` is left.
4. What follows the word password, or is the value of such a key, is one.
5. Ids that are ours, a version 4 UUID or a submission's, are left: without them a log line helps nobody.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

ID: Final = "[id removed]"
MARKUP: Final = "[XML removed]"
KEY: Final = "[key removed]"
BLOB: Final = "[data removed]"
SECRET: Final = "***"  # noqa: S105 - what stands in its place

_SPACE_OR_DASH: Final = r"[ \t\u00a0\u2007\u2009\u202f\-\u2010-\u2015\u2212]{0,3}"
_OWN_ID: Final = (
    r"(?<!\w)(?<!\d-)(?:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    r"|20\d\d-[0-9a-f]{8})(?!\w|-\d)"
)
_NATIONAL_ID: Final = re.compile(rf"(?P<ours>{_OWN_ID})|\d(?:{_SPACE_OR_DASH}\d){{10,}}")

# How else one may be written. Each place uses the widest pattern that leaves what it has to show: a name in a
# certificate has no dates and times, a code in a file's header is short.
_ID_WITH_ANY_SIGNS: Final = re.compile(r"\d(?:[^0-9A-Za-z]{0,3}\d){10,}")
# What people write into a reason: 10.1.2025 kl. 12:30, 2025-01-10 12:30:00.
_DATE_AND_TIME: Final = re.compile(
    r"(?<!\d)(?:20\d\d-\d\d-\d\d|\d{1,2}\.\s?\d{1,2}\.\s?20\d\d)[ T,]{1,2}(?:kl\.? )?"
    r"[0-2]?\d[:.][0-5]\d(?:[:.][0-5]\d)?(?!\d)"
)
_NINE_DIGITS: Final = re.compile(r"(?:[0-9][^0-9]*){9}")
_RUNNING_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_PERSON_NUMBER: Final = re.compile(r"[0-9]{11,12}")
_WRITTEN_BETWEEN: Final = re.compile(r"[\s.\-]")

# <a>, <a b="c">, </a>, <a/>, <?xml, <!DOCTYPE, <![CDATA[, and the same escaped. Not <module> or <Foo object at 0x...>,
# which stack traces are full of.
_MARKUP: Final = re.compile(
    r"(?:<|&lt;|&\#0*60;|&\#x0*3c;)(?:"
    r"[?!]"
    r"|/[A-Za-z_]"
    r"|(?!(?:module|lambda|listcomp|dictcomp|setcomp|genexpr|string|stdin|locals|unknown)>)"
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
_THUMBPRINT: Final = re.compile(r"(?<![0-9A-Za-z])((?=(?:[0-9]*[a-fA-F]){6})[0-9a-fA-F]{40})(?![0-9A-Za-z])")
"""A certificate's SHA-1. Six letters at least, as nearly all have: digits with a few letters may be an id."""
_BASE64_WORD: Final = 20
_RESTLESS: Final = 0.45  # changes of kind for each character: about 0.65 in base64, below 0.3 in paths and names
_HEX: Final = re.compile(r"(?<![0-9A-Za-z])(?:0x)?[0-9a-fA-F]{33,}")

_SECRET_NAME: Final = re.compile(r"pass(phrase|word|wd)|pwd|secret|token|private|credential", re.IGNORECASE)
_PLACE_NAME: Final = re.compile(r"(_env|_file|_path)\Z", re.IGNORECASE)
_PAYLOAD_NAMES: Final = frozenset({"payload", "body", "xml", "content", "sealed", "detail", "ot"})
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_LEAST_ID: Final = 10**9
"""An integer this large may be a national id that begins with 0."""

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
    """Tell whether a text that a person wrote holds eleven digits, with up to three signs between any two.

    Our own ids and a date with its time are none.
    """
    return _ID_WITH_ANY_SIGNS.search(_DATE_AND_TIME.sub("-at-", re.sub(_OWN_ID, "-id-", text))) is not None


def may_hold_national_id(value: str) -> bool:
    """Tell whether a single value has nine digits, whatever is between them: too many for a date or a code."""
    return _NINE_DIGITS.search(value) is not None


def is_running_number(text: str) -> bool:
    """Tell whether a number is short enough to be shown: a national id without its leading zero has ten digits."""
    return _RUNNING_NUMBER.fullmatch(text) is not None


def foreign_text(text: object, most: int) -> str:
    """Return what another system says of one of our messages: one line, cut and clean.

    Returns:
        The text as ``redact_text`` leaves it; thumbprints stay, since they say which certificate is wrong.
    """
    line = " ".join("".join(character if character.isprintable() else " " for character in str(text)).split())
    parts = _THUMBPRINT.split(line)
    return "".join(part if number % 2 else redact_text(part) for number, part in enumerate(parts))[:most]


def redact_name(text: str) -> str:
    """Return a certificate's name for somebody without a person's number; no organisation has eleven digits."""
    return _ID_WITH_ANY_SIGNS.sub(SECRET, text)


def redact_text(text: str) -> str:
    """Return the text without ids, payload, key material and passwords."""
    text = _MARKUP.sub(MARKUP, text)
    text = _PEM.sub(KEY, text)
    text = _USER_INFO.sub(SECRET, text)
    text = _NAMED_SECRET.sub(rf"\g<name>{SECRET}", text)
    text = _BASE64.sub(_without_blob, text)
    text = _HEX.sub(BLOB, text)
    return _NATIONAL_ID.sub(lambda match: match["ours"] or ID, text)


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
    if name.endswith("sha256") and isinstance(value, str) and _DIGEST.fullmatch(value):
        return value
    return _redact(value, depth)


def _without_blob(match: re.Match[str]) -> str:
    """Take out base64, but not a path or a name that is merely long."""
    candidate = match[0]
    # Words between / and _ are short in paths and names; base64 has one of each in 64 characters.
    if any(_looks_random(word) for word in re.split(r"[/_\-\s]", candidate)) or _is_restless(candidate):
        return BLOB
    return candidate


def _looks_random(word: str) -> bool:
    return len(word) >= _BASE64_WORD and _has_every_kind(word)


def _is_restless(candidate: str) -> bool:
    """Tell base64 that separators happen to cut into short words: its characters change kind far more often."""
    kinds = [(character.isdigit(), character.isupper(), character.islower()) for character in candidate]
    changes = sum(before != after for before, after in itertools.pairwise(kinds))
    return changes > _RESTLESS * len(candidate) and _has_every_kind(candidate)


def _has_every_kind(text: str) -> bool:
    return (
        any(character.isdigit() for character in text)
        and any(character.isupper() for character in text)
        and any(character.islower() for character in text)
    )
