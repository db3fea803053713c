"""What a block's own values break of the fields' published requirements, all of it read from the catalogue.

What can be known beforehand is made once, per kind of block: this is asked for every row, millions of them in a large
municipality. What a value alone breaks is remembered by ``persons``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from kpr_sender.preflight.catalogue.codes import codes
from kpr_sender.preflight.catalogue.fields import ALWAYS, Block, Catalogue, Field
from kpr_sender.preflight.memory import MOST_MADE
from kpr_sender.preflight.model import Circumstances, CrossCheck, Values, Violation
from kpr_sender.preflight.rules.table import CODE, MISSING, RANGE, requirements
from kpr_sender.preflight.rules.values import LIST_BY, Check, checks, no_code, quoted
from kpr_sender.texts import Text

_TYPE: Final = "tjTjenType"
_RECEIVED: Final = "Mottar"
_NEED: Final = "Behov"
_IN_NEED: Final = "1"


@functools.lru_cache(maxsize=MOST_MADE)
def field_rules(catalogue: Catalogue, circumstances: Circumstances) -> Mapping[str, BlockRules]:
    """Return a format's rules by block. They remember nothing of what they evaluate: so they are made once.

    Args:
        catalogue: The format's fields.
        circumstances: The year the codes and ranges are those of.
    """
    return {name: BlockRules(block, circumstances) for name, block in catalogue.blocks.items()}


class BlockRules:
    """Evaluates the values and keys of one kind of block."""

    def __init__(self, block: Block, circumstances: Circumstances) -> None:
        self._fields = {each.name: each for each in block.children if each.kind == "element"}
        self._checks = _checks(self._fields, circumstances)
        self._key_checks = _checks(block.attributes, circumstances)
        self._required_keys = {
            name: Violation(f"{each.id}.{MISSING}", name, Text("{name} is required, and missing.", name=name))
            for name, each in block.attributes.items()
            if each.required_for == ALWAYS
        }
        self._always = frozenset(name for name, each in self._fields.items() if each.required_for == ALWAYS)
        some = {name: each.required_for.split() for name, each in self._fields.items() if name not in self._always}
        self._required = {
            code: self._always | {name for name, types in some.items() if code in types}
            for code in {code for types in some.values() for code in types}
        }
        self._pairs = tuple(_pairs(self._fields, circumstances))

    def values(self, values: Values) -> tuple[Violation, ...]:
        """Return what a block's own simple children break.

        Args:
            values: Their texts by name. An empty one is missing where it is required.
        """
        return self.single(values) + self.cross_check(values)(values)

    def knows(self, name: str) -> bool:
        """Whether a simple child has this name."""
        return name in self._fields

    def keys(self, keys: Values) -> tuple[Violation, ...]:
        """Return what a block's attributes break, by name. They seldom come twice, so nothing is remembered."""
        violations = tuple(
            violation
            for name, value in keys.items()
            for check in self._key_checks.get(name, ())
            for violation in check(value)
        )
        if self._required_keys.keys() <= keys.keys():
            return violations
        return violations + tuple(missing for name, missing in self._required_keys.items() if name not in keys)

    def value(self, name: str, text: str) -> tuple[Violation, ...]:
        """Return what one field's text breaks by itself."""
        return tuple(violation for check in self._checks.get(name, ()) for violation in check(text))

    def single(self, values: Values) -> tuple[Violation, ...]:
        """Return what each value breaks by itself: the first half of ``values``."""
        return tuple(violation for name, text in values.items() for violation in self.value(name, text))

    def cross_check(self, names: Iterable[str]) -> CrossCheck:
        """Return the second half of ``values`` for a block with just these children: what is missing or breaks beside.

        Much of it depends on which children there are, and few different choices of them stand in a file.
        """
        given = frozenset(names)
        pairs = tuple(pair for name, pair in self._pairs if name in given)
        always, lacking = self._always - given, {code: wanted - given for code, wanted in self._required.items()}

        def evaluate(values: Values) -> tuple[Violation, ...]:
            violations: tuple[Violation, ...] = ()
            if lacking.get(values.get(_TYPE, ""), always) or "" in values.values():
                violations = tuple(self._missing(values))
            for pair in pairs:
                if broken := pair(values):
                    violations += broken
            return violations

        return evaluate

    def _missing(self, values: Values) -> Iterator[Violation]:
        required = self._required.get(values.get(_TYPE, ""), self._always)
        for name, field in self._fields.items():
            if name in required and not values.get(name):
                message = Text("{name} is required, and missing.", name=name)
                if field.required_for != ALWAYS:
                    kind = values[_TYPE]
                    message = Text("{name} is required for tjenestetype {kind}, and missing.", name=name, kind=kind)
                yield Violation(f"{field.id}.{MISSING}", name, message)


def _pairs(named: Mapping[str, Field], circumstances: Circumstances) -> Iterator[tuple[str, CrossCheck]]:
    """Yield what two values break beside each other, with the field without which nothing is broken."""
    for name, field in named.items():
        need = name.removesuffix(_RECEIVED) + _NEED
        if name.endswith(_RECEIVED) and need in named:
            yield name, _without_need(field, need)
        if field.earliest in named and name != field.earliest and RANGE in requirements(field):
            yield name, _before(field, field.earliest)
        if name in LIST_BY:
            yield name, _of_list(field, circumstances.year)


def _without_need(received: Field, need: str) -> CrossCheck:
    name = received.name
    message = Text("{name} is given, and {need} is not 1.", name=name, need=need)
    violation = (Violation(f"{received.id}.without-need", name, message),)

    def pair(values: Values) -> tuple[Violation, ...]:
        return violation if values.get(name) and values.get(need) != _IN_NEED else ()

    return pair


def _before(later: Field, earlier: str) -> CrossCheck:
    name = later.name

    def pair(values: Values) -> tuple[Violation, ...]:
        first, last = values.get(earlier), values.get(name)
        if not first or not last or first <= last:
            return ()
        message = Text(
            "{name} is {value}, before {earlier}, {first}.",
            name=name,
            value=quoted(last),
            earlier=earlier,
            first=quoted(first),
        )
        return (Violation(f"{later.id}.{RANGE}", name, message),)

    return pair


def _of_list(field: Field, year: int) -> CrossCheck:
    name = field.name
    chooser, lists, usual = LIST_BY[name]
    chosen = {value: codes(oid, year) for value, oid in lists.items()}
    otherwise = codes(usual, year)

    def pair(values: Values) -> tuple[Violation, ...]:
        value, kind = values.get(name), values.get(chooser, "")
        if not value or value in chosen.get(kind, otherwise):
            return ()
        message = no_code(name, value, lists.get(kind, usual), year)
        return (Violation(f"{field.id}.{CODE}", name, message),)

    return pair


def _checks(fields: Mapping[str, Field], circumstances: Circumstances) -> Mapping[str, tuple[Check, ...]]:
    made = {name: checks(each, circumstances) for name, each in fields.items()}
    return {name: each for name, each in made.items() if each}
