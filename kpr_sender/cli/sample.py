"""``kpr-send sample``: two synthetic files to rehearse with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click
from click.core import ParameterSource

from kpr_sender.cli import output
from kpr_sender.cli.invocation import PATH, Invocation
from kpr_sender.errors import InputMissing
from kpr_sender.render import json
from kpr_sender.render.language import say
from kpr_sender.sandbox.sample import DEFAULT_KOMMUNENUMMER, DEFAULT_PERSONS, write_pair
from kpr_sender.sandbox.sample_errors import EXPECTED, Expected, write_pairs_with_errors
from kpr_sender.texts import Text

_OF_A_CLEAN_PAIR: Final = ("persons", "seed", "kommunenummer")
_DEFAULT_YEAR: Final = 2024
_MOST_RULES: Final = 6
"""Named on the screen; the complete list is in the file."""


@click.command("sample")
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--persons", type=click.IntRange(min=1), default=DEFAULT_PERSONS, show_default=True, help="How many.")
@click.option("--year", type=int, help="The reporting year; else the configuration's, or 2024 without --env.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, other persons.")
@click.option("--kommunenummer", help="Four digits; else the configuration's, or 9999 without --env.")
@click.option(
    "--with-errors",
    is_flag=True,
    help="Instead, one of each kind of error that check finds, and DIR/expected.json, which says where.",
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    folder: Path,
    persons: int,
    year: int | None,
    seed: int,
    kommunenummer: str | None,
    with_errors: bool,
) -> int:
    """Write DIR/fagmelding.xml and DIR/identmelding.xml of a municipality that does not exist.

    National ids are from Skatteetaten's Tenor range: nobody has them. With --env the files are for the configuration's
    kommunenummer, bydel and reporting year, so that check takes them.

    With --with-errors the pair has all errors that can stand together, and DIR has a folder with a pair for each that
    cannot: it would hide another, or is one in production only, or beside last year's file.
    """
    if with_errors:
        return _with_errors(invocation, folder, _DEFAULT_YEAR if year is None else year)
    configured_year, configured_number, bydel = _configured(invocation)
    try:
        written = write_pair(
            folder,
            year=configured_year if year is None else year,
            persons=persons,
            seed=seed,
            kommunenummer=configured_number if kommunenummer is None else kommunenummer,
            # Another municipality's bydeler are not the configured one's.
            bydel=bydel if kommunenummer is None else "00",
        )
    except OSError as error:
        raise _not_writable(folder, error) from None
    files = [str(path) for path in written]
    return output.answer(invocation, json.envelope(None, files=files), files)


def _configured(invocation: Invocation) -> tuple[int, str, str]:
    """Return reporting year, kommunenummer and bydel of the configuration; made-up ones without ``--env``.

    Raises:
        ConfigInvalid: An environment is named, and its configuration is missing or wrong.
    """
    if invocation.environment is None:
        return _DEFAULT_YEAR, DEFAULT_KOMMUNENUMMER, "00"
    settings = invocation.settings()
    return settings.report.year, settings.sender.kommunenummer, settings.sender.bydel


def _with_errors(invocation: Invocation, folder: Path, year: int) -> int:
    source = click.get_current_context().get_parameter_source
    if any(source(name) is ParameterSource.COMMANDLINE for name in _OF_A_CLEAN_PAIR):
        raise click.UsageError(Text("With --with-errors only --year can be chosen."))
    try:
        expected = write_pairs_with_errors(folder, year=year)
    except OSError as error:
        raise _not_writable(folder, error) from None
    listed = folder / EXPECTED
    folders = [str(folder / each.folder) for each in expected]
    value = json.envelope(None, folders=folders, expected=str(listed))
    return output.answer(invocation, value, _lines(expected, listed))


def _lines(expected: Iterable[Expected], listed: Path) -> Iterator[str]:
    for each in expected:
        found = ", ".join(each.rules)
        if each.refused:
            found = say(Text("refused"))
        elif len(each.rules) > _MOST_RULES:
            found = say(Text("{number} rules", number=len(each.rules)))
        yield f"{each.folder:32} {each.environment:10}  {found}"
    yield ""
    yield Text("What check must find in each, and by which environment's rules: {listed}", listed=listed)


def _not_writable(folder: Path, error: OSError) -> InputMissing:
    return InputMissing(
        Text("The files cannot be written: {reason}.", reason=error.strerror),
        where=str(folder),
        next_step=Text("Name a folder that this user may write to."),
    )
