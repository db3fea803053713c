"""``python -m tools.texts [check|compile]``: the Norwegian catalogues.

Without a word they are written anew from the code and compiled. ``check`` says what is wrong with them, ``compile``
compiles where one is newer than what was compiled.

To add a text: write it in English in the code, run ``make texts``, and fill in its ``msgstr`` in the file it names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.texts import catalogues
from tools.texts.catalogues import LOCALE
from tools.texts.extract import PACKAGE, Entry, Found, fields, modules
from tools.texts.tables import tables

CLICK = "click"


def main(arguments: Sequence[str]) -> int:
    """Update and compile the catalogues, or check them; return 0 when all is translated, else 1."""
    if "compile" in arguments:
        catalogues.compile_stale()
        return 0
    if "check" not in arguments:
        update()
        catalogues.compile_all()
    faults, english, norwegian = check()
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"Texts: {english} in English, {norwegian} in Norwegian.")
    return 1 if faults else 0


def all_texts(package: Path = PACKAGE) -> dict[str, Found]:
    """Return the texts of every module, and click's."""
    of_tables = {name: Found(entries) for name, entries in tables(package)}
    return {CLICK: Found(list(catalogues.clicks_own())), **of_tables, **dict(modules(package))}


def update(package: Path = PACKAGE, locale: Path = LOCALE) -> None:
    """Write every module's catalogue."""
    texts = {name: found.entries for name, found in all_texts(package).items() if found.entries}
    written = catalogues.written(locale)
    known = {
        text: _as_written(said)
        for name in written
        for text, said in catalogues.translations(name, locale).items()
        if said
    }
    for name, entries in texts.items():
        catalogues.update(name, entries, known, locale)
    for name in written - set(texts):
        catalogues.remove(name, locale)


def _as_written(said: tuple[str, ...]) -> object:
    return said[0] if len(said) == 1 else said


def check(package: Path = PACKAGE, locale: Path = LOCALE) -> tuple[list[str], int, int]:
    """Compare code and catalogues.

    Returns:
        What is wrong, a line each; how many texts there are; how many of them are translated.
    """
    texts = all_texts(package)
    faults = [
        f"{package.name}/{name}.py:{line}: {what}" for name, found in texts.items() for line, what in found.faults
    ]
    said: dict[str, tuple[str, ...]] = {}
    for name in sorted(set(texts) | catalogues.written(locale)):
        entries = texts[name].entries if name in texts else []
        translated = catalogues.translations(name, locale)
        where = catalogues.path_of(name, locale).relative_to(locale.parent.parent)
        faults += [f"{where}: {' '.join(what.split())}" for what in _faults(entries, translated)]
        for text, strings in translated.items():
            if strings and said.setdefault(text, strings) != strings:
                faults.append(f"{where}: translated otherwise elsewhere: {text}")
    all_ids = {entry.id for found in texts.values() for entry in found.entries}
    return faults, len(all_ids), len(all_ids & set(said))


def _faults(entries: Sequence[Entry], translated: dict[str, tuple[str, ...]]) -> Iterator[str]:
    for entry in entries:
        strings = translated.get(entry.id, ())
        if not strings:
            yield f"not translated: {entry.id}"
        elif len(strings) != (2 if entry.plural else 1):
            yield f"one language has a plural and the other has not: {entry.id}"
        elif entry.values is not None and not _has_the_values(entry, strings):
            yield f"other {{names}} than in English: {entry.id}"
    known = {entry.id for entry in entries}
    yield from (f"not used: {text}" for text in translated if text not in known)


def _has_the_values(entry: Entry, strings: Sequence[str]) -> bool:
    """Tell whether a translation has the same names; one of something need not say how many."""
    may_lack = {"count"} if entry.plural else set[str]()
    try:
        return all(
            fields(said) | may_lack == fields(english) | may_lack
            for english, said in zip((entry.id, entry.plural), strings, strict=False)
        )
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
