"""The pages: one of all municipalities, one of each, and what is shown instead of them. Values in, HTML out.

Nothing of a person is on them: not who decided something nor why, not what FHI or the bus says in words (its codes
alone; of a receipt's errors never OT), no name of a file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kpr_sender.errors import EXIT_OK, EXIT_OK_MEANING
from kpr_sender.journal.values import CREATED, JournalEvent
from kpr_sender.model import Environment, Language, Receipt, Shipment
from kpr_sender.profiles.profile import norwegian_time
from kpr_sender.render.history import ID_ON_THE_WAY, REFUSED_BY, words_of_history
from kpr_sender.render.html import escape, page
from kpr_sender.render.language import say, speaking
from kpr_sender.report import Report
from kpr_sender.result import environment_mark, in_question
from kpr_sender.standing import open_notes, standing, words_of_note
from kpr_sender.states import ReceiptStatus
from kpr_sender.texts import Text
from kpr_sender.web.port import CertificateLife, MunicipalityDetails, MunicipalityLine
from kpr_sender.web.query import RELOAD_SECONDS, SELECTS, Query, Shown
from kpr_sender.web.snapshot import Snapshot
from kpr_sender.web.urgency import ends_soon, is_done, needs_person, next_step_of, state_of

MUNICIPALITY: Final = "/m/"
"""Under this path is the page of each, by its key."""
_SELF: Final = "'self'"
_MORE: Final = "kpr-send status"
_MOST_EVENTS: Final = 200
_LANGUAGES: Final = {Language.NB: "Norsk", Language.EN: "English"}
_STATUS: Final = {
    None: Text("unreadable"),
    ReceiptStatus.OK: Text("OK"),
    ReceiptStatus.REJECTED: Text("rejected"),
    ReceiptStatus.OK_WITH_ERRORS: Text("OK, with errors in parts of it"),
}
_WORDS: Final = {
    "all": Text("All municipalities"),
    "languages": Text("Language"),
    "test": Text("TEST"),
    "no_production": Text("This is a test: nothing of it counts as reported."),
    "leave": Text("Log out"),
    "log_in": Text("Log in"),
    "municipality": Text("Municipality"),
    "state": Text("State"),
    "since": Text("Since"),
    "next_step": Text("What to do"),
    "days_left": Text("Days to the deadline"),
    "certificates": Text("Certificates"),
    "last_run": Text("Last run"),
    "search": Text("Search by name or kommunenummer"),
    "find": Text("Find"),
    "choose": Text("Which municipalities"),
    "table": Text("Municipalities, first those that need a person"),
    "nobody": Text("No municipality is like that."),
    "person": Text("Needs a person"),
    "on": Text("The way on"),
    "nothing": Text("Nothing is submitted."),
    "msg_id": Text("MsgId"),
    "sent": Text("Sent"),
    "receipts": Text("Receipts"),
    "no_receipt": Text("No receipt yet."),
    "says": Text("Says"),
    "codes": Text("Codes"),
    "came": Text("Came"),
    "verified": Text("Verified"),
    "yes": Text("yes"),
    "no": Text("no"),
    "noted": Text("Noted"),
    "history": Text("History"),
    "when": Text("When"),
    "what": Text("What"),
    "shipment": Text("Shipment"),
    "exit_code": Text("Exit code"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLook:
    """What one page is made for.

    Attributes:
        environment: Whose municipalities these are.
        language: The page's.
        query: What its address asks for.
        now: The time; aware.
        path: Of its address.
        has_login: Whether its reader has logged in here, and may log out.
        completed: Completes the commands that a text names, for one municipality and MsgId.
    """

    environment: Environment
    language: Language
    query: Query
    now: datetime
    path: str
    has_login: bool
    completed: Callable[[str, str, str], str]

    def page(self, template: str, *, title: Text, reloads: bool = False, **values: Any) -> str:
        """Return a page, with what all of them have."""
        with speaking(self.language):
            mark = environment_mark(self.environment)
            return page(
                template,
                forms=_SELF,
                w={name: escape(words) for name, words in _WORDS.items()},
                title=f"{mark}{say(title)}",
                heading=title,
                environment=self.environment.value,
                is_test=bool(mark),
                home=self.query.link("/") if self.path.startswith(MUNICIPALITY) else "",
                languages=[(one.value, name, self._in(one), one is self.language) for one, name in _LANGUAGES.items()],
                reload=self._reload() if reloads else None,
                has_login=self.has_login,
                **values,
            )

    def _in(self, language: Language) -> str:
        return self.query.link(self.path, language=language)

    def _reload(self) -> tuple[Text, str]:
        if self.query.reloads:
            words = Text("This page loads itself again every {seconds} seconds. Stop that", seconds=RELOAD_SECONDS)
        else:
            words = Text("This page stays as it is. Load it again every {seconds} seconds", seconds=RELOAD_SECONDS)
        return words, self.query.link(self.path, reloads=not self.query.reloads)


def overview_page(look: PageLook, snapshot: Snapshot) -> str:
    """Return the page of all municipalities."""
    query, lines = look.query, snapshot.lines
    listed = query.selected(lines)
    counted = {shown: sum(map(holds, lines)) for shown, (holds, _) in SELECTS.items()}
    with speaking(look.language):
        # What is said of one is said of many: each text is translated, cleaned and escaped once.
        said = functools.cache(escape)
        rows = [_row(look, one, said) for one in listed]
    title = Text(
        "KPR: {count} municipality needs a person",
        plural="KPR: {count:,} municipalities need a person",
        count=counted[Shown.PERSON],
    )
    return look.page(
        "fleet.html",
        title=title,
        reloads=True,
        read=_read(snapshot),
        failed=snapshot.error,
        choices=[
            (words, counted[shown], query.link("/", shown=shown), shown is query.shown)
            for shown, (_, words) in SELECTS.items()
        ],
        query=query,
        kept={name: value for name, value in query.parameters.items() if name != "q"},
        rows=rows,
    )


def municipality_page(look: PageLook, details: MunicipalityDetails) -> str:
    """Return the page of one municipality."""
    line = details.line
    shipments = {one.msg_id: one for report in details.reports for one in report.submission.shipments}
    history = sorted(details.history, key=lambda one: one.at, reverse=True)
    about = "" if line.report is None else in_question(line.report.latest, line.report.error)
    with speaking(look.language):
        on = look.completed(say(next_step_of(line)), line.key, about)
    error = line.error
    return look.page(
        "fleet_municipality.html",
        title=Text("KPR: {key} {name}", key=line.key, name=line.name),
        reloads=True,
        row=_row(look, line, _as_it_is),
        tone="good" if is_done(line) else "bad" if needs_person(line) else "mind",
        meaning=EXIT_OK_MEANING if error is None else error.meaning,
        code=EXIT_OK if error is None else error.exit_code,
        on=on,
        command=look.completed(_MORE, line.key, ""),
        certificates=[_certificate(one, look.now) for one in line.certificates],
        reports=[_submission(look, line, one) for one in details.reports],
        history=[(_moment(one.at), _happened(one), _name(shipments.get(one.msg_id))) for one in history[:_MOST_EVENTS]],
        left_out=max(0, len(history) - _MOST_EVENTS),
        older=Text("Older lines are in the journal: kpr-send journal export."),
    )


def message_page(look: PageLook, title: Text, what: str, *, log_in: str = "") -> str:
    """Return a page that says something instead.

    Args:
        look: What it is made for.
        title: What it is, in some words.
        what: What happened and what to do.
        log_in: Where somebody logs in; empty where that is not offered.
    """
    return look.page("fleet_message.html", title=title, what=what, log_in=log_in)


def _read(snapshot: Snapshot) -> Text:
    if snapshot.at is None:
        return Text("Nothing is known yet.")
    return Text("As the journals were {at}.", at=snapshot.at.astimezone(norwegian_time()).strftime("%Y-%m-%d %H:%M:%S"))


def _row(look: PageLook, line: MunicipalityLine, said: Callable[[str], str]) -> dict[str, Any]:
    soon = [one for one in line.certificates if ends_soon(one, look.now)]
    first = min(line.certificates, key=lambda one: (not one.refused, one.ends), default=None)
    return {
        "key": line.key,
        "name": line.name,
        "link": look.query.link(f"{MUNICIPALITY}{line.key}"),
        "person": needs_person(line),
        "done": is_done(line),
        "state": said(state_of(line)),
        "since": "" if line.since is None else said(_moment(line.since)),
        "next_step": said(next_step_of(line)),
        "days_left": "" if line.days_left is None else line.days_left,
        "certificate": said(Text("not known here") if first is None else _certificate(first, look.now)),
        "certificate_soon": bool(soon),
        "last_run": "" if line.last_run is None else said(_moment(line.last_run)),
    }


def _as_it_is(text: str) -> str:
    return text


def _certificate(one: CertificateLife, now: datetime) -> Text:
    if one.refused:
        return Text("{role}: must not be used", role=one.role)
    left = (one.ends - now).days
    if left < 0:
        return Text("{role}: ended {day}", role=one.role, day=one.ends.date())
    return Text("{role}: {count} day left", plural="{role}: {count:,} days left", role=one.role, count=left)


def _submission(look: PageLook, line: MunicipalityLine, report: Report) -> dict[str, Any]:
    submission, error = report.submission, report.error
    return {
        "title": Text("Submission {submission}", submission=submission.submission_id),
        "meaning": EXIT_OK_MEANING if error is None else error.meaning,
        "shipments": [_shipment(look, line, one) for one in submission.shipments],
    }


def _shipment(look: PageLook, line: MunicipalityLine, shipment: Shipment) -> dict[str, Any]:
    known = standing(shipment)
    with speaking(look.language):
        advice = look.completed(say(known.advice(shipment)), line.key, shipment.msg_id)
    message = shipment.error_message
    return {
        "name": _name(shipment),
        "state": known.of(shipment),
        "advice": advice,
        "msg_id": shipment.msg_id,
        "message_id": (ID_ON_THE_WAY[shipment.transport], shipment.message_id),
        "sent": "" if shipment.published_at is None else _moment(shipment.published_at),
        "refused": None if message is None else (REFUSED_BY[message.cause], message.condition or "-"),
        "noted": [words_of_note(one, one.condition) for one in open_notes(shipment)],
        "receipts": list(map(_receipt, shipment.receipts)),
    }


def _happened(event: JournalEvent) -> str:
    if event.what == CREATED and "replaces" not in event.details:
        return Text("sealed, to be sent")
    return words_of_history(event.what)


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {
        "says": _STATUS[receipt.status],
        "codes": ", ".join(
            f"{one.code} ({one.code_system})" if one.code_system else one.code for one in receipt.errors
        ),
        "came": _moment(receipt.received_at),
        "verified": receipt.verified,
    }


def _name(shipment: Shipment | None) -> str:
    return "" if shipment is None else f"{shipment.type.norwegian} ({shipment.type.value})"


def _moment(at: datetime) -> str:
    """Return a time as a clock in Norway shows it."""
    return at.astimezone(norwegian_time()).strftime("%Y-%m-%d %H:%M")
