# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes docs/exit-codes.md from the classes of ``kpr_sender/errors.py``.

Run it after a change there: ``python docs/make_exit_codes.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kpr_sender.errors import ERRORS, EXIT_OK, EXIT_OK_MEANING, ORDER

TARGET: Final = Path(__file__).resolve().parent / "exit-codes.md"


_AFTER_DELIVERY: Final = (
    "Nothing; after a delivery to `produksjon` look at FHI's feedback view, then `kpr-send reviewed --by NAME`."
)
_THE_OBJECT: Final = """\
## The object of `--json`

`kpr-send --json COMMAND` prints exactly one object, on one line of standard output, however the command ends. These
keys come first, always:

| key | |
| --- | --- |
| `schema` | 2. Keys may be added within it; none goes away or changes its meaning |
| `exit_code` | as the process ends |
| `error` | `null` where `exit_code` is 0; else `code` (as above), `text` (what happened, where), `next_step` |

The command's own keys follow. `send`, `wait`, `status`, `resolve`, `resend`, `reviewed`, `receipts add`,
`receipts accept` and `receipts discard` have `environment`, `submission`, `kommunenummer`, `year`, `state`,
`replaced_by` (the submission that has taken its place), `deadline` (the last day to report), `days_left` (negative
after it), `reviewed` (`null`, or `at`: when a person noted to have looked at FHI's feedback view),
`answers_to_others` (how many answers to messages that are not in this journal lay on our queue at the last look),
`next_look` (from when on a queue that others share is looked at again, or `null`) and `shipments`; so have
`journal release` and every command that fails before it has anything of its own to print, where all but
`environment`, `deadline` and `days_left` are `null`, 0 or empty. `sandbox serve` prints its object when it is ready,
with `exit_code` 0. A shipment's `file` has `name` and `sha256` of the file as it lay on the disk, `payload_sha256` is
of the bytes that were spliced in. `receipts` has `deadline` and `days_left` too.
`journal log` has `decisions`: `at`, `what`, `msg_id`, `by`, `reason`, `details`
(an object of what else is known of it). `journal export` prints one JSON object a line without `--json`; with it, one
object with these as `lines`. At 130 `error.code` is `interrupted`.

JSON is UTF-8, whatever the locale or code page; the bytes of a file's name that are no UTF-8 are shown as escapes
(`\\xe6`, or JSON's `\\udce6`). On the screen a character that the code page lacks is replaced by `?`.

Output that cannot be written (a full disk, `| head`, a terminal that has gone, a closed descriptor) changes neither the
exit code nor the journal: ask again with `kpr-send status`. The same holds for `log.file` once the run has begun.

Once the result is known no signal changes the exit code: SIGINT, SIGTERM and SIGHUP let what is being printed be
finished, output that nobody reads is given up after a second, and what else keeps the process is left after five."""


def _order() -> Iterator[str]:
    for name, errors in ORDER:
        named = ", ".join(
            f"{error.exit_code} `{error.code}`" for error in sorted(errors, key=lambda one: one.exit_code)
        )
        yield f"| {name} | {named} |"


def documentation() -> str:
    """Return the text of docs/exit-codes.md."""
    rows = [f"| {EXIT_OK} | | {EXIT_OK_MEANING} | nobody | {_AFTER_DELIVERY} |"]
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
            "`--json` (`exit_code` and `error.code`) and the journal say the same. Treat any other code as a failure:",
            "130 means that the run was interrupted before anything was known.",
            "",
            "| exit code | `error.code` | meaning | whose move | what to do next |",
            "| ---: | --- | --- | --- | --- |",
            *rows,
            "",
            "## What counts more",
            "",
            "Where several things are known of a submission, the first of these that is among them is the exit code.",
            "What keeps us from sending and looking never outweighs what is known, whatever its code; where a receipt",
            "is overdue as well, its text says so. 88 never keeps `send` from publishing what is sealed.",
            "",
            "| | exit codes |",
            "| --- | --- |",
            *_order(),
            "",
            *_THE_OBJECT.splitlines(),
            "",
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(documentation(), "utf-8")
