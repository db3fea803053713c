"""Evaluates a PERSON that is written plainly and keeps the schema: without prefixes, references or comments in it.

libxml2 has read it, so it is well-formed. What is left is which elements it has, and whether their values are valid.
Both are in the catalogue, from which one pattern is made for each kind of block: its fields in the schema's order, each
as a value that breaks nothing or, in a group of its own, as any other text. All else is left to ``structure``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from kpr_sender.preflight.catalogue.fields import DATO, Field, iplos
from kpr_sender.preflight.lines import WHITE
from kpr_sender.preflight.memory import MOST_MADE, Memory
from kpr_sender.preflight.model import Circumstances, CrossCheck, PersonRecord, Row, Violation
from kpr_sender.preflight.reader import Record
from kpr_sender.preflight.rules.fields import BlockRules
from kpr_sender.preflight.rules.rows import RowEvaluator
from kpr_sender.preflight.rules.values import accepted, bound
from kpr_sender.preflight.structure import Model

PERSON: Final = "PERSON"
_FUNCTION: Final = "FUNKSJON"

_SPACE: Final = f"[{WHITE}]*+"
_KEYS: Final = '((?:[ \t\r\n]++[A-Za-z]++="[0-9]{1,10}")*+)'  # running numbers (kravspesifikasjon IPLOS 3.7)
_TEXT: Final = "[^<>&\x01\x02]*+"  # as a parser reads it: without references, comments and CDATA sections (``lines``)
_END: Final = re.compile(f"</{PERSON}{_SPACE}>")
_NO_END: Final = "99991231"
_MONTH_AND_DAY: Final = "(?:(?:0[1-9]|1[0-2])(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])(?:29|30)|(?:0[13578]|1[02])31)"
"""Those that are in every year."""


class Persons:
    """Evaluates one PERSON after the other.

    Args:
        models: What the schema says of each block, by name.
        rules: The rules on blocks.
        circumstances: What they are evaluated by.
    """

    def __init__(self, models: Mapping[str, Model], rules: RowEvaluator, circumstances: Circumstances) -> None:
        kinds = [child.name for child in models[PERSON].block.children if child.kind == "block"]
        self._own = _KindOfBlock(PERSON, models[PERSON], rules, circumstances)
        self._rows = [_KindOfBlock(kind, models[kind], rules, circumstances) for kind in kinds]
        self._functions = _functions(models[_FUNCTION], circumstances)

    def read(self, record: Record) -> PersonRecord | None:
        """Return a PERSON, without FUNKSJON that break nothing; None where it may break the schema."""
        text = record.extent.written.decode()
        found = self._own.read(text, 0)
        if found is None:
            return None
        own, at = found
        rows: list[Row] = []
        for block in self._rows:
            if block.kind == _FUNCTION:
                at = self._functions.passed(text, at, own.keys["pePeID"])
            while text.startswith(block.start, at):
                found = block.read(text, at)
                if found is None:
                    return None
                row, at = found
                rows.append(row)
        if _END.fullmatch(text, at) is None:
            return None
        return PersonRecord(own.keys, own.values, rows, own.violations)


class _KindOfBlock:
    """One kind of block.

    Attributes:
        kind: Its name.
        start: What its start tag begins with.
    """

    def __init__(self, kind: str, model: Model, rules: RowEvaluator, circumstances: Circumstances) -> None:
        self.kind = kind
        self.start = f"<{kind} "
        self._model = model
        self._rules = rules
        fields = [child for child in model.block.children if child.kind == "element"]
        self._names = [field.name for field in fields]
        values = [_verdicts(field.name, model, rules.fields[kind]) for field in fields]
        valid = _valid_texts(model, rules.fields[kind], circumstances)
        inside = "".join(map(_pattern, fields, valid))
        self._all = list(enumerate(values))
        self._free = [(at, values[at]) for at, pattern in enumerate(valid) if not pattern]
        self._no_others = (None,) * len(fields)
        end = "" if kind == PERSON else f"</{kind}>{_SPACE}"
        self._match = re.compile(f"<{kind}{_KEYS}{_SPACE}>{_SPACE}{inside}{end}").match
        self._keys: Memory[tuple[str, ...], tuple[str, ...]] = Memory(self._key_names)
        self._cross_check: Memory[tuple[str, ...], CrossCheck] = Memory(functools.partial(rules.cross_check, kind))

    def read(self, text: str, at: int) -> tuple[Row, int] | None:
        """Return the block that begins somewhere, and where it ends; None where it may break the schema."""
        found = self._match(text, at)
        if found is None:
            return None
        groups = found.groups()
        written = groups[0].split('"')
        texts, others = groups[1::2], groups[2::2]
        checked = self._free  # of all other fields the pattern says that the text is valid
        if others != self._no_others:
            checked = self._all
            texts = tuple(one if two is None else two for one, two in zip(texts, others, strict=True))
        try:
            names = self._keys[tuple(written[0::2])]
            violations = _violations(checked, texts)
        except KeyError:
            return None
        values = {name: text for name, text in zip(self._names, texts, strict=True) if text is not None}
        violations += self._cross_check[tuple(values)](values)
        row = Row(self.kind, dict(zip(names, written[1::2], strict=True)), values, violations)
        return row, found.end()

    def _key_names(self, written: tuple[str, ...]) -> tuple[str, ...]:
        """Return attributes' names; an error where a block may not have just these, each a running number."""
        names = tuple(each.strip(f"{WHITE}=") for each in written[:-1])
        keys = dict.fromkeys(names, "1")
        if not self._model.has_valid_attributes(keys) or self._rules.fields[self.kind].keys(keys):
            raise KeyError
        return names


