"""The fleet file: what holds for all municipalities, said once as in a configuration, and a section for each of them.

What is wrong with one municipality is that one's alone: the others are looked after. What is wrong with the file as a
whole, or with two of them together, is refused as a whole (``apart``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from kpr_sender.errors import ConfigInvalid, KprError, UsageError
from kpr_sender.fleet.apart import require_apart
from kpr_sender.fleet.merging import SENDER, UnknownPlaceholder, filled, in_sections, merged, name_of
from kpr_sender.messages.transport import queue_name
from kpr_sender.model import Environment
from kpr_sender.settings import kinds
from kpr_sender.settings.alike import AlikeFile
from kpr_sender.settings.environments import environment_named
from kpr_sender.settings.fleet import FLEET, MUNICIPALITY, FleetSettings
from kpr_sender.settings.read import ConfigurationFile
from kpr_sender.settings.secrets import CREDENTIALS_DIRECTORY
from kpr_sender.settings.toml_file import read_toml
from kpr_sender.settings.values import SECTIONS, TOP, Settings
from kpr_sender.settings.web import SECTION as WEB
from kpr_sender.settings.web import WebSettings
from kpr_sender.texts import Text, listed

_ENVIRONMENT: Final = "environment"


@dataclass(frozen=True)
class FleetMunicipality:
    """One municipality of a fleet; it may be handed to another process.

    Attributes:
        name: What it is called: ``0301``, or ``0301-03`` with its bydel.
        title: Its name, for a person; empty where it has none.
        document: Its whole configuration, as TOML has it.
        path: The fleet file.
        credentials: The folder of its secrets; None for what systemd hands over.
        environ: Where its secrets in environment variables are; the process's own where none is given.
        read_with: What the others of its file are read with.
    """

    name: str
    title: str
    environment: Environment
    document: Mapping[str, Any] = field(repr=False)
    path: Path
    credentials: Path | None = None
    environ: Mapping[str, str] | None = field(default=None, repr=False, compare=False)
    read_with: AlikeFile | None = field(default=None, repr=False, compare=False)

    def settings(self) -> Settings:
        """Check and return its configuration.

        Raises:
            ConfigInvalid: It does not say what it must, or another user may write a file that it relies on.
        """
        return self._checked(AlikeFile(self.path, self.environment, self._variables, trusted=True))

    @property
    def _variables(self) -> Mapping[str, str]:
        return _with_credentials(os.environ if self.environ is None else self.environ, self.credentials)

    def _checked(self, file: AlikeFile) -> Settings:
        try:
            return file.read(self.document)
        except ConfigInvalid as error:
            raise ConfigInvalid(error.what, where=f"{self.name}: {error.where}", next_step=error.next_step) from None

    @cached_property
    def known(self) -> Settings | KprError:
        """Its configuration, or what is wrong with it."""
        try:
            return self.settings() if self.read_with is None else self._checked(self.read_with)
        except KprError as error:
            return error

    @property
    def group(self) -> str:
        """The same for those that would find the journal locked by each other: they share it, or in it their queue."""
        if not isinstance(self.known, Settings):
            return self.name
        journal = self.known.journal
        return str(journal.path) if journal.url is None else queue_name(self.known.bus.receipts_queue)

    def __getstate__(self) -> dict[str, Any]:
        """Hand over what it was made of: not this process's environment, which its settings hold, too."""
        return {key: value for key, value in vars(self).items() if key not in {"known", "environ", "read_with"}}


@dataclass(frozen=True, slots=True)
class FleetFile:
    """A fleet file that was read.

    Attributes:
        settings: What [fleet] says.
        web: What [web] says.
        municipalities: In the order of the file; at least one.
    """

    path: Path
    environment: Environment
    settings: FleetSettings
    municipalities: tuple[FleetMunicipality, ...]
    web: WebSettings

    @classmethod
    def load(cls, path: Path, environment: str | Environment, *, environ: Mapping[str, str] | None = None) -> Self:
        """Read a fleet file, which must be for that environment (promise G7).

        Args:
            path: The file.
            environment: Whose it must be.
            environ: Where secrets in environment variables are; the process's own where none is given.

        Raises:
            UsageError: There is no such environment.
            ConfigInvalid: It is missing, is no TOML, names no municipality or two that cannot be told apart, does not
                say what it must; or another user may write it.
        """
        environment = environment_named(environment)
        file = ConfigurationFile(path, environment, {})
        file.require_trusted_file(path)
        document = read_toml(path)
        if (found := document.get(_ENVIRONMENT)) != environment.value:
            raise _other_environment(file, found)
        fleet, written = document.pop(FLEET.name, {}), document.pop(MUNICIPALITY, None)
        if not isinstance(fleet, dict):
            raise file.wrong(FLEET.name, Text("Expected a section [{path}] here.", path=FLEET.name))
        file.refuse_undeclared(FLEET, fleet)
        settings = FleetSettings(**file.parse(FLEET, fleet))
        variables = os.environ if environ is None else environ
        web = _web(file, document.pop(WEB.name, {}), _with_credentials(variables, settings.credentials))
        if not isinstance(written, list) or not written:
            raise file.wrong(
                MUNICIPALITY, Text("No municipality is named; expected a section [[municipality]] for each.")
            )
        _refuse_strangers(file, document)
        alike = AlikeFile(path, environment, _with_credentials(variables, settings.credentials), trusted=True)
        made = [
            replace(_municipality(file, settings, document, number, one), environ=environ, read_with=alike)
            for number, one in enumerate(written, start=1)
        ]
        _refuse_doubled(file, made)
        municipalities = tuple(made)
        require_apart(path, {one.name: one.known for one in made if isinstance(one.known, Settings)})
        return cls(path, environment, settings, municipalities, web)

    def named(self, name: str) -> FleetMunicipality:
        """Return one municipality.

        Raises:
            UsageError: There is none of that name, or several.
        """
        found = self.only([name])
        if len(found) > 1:
            names = listed(*(one.name for one in found))
            raise UsageError(Text("{name} has several: {names}.", name=name, names=names), next_step=_NAME_ONE)
        return found[0]

    def only(self, names: Iterable[str]) -> tuple[FleetMunicipality, ...]:
        """Return those that are named, in the order of the file; all where none is.

        A kommunenummer alone names all of its bydeler.

        Raises:
            UsageError: There is none of a name.
        """
        wanted = set(names)
        missing = [one for one in sorted(wanted) if not any(_is_meant(each, {one}) for each in self.municipalities)]
        if missing:
            text = Text("{names} is not in the fleet file.", names=listed(*missing))
            raise UsageError(text, where=str(self.path), next_step=_NAME_ONE)
        return tuple(one for one in self.municipalities if not wanted or _is_meant(one, wanted))


