"""Configurations of one file that are alike in most: what several say word for word is checked once.

A fleet's municipalities differ in names, numbers and paths; hundreds of them are read by each command.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from kpr_sender.settings.keys import Section
from kpr_sender.settings.read import ConfigurationFile, Table

T = TypeVar("T")

_NOT_YET: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class AlikeFile(ConfigurationFile):
    """A file that several configurations are read from, one after another, for as long as it is being read.

    Attributes:
        checked: What was found right, by what it was made of.
    """

    checked: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def require_trusted_file(self, path: Path, key: str = "") -> None:
        """Refuse a file that another user may write."""
        self._once(path, lambda: ConfigurationFile.require_trusted_file(self, path, key))

    def refuse_undeclared(self, section: Section, table: Table) -> None:
        """Refuse a key that the section does not declare."""
        self._once((section.name, tuple(table)), lambda: ConfigurationFile.refuse_undeclared(self, section, table))

    def folder(self) -> Path:
        """Return where its relative paths start."""
        return self._once("folder", lambda: ConfigurationFile.folder(self))

    def parse(self, section: Section, table: Table) -> Table:
        """Check each key by its kind, and return the values of those that are there."""
        written = (section.name, repr(table))
        return dict(self._once(written, lambda: ConfigurationFile.parse(self, section, table)))

    def build(self, declaring: type[T], section: str, table: Table, **given: Any) -> T:
        """Make a section, or a part of one, from its values."""
        made_of = (declaring, section, *map(_hashable, table.items()), *given.items())
        return self._once(made_of, lambda: ConfigurationFile.build(self, declaring, section, table, **given))

    def _once(self, made_of: Hashable, make: Callable[[], T]) -> T:
        found: T = self.checked.get(made_of, _NOT_YET)  # looked for once: what it is made of has many paths to hash
        if found is _NOT_YET:
            found = self.checked[made_of] = make()
        return found


def _hashable(item: tuple[str, Any]) -> tuple[Any, ...]:
    """Return a key with its value; what is a table by its own entries, as no table has a hash."""
    name, value = item
    return (name, *value.items()) if isinstance(value, Mapping) else item
