"""A TOML file as it is written: UTF-8, with or without a byte order mark, with any line ends."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from kpr_sender.errors import ConfigInvalid
from kpr_sender.regular_file import read_regular
from kpr_sender.texts import Text


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises:
        ConfigInvalid: It is missing, cannot be read, or is no TOML.
    """
    where = str(path)
    try:
        text = read_regular(path).decode("utf-8-sig")
        return tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
    except FileNotFoundError:
        raise ConfigInvalid(Text("There is no such configuration file."), where=where) from None
    except OSError as error:
        raise ConfigInvalid(
            Text("The configuration cannot be read: {reason}.", reason=error.strerror), where=where
        ) from None
    except UnicodeDecodeError:
        raise ConfigInvalid(Text("The configuration is not UTF-8 text."), where=where) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(Text("The configuration is not valid TOML: {error}.", error=error), where=where) from None
