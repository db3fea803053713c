"""Reads a configuration file: TOML in, checked and typed ``Settings`` out.

The rules:

1. Every key is in ``schema.KEYS``; any other key is an error, so that a misspelt one is never silently without effect.
2. The file's ``environment`` must be the one that was asked for (promise G7).
3. Secrets are not read here, only where they are used; in the file itself they are refused.
4. Messages name file and key and say what is expected; they never repeat a value.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment
from kpr_sender.settings import building
from kpr_sender.settings.sandbox_defaults import sandbox_defaults
from kpr_sender.settings.schema import ARRAYS, SECTIONS, Absent, Key, keys_of
from kpr_sender.settings.values import Settings

Tables = dict[str, list[dict[str, object]]]
"""By section, the tables as written: one, or several where a section may be repeated."""

_SECRETS: Final = ("password", "passphrase", "pin")


def load(path: Path, environment: Environment, *, environ: Mapping[str, str]) -> Settings:
    """Read and check one environment's configuration.

    Args:
        path: The TOML file; relative paths in it start in its folder.
        environment: What was asked for, for example by ``--env``.
        environ: Where secrets named by ``*_env`` are looked up when they are needed.

    Raises:
        ConfigInvalid: The file is missing, is no TOML, or does not say what it must.
    """
    document = _toml(path)
    found = document.pop("environment", None)
    if found != environment.value:
        _refuse_environment(path, environment, found)
    reading = _Reading(path, environment)
    tables = reading.collect(document)
    embedded = environment is Environment.LOKAL and tables["sandbox"][0].get("embedded") is True
    if embedded:
        tables = reading.with_embedded_sandbox(tables)
    values = {section: [reading.values(section, table) for table in tables[section]] for section in SECTIONS if section}
    return building.settings(values, environment=environment, origin=str(path), environ=environ, embedded=embedded)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigInvalid("There is no such configuration file.", where=str(path)) from None
    except OSError as error:
        raise ConfigInvalid(f"The configuration cannot be read: {error.strerror}.", where=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigInvalid("The configuration is not UTF-8 text.", where=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"The configuration is not valid TOML: {error}.", where=str(path)) from None


def _refuse_environment(path: Path, environment: Environment, found: object) -> None:
    said = f'"{found}"' if found in tuple(Environment) else "nothing that can be understood"
    raise ConfigInvalid(
        f"This file is not for {environment.value}: it says {said if found is not None else 'nothing'}, "
        f'expected environment = "{environment.value}".',
        where=f"{path}: environment",
        next_step="Use the configuration that belongs to --env.",
    )


class _Reading:
    """One file being read."""

    def __init__(self, path: Path, environment: Environment) -> None:
        self.origin = str(path)
        self.base = path.absolute().parent
        self.environment = environment

    def wrong(self, key: str, what: str, next_step: str = "") -> ConfigInvalid:
        return ConfigInvalid(what, where=f"{self.origin}: {key}", next_step=next_step)

    def collect(self, document: Mapping[str, object]) -> Tables:
        """Sort what is written into the sections of the schema."""
        tables: Tables = {section: [] for section in SECTIONS}
        self._collect("", document, tables)
        for section, found in tables.items():
            if not found:
                found.append({})
            for table in found:
                self._refuse_unknown(section, table)
        return tables

    def _collect(self, at: str, table: Mapping[str, object], tables: Tables) -> None:
        own: dict[str, object] = {}
        for name, value in table.items():
            path = f"{at}.{name}" if at else name
            if not any(section == path or section.startswith(f"{path}.") for section in SECTIONS):
                own[name] = value
                continue
            several = value if isinstance(value, list) and path in ARRAYS else [value]
            for one in several:
                if not isinstance(one, dict):
                    raise self.wrong(path, f"Expected a section [{path}] here.")
                self._collect(path, one, tables)
        if at in SECTIONS:
            tables[at].append(own)
        elif own:
            raise self.wrong(f"{at}.{next(iter(own))}", f"There is no such key; [{at}] has only sections in it.")

    def _refuse_unknown(self, section: str, table: Mapping[str, object]) -> None:
        known = {key.name: key for key in keys_of(self.environment) if key.section == section}
        for name in table:
            if name in known:
                continue
            path = f"{section}.{name}" if section else name
            if name in _SECRETS:
                raise self.wrong(
                    path,
                    "Secrets do not belong in the configuration.",
                    f"Use {path}_env or {path}_file, and change the secret: it has been in a file.",
                )
            raise self.wrong(path, f"There is no such key{self._meant(name, section, tuple(known))}.")

    def _meant(self, name: str, section: str, known: tuple[str, ...]) -> str:
        import difflib  # noqa: PLC0415 - only when something is wrong: it costs start-up time

        if not known:
            return f" in a configuration for {self.environment.value}"
        if close := difflib.get_close_matches(name, known, n=1):
            return f"; perhaps {close[0]} is meant"
        return f"; {f'[{section}]' if section else 'the top level'} may have {', '.join(known)}"

    def with_embedded_sandbox(self, tables: Tables) -> Tables:
        """Fill in what the embedded sandbox decides, and refuse what contradicts it."""
        folder = self.values("sandbox", tables["sandbox"][0])["dir"]
        if folder is None:
            raise self.wrong("sandbox.dir", "The embedded sandbox needs a folder.")
        decided = sandbox_defaults(folder)
        for section, dictated in decided.items():
            everything = section.startswith("keys.")
            for name in tables[section][0]:
                if everything or name in dictated or name in ("port", "tls"):
                    raise self.wrong(
                        f"{section}.{name}",
                        "The embedded sandbox decides this.",
                        "Remove the line, or set sandbox.embedded = false.",
                    )
        return tables | {section: [tables[section][0] | dictated] for section, dictated in decided.items()}

    def values(self, section: str, table: Mapping[str, object]) -> dict[str, Any]:
        """Check one table and return its values by name, defaults filled in."""
        return {key.name: self._value(key, table) for key in keys_of(self.environment) if key.section == section}

    def _value(self, key: Key, table: Mapping[str, object]) -> object:
        if key.name not in table:
            if key.default is Absent.NONE:
                return None
            if key.default is Absent.REFUSED:
                raise self.wrong(key.path, f"This is missing; expected {key.kind.expected}.")
        try:
            return key.kind.parse(table.get(key.name, key.default), self.base)
        except ValueError:
            raise self.wrong(key.path, f"Expected {key.kind.expected}.") from None
