"""Says quickly of a plainly written block that it keeps its schema. "No" means only: not certain, look closer.

Plainly: values as they stand between two tags or two quotes, without references. Most values and orders of a file were
there before, so each is judged once and remembered, up to a bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from kpr_sender.preflight.catalogue.fields import Catalogue
from kpr_sender.preflight.content_model import Model, models
from kpr_sender.preflight.lexical import Predicate, is_free

_REMEMBERED: Final = 20_000  # of each kind of block and each thing remembered: some 3 MB
_LONGEST_TEXT: Final = 100  # characters of a text that is remembered
_LONGEST: Final = 18  # digits that every xs:long can have

_name = itemgetter(0)


class Certain:
    """Judges the blocks of one format.

    Args:
        catalogue: The format's.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._blocks = {name: _Block(model) for name, model in models(catalogue).items()}

    def plain_values(self, kind: str, pairs: Sequence[tuple[str, str]]) -> bool:
        """Whether a block's simple children, with their texts, are right and in order.

        Blocks among its children are not judged, ``plain_children`` does; one that must have some is never certain.
        """
        block = self._blocks[kind]
        return (block.values.issuperset(pairs) or block.learn_values(pairs)) and (
            (names := tuple(map(_name, pairs))) in block.orders or block.learn_order(names)
        )

    def plain_value(self, kind: str, name: str, text: str) -> bool:
        """Whether one simple child's text is right; not remembered here."""
        return self._blocks[kind].right(name, text)

    def plain_keys(self, kind: str, keys: Mapping[str, str]) -> bool:
        """Whether a block's attributes are right; what must be unique is not judged."""
        block = self._blocks[kind]
        tests = block.keys.get(names := tuple(keys))
        if tests is None:
            tests = block.learn_keys(names)
        if tests is None:
            return False
        for name, test in tests:  # noqa: SIM110 - twice as fast as all()
            if not test(keys[name]):
                return False
        return True

    def plain_children(self, kind: str, names: Sequence[str]) -> bool:
        """Whether a block may have these children, blocks and simple ones, in this order."""
        block = self._blocks[kind]
        short = block.shortened(names)
        return short in block.children or block.learn_children(short)


_Tests = tuple[tuple[str, Predicate], ...]


class _Block:
    """What was found right of one kind of block."""

    def __init__(self, model: Model) -> None:
        self.values: set[tuple[str, str]] = set()
        self.orders: set[tuple[str, ...]] = set()
        self.children: set[tuple[str, ...]] = set()
        self.keys: dict[tuple[str, ...], _Tests] = {}
        self._model = model
        self._any_number = frozenset(
            child.name for child in model.block.children if child.most is None and child.least <= 1
        )

    def learn_values(self, pairs: Sequence[tuple[str, str]]) -> bool:
        """Judge texts."""
        if not all(self.right(name, text) for name, text in pairs):
            return False
        if len(self.values) >= _REMEMBERED:
            self.values.clear()
        self.values.update(pair for pair in pairs if len(pair[1]) <= _LONGEST_TEXT)
        return True

    def right(self, name: str, text: str) -> bool:
        """Judge a text; a carriage return in it is not certain, for a parser makes a line feed of it."""
        test = self._model.values.get(name)
        return test is not None and "\r" not in text and test(text)

    def learn_order(self, names: tuple[str, ...]) -> bool:
        """Judge simple children's names."""
        return _learn(self.orders, names, right=self._in_order(names))

    def learn_children(self, names: tuple[str, ...]) -> bool:
        """Judge all children's names."""
        return _learn(self.children, names, right=self._in_order(names))

    def learn_keys(self, names: tuple[str, ...]) -> _Tests | None:
        """Return the tests for attributes of these names; None where these are not the right ones."""
        attributes = self._model.block.attributes
        if not attributes.keys() >= set(names) or any(
            each.least and each.name not in names for each in attributes.values()
        ):
            return None
        found = tuple(
            (name, _short_number if attributes[name].type == "long" else self._model.attributes[name])
            for name in names
            if not is_free(attributes[name])
        )
        if len(self.keys) >= _REMEMBERED:
            self.keys.clear()
        self.keys[names] = found
        return found

    def shortened(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the names with one for each run of blocks that may come in any number."""
        short: list[str] = []
        for name, run in groupby(names):
            short.extend((name,) if name in self._any_number else run)
        return tuple(short)

    def _in_order(self, names: tuple[str, ...]) -> bool:
        places = self._model.places
        if not places.keys() >= set(names) or [*names] != sorted(names, key=places.__getitem__):
            return False
        return all(
            child.least <= names.count(child.name) and (child.most is None or names.count(child.name) <= child.most)
            for child in self._model.block.children
        )


def _learn(known: set[tuple[str, ...]], names: tuple[str, ...], *, right: bool) -> bool:
    if right:
        if len(known) >= _REMEMBERED:
            known.clear()
        known.add(names)
    return right


def _short_number(text: str) -> bool:
    """Whether a text is a running number as every system writes it, and within xs:long."""
    return text.isdigit() and text.isascii() and len(text) <= _LONGEST
