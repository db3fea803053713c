"""Sentences for people: an English template with named values, so that the screen can say it in another language.

The library raises, logs and writes JSON in English, which is what such a text is as a ``str``. Whatever shows it to a
person asks for the template and the values (``kpr_sender.render.language``). How to add one: docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Self


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
        chosen = plural if plural and values["count"] != 1 else template
        self = super().__new__(cls, chosen.format_map(values) if values else chosen)
        self.template, self.plural, self.values = template, plural, MappingProxyType(values)
        return self

    def __reduce__(self) -> tuple[Callable[..., Text], tuple[object, ...]]:
        """Copies and pickles hold the template and the values, and stay texts."""
        return _made, (type(self), self.template, self.plural, dict(self.values))

    def with_values(self, change: Callable[[object], object]) -> Self:
        """Return the same text with each of its values changed."""
        changed = {name: change(value) for name, value in self.values.items()}
        return type(self)(self.template, plural=self.plural, **changed)


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
    return "; ".join(dict.fromkeys(filter(None, (clause.strip(" .;:,") for clause in clauses))))
