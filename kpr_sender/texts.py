"""Sentences for people: an English template with named values, so that the screen can say it in another language.

The library raises, logs and writes JSON in English, which is what such a text is as a ``str``. Whatever shows it to a
person asks for the template and the values (``kpr_sender.render.language``). How to add one: docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Self

_STOPS: Final = " .;:,"


class Text(str):
    """A sentence in English that remembers what it was made of.

    Args:
        template: The sentence, one literal, with ``{name}`` where a value belongs. The catalogues find it by this.
        plural: The same for a ``count`` other than one, where the sentence has one.
        values: By name; what others say, a number, a path; no other ``Text``: sentences put together cannot be
            translated. Whole sentences that follow one another are a ``paragraph``.
    """

    __slots__ = ("plural", "template", "values")
    template: str
    plural: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, *, plural: str = "", **values: object) -> Self:
        """Fill the template in."""
        values = {name: _of_exception(value) for name, value in values.items()}
        chosen = plural if plural and values["count"] != 1 else template
        self = super().__new__(cls, chosen.format_map(values) if values else chosen)
        self.template, self.plural, self.values = template, plural, MappingProxyType(values)
        return self

    def __reduce__(self) -> tuple[Callable[..., Text], tuple[object, ...]]:
        """Copies and pickles hold the template and the values, and stay texts."""
        return remade, (self.template, self.plural, dict(self.values))

    def __format__(self, spec: str) -> str:
        """Take the specifications of ``FORMS``, too: ``{what:capital}``, ``{why:bare}``."""
        return FORMS[spec](self) if spec in FORMS else super().__format__(spec)

    def with_values(self, change: Callable[[object], object]) -> Self:
        """Return the same text with each of its values changed."""
        changed = {name: change(value) for name, value in self.values.items()}
        return type(self)(self.template, plural=self.plural, **changed)


FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "capital": lambda text: f"{text[:1].upper()}{text[1:]}",
    "bare": lambda text: text.strip(_STOPS),
    "definite": lambda text: "en ".join(text.split(" ", 1)) if " " in text else f"{text}en",
    "capital-definite": lambda text: FORMS["capital"](FORMS["definite"](text)),
}
"""What a text may be as a value of another: at its beginning, or where the other goes on behind it; and in bokmål
``fagmeldingen (id)`` of ``fagmelding (id)``, where English has an article of its own."""


def as_text(words: str) -> Text:
    """Return words as a text; as they are in every language where they are none."""
    return words if isinstance(words, Text) else Text("{words}", words=words)


def said(error: BaseException) -> str:
    """Return what an exception says, which is a text where it was made of one."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, Text) and first == str(error) else str(error)


def _of_exception(value: object) -> object:
    return said(value) if isinstance(value, BaseException) else value


def remade(template: str, plural: str, values: Mapping[str, object]) -> Text:
    """Return a text from the parts that it was taken apart into, to be copied or stored."""
    return Text(template, plural=plural, **values)


def paragraph(*sentences: str) -> Text:
    """Return whole sentences that follow one another, as one text; empty ones are left out."""
    said = [sentence for sentence in sentences if sentence]
    if len(said) == 1 and isinstance(said[0], Text):
        return said[0]
    values = {f"sentence_{number}": sentence for number, sentence in enumerate(said)}
    return Text(" ".join(f"{{{name}}}" for name in values), **values)


def quoted(*clauses: str) -> str:
    """Return what others say as one value of a sentence of ours: each clause once, without the stops it ends with."""
    said_once = {clause.strip(_STOPS): clause for clause in reversed(clauses)}
    return _joined("; ", [clause for bare, clause in reversed(said_once.items()) if bare])


def of_table(words: str) -> Text:
    """Return what a table of this package says: the catalogues take it from there (``tools.texts.tables``)."""
    return Text(words)


def listed(*things: str) -> str:
    """Return things of a kind as one value of a sentence, with commas; empty ones are left out."""
    return _joined(", ", [thing for thing in things if thing])


def _joined(between: str, parts: Sequence[str]) -> str:
    """Return parts that are no sentences as one text; as a plain one where none of them is a text."""
    if not any(isinstance(part, Text) for part in parts):
        return between.join(part.strip(_STOPS) for part in parts)
    values = {f"part_{number}": as_text(part) for number, part in enumerate(parts)}
    return Text(between.join(f"{{{name}:bare}}" for name in values), **values)
