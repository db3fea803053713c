"""Which language a person reads, and a text in it: English as the library has it, or bokmål from the catalogues.

The command chooses: ``--lang``, else ``language`` of the configuration, else the machine's locale, else English. A
program that uses the library gets English unless it chooses. JSON, logs and the journal's export are English always.
click's own words come from the same catalogue, by the standard library's gettext.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Formatter
from typing import Any, Final

from kpr_sender.model import Language
from kpr_sender.render.system_words import SYSTEM_WORDS
from kpr_sender.texts import FORMS, Text

DOMAIN: Final = "kpr_sender"
FOLDER: Final = Path(__file__).resolve().parents[1] / "locale"
_NORWEGIAN: Final = frozenset({"nb", "nn", "no"})
_LOCALE_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
_GETTEXT_LANGUAGE: Final = "LANGUAGE"


def of_locale(environ: Mapping[str, str]) -> Language:
    """Return the language of a machine's locale: the first variable that is set counts, as POSIX has it."""
    locale = next(filter(None, map(environ.get, _LOCALE_VARIABLES)), "")
    return Language.NB if locale.partition(".")[0].partition("_")[0].lower() in _NORWEGIAN else Language.EN


class _Spoken:
    """The language of this process, and its catalogue once it is needed."""

    language = Language.EN
    catalogue: gettext.NullTranslations | None = None


def spoken() -> Language:
    """Return the language that is spoken now."""
    return _Spoken.language


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Speak a language until the block ends; ``speak`` may change it in between."""
    before, domain, variable = _Spoken.language, gettext.textdomain(), os.environ.get(_GETTEXT_LANGUAGE)
    gettext.bindtextdomain(DOMAIN, str(FOLDER))
    gettext.textdomain(DOMAIN)  # click's words have no domain of their own
    try:
        speak(language)
        yield
    finally:
        _Spoken.language, _Spoken.catalogue = before, None
        gettext.textdomain(domain)
        os.environ.pop(_GETTEXT_LANGUAGE)
        if variable is not None:
            os.environ[_GETTEXT_LANGUAGE] = variable


def speak(language: Language) -> None:
    """Speak another language from here on, inside of ``speaking``."""
    _Spoken.language, _Spoken.catalogue = language, None
    os.environ[_GETTEXT_LANGUAGE] = language.value  # what gettext goes by for click


def say(text: str) -> str:
    """Return a text in the language that is spoken; what is no ``Text`` as it is."""
    if not text or not isinstance(text, Text) or _Spoken.language is Language.EN:
        return str(text)
    try:
        return _translated(text)
    except Exception:  # noqa: BLE001 - how a result is said must not decide what it is: a flaw in a catalogue is English
        return str(text)


def _translated(text: Text) -> str:
    catalogue = _catalogue()
    if text.plural:
        template = catalogue.ngettext(text.template, text.plural, _count(text))
    else:
        template = catalogue.gettext(text.template)
    if not text.values:
        return template
    return _FORMATTER.vformat(template, (), {name: _said(value) for name, value in text.values.items()})


def say_help(text: str) -> str:
    """Return a help text of the command line, which is a literal of its own, in the language that is spoken."""
    return text if _Spoken.language is Language.EN or not text else _catalogue().gettext(text)


def _said(value: object) -> object:
    return say(SYSTEM_WORDS.get(value, value)) if isinstance(value, str) else value


def _count(text: Text) -> int:
    count = text.values["count"]
    return count if isinstance(count, int) else 0


def _catalogue() -> gettext.NullTranslations:
    if _Spoken.catalogue is None:
        try:
            _Spoken.catalogue = gettext.translation(DOMAIN, FOLDER, [_Spoken.language], fallback=True)
        except Exception:  # noqa: BLE001 - a file that is damaged, or that this user may not read: as one that is missing
            _Spoken.catalogue = gettext.NullTranslations()
    return _Spoken.catalogue


class _NorwegianNumbers(Formatter):
    """Groups thousands as Norwegian does: 10 000, with a space that does not break."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec in FORMS:
            return FORMS[format_spec](value)
        text: str = super().format_field(value, format_spec)
        return text.replace(",", "\N{NO-BREAK SPACE}") if format_spec.endswith(",") else text


_FORMATTER: Final = _NorwegianNumbers()
