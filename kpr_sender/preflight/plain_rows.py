"""What the plain reader asks of each block: the schema and the rules at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kpr_sender.preflight.catalogue.fields import Catalogue
from kpr_sender.preflight.findings import Values
from kpr_sender.preflight.reading.functions import Functions
from kpr_sender.preflight.reading.plain import FUNCTION, Names, Value
from kpr_sender.preflight.rules.rows import RowJudge
from kpr_sender.preflight.schema.certain import Certain

_LONGEST_KEY: Final = 10  # digits of a running number (kravspesifikasjon IPLOS 3.7); a longer one is looked at closely


class PlainRows:
    """Judges plain blocks (``plain.Judgement``).

    Args:
        catalogue: IPLOS's.
        rows: The rules.
    """

    def __init__(self, catalogue: Catalogue, rows: RowJudge) -> None:
        self._certain = Certain(catalogue)
        self._rows = rows
        self.together = rows.together
        self.functions = Functions(self._is_clean_function).clean

    def names(self, kind: str, names: Names) -> bool:
        """Say whether a block may have these simple children; a PERSON's rows stand behind them, in any number."""
        return self._certain.children(kind, names)

    def keys(self, kind: str, names: Names) -> bool:
        """Say whether a block may have these attributes, where each is a running number."""
        keys = dict.fromkeys(names, "1")
        return len(keys) == len(names) and self._certain.keys(kind, keys) and not self._rows.keys(kind, keys)

    def numbers(self, keys: Sequence[str]) -> bool:
        """Say whether each attribute is one that breaks nothing."""
        digits = "".join(keys)
        if not (digits.isdigit() and digits.isascii()) or "" in keys:
            return False
        return len(digits) <= _LONGEST_KEY or max(map(len, keys)) <= _LONGEST_KEY

    def value(self, kind: str, name: str) -> Value:
        """Return what judges a text as a block's simple child: None where it does not certainly keep the schema."""
        right, broken = self._certain.value(kind, name), self._rows.value(kind, name)
        return lambda text: broken(text) if right(text) else None

    def _is_clean_function(self, values: Values) -> bool:
        broken = [self.value(FUNCTION, name)(text) for name, text in values.items()]
        return not any(hits or hits is None for hits in broken) and not self.together(FUNCTION, tuple(values))(values)
