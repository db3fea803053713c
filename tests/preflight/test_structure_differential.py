"""What our structure check says of a document is what libxml2 says of it with the official schema."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import pytest

from kpr_sender.model import Environment
from kpr_sender.preflight.catalogue.fields import iplos
from kpr_sender.preflight.header import Refusal
from kpr_sender.preflight.model import Circumstances
from kpr_sender.preflight.persons import PERSON, Persons
from kpr_sender.preflight.reader import Record
from kpr_sender.preflight.rules.rows import RowEvaluator
from kpr_sender.preflight.structure import Structure
from tests.helpers.figures import figure
from tests.helpers.nightly import scaled
from tests.helpers.schemas import payload, payload_schema
from tests.helpers.structure_judge import events, right_by_libxml2, right_by_us
from tests.helpers.structure_mutations import CATALOGUES, NAMESPACES, documents

DOCUMENTS: Final = 5_000  # of each format in the suite
NIGHTLY: Final = 50_000


@dataclass(frozen=True)
class Difference:
    """Where we differ, on purpose.

    Attributes:
        ours: Our verdict; libxml2's is the other one.
        reason: Why.
        form: A format where it occurs.
        replaces: What a right document is made to differ with: this, by ``by``.
    """

    ours: bool
    reason: str
    form: str
    replaces: bytes
    by: bytes


COMMENT: Final = b"<!--" + 900_000 * b" " + b"-->"
EXCEPTIONS: Final = {
    "xsi:type": Difference(
        ours=False,
        reason="nobody writes it, and to follow it another type system than the formats' would have to be known",
        form="kpr_ipl",
        replaces=b"<peAlder>",
        by=b'<peAlder xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        b'xmlns:xs="http://www.w3.org/2001/XMLSchema" xsi:type="xs:short">',
    ),
    "part of an identmelding": Difference(
        ours=False,
        reason="its schema lets any of its elements be a root; only a whole Melding can be sent",
        form="kpr_ide_53_1_3",
        replaces=payload("kpr_ide_53_1_3").partition(b"\n")[2],
        by=b'<PasientIdent xmlns="http://www.npr.no/xmlstds/53_1_3_ide" pid="1" fid="0" typeID="1"/>',
    ),
    "empty CDATA section": Difference(
        ours=True,
        reason="it adds no character, so by XSD the element is empty; libxml2 takes it for text",
        form="kpr_ipl",
        replaces=b"<iiInnhType>P<",
        by=b"<iiInnhType><![CDATA[]]><",
    ),
    "document type declaration": Difference(
        ours=False,
        reason="it would be an error inside the Hodemelding, and opens the door to entities",
        form="kpr_ipl",
        replaces=b"<IPLOS ",
        by=b"<!DOCTYPE IPLOS><IPLOS ",
    ),
    "relative namespace": Difference(
        ours=False,
        reason="deprecated by W3C, and canonical XML refuses it: the file could not be signed",
        form="kpr_ipl",
        replaces=b"<peKjonn>K</peKjonn>",
        by=b'<x:peKjonn xmlns:x="http://www.npr.no/xmlstds/iplos/2019" xmlns="relative">K</x:peKjonn>',
    ),
    "huge comment": Difference(
        ours=False,
        reason="memory stays flat: a tag or comment of more than 1 MB is no EPJ's",
        form="kpr_ipl",
        replaces=b"</PERSON>",
        by=COMMENT.replace(b" ", b"  ") + b"</PERSON>",
    ),
    "huge record": Difference(
        ours=False,
        reason="memory stays flat: a person of more than 16 MB is no EPJ's",
        form="kpr_ipl",
        replaces=b"</PERSON>",
        by=18 * COMMENT + b"</PERSON>",
    ),
    "a record of very many elements": Difference(
        ours=False,
        reason="memory stays flat: a person of more than 200 000 rows and values is no EPJ's",
        form="kpr_ipl",
        replaces=b"</PERSON>",
        by=200_000 * b'<DOGNTILBUD dgPeID="1" dgDgID="1"/>' + b"</PERSON>",
    ),
}
"""Every deliberate difference, by name."""


def _differing(form: str, count: int, seed: int) -> Iterator[bytes]:
    """Yield the documents where the two verdicts differ and should not."""
    catalogue, namespace, schema = CATALOGUES[form](), NAMESPACES[form], payload_schema(form)
    verdicts: Counter[bool] = Counter()
    for document in documents(form, count, seed):
        data = document.data()
        ours, theirs = right_by_us(data, catalogue, namespace), right_by_libxml2(data, schema)
        verdicts[theirs] += 1
        if ours is not theirs and ours not in {EXCEPTIONS[name].ours for name in document.excused}:
            yield data
    assert min(verdicts.values()) > count // 4, f"too much of one kind: {verdicts}"


@pytest.mark.parametrize("form", CATALOGUES)
def test_our_verdict_is_the_schema_s(form: str) -> None:
    differing = list(_differing(form, DOCUMENTS, seed=1))
    figure("structure against the XSDs", **{form.removeprefix("kpr_"): DOCUMENTS}, misclassified=len(differing))
    assert not differing, differing[0].decode()


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(math.ceil(scaled(NIGHTLY) / DOCUMENTS)))
@pytest.mark.parametrize("form", CATALOGUES)
def test_our_verdict_is_the_schema_s_all_night(form: str, part: int) -> None:
    differing = list(_differing(form, DOCUMENTS, seed=2 + part))
    figure("structure against the XSDs, all night", documents=DOCUMENTS, misclassified=len(differing))
    assert not differing, differing[0].decode()


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_a_deliberate_difference_is_one(name: str) -> None:
    exception = EXCEPTIONS[name]
    form = exception.form
    right = payload(form)
    data = right.replace(exception.replaces, exception.by, 1)
    assert data != right
    assert right_by_us(data, CATALOGUES[form](), NAMESPACES[form]) is exception.ours
    assert right_by_libxml2(data, payload_schema(form)) is not exception.ours


def test_nothing_that_was_found_right_before_has_a_fault() -> None:
    """What remembers takes no PERSON that breaks the schema, and most that keep it."""
    namespace = NAMESPACES["kpr_ipl"]
    structure = Structure(iplos(), namespace)
    circumstances = Circumstances(2024, Environment.LOKAL)
    persons = Persons(structure.models, RowEvaluator(iplos(), circumstances), circumstances)
    evaluated: Counter[tuple[bool, bool]] = Counter()
    for document in documents("kpr_ipl", DOCUMENTS // 4, seed=3):
        with suppress(Refusal):
            for event in events([document.data()], namespace):
                if isinstance(event, Record) and event.name == PERSON:
                    known = persons.read(event) is not None
                    alone = Structure(iplos(), namespace)
                    list(alone.start("IPLOS", {}, 1))
                    evaluated[known, not list(alone.record(event.element))] += 1
    assert not evaluated[True, False]
    assert evaluated[True, True] > DOCUMENTS // 20
    assert evaluated[False, False] > DOCUMENTS // 100
