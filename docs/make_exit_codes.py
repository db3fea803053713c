# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes docs/exit-codes.md from the classes of ``kpr_sender/errors.py``.

Run it after a change there: ``python docs/make_exit_codes.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kpr_sender.errors import ERRORS, EXIT_OK, EXIT_OK_MEANING

TARGET: Final = Path(__file__).resolve().parent / "exit-codes.md"


def documentation() -> str:
    """Return the text of docs/exit-codes.md."""
    rows = [f"| {EXIT_OK} | | {EXIT_OK_MEANING} | nobody | Nothing. |"]
    rows += [
        f"| {error.exit_code} | `{error.code}` | {error.meaning} | {error.fault.value} | {error.advice} |"
        for error in sorted(ERRORS, key=lambda error: error.exit_code)
    ]
    return "\n".join(
        [
            "# Exit codes",
            "",
            "Made from `kpr_sender/errors.py` by `docs/make_exit_codes.py`: edit there.",
            "",
            "`kpr-send` answers with one of these, whatever the command; the worst shipment decides. The printed text,",
            "`--json` (`exit_code`, and `error.code` where something is amiss) and the journal say the same. Treat any",
            "other code as a failure: 130 means that the run was interrupted before anything was known.",
            "",
            "| exit code | `error.code` | meaning | whose move | what to do next |",
            "| ---: | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(documentation(), "utf-8")
