"""The catalogues: one .po for each module that has texts, and one for click; compiled into one .mo.

A module's own file keeps what two people write at a time apart. The .mo is in no commit: the build makes it
(``tools/build_hook.py``), and so do the tests where a catalogue is newer.
"""

from __future__ import annotations

import datetime as dt
import functools
import io
import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.texts.extract import PACKAGE, Entry, fields

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

LOCALE: Final = PACKAGE / "locale"
_NORWEGIAN: Final = "nb"
_NO_DATE: Final = dt.datetime(1980, 1, 1, tzinfo=dt.UTC)  # else it is the build's, and each wheel another one
_CLICK: Final = "click"
_COMPILED: Final = Path("LC_MESSAGES") / "kpr_sender.mo"
_HEADER: Final = """\
msgid ""
msgstr ""
"Language: nb\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

"""
_WIDTH: Final = 118


def compile_stale(locale: Path = LOCALE) -> bool:
    """Compile where a catalogue, or a folder of them, is newer than what was compiled; return whether that was so."""
    target, sources = locale / _NORWEGIAN / _COMPILED, locale / _NORWEGIAN
    places = [sources, *(path for path in sources.rglob("*") if path.name != _COMPILED.name)]
    newest = max(path.stat().st_mtime_ns for path in places if path.parts[-1] != _COMPILED.parts[0])
    if target.exists() and target.stat().st_mtime_ns >= newest:
        return False
    compile_all(locale)
    return True


def compile_all(locale: Path = LOCALE) -> Path:
    """Compile all catalogues into one file, the same bytes from the same catalogues; return it."""
    from babel.messages.catalog import Catalog  # noqa: PLC0415 - whoever only asks whether it is needed need not load it
    from babel.messages.mofile import write_mo  # noqa: PLC0415 - the same

    joined = Catalog(locale=_NORWEGIAN, fuzzy=False, creation_date=_NO_DATE)
    joined.mime_headers = [("Content-Type", "text/plain; charset=utf-8"), ("Plural-Forms", joined.plural_forms)]
    for path in sorted((locale / _NORWEGIAN).rglob("*.po")):
        for message in read(path):
            if message.id and not message.fuzzy:
                joined.add(message.id, message.string)
    target = locale / _NORWEGIAN / _COMPILED
    target.parent.mkdir(exist_ok=True)
    written = io.BytesIO()
    write_mo(written, joined)
    half = target.with_name(f"{target.name}.{os.getpid()}")
    half.write_bytes(written.getvalue())
    half.replace(target)
    return target


def read(path: Path) -> Catalog:
    """Return a catalogue; an empty one where there is none."""
    from babel.messages.catalog import Catalog  # noqa: PLC0415 - as above
    from babel.messages.pofile import read_po  # noqa: PLC0415 - the same

    if not path.exists():
        return Catalog(locale=_NORWEGIAN)
    with path.open("rb") as file:
        return read_po(file, locale=_NORWEGIAN)


def path_of(module: str, locale: Path = LOCALE) -> Path:
    """Return where a module's catalogue is."""
    return locale / _NORWEGIAN / f"{module}.po"


def written(locale: Path = LOCALE) -> set[str]:
    """Return the modules that have a catalogue."""
    folder = locale / _NORWEGIAN
    return {path.relative_to(folder).as_posix().removesuffix(".po") for path in folder.rglob("*.po")}


def update(module: str, entries: Iterable[Entry], known: dict[str, object], locale: Path = LOCALE) -> None:
    """Write a module's catalogue anew: what is translated stays, what is like it is marked *fuzzy*, the rest goes.

    Args:
        module: Its name.
        entries: Its texts.
        known: Translations by id of all catalogues, for a text that has moved.
        locale: The folder of the catalogues.
    """
    from babel.messages.catalog import Catalog  # noqa: PLC0415 - as above
    from babel.messages.pofile import write_po  # noqa: PLC0415 - the same

    path, template = path_of(module, locale), Catalog(locale=_NORWEGIAN)
    for entry in entries:
        template.add((entry.id, entry.plural) if entry.plural else entry.id)
    catalogue = read(path)
    catalogue.update(template)
    for message in catalogue:
        if message.id and (not message.string or message.fuzzy) and (elsewhere := known.get(_key(message.id))):
            message.string = elsewhere  # type: ignore[assignment]  # a text, or several with a plural
            message.flags.discard("fuzzy")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.BytesIO()
    write_po(text, catalogue, width=_WIDTH, omit_header=True, ignore_obsolete=True, include_previous=True)
    path.write_text(_HEADER + text.getvalue().decode(), encoding="utf-8")


def remove(module: str, locale: Path = LOCALE) -> None:
    """Remove the catalogue of a module that has no texts."""
    path_of(module, locale).unlink()


def translations(module: str, locale: Path = LOCALE) -> dict[str, tuple[str, ...]]:
    """Return a catalogue's translations by their English: one, or two with a plural; none where it is not done."""
    return {
        _key(message.id): () if message.fuzzy else _strings(message.string)
        for message in read(path_of(module, locale))
        if message.id
    }


@functools.cache
def clicks_own() -> tuple[Entry, ...]:
    """Return the texts of the click that is installed."""
    from babel.messages.extract import extract_from_file  # noqa: PLC0415 - as above

    spec = find_spec(_CLICK)
    if spec is None or spec.origin is None:
        return ()
    found: dict[str, Entry] = {}
    for path in sorted(Path(spec.origin).parent.glob("*.py")):
        for _, message, _, _ in extract_from_file("python", path):
            one, many = (message[0], message[1]) if isinstance(message, tuple) else (message, "")
            found.setdefault(one, Entry(one, many, fields(one) | fields(many)))
    return tuple(found.values())


def _key(written_id: str | list[str] | tuple[str, ...]) -> str:
    return written_id if isinstance(written_id, str) else written_id[0]


def _strings(string: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    found = (string,) if isinstance(string, str) else tuple(string or ())
    return found if all(found) else ()
