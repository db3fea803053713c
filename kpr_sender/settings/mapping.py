"""Settings of what a program says in place of a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment
from kpr_sender.settings.environments import environment_named
from kpr_sender.settings.read import ConfigurationFile
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text


def from_mapping(
    document: Mapping[str, object], environment: str | Environment, *, path: Path, secrets: Mapping[str, str] | None
) -> Settings:
    """Check it as a file is checked, and what it relies on.

    Args:
        document: As TOML has it, paths as ``Path`` or as text.
        environment: Whose it must be.
        path: Its folder and its name; it is not read.
        secrets: By the names in ``*_env``; the process's environment where none are given.

    Raises:
        UsageError: There is no such environment.
        ConfigInvalid: It does not say what it must; or another user may write a file that it relies on.
    """
    if not path.is_absolute():  # what is relative to the working directory is elsewhere for a service
        raise ConfigInvalid(Text("Expected an absolute folder for the relative paths."), where=str(path))
    tables = {name: _as_toml_has_it(value) for name, value in document.items()}
    environ = os.environ if secrets is None else secrets
    return ConfigurationFile(path, environment_named(environment), environ, trusted=True).read(tables)


def _as_toml_has_it(value: object) -> object:
    match value:
        case PurePath():
            return str(value)
        case Mapping():
            return {str(name): _as_toml_has_it(one) for name, one in value.items()}
        case list() | tuple():
            return [_as_toml_has_it(one) for one in value]
    return value
