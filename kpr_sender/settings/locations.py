"""Where configurations and state lie where nobody says so: in the user's folders, then in the machine's.

The XDG base directory specification: a relative path in one of its variables is invalid and to be ignored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kpr_sender.durable import state_home
from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment
from kpr_sender.texts import Text

MACHINE: Final = Path("/etc/kpr-sender")
_WITHIN: Final = "kpr-sender"
_FROM_HERE: Final = frozenset({Environment.LOKAL, Environment.AR_TEST})
"""The environments without real data: their configuration may be that of the folder one happens to be in."""


def absolute(path: Path) -> Path:
    """Return a path from the root.

    Raises:
        ConfigInvalid: It starts in the current folder, and that is there no more.
    """
    try:
        return path.absolute()
    except OSError:
        raise ConfigInvalid(Text("The current folder is not there any more."), where=str(path)) from None


def own_folder(environ: Mapping[str, str]) -> Path | None:
    """Return the user's folder for configurations; None where nobody knows it."""
    named, home = Path(environ.get("XDG_CONFIG_HOME", "")), Path(environ.get("HOME", ""))
    if named.is_absolute():
        return named / _WITHIN
    if home.is_absolute():
        return home / ".config" / _WITHIN
    windows = environ.get("APPDATA", "") if os.name == "nt" else ""
    return Path(windows, _WITHIN) if windows else None


def candidates(environment: Environment, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the places of a configuration, in the order in which they count.

    With real data that of the current folder never counts by itself: whoever owns the folder would decide where the
    data goes, and who gets the password.
    """
    name, own = f"{environment.value}.toml", own_folder(environ)
    here = [Path("config", name)] if environment in _FROM_HERE else []
    return (*here, *([own / name] if own else []), MACHINE / name)


def find(environment: Environment, environ: Mapping[str, str]) -> Path | None:
    """Return the first configuration that is there; None where there is none for lokal, which needs none.

    Raises:
        ConfigInvalid: There is none, or one may not look.
    """
    looked_for, barred = [], False
    for place in candidates(environment, environ):
        try:
            place.stat()
        except (FileNotFoundError, NotADirectoryError):
            looked_for.append(str(place))
        except OSError as error:
            barred = True
            looked_for.append(f"{place} ({error.strerror})")
        else:
            return place
    if environment is Environment.LOKAL and not barred:
        return None
    missing, places = environment.value, ", ".join(looked_for)
    here = Path("config", f"{environment.value}.toml")
    if environment not in _FROM_HERE and os.path.lexists(here):
        raise ConfigInvalid(
            Text(
                "There is no configuration for {env}; looked for {places}. {here} of the current folder is not used by "
                "itself for {env}.",
                env=missing,
                places=places,
                here=here,
            ),
            where=os.path.abspath(here),  # noqa: PTH100 - shown as it is, whatever it links to
            next_step=Text(
                "Copy it to {folder}/, or name it: --config {here}", folder=own_folder(environ) or MACHINE, here=here
            ),
        )
    raise ConfigInvalid(
        Text("There is no configuration for {env}; looked for {places}.", env=missing, places=places),
        next_step=Text("Write one with kpr-send --env {env} init, or name one with --config.", env=missing),
    )


def find_fleet(environment: Environment, environ: Mapping[str, str]) -> Path:
    """Return the first fleet file that is there: an environment's own, or the only one.

    Raises:
        ConfigInvalid: There is none.
    """
    folders = [folder for folder in (own_folder(environ), MACHINE) if folder is not None]
    places = [folder / name for folder in folders for name in (f"fleet-{environment.value}.toml", "fleet.toml")]
    for place in places:
        if os.path.lexists(place):
            return place
    raise ConfigInvalid(
        Text("There is no fleet file; looked for {places}.", places=", ".join(map(str, places))),
        next_step=Text("Write one (docs/fleet.md), or name one with --config."),
    )


def state_folder(environment: Environment, environ: Mapping[str, str]) -> Path:
    """Return the user's folder for an environment's journal, and the sandbox's with lokal.

    Raises:
        ConfigInvalid: Nobody knows the user's home.
    """
    home = state_home(environ)
    if home is None:
        raise ConfigInvalid(
            Text("Nobody knows this user's home folder, and XDG_STATE_HOME names none."),
            next_step=Text("Set HOME, or name a configuration with --config."),
        )
    return home / _WITHIN / environment.value
