"""Where the configuration lies when the command line does not say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment


def candidates(environment: Environment, *, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where a configuration is looked for, in this order.

    Args:
        environment: Names the file, ``<environment>.toml``.
        environ: ``XDG_CONFIG_HOME`` and ``HOME`` are looked up here.
    """
    name = f"{environment.value}.toml"
    # The XDG base directory specification: a relative path there is invalid and to be ignored.
    configured = Path(environ.get("XDG_CONFIG_HOME", ""))
    home = environ.get("HOME")
    own = configured if configured.is_absolute() else Path(home, ".config") if home else None
    folders = (Path("config"), *([own / "kpr-sender"] if own else []), Path("/etc/kpr-sender"))
    return tuple(folder / name for folder in folders)


def find(environment: Environment, *, environ: Mapping[str, str]) -> Path:
    """Return the first configuration that is there.

    Args:
        environment: Whose.
        environ: As for ``candidates``.

    Raises:
        ConfigInvalid: There is none; names all places.
    """
    places = candidates(environment, environ=environ)
    for place in places:
        if place.exists():
            return place
    raise ConfigInvalid(
        f"There is no configuration for {environment.value}; looked for {', '.join(map(str, places))}.",
        next_step="Name it with --config, or begin with a copy of the commented file in config/.",
    )
