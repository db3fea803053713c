"""How a finding names its place."""

from __future__ import annotations

import pytest
from hypothesis import given

from kpr_sender.preflight.model import place
from tests.helpers.tenor import tenor_ids

KEYS = {
    "PERSON": "pePeID",
    "PERSONOPPL": "poPoID",
    "FUNKSJON": "fnFnID",
    "TJENESTE": "tjTjID",
    "DIAGNOSE": "diDiID",
    "DOGNTILBUD": "dgDgID",
    "PasientIdent": "pid",
}


@pytest.mark.parametrize(("kind", "key"), KEYS.items())
def test_a_block_is_named_by_its_running_number(kind: str, key: str) -> None:
    assert place(kind, {key: "17", "other": "18"}) == f"{kind} 17"
    assert place(kind, {key: "123456789"}) == f"{kind} 123456789"


@pytest.mark.parametrize("wrong", ["", "1234567890", "17 18", "Kari", "1.7", "\u0661"])
@pytest.mark.parametrize(("kind", "key"), KEYS.items())
def test_and_by_its_name_alone_where_that_is_no_running_number(kind: str, key: str, wrong: str) -> None:
    assert place(kind, {key: wrong}) == kind
    assert place(kind, {}) == kind


@given(tenor_ids())
@pytest.mark.parametrize(("kind", "key"), KEYS.items())
def test_g6_a_national_id_is_no_running_number(kind: str, key: str, number: str) -> None:
    for written in (number, f"0{number[1:]}"[1:], f"{number[:6]}-{number[6:]}"):
        assert place(kind, {key: written}) == kind


def test_what_has_no_key_is_named_by_its_name() -> None:
    assert place("INNHINFO", {"pePeID": "17"}) == "INNHINFO"
