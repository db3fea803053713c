"""Says quickly of a plainly written block that it keeps its schema. "No" means only: not certain, look closer.

Plainly: values as they stand between two tags or two quotes, without references.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kpr_sender.preflight.catalogue.fields import Catalogue
from kpr_sender.preflight.lexical import Predicate, is_free
from kpr_sender.preflight.structure import Model, models

_REMEMBERED: Final = 1_000  # choices of attributes of one kind of block
_LONGEST: Final = 18  # digits that every xs:long can have


class Certain:
    """Judges the blocks of one format.

    Args:
        catalogue: The format's.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._models = models(catalogue)
        self._keys: Mapping[str, dict[tuple[str, ...], _Tests]] = {name: {} for name in self._models}

    def value(self, kind: str, name: str) -> Predicate:
        """Return the test of one simple child's text: a block's child of another name has no right text."""
        test = self._models[kind].values.get(name)
        if test is None:
            return lambda _: False
        # A parser makes a line feed of a carriage return, so that is not certain.
        return lambda text: "\r" not in text and test(text)

    def keys(self, kind: str, keys: Mapping[str, str]) -> bool:
        """Whether a block's attributes are right; what must be unique is not judged."""
        tests = self._keys[kind].get(names := tuple(keys))
        if tests is None:
            tests = _tests(self._models[kind], names)
            if tests is None:
                return False
            if len(self._keys[kind]) < _REMEMBERED:
                self._keys[kind][names] = tests
        for name, test in tests:  # noqa: SIM110 - twice as fast as all()
            if not test(keys[name]):
                return False
        return True

    def children(self, kind: str, names: Sequence[str]) -> bool:
        """Whether a block may have these children, blocks and simple ones, in this order."""
        model = self._models[kind]
        if not model.places.keys() >= set(names) or [*names] != sorted(names, key=model.places.__getitem__):
            return False
        return all(
            child.least <= names.count(child.name) and (child.most is None or names.count(child.name) <= child.most)
            for child in model.block.children
        )


_Tests = tuple[tuple[str, Predicate], ...]


def _tests(model: Model, names: tuple[str, ...]) -> _Tests | None:
    """Return the tests for attributes of these names; None where these are not the right ones."""
    attributes = model.block.attributes
    if not attributes.keys() >= set(names) or any(
        each.least and each.name not in names for each in attributes.values()
    ):
        return None
    return tuple(
        (name, _short_number if attributes[name].type == "long" else model.attributes[name])
        for name in names
        if not is_free(attributes[name])
    )


def _short_number(text: str) -> bool:
    """Whether a text is a running number as every system writes it, and within xs:long."""
    return text.isdigit() and text.isascii() and len(text) <= _LONGEST
