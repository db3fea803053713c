"""``kpr-send notify``: would a notice arrive?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from kpr_sender import watching
from kpr_sender.cli import output
from kpr_sender.cli.invocation import Invocation
from kpr_sender.errors import NoticeNotSent
from kpr_sender.notify.port import Delivery
from kpr_sender.render import json
from kpr_sender.render.language import say
from kpr_sender.render.text import error_text
from kpr_sender.result import environment_mark
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

_OUTCOMES: Final = {
    Delivery.SENT: Text("sent"),
    Delivery.NOT_SENT: Text("not sent"),
    Delivery.UNKNOWN: Text("no answer in time; it may have arrived"),
}


@click.command("notify")
@click.option("--test", is_flag=True, help="Send a test notice to every address of [notify], 10 seconds each.")
@click.pass_obj
def command(invocation: Invocation, *, test: bool) -> int:
    """Send a test notice to every address of [notify]: 69 where one does not take it, 78 where none is configured.

    Notices themselves are sent by the runs of send and wait, when something needs a person: docs/monitoring.md.
    """
    if not test:
        raise click.UsageError(Text("Say what is to be sent: --test."))
    settings = invocation.settings()
    notifier = watching.notifier(settings)
    for flaw in notifier.flaws():
        raise flaw
    title = f"{environment_mark(settings.environment)}kpr-send: {say(Text('test notice'))}"
    body = say(
        Text(
            "This is a test: notices about {environment} arrive here. Nobody has to do anything.",
            environment=settings.environment.value,
        )
    )
    stopped = lambda: invocation.ending.signalled  # noqa: E731 - asked again and again
    became = notifier.send(dict.fromkeys(range(1, notifier.addresses + 1), (title, body)), stopped=stopped)
    return _answered(invocation, became)


def _answered(invocation: Invocation, became: Mapping[int, Delivery]) -> int:
    lost = sum(outcome is not Delivery.SENT for outcome in became.values())
    error = None
    if lost:
        error = NoticeNotSent(
            Text("The test notice did not reach every address: {lost} of {all} failed.", lost=lost, all=len(became))
        )
    environment = None if invocation.environment is None else invocation.environment.value
    addresses = [{"address": number, "outcome": outcome.value} for number, outcome in sorted(became.items())]
    value = json.envelope(error, environment=environment, addresses=addresses)
    screen: list[str] = [
        Text("Address {number}: {outcome}", number=number, outcome=say(_OUTCOMES[outcome]))
        for number, outcome in sorted(became.items())
    ]
    if error is not None:
        screen += error_text(error, environment).splitlines()
    return output.answer(invocation, value, screen, error=error)
