"""Sentences for people: an English template with named values, so that the screen can say it in another language.

The library raises, logs and writes JSON in English, which is what such a text is as a ``str``. Whatever shows it to a
person asks for the template and the values (``kpr_sender.render``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self


class Text(str):
    """A sentence in English that remembers what it was made of.

    Args:
        template: The sentence, one literal, with ``{name}`` where a value belongs. The catalogues find it by this.
        plural: The same for a ``count`` other than one, where the sentence has one.
        values: By name; never another ``Text``, since sentences put together cannot be translated.
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