_NAME_ONE: Final = Text("Name municipalities as the fleet file has them: the kommunenummer, or 0301-03 with its bydel.")


def _with_credentials(environ: Mapping[str, str], folder: Path | None) -> Mapping[str, str]:
    return environ if folder is None else {**environ, CREDENTIALS_DIRECTORY: str(folder)}


def _web(file: ConfigurationFile, table: object, environ: Mapping[str, str]) -> WebSettings:
    if not isinstance(table, dict):
        raise file.wrong(WEB.name, Text("Expected a section [{path}] here.", path=WEB.name))
    file.refuse_undeclared(WEB, table)
    file = replace(file, environ=environ)
    return file.build(WebSettings, WEB.name, file.parse(WEB, table))


def _is_meant(municipality: FleetMunicipality, names: set[str]) -> bool:
    return municipality.name in names or municipality.name.partition("-")[0] in names


def _other_environment(file: ConfigurationFile, found: object) -> ConfigInvalid:
    says = found if found in tuple(Environment) else Text("nothing that can be understood")
    return file.wrong(
        _ENVIRONMENT,
        Text(
            "This fleet file is not for {environment}: it says {said}.", environment=file.environment.value, said=says
        ),
        Text("Use the fleet file that belongs to --env: --config FILE."),
    )


def _refuse_strangers(file: ConfigurationFile, document: Mapping[str, Any]) -> None:
    """Refuse what no municipality's configuration could have: each would say it, and it is the file's mistake."""
    sections = {name.partition(".")[0] for name in SECTIONS}
    declared = {*sections, *(key.name for key in TOP.keys)}
    for name in document:
        if name in SENDER:
            what = Text("This says of one municipality what no two have; expected in [[municipality]].")
            raise file.wrong(name, what)
        if name not in declared:
            raise file.wrong(name, Text("There is no such key or section."))


def _municipality(
    file: ConfigurationFile, fleet: FleetSettings, common: Mapping[str, Any], number: int, written: object
) -> FleetMunicipality:
    at = f"[[{MUNICIPALITY}]] {number}"
    if not isinstance(written, dict):
        raise file.wrong(at, Text("Expected a section [{path}] here.", path=MUNICIPALITY))
    if _ENVIRONMENT in written:
        raise file.wrong(
            f"{at}: {_ENVIRONMENT}", Text("One fleet file is for one environment: say it once, at the top.")
        )
    own = in_sections(written)
    sender = own.get("sender", {})
    sender = sender if isinstance(sender, dict) else {}
    known = {
        "kommunenummer": _checked(file, at, "kommunenummer", sender.get("kommunenummer"), kinds.KOMMUNENUMMER),
        "bydel": _checked(file, at, "bydel", sender.get("bydel", "00"), kinds.BYDEL),
    }
    try:
        document = merged(filled(common, own), own)
    except UnknownPlaceholder as error:
        raise file.wrong(error.key, error.what) from None
    name, title = name_of(known["kommunenummer"], known["bydel"]), sender.get("name", "")
    return FleetMunicipality(
        name, title if isinstance(title, str) else "", file.environment, document, file.path, fleet.credentials
    )


def _checked(file: ConfigurationFile, at: str, key: str, value: object, kind: kinds.ValueKind) -> str:
    """Return what a municipality is named by."""
    try:
        return str(kind.parse(value, file.path))
    except ValueError:
        raise file.wrong(f"{at}: {key}", Text("Expected {expected}.", expected=kind.expected)) from None


def _refuse_doubled(file: ConfigurationFile, found: Iterable[FleetMunicipality]) -> None:
    seen = set[str]()
    for one in found:
        if one.name in seen:
            raise file.wrong(
                f"[[{MUNICIPALITY}]]",
                Text("The municipality {name} is named twice.", name=one.name),
                Text("Remove one of the two; bydeler of one municipality are told apart by bydel."),
            )
        seen.add(one.name)
