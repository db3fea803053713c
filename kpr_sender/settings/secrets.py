"""Secrets stay outside the configuration: in an environment variable, or in a file of their own."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kpr_sender.errors import ConfigInvalid

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that does not print. ``reveal()`` is called where it is used, nowhere else (promise G6)."""

    _source: str | EnvironmentSecret | FileSecret = field(repr=False)

    def reveal(self) -> str:
        """Return the secret itself, read now.

        Raises:
            ConfigInvalid: It is not where the configuration says.
        """
        return self._source if isinstance(self._source, str) else self._source.read()

    @property
    def concern(self) -> str:
        """What is unwise about the place it is stored; empty when all is well."""
        return self._source.concern if isinstance(self._source, FileSecret) else ""

    def __repr__(self) -> str:
        return "Secret(***)"


@dataclass(frozen=True, slots=True)
class EnvironmentSecret:
    """A secret in an environment variable; ``key`` is the configuration's file and key that names it, for messages."""

    key: str
    variable: str
    environ: Mapping[str, str] = field(repr=False, compare=False)

    def read(self) -> str:
        """Return the variable's value.

        Raises:
            ConfigInvalid: It is not set, or empty.
        """
        value = self.environ.get(self.variable, "")
        if not value:
            raise ConfigInvalid(
                f"The environment variable {self.variable} is not set.",
                where=self.key,
                next_step="Set it for the process that runs kpr-send, or name a file with the secret instead.",
            )
        return value


@dataclass(frozen=True, slots=True)
class FileSecret:
    """A secret in a file: everything in it but one line end at its end. ``key`` is as in ``EnvironmentSecret``."""

    key: str
    path: Path

    def read(self) -> str:
        """Return what the file holds.

        Raises:
            ConfigInvalid: It cannot be read, or is empty.
        """
        try:
            text = self.path.read_text("utf-8")
        except OSError as error:
            raise self._unusable(f"cannot be read ({os.strerror(error.errno or 0)})") from None
        except UnicodeDecodeError:
            # The decoder's own message shows the bytes it stumbled over.
            raise self._unusable("is not UTF-8 text") from None
        value = text.removesuffix("\n").removesuffix("\r")
        if not value:
            raise self._unusable("is empty")
        return value

    def _unusable(self, why: str) -> ConfigInvalid:
        return ConfigInvalid(
            f"The file {self.path} {why}.",
            where=self.key,
            next_step="Put the secret alone into that file, readable by the user that runs kpr-send and nobody else.",
        )

    @property
    def concern(self) -> str:
        """Whether others than its owner may read the file."""
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return ""
        # Windows reports modes that say nothing about who may read a file.
        if os.name != "posix" or not mode & _OTHERS:
            return ""
        return f"{self.path} may be read by others than its owner (mode {stat.S_IMODE(mode):04o}): chmod 600 it."
