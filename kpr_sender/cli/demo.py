"""``kpr-send demo``: the main job on this machine alone, with made-up files and a sandbox inside the process."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import click

from kpr_sender.cli import console, send
from kpr_sender.cli.called import Called
from kpr_sender.cli.invocation import PATH, Invocation, Loudness
from kpr_sender.durable import write_file
from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment, Transport
from kpr_sender.sandbox.sample import write_pair
from kpr_sender.settings import locations
from kpr_sender.settings.locations import absolute
from kpr_sender.settings.rehearsal import FILES, YEAR, values
from kpr_sender.settings.sample_file import render
from kpr_sender.settings.toml_file import read_toml
from kpr_sender.texts import Text

_INTRO = """The configuration of kpr-send demo --dir DIR: it is not written anew where it is there."""


@click.command("demo")
@click.option("--dir", "folder", type=PATH, metavar="DIR", help="Folder for all of it; else the user's state folder.")
@click.option(
    "--transport",
    type=click.Choice([each.value for each in Transport]),
    default=Transport.AMQP.value,
    show_default=True,
    help="What the sandbox speaks: amqp as Tjenestebuss does, or edi (ebXML over e-mail).",
)
@click.pass_context
def command(context: click.Context, *, folder: Path | None, transport: str) -> int:
    """Show the main job: make two synthetic files, and send them to a sandbox that runs inside kpr-send.

    Nothing leaves the machine. Run it again: it sends nothing, and says why. What it did is there for the other
    commands, with --env lokal.
    """
    invocation: Invocation = context.obj
    if invocation.environment not in (None, Environment.LOKAL) or invocation.config is not None:
        raise click.UsageError(Text("demo has its own configuration, for lokal: leave --env and --config out."))
    way = Transport(transport)
    place = absolute(folder or _own_place(way))
    try:
        _prepare(place)
        built_in = folder is None and way is Transport.AMQP and locations.find(Environment.LOKAL, os.environ) is None
        config = None if built_in else _configured(place, way)
    except OSError as error:
        raise ConfigInvalid(
            Text("Nothing can be written there: {why}.", why=error.strerror or ""),
            where=str(place),
            next_step=Text("Name a folder that this user may write to, with --dir."),
        ) from None
    own = _in_lokal(invocation, config)
    with send.command.make_context("send", [], parent=context) as below:
        below.obj = own
        code: int = below.command.invoke(below)
    if not own.as_json and own.loudness is not Loudness.QUIET:
        look = Text("Look around with kpr-send status, kpr-send receipts and kpr-send doctor.")
        console.say(own.called, [look])
    return code


def _own_place(way: Transport) -> Path:
    """Return the folder where none is named: each transport has a sandbox and a journal of its own."""
    place = locations.state_folder(Environment.LOKAL, os.environ)
    return place / way.value if way is Transport.EDI else place


def _prepare(place: Path) -> None:
    """Make the two files where they are not there: the same files again are the same submission."""
    if not all((place / file).exists() for file in FILES.values()):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_pair(place, year=YEAR)


def _configured(place: Path, way: Transport) -> Path:
    """Return the configuration that other commands need to see what lies in this folder.

    Raises:
        ConfigInvalid: The one that is there is for the other transport, or cannot be read.
    """
    config = place / "lokal.toml"
    if not config.exists():
        write_file(config, render(Environment.LOKAL, values(".", transport=way), intro=_INTRO).encode())
    found = read_toml(config).get("transport", Transport.AMQP.value)
    if found != way:
        raise ConfigInvalid(
            Text("The demo in this folder is with another transport than {transport}.", transport=way),
            where=str(config),
            next_step=Text("Name another folder with --dir, or the transport that it has with --transport."),
        )
    return config


def _in_lokal(invocation: Invocation, config: Path | None) -> Invocation:
    """Return the invocation as if --env, and where it is needed --config, had been given."""
    options = ["--env", Environment.LOKAL.value, *(["--config", str(config)] if config else [])]
    called = Called((*options, *invocation.called.arguments), invocation.called.commands)
    return dataclasses.replace(invocation, called=called, environment=Environment.LOKAL, config=config)
