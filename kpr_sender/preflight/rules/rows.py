"""Every rule on one block of a person by itself: its fields' and those across them, joined in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kpr_sender.preflight.catalogue.fields import Catalogue
from kpr_sender.preflight.finding import Hit, Together
from kpr_sender.preflight.record import Circumstances, Element, PersonRecord, Row
from kpr_sender.preflight.rules.fields import FieldRules
from kpr_sender.preflight.rules.other_rows import RowRules
from kpr_sender.preflight.rules.tjeneste import ServiceRules

SERVICE: Final = "TJENESTE"
_PERSON: Final = "PERSON"


class RowJudge:
    """Judges blocks, and makes records of elements.

    Args:
        catalogue: IPLOS's.
        circumstances: What they are judged by.

    Attributes:
        fields: What the published demands on single fields are asked of.
    """

    def __init__(self, catalogue: Catalogue, circumstances: Circumstances) -> None:
        self.fields = FieldRules(catalogue, circumstances)
        others = RowRules(circumstances)
        self._across: dict[str, Together] = {**others.by_kind, SERVICE: ServiceRules(circumstances).values}
        self._kinds = frozenset(each.name for each in catalogue.blocks[_PERSON].children if each.kind == "block")

    def keys(self, kind: str, keys: Mapping[str, str]) -> tuple[Hit, ...]:
        """Return what its attributes break."""
        return self.fields.keys(kind, keys)

    def single(self, kind: str, values: Mapping[str, str]) -> tuple[Hit, ...]:
        """Return what each value breaks by itself."""
        return self.fields.single(kind, values)

    def value(self, kind: str, name: str) -> Callable[[str], tuple[Hit, ...]]:
        """Return what judges one simple child's text by itself."""
        return self.fields.value(kind, name)

    def together(self, kind: str, names: Iterable[str]) -> Together:
        """Return what judges a block with just these simple children: what is missing, and what breaks beside what."""
        fields, across = self.fields.together(kind, names), self._across.get(kind)
        return fields if across is None else lambda values: fields(values) + across(values)

    def record(self, person: Element) -> PersonRecord:
        """Make a record of a PERSON that was read the general way; right or not."""
        values = _values(person)
        rows = [self._row(child) for child in person.children if child.name in self._kinds]
        return PersonRecord(person.attributes, values, rows, self._hits(_PERSON, person.attributes, values))

    def _row(self, element: Element) -> Row:
        values = _values(element)
        return Row(element.name, element.attributes, values, self._hits(element.name, element.attributes, values))

    def _hits(self, kind: str, keys: Mapping[str, str], values: Mapping[str, str]) -> tuple[Hit, ...]:
        return self.fields.keys(kind, keys) + self.single(kind, values) + self.together(kind, values)(values)


def _values(block: Element) -> dict[str, str]:
    """Return the simple children's texts; of one that stands there twice the first, for structure says that."""
    values: dict[str, str] = {}
    for child in block.children:
        if not child.children:
            values.setdefault(child.name, child.text)
    return values
