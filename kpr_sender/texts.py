"""Sentences for people: an English template with named values, so that the screen can say it in another language.

The library raises, logs and writes JSON in English, which is what such a text is as a ``str``. Whatever shows it to a
person asks for the template and the values (``kpr_sender.render.language``). How to add one: docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, Self

CAPITAL: Final = "capital"
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
        return _made, (type(self), self.template, self.plural, dict(self.values))

    def __format__(self, spec: str) -> str:
        """Take one specification more than a ``str``: ``capital``, for what begins a sentence."""
        return capital(self) if spec == CAPITAL else super().__format__(spec)

    def with_values(self, change: Callable[[object], object]) -> Self:
        """Return the same text with each of its values changed."""
        changed = {name: change(value) for name, value in self.values.items()}
        return type(self)(self.template, plural=self.plural, **changed)


def capital(text: str) -> str:
    """Return a text with a capital letter at its beginning."""
    return f"{text[:1].upper()}{text[1:]}"


def said(error: BaseException) -> str:
    """Return what an exception says, which is a text where it was made of one."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, Text) and first == str(error) else str(error)


def _of_exception(value: object) -> object:
    return said(value) if isinstance(value, BaseException) else value


def _made(kind: type[Text], template: str, plural: str, values: dict[str, object]) -> Text:
    return kind(template, plural=plural, **values)


def paragraph(*sentences: str) -> Text:
    """Return whole sentences that follow one another, as one text; empty ones are left out."""
    said = [sentence for sentence in sentences if sentence]
    if len(said) == 1 and isinstance(said[0], Text):
        return said[0]
    values = {f"sentence_{number}": sentence for number, sentence in enumerate(said)}
    return Text(" ".join(f"{{{name}}}" for name in values), **values)


def quoted(*clauses: str) -> str:
    """Return what others say as one value of a sentence of ours: each clause once, without the stops it ends with."""
    bare = [clause.strip(_STOPS) for clause in clauses]
    # A text that ends with a stop of its own cannot be said without it: its English is taken.
    kept = [clause if clause == stripped else stripped for clause, stripped in zip(clauses, bare, strict=True)]
    return _joined("; ", dict.fromkeys(kept))


def of_table(words: str) -> Text:
    """Return what a table of this package says: the catalogues take it from there (``tools.texts.tables``)."""
    return Text(words)


def listed(*things: str) -> str:
    """Return things of a kind as one value of a sentence, with commas; empty ones are left out."""
    return _joined(", ", things)


def _joined(between: str, parts: Iterable[str]) -> str:
    """Return parts that are no sentences as one text; as a plain one where none of them is a text."""
    there = [part for part in parts if part]
    if len(there) == 1 or not any(isinstance(part, Text) for part in there):
        return there[0] if len(there) == 1 else between.join(there)
    values = {f"part_{number}": part for number, part in enumerate(there)}
    return Text(between.join(f"{{{name}}}" for name in values), **values)
