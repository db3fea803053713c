"""What the plain reader asks of each block: the schema and the rules at once, what was found right remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kpr_sender.preflight.catalogue.fields import Catalogue
from kpr_sender.preflight.certain import Certain
from kpr_sender.preflight.finding import Hit
from kpr_sender.preflight.functions import Functions
from kpr_sender.preflight.plain import PERSON, Judgement, Names
from kpr_sender.preflight.rules.rows import RowJudge

_REMEMBERED: Final = 20_000  # values of one kind of block that break nothing
_LONGEST_KEY: Final = 10  # digits of a running number (kravspesifikasjon IPLOS 3.7); a longer one is looked at closely


class PlainRows:
    """Judges plain blocks.

    Args:
        catalogue: IPLOS's.
        rows: The rules.
    """

    def __init__(self, catalogue: Catalogue, rows: RowJudge) -> None:
        self._certain = Certain(catalogue)
        self._rows = rows
        self._clean: dict[str, set[tuple[str, str]]] = {name: set() for name in catalogue.blocks}
        self._right_keys: set[tuple[str, ...]] = set()  # kind and attributes, whose values are all numbers
        functions = Functions(lambda values: self._values("FUNKSJON", values) == ())
        self.judgement = Judgement(self._names, self._children, self._keys, self._values, functions.clean)

    def _names(self, kind: str, names: Names) -> bool:
        return kind == PERSON or self._certain.plain_children(kind, names)  # a PERSON's are judged with its rows

    def _children(self, names: Sequence[str]) -> bool:
        return self._certain.plain_children(PERSON, names)

    def _keys(self, kind: str, keys: Mapping[str, str]) -> bool:
        texts = keys.values()
        digits = "".join(texts)
        if not (digits.isdigit() and digits.isascii() and all(texts)) or max(map(len, texts)) > _LONGEST_KEY:
            return False
        names = (kind, *keys)
        if names not in self._right_keys and self._certain.plain_keys(kind, keys):
            self._right_keys.add(names)
        return names in self._right_keys

    def _values(self, kind: str, values: Mapping[str, str]) -> tuple[Hit, ...] | None:
        clean = self._clean[kind]
        hits: tuple[Hit, ...] = ()
        if not clean.issuperset(values.items()):
            if not self._certain.plain_values(kind, tuple(values.items())):
                return None
            hits = self._rows.single(kind, values)
            if not hits:
                if len(clean) >= _REMEMBERED:
                    clean.clear()
                clean.update(values.items())
        return hits + self._rows.together(kind, values)
