"""``kpr-send sample``: two synthetic files to rehearse with."""

from __future__ import annotations

from pathlib import Path

import click

from kpr_sender.cli import output
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.cli.parameters import PATH
from kpr_sender.errors import InputMissing
from kpr_sender.report import JSON_SCHEMA
from kpr_sender.sandbox.sample import DEFAULT_KOMMUNENUMMER, DEFAULT_PERSONS, write_pair


@click.command("sample")
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--persons", type=click.IntRange(min=1), default=DEFAULT_PERSONS, show_default=True, help="How many.")
@click.option("--year", type=int, default=2024, show_default=True, help="The reporting year.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, other persons.")
@click.option(
    "--kommunenummer", default=DEFAULT_KOMMUNENUMMER, show_default=True, help="Four digits, as in the configuration."
)
@click.pass_obj
def command(invocation: Invocation, *, folder: Path, persons: int, year: int, seed: int, kommunenummer: str) -> int:
    """Write DIR/fagmelding.xml and DIR/identmelding.xml of a municipality that does not exist.

    National ids are from Skatteetaten's Tenor range only: nobody has them.
    """
    try:
        written = write_pair(folder, year=year, persons=persons, seed=seed, kommunenummer=kommunenummer)
    except OSError as error:
        raise InputMissing(
            f"The files cannot be written: {error.strerror}.",
            where=str(folder),
            next_step="Name a folder that this user may write to.",
        ) from None
    if invocation.as_json:
        output.json_object({"schema": JSON_SCHEMA, "files": [str(path) for path in written], "exit_code": 0})
    elif invocation.loudness is not Loudness.QUIET:
        click.echo("\n".join(str(path) for path in written))
    return 0
