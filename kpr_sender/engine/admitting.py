"""Whether a checked pair may be sent: what FHI would discard stops it, what FHI would drop a person must have accepted.

FHI's receipt is positive also where rows were dropped on the way in, so this is the last place where anybody is told.
FHI wants the data also where it is not complete: a person who has read the findings may send it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from kpr_sender.errors import InputRefused
from kpr_sender.model import MessageType
from kpr_sender.preflight.finding import Effect
from kpr_sender.preflight.report import Report
from kpr_sender.preflight.rules.table import RULES

_READ_THEM = "Read all of it with kpr-send check"


def demand_acceptable(report: Report, accepted: int | None, *, names: Mapping[MessageType, str]) -> Mapping[str, int]:
    """Refuse a pair that must not be sent as it is.

    Args:
        report: What the check found.
        accepted: The exact number of findings that a person has read and accepts; None where nobody has.
        names: What errors call the two files.

    Returns:
        How many findings of each rule were accepted; empty where none had to be.

    Raises:
        InputRefused: Something stops it, or something would be dropped that was not accepted.
    """
    if report.refusal is not None:
        raise report.refusal
    if report.stops:
        raise _refused(report, Effect.STOP, names, "Mend it in the EPJ and make a new extract; nothing was sent.")
    if report.drops and accepted is None:
        next_step = (
            f"{_READ_THEM} and mend them in the EPJ. If they must go as they are: send again with "
            f"--accept-findings {report.drops}. Nothing was sent."
        )
        raise _refused(report, Effect.DROP, names, next_step)
    if accepted is not None and accepted != report.drops:
        raise InputRefused(
            f"{report.drops} findings would have to be accepted, not {accepted}.",
            where="--accept-findings",
            next_step=f"{_READ_THEM}: these are not the files that were read, or not all was read. Nothing was sent.",
        )
    return {rule: count for rule, count in report.counts.items() if RULES[rule].effect is Effect.DROP}


def _refused(report: Report, effect: Effect, names: Mapping[MessageType, str], next_step: str) -> InputRefused:
    """Return the error that tells the first finding and how many there are."""
    rules = {rule: count for rule, count in report.counts.items() if RULES[rule].effect is effect}
    first = next(finding for finding in report.findings if finding.rule in rules)
    place = f" ({first.path})" if first.path else ""
    said = f" {first.said}" if first.said else ""
    count = sum(rules.values())
    more = "" if count == 1 else f" It is the first of {count:,} findings of this kind."
    title = RULES[first.rule].title
    where = f"{names[first.file]} line {first.line}" if first.line else names[first.file]
    return InputRefused(f"{title[:1].upper()}{title[1:]}{place}.{said}{more}", where=where, next_step=next_step)
