"""Every event of every client in the tests has only details that ``EVENTS`` declares: what is not declared fails."""

from __future__ import annotations

from kpr_sender import app
from kpr_sender.events import EVENTS, Event, Observer, contained


def _checked(observe: Observer) -> Observer:
    observed = contained(observe)

    def check(event: Event) -> None:
        undeclared = set(event.details) - set(EVENTS[event.kind].details)
        assert not undeclared, f"not declared in kpr_sender/events.py for {event.kind.name}: {undeclared}"
        observed(event)

    return check


app.contained = _checked  # type: ignore[attr-defined]  # for the whole run