def _violations(
    checked: Iterable[tuple[int, Memory[str, tuple[Violation, ...]]]], texts: Sequence[str | None]
) -> tuple[Violation, ...]:
    """Return what values break by themselves, of the fields that are checked; an error where one breaks the schema."""
    violations: tuple[Violation, ...] = ()
    for at, values in checked:
        text = texts[at]
        if text is not None:
            violations += values[text]
    return violations


def _verdicts(name: str, model: Model, rules: BlockRules) -> Memory[str, tuple[Violation, ...]]:
    """Return what a field's texts break by themselves; an error for one that breaks the schema."""
    test = model.values[name]

    def evaluate(text: str) -> tuple[Violation, ...]:
        # A parser makes a line feed of a carriage return.
        if "\r" in text or not test(text):
            raise KeyError
        return rules.value(name, text)

    return Memory(evaluate)


def _validity(name: str, model: Model, rules: BlockRules) -> Callable[[str], bool]:
    """Return the test whether a field's text keeps the schema and breaks nothing."""
    test = model.values[name]
    return lambda text: test(text) and not rules.value(name, text)


class _Functions:
    """Passes over a person's FUNKSJON, taken together, where they keep the schema and break nothing.

    Four fifths of a fagmelding are FUNKSJON, up to eighteen a person, and nearly all of them are like this.
    """

    def __init__(self, model: Model, rules: RowEvaluator, circumstances: Circumstances) -> None:
        kind, verdi, first, last = model.block.children
        names = [field.name for field in model.block.children]
        valid = {name: _validity(name, model, rules.fields[_FUNCTION]) for name in names}
        cross_check = rules.cross_check(_FUNCTION, names)
        days = [_days(field, valid[field.name], circumstances) for field in (first, last)]

        def is_valid(code: str, degree: str) -> bool:
            values = {kind.name: code, verdi.name: degree, first.name: circumstances.first_day, last.name: _NO_END}
            return valid[verdi.name](degree) and not cross_check(values)

        # By the degrees of need that each kind of help may have: sight and hearing have scales of their own.
        scales: dict[tuple[str, ...], list[str]] = {}
        for code in filter(valid[kind.name], sorted(accepted(kind, circumstances.year))):
            scales.setdefault(tuple(degree for degree in "0123456789" if is_valid(code, degree)), []).append(code)
        between = f"</{kind.name}>{_SPACE}<{verdi.name}>"
        codes = "|".join(
            f"(?:{_any_of(each)}){between}[{''.join(degrees)}]" for degrees, each in scales.items() if degrees
        )
        self._match = re.compile(
            f'(?=<{_FUNCTION} fnPeID="([0-9]{{1,10}})")'
            f'(?><{_FUNCTION} fnPeID="\\1" fnFnID="[0-9]{{1,10}}"{_SPACE}>{_SPACE}'
            f"<{kind.name}>(?:{codes})</{verdi.name}>{_SPACE}"
            f"<{first.name}>{days[0]}</{first.name}>{_SPACE}<{last.name}>{days[1]}</{last.name}>{_SPACE}"
            f"</{_FUNCTION}>{_SPACE})++"
        ).match
        self._period = re.compile(f"<{first.name}>([0-9]{{8}})</{first.name}>{_SPACE}<{last.name}>([0-9]{{8}})<")
        self._open = f"<{last.name}>{_NO_END}<"

    def passed(self, text: str, at: int, pid: str) -> int:
        """Return where the FUNKSJON that begin somewhere end, if they may be passed over; else where they begin.

        Args:
            text: The person as it is written.
            at: Where they begin.
            pid: The person's pePeID.
        """
        found = self._match(text, at)
        if found is None or found[1] != pid or text.startswith(f"<{_FUNCTION} ", found.end()):
            return at
        written = found[0]
        own = written.split('"')[3::4]
        if len(set(own)) < len(own):
            return at
        if written.count(self._open) < len(own) and any(first > last for first, last in self._period.findall(written)):
            return at
        return found.end()


