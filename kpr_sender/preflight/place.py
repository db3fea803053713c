"""How a finding names its place: ``PERSON 17 / TJENESTE 3 / tjFraDato``, by the EPJ's running numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_KEYS: Final = {
    "PERSON": "pePeID",
    "PERSONOPPL": "poPoID",
    "FUNKSJON": "fnFnID",
    "TJENESTE": "tjTjID",
    "DIAGNOSE": "diDiID",
    "DOGNTILBUD": "dgDgID",
    "PasientIdent": "pid",
}
_RUNNING_NUMBER: Final = re.compile("[0-9]{1,9}")  # a national id that lost its leading zero still has ten (promise G6)


def place(kind: str, keys: Mapping[str, str]) -> str:
    """Return a block's name and running number; the name alone where it has none that may be shown."""
    key = keys.get(_KEYS[kind], "") if kind in _KEYS else ""
    return f"{kind} {key}" if _RUNNING_NUMBER.fullmatch(key) else kind
