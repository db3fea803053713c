"""A bundle for support: what is known of an installation and its journal, without secrets and without persons.

What goes into it is what the commands show, cleaned as they clean it, and the last log lines as they are. Then all of
it is looked through once more before anything is written (promise G6): where a national id, payload, key material or a
secret of this configuration is anywhere in it, there is no bundle.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib.metadata
import json
import os
import platform
import re
import ssl
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import unquote

from kpr_sender.errors import ConfigInvalid, InternalError
from kpr_sender.operator.evidence_archive import zip_entry
from kpr_sender.privacy import redact, redact_text
from kpr_sender.regular_file import open_regular
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

LOG: Final = "log.jsonl"
_LAST_LINES: Final = 2_000
_LAST_BYTES: Final = 4_000_000
_LEAST_WORD: Final = 8
_BETWEEN_WORDS: Final = re.compile(r"[/:@?&=#,;]")
_LETTER, _DIGIT = re.compile(r"[A-Za-z]"), re.compile(r"[0-9]")
WORDS_REMOVED: Final = "[the receiver's words]"
_SECRET: Final = "set, not shown"  # noqa: S105 - what stands in its place
_LIBRARIES: Final = (
    *("cryptography", "lxml", "signxml", "python-qpid-proton", "httpcore", "tenacity", "click", "rich", "jinja2"),
    *("joserfc", "python-pkcs11", "apprise", "prometheus-client"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class BundledFile:
    """One file of a bundle: its name, and its values, a line each."""

    name: str
    values: Sequence[object]

    def text(self) -> str:
        """Return its content: JSON, one value a line; a log line that is no JSON as it is."""
        return "".join(f"{one if isinstance(one, str) else _json(one)}\n" for one in self.values)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def versions() -> dict[str, str]:
    """Return the versions of what is installed, by name, and of the machine that it runs on."""
    found = {
        "kpr-sender": importlib.metadata.version("kpr-sender"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for name in _LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def without_secrets(settings: object) -> Any:
    """Return a configuration as JSON-like data: of a secret only that there is one."""
    if isinstance(settings, Secret):
        return _SECRET
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return {one.name: without_secrets(getattr(settings, one.name)) for one in dataclasses.fields(settings)}
    if isinstance(settings, Mapping):
        return {str(name): without_secrets(value) for name, value in settings.items()}
    if isinstance(settings, list | tuple | set | frozenset):
        return [without_secrets(value) for value in settings]
    if isinstance(settings, enum.Enum):
        return settings.value
    return settings if settings is None or isinstance(settings, bool | int | float) else str(settings)


def last_lines(log: Path) -> list[object]:
    """Return the last lines of a log: JSON where they are, else as they stand.

    Raises:
        OSError: It cannot be read.
    """
    with open_regular(log) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LAST_BYTES))
        lines = file.read(_LAST_BYTES).decode("utf-8", "replace").splitlines()
    whole = lines if size <= _LAST_BYTES else lines[1:]
    return list(map(_parsed, whole[-_LAST_LINES:]))


def _parsed(line: str) -> object:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return line
    return value if isinstance(value, dict) else line


def without_words(value: object, words: Collection[str]) -> object:
    """Return JSON-like data without what others said in words of their own: a receipt's text may name a person."""
    if isinstance(value, str):
        for one in words:
            value = value.replace(one, WORDS_REMOVED)
        return value
    if isinstance(value, Mapping):
        return {name: without_words(one, words) for name, one in value.items()}
    return [without_words(one, words) for one in value] if isinstance(value, list | tuple) else value


def require_nothing_found(parts: Iterable[BundledFile], settings: Settings) -> None:
    """Refuse a bundle that has in it what must not leave the machine.

    Raises:
        InternalError: Says in which file and line, and what kind of thing; never what it is.
    """
    patterns = [(key, _as_words(word)) for key, secret in _secrets(settings) for word in _words_of(secret)]
    for part in parts:
        for number, value in enumerate(part.values, start=1):
            cleaned = redact_text(value) if isinstance(value, str) else redact(value)
            if cleaned != value:
                what = Text("The bundle would hold a national id, payload or key material, and was not written.")
                raise _found(part, number, what)
            written = value if isinstance(value, str) else _json(value)
            for key, pattern in patterns:
                if pattern.search(written):
                    what = Text("The bundle would hold the secret of {key}, and was not written.", key=key)
                    raise _found(part, number, what)


def _found(part: BundledFile, line: int, what: Text) -> InternalError:
    return InternalError(
        what,
        where=Text("{file} line {line}", file=part.name, line=line),
        next_step=Text(
            "Send nothing of it to anybody. Look at that line: remove it from the log where it is of the log, change a "
            "secret that stands in clear text elsewhere, and report it without the line itself."
        ),
    )


def _secrets(settings: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the key and the value of each secret of a configuration that can be read now, a line each."""
    if isinstance(settings, Secret):
        with suppress(ConfigInvalid):
            for line in settings.reveal().splitlines():
                if line.strip():
                    yield key, line.strip()
    elif dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        for one in dataclasses.fields(settings):
            yield from _secrets(getattr(settings, one.name), f"{key}.{one.name}" if key else one.name)
    elif isinstance(settings, tuple):
        for number, value in enumerate(settings):
            yield from _secrets(value, f"{key}[{number}]")


def _words_of(secret: str) -> Iterator[str]:
    """Yield a secret, and of an address what is one by itself: a password, a token, an id; no host."""
    yield secret
    _, is_address, rest = secret.partition("://")
    if is_address:
        written = _BETWEEN_WORDS.split(rest)
        for word in dict.fromkeys((*written, *map(unquote, written))):
            if len(word) >= _LEAST_WORD and "." not in word and _LETTER.search(word) and _DIGIT.search(word):
                yield word
        password = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[0].partition(":")[2]
        yield from (word for word in {password, unquote(password)} if len(word) >= _LEAST_WORD)


def _as_words(secret: str) -> re.Pattern[str]:
    """Return what finds a secret in a text, also as JSON writes it, but not as a part of a longer word."""
    forms = "|".join(map(re.escape, dict.fromkeys((secret, json.dumps(secret)[1:-1], _json(secret)[1:-1]))))
    return re.compile(rf"(?<![0-9A-Za-z])(?:{forms})(?![0-9A-Za-z])")


def write_bundle(file: BinaryIO, parts: Iterable[BundledFile]) -> None:
    """Write a bundle, whose parts were looked through.

    Raises:
        OSError: It cannot be written.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            archive.writestr(zip_entry(part.name, zipfile.ZIP_DEFLATED), part.text().encode("utf-8", "replace"))
