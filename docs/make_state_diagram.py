# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes docs/states.md and the diagram docs/states.svg from the tables of ``kpr_sender/states.py``.

Run it after a change there: ``python docs/make_state_diagram.py``. Graphviz draws the diagram (``apt install
graphviz``), and anew only where it no longer shows the table.
"""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kpr_sender.model import SubmissionState
from kpr_sender.states import EARLIER, ENDED, TABLE, TRANSITIONS, VARIANTS, Cause, Reaction, Row, ShipmentState

TARGET: Final = Path(__file__).resolve().parent / "states.md"
PICTURE: Final = TARGET.with_suffix(".svg")
IMAGE: Final = f"![A shipment's states, and what leads from one to the next]({PICTURE.name})"

# By whom a shipment moves; no colour alone: what a person decides is dashed, and every arrow says its cause.
_COLOURS: Final = {"person": "#1a56a0", "receipt": "#1b6b34", "error": "#a33a00"}
_BUS: Final = "#3d4653"

KNOWN: Final = {
    ShipmentState.SEALED: "The bytes are made and kept. The bus does not have them.",
    ShipmentState.PUBLISHING: "Committed before the first byte goes out. A run that starts and finds it: `in_doubt`.",
    ShipmentState.PUBLISHED: "The bus said *accepted*. FHI has not answered.",
    ShipmentState.IN_DOUBT: "Bytes went out, and how it ended is not known.",
    ShipmentState.DELIVERED: "FHI's verified receipt says status 1.",
    ShipmentState.DELIVERED_WITH_ERRORS: "FHI's verified receipt says status 3: a person must read it.",
    ShipmentState.REJECTED: "FHI's verified receipt says status 2.",
    ShipmentState.FAULTED: "A message on our error queue names it.",
    ShipmentState.CANCELLED: "A person gave it up.",
}

MOVES: Final = {
    Cause.PUBLISH_BEGINS: "a transfer is about to begin",
    Cause.NOT_SENT: "it is certain that the bus does not have it",
    Cause.ACCEPTED: "the bus answers accepted",
    Cause.NO_OUTCOME: "the transfer ends without an outcome, or a new run finds it unfinished",
    Cause.RECEIPT_OK: "verified receipt, status 1",
    Cause.RECEIPT_OK_WITH_ERRORS: "verified receipt, status 3",
    Cause.RECEIPT_REJECTED: "verified receipt, status 2",
    Cause.ERROR_QUEUE: "a message on the error queue",
    Cause.ACKNOWLEDGED: "EDI: a verified Acknowledgment of KPR's message server",
    Cause.MESSAGE_ERROR: "EDI: a verified MessageError, severity Error",
    Cause.BOUNCED: "EDI: a failed delivery report (DSN) or a SOAP Fault, unsigned",
    Cause.SIGNAL_NOTED: "EDI: a delay, or a verified MessageError, severity Warning",
    Cause.PERSON_ARRIVED: "a person, with a reason: it has arrived",
    Cause.PERSON_NOT_ARRIVED: "a person, with a reason: it has not arrived",
    Cause.PERSON_CANCELS: "a person, with a reason: give it up",
    Cause.PERSON_RESENDS: "a person, with a reason: send the same content again",
    Cause.PERSON_SETTLES: "a person, with a reason: nobody need look any more",
    Cause.REPLACED: "another submission takes its place",
    Cause.RESTORED: "the journal was restored from backup, and a person accepts it",
    Cause.RECEIPT_UNVERIFIED: "a receipt that cannot be verified",
    Cause.RECEIPT_UNKNOWN: "FHI has verifiably answered a KPR message that this journal does not know",
}

STAYS: Final = {
    Reaction.WAITS: "waits for the bus's outcome, and takes effect after it",
    Reaction.AGAIN: "is known",
    Reaction.CONTRADICTS: "calls for a person",
    Reaction.CONTRADICTS_EARLIER: "calls for a person",
    Reaction.LESS: "counts for less, and is noted",
    Reaction.OUTWEIGHED: "counts for less, and is noted",
    Reaction.ACKNOWLEDGES: "the state stays, acknowledged",
    Reaction.EARLIER: "counts no more, and is noted",
    Reaction.SETTLES: "the state stays; exit code 0",
    Reaction.ENDS_ALARM: "ends the alarm alone",
    Reaction.NOTED: "is noted",
    Reaction.ALARMS: "is an alarm: calls for a person",
}


def documentation() -> str:
    """Return the text of docs/states.md."""
    return "\n".join(
        [
            "# States",
            "",
            "Made from the tables of `kpr_sender/states.py` by `docs/make_state_diagram.py`: edit there.",
            "",
            "## A shipment",
            "",
            IMAGE,
            "",
            "Dashed and blue is what a person decides, green what FHI's verified receipt says, red the error queue,",
            "grey the bus; a double line is the end. The table says it in words.",
            "",
            "Nothing else may happen: every step is checked against this table, and the journal notes it with time,",
            "cause, reason and who. `publishing` goes back to `sealed` only when it is certain that the bus does not",
            "have the message. A verified receipt for the present MsgId moves a shipment from every state that has",
            "none; a later one that says otherwise is stored and shown, and calls for a person. What a person has sent",
            "again gets a message-id that the bus has not seen; all ids it ever had are stored, and answers are found.",
            "",
            "| state | what is known | leaves it by | to |",
            "| --- | --- | --- | --- |",
            *_ways(),
            "",
            "## Whatever happens, in every state",
            "",
            "Also what moves nothing. An answer that contradicts what is known marks a shipment: it *needs a person*.",
            "A sealed shipment with that mark is not published until a person has decided. While an answer waits for",
            "the bus's outcome, a receipt takes the place of an error; one that says otherwise calls for a person.",
            "An alarm is about somebody else's message, and stops both halves of the submission: while there is one,",
            "`publish-begins` and `replaced` are refused, and `person-settles` ends it in every state, and changes",
            "nothing else.",
            "The last column is for answers to ids that the shipment does not have any more.",
            "",
            *_everything(),
            "",
            "## A submission",
            "",
            "The state of the pair is a function of its two shipments' states; the worst decides.",
            "",
            *_pairs(),
            "",
        ]
    )


def arrows() -> dict[tuple[str, str], list[str]]:
    """Return the causes that lead from one state to another, for each pair that any leads between."""
    found: dict[tuple[str, str], list[str]] = {}
    for state, ways_on in TRANSITIONS.items():
        for cause, following in ways_on.items():
            found.setdefault((str(state), str(following)), []).append(str(cause))
    return found


def drawn(picture: str) -> dict[tuple[str, str], list[str]]:
    """Return the same of a picture that Graphviz has drawn."""
    found = {}
    for group in re.findall(r'<g id="edge.*?</g>', picture, re.DOTALL):
        title, *texts = map(html.unescape, re.findall(r"<(?:title|text)[^>]*>([^<]+)<", group))
        one, _, other = title.partition("->")
        found[one, other] = texts
    return found


def diagram() -> Iterator[str]:
    """Yield the shipment's diagram, a line each, in Graphviz's language."""
    font = 'fontname="Helvetica,Arial,sans-serif"'
    yield "digraph states {"
    yield f"  bgcolor=white; nodesep=0.35; ranksep=0.9; edge [{font} fontsize=10 arrowsize=0.7];"
    yield f'  node [{font} fontsize=13 shape=box style="rounded,filled" fillcolor="#f2f4f7" color="{_BUS}"];'
    for state in TRANSITIONS:
        yield f"  {state} [peripheries={2 if state in ENDED else 1}];"
    for (before, following), causes in arrows().items():
        by = causes[0].partition("-")[0]
        colour, style = _COLOURS.get(by, _BUS), "dashed" if by == "person" else "solid"
        label = "\\n".join(causes)
        yield f'  {before} -> {following} [label="{label}" color="{colour}" fontcolor="{colour}" style={style}];'
    yield "}"


def draw() -> None:
    """Draw the diagram anew where it does not show the table."""
    if PICTURE.exists() and drawn(PICTURE.read_text("utf-8")) == arrows():
        return
    text = "\n".join(diagram())
    made = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=True)  # noqa: S607
    # Without the comments that name Graphviz's version.
    PICTURE.write_text(re.sub(r"<!--.*?-->\n?", "", made.stdout, flags=re.DOTALL), "utf-8")


def _ways() -> Iterator[str]:
    for state, ways_on in TRANSITIONS.items():
        if state in ENDED:
            yield f"| `{state}` | {KNOWN[state]} | the end | |"
        for number, (cause, following) in enumerate(ways_on.items()):
            first = f"`{state}` | {KNOWN[state]}" if number == 0 else " | "
            yield f"| {first} | `{cause}`: {MOVES[cause]} | `{following}` |"


def _everything() -> Iterator[str]:
    rows = [(f"`{state}`", row) for state, row in TABLE.items()]
    rows += [(f"`{variant.state}`, {variant.name}", variant.row) for variant in VARIANTS]
    rows.append(("any, an earlier id", EARLIER))
    yield "| what happens | " + " | ".join(name for name, _ in rows) + " |"
    yield "| --- |" + " --- |" * len(rows)
    for cause in Cause:
        yield f"| `{cause}`: {MOVES[cause]} | " + " | ".join(_cell(row, cause) for _, row in rows) + " |"


def _cell(row: Row, cause: Cause) -> str:
    cell = row.get(cause)
    if cell is None:
        return "impossible"
    if isinstance(cell, ShipmentState):
        return f"`{cell}`"
    if isinstance(cell, Reaction):
        return STAYS[cell]
    return "as " + ", ".join(f"`{one.cause}`" for one in cell)


def _pairs() -> Iterator[str]:
    states = tuple(ShipmentState)
    yield "| | " + " | ".join(f"`{state}`" for state in states) + " |"
    yield "| --- |" + " --- |" * len(states)
    for one in states:
        cells = (SubmissionState.of((one, other)) for other in states)
        yield f"| **`{one}`** | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    TARGET.write_text(documentation(), "utf-8")
    draw()
