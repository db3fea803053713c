# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes the table of faults in docs/sandbox.md from ``FAULTS`` of ``kpr_sender/sandbox/faults.py``.

Run it after a change there: ``python docs/make_sandbox.py``. All above the heading "Faults" is written by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kpr_sender.sandbox.faults import FAULTS, FaultKind, FaultName

TARGET: Final = Path(__file__).resolve().parent / "sandbox.md"
_BEGINS: Final = "## Faults\n"
_HEAD: Final = """\

Made from `kpr_sender/sandbox/faults.py` by `docs/make_sandbox.py`: edit there.

`--fault NAME[:TYPE][=VALUE]`, as often as wanted; TYPE is `KPR_IPL` or `KPR_IDE`. From Python `sandbox.faults =
Faults.parse(["no-answer"])` switches them while it runs; in a vendor's own tests
`tjenestebuss.set_faults("no-answer")` does ([testing](testing.md)). The last column is what `kpr-send` makes of it,
with states and exit codes, and what a person does then.

| fault | what goes wrong | value | what comes of it |
| --- | --- | --- | --- |
"""


def _row(name: FaultName, kind: FaultKind) -> str:
    value = "-"
    if kind.choices:
        value = "one of: " + ", ".join(f"`{choice}`" for choice in kind.choices)
    elif kind.number is not None:
        value = f"a number, {kind.default} when not given"
    text = kind.text if kind.typed else f"{kind.text} For both types."
    text += f" With {kind.only} alone." if kind.only else ""
    return f"| `{name}` | {text} | {value} | {kind.then} |\n"


def filled(page: str) -> str:
    """Return the page with the table as the code has it."""
    by_hand, _, _ = page.partition(_BEGINS)
    return by_hand + _BEGINS + _HEAD + "".join(_row(name, kind) for name, kind in FAULTS.items())


if __name__ == "__main__":
    TARGET.write_text(filled(TARGET.read_text("utf-8")), "utf-8")