def _pattern(field: Field, valid: str) -> str:
    """Return a field's pattern with two groups: a valid text, and any other; only the first where none is."""
    texts = f"(?:({valid})|({_TEXT}))" if valid else f"({_TEXT})(\\Z)?"
    one = f"<{field.name}>{texts}</{field.name}>{_SPACE}"
    # Atomic: a field that was matched is never looked at in another way, or each would double the time to fail.
    return f"(?>{one})" if field.least else f"(?>{one})?+"


# What depends on no file is made once: it takes longer than a small file.


@functools.lru_cache(maxsize=MOST_MADE)
def _functions(model: Model, circumstances: Circumstances) -> _Functions:
    return _Functions(model, RowEvaluator(iplos(), circumstances), circumstances)


@functools.lru_cache(maxsize=MOST_MADE)
def _valid_texts(model: Model, rules: BlockRules, circumstances: Circumstances) -> tuple[str, ...]:
    """Return, for each simple child, a pattern of valid texts; empty where that is no matter of a pattern."""
    return tuple(
        _pattern_of_valid(field, _validity(field.name, model, rules), circumstances)
        for field in model.block.children
        if field.kind == "element"
    )


def _pattern_of_valid(field: Field, is_valid: Callable[[str], bool], circumstances: Circumstances) -> str:
    if field.format == DATO:
        return _days(field, is_valid, circumstances)
    enumeration = field.facets.get("enumeration", "").split()
    return _any_of(filter(is_valid, enumeration or sorted(accepted(field, circumstances.year))))


def _days(field: Field, is_valid: Callable[[str], bool], circumstances: Circumstances) -> str:
    """Return a pattern of valid days; empty where not every day of the years in between is."""
    first, last = (bound(each, circumstances)[:4] for each in (field.earliest, field.latest))
    years = range(int(first) if first.isdigit() else 1900, 1 + (int(last) if last.isdigit() else 2099))
    if not years or not is_valid(f"{years[0]}0101") or not is_valid(f"{years[-1]}1231"):
        return ""
    no_end = f"{_NO_END}|" if is_valid(_NO_END) else ""
    return f"(?:{no_end}(?:{_any_of(map(str, years))}){_MONTH_AND_DAY})"


def _any_of(texts: Iterable[str]) -> str:
    """Return a pattern of texts that is matched faster than one after the other; empty where there are none."""
    ends: dict[str, str] = {}
    for text in texts:
        ends[text[:-1]] = ends.get(text[:-1], "") + text[-1]
    beginnings: dict[tuple[int, str], list[str]] = {}
    for beginning, end in ends.items():
        beginnings.setdefault((-len(beginning), end), []).append(beginning)
    return "|".join(
        (re.escape(each[0]) if len(each) == 1 else f"(?:{_any_of(each)})") + f"[{re.escape(end)}]"
        for (_, end), each in sorted(beginnings.items())
    )
