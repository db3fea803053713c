"""``kpr-send sandbox serve``: a sandbox in a process of its own, until it is interrupted."""

from __future__ import annotations

import os
import textwrap
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from kpr_sender.cli import output
from kpr_sender.cli.invocation import PATH, Invocation
from kpr_sender.errors import EXIT_OK, ConfigInvalid
from kpr_sender.model import Environment, Transport
from kpr_sender.render import json
from kpr_sender.render.language import say
from kpr_sender.sandbox.faults import FAULTS, FaultKind, Faults
from kpr_sender.sandbox.registered import EKSEMPEL
from kpr_sender.sandbox.sample import DEFAULT_KOMMUNENUMMER
from kpr_sender.sandbox.serving import sandbox_class
from kpr_sender.settings.sample_file import register_url, render, sandbox_defaults
from kpr_sender.texts import Text, paragraph

_JOURNAL = "journal.db"
_INTRO = """A sandbox's own configuration, written anew each time kpr-send sandbox serve --dir DIR starts.
Copy it to change it.

    kpr-send sample DIR        writes the two files that it names
    kpr-send --env lokal --config DIR/lokal.toml"""


class _WithFaults(click.Command):
    """Shows the table of faults below its options, in the language that is spoken."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's own
        with formatter.section(say(Text("Faults"))):
            widest = max(map(len, FAULTS))
            for name, kind in FAULTS.items():
                head = f"{'':{formatter.current_indent}}{name:<{widest}}  "
                # click's own list breaks at hyphens, and a condition's name is typed.
                text = textwrap.fill(
                    _described(kind),
                    formatter.width,
                    initial_indent=head,
                    subsequent_indent=" " * len(head),
                    break_on_hyphens=False,
                )
                formatter.write(f"{text}\n")


def _described(kind: FaultKind) -> str:
    text = kind.text
    if kind.choices:
        text = Text("{text} One of: {choices}.", text=kind.text, choices=", ".join(kind.choices))
    elif kind.default:
        text = Text("{text} Default {default}.", text=kind.text, default=kind.default)
    return say(paragraph(text, Text("With {transport} alone.", transport=kind.only)) if kind.only else text)


@click.group("sandbox")
def command() -> None:
    """Run a Tjenestebuss, or a mail server, with a KPR receiver and an Adresseregister on this machine."""


@command.command("serve", cls=_WithFaults)
@click.option("--dir", "folder", type=PATH, required=True, metavar="DIR", help="Its folder: PKI, queues, ledger.")
@click.option(
    "--transport",
    type=click.Choice([each.value for each in Transport]),
    default=Transport.AMQP.value,
    show_default=True,
    help="What it speaks: amqp as Tjenestebuss does, or edi (ebXML over e-mail).",
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="On 127.0.0.1; any free one when not given.")
@click.option(
    "--register-port",
    type=click.IntRange(0, 65_535),
    default=0,
    help="Of its Adresseregister, on 127.0.0.1; any free one when not given.",
)
@click.option("--year", type=int, default=2024, show_default=True, help="The reporting year of the configuration.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[:TYPE][=VALUE]",
    help="What goes wrong, for example reject:KPR_IDE, delay=30 or error-queue=invalid-signature; may be repeated.",
)
@click.pass_obj
def serve(
    invocation: Invocation,
    *,
    folder: Path,
    transport: str,
    port: int,
    register_port: int,
    year: int,
    faults: tuple[str, ...],
) -> int:
    """Serve until Ctrl-C, with a ready configuration in DIR/lokal.toml.

    It evaluates what it receives as the AMQP profile says: a sealed receipt, an error-queue message, or no answer. With
    --transport edi as HITS 1172 says: an acknowledgement and a receipt, an error, or a fault, into DIR/mailbox.
    DIR/ledger.jsonl lists what it received. docs/sandbox.md describes it.
    """
    directory = folder.absolute()
    way = Transport(transport)
    active = Faults.parse(faults, way)
    try:
        with sandbox_class(way)(
            directory,
            sender_her_id=EKSEMPEL.service_her_id,
            port=port,
            register_port=register_port,
            faults=active,
        ) as sandbox:
            config = directory / "lokal.toml"
            sandbox.free_place_of(directory / _JOURNAL)
            _write(config, _configuration(directory, (sandbox.port, sandbox.register_port), way, year))
            _serve(lambda: _announce(invocation, config, (sandbox.port, sandbox.register_port)))
            # A signal while the sandbox closes must not leave half of it open.
            invocation.ending.known(EXIT_OK)
    except OSError as error:
        raise ConfigInvalid(
            Text("The sandbox cannot start: {reason}.", reason=error.strerror), where=str(directory)
        ) from None
    return EXIT_OK


def _configuration(directory: Path, ports: tuple[int, int], way: Transport, year: int) -> str:
    port, register_port = ports
    decided = sandbox_defaults(directory, register_port=register_port, transport=way)
    top: dict[str, object] = {"environment": Environment.LOKAL.value}
    if way is Transport.EDI:
        top["transport"] = way.value
        decided["edi"]["smtp_port"] = port
    else:
        decided["bus"]["port"] = port
    values: dict[str, dict[str, object]] = {
        "": top,
        "files": {"fagmelding": "fagmelding.xml", "identmelding": "identmelding.xml"},
        "report": {"year": year},
        "sender": {
            "name": EKSEMPEL.name,
            "her_id": EKSEMPEL.her_id,
            "service_her_id": EKSEMPEL.service_her_id,
            "kommunenummer": DEFAULT_KOMMUNENUMMER,
        },
        **decided,
        "journal": {"path": _JOURNAL},
    }
    return render(Environment.LOKAL, values, intro=_INTRO.replace("DIR", str(directory)))


def _write(path: Path, text: str) -> None:
    """Write all of it or nothing: a run may read it at the same moment."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text, "utf-8")
    draft.replace(path)


def _announce(invocation: Invocation, config: Path, ports: tuple[int, int]) -> None:
    port, register = ports[0], register_url(ports[1])
    value = json.envelope(None, host="127.0.0.1", port=port, register=register, config=str(config), pid=os.getpid())
    screen = [
        Text(
            "The sandbox listens on 127.0.0.1:{port}, its Adresseregister is {register}.",
            port=port,
            register=register,
        ),
        Text("Use it with: kpr-send --env lokal --config {config}", config=config),
        Text("Ctrl-C ends it; what is on its queues stays in its folder."),
    ]
    output.show(invocation, value, screen)


def _serve(announce: Callable[[], None]) -> None:
    """Announce, then wait until interrupted; an interruption between the two is an ordinary end as well."""
    with suppress(KeyboardInterrupt):
        announce()
        threading.Event().wait()
