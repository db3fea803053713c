"""How a configuration key is declared: as metadata of a dataclass field. The declarations are in ``values.py``.

The field says name, type and default; the metadata says what may be written, what it does, and an example. What reads
a file, what writes a commented one and the documentation all go through ``Section`` and ``Key``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Final, ParamSpec

from kpr_sender.model import Environment
from kpr_sender.settings import kinds
from kpr_sender.settings.kinds import ValueKind

Example = str | int | tuple[str, ...] | Mapping[str, tuple[str, ...]] | Mapping[str, str]
P = ParamSpec("P")

DECLARED: Final = "declared"
"""Under this name a field's metadata holds a ``Key``, ``SecretKeys``, ``KeyGroup`` or ``Section``."""

ENV: Final = "_env"
FILE: Final = "_file"
CREDENTIAL: Final = "_credential"
"""How the names of a secret's keys end."""
SECRET_ENDINGS: Final = (ENV, FILE, CREDENTIAL)

_GROUPED_FROM: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a configuration file.

    Attributes:
        help: What it does, in sentences for the person who fills it in.
        otherwise: In words, what counts without it where the default cannot say so.
        example: What is shown where there is no default, or none that shows how it is written.
        name: Its name in the file.
        section: The table it stands in, dotted; empty for the top level.
        default: Its value without it; None where it has none.
    """

    kind: ValueKind
    help: str
    otherwise: str = ""
    example: Example | None = None
    environments: frozenset[Environment] = frozenset(Environment)
    name: str = ""
    section: str = ""
    default: object = None

    @property
    def path(self) -> str:
        """The key as messages name it, for example ``bus.port``."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def required(self) -> bool:
        """Whether it must be there."""
        return self.default is None and not self.otherwise

    @property
    def absence(self) -> str:
        """What it means that it is not there, in words."""
        if self.required:
            return "required"
        if self.example is not None:
            return f"optional: without it {self.otherwise}"
        return f"default {self.shown}" + (f": {self.otherwise}" if self.otherwise else "")

    @property
    def shown(self) -> str:
        """How it is written, as TOML: the example, or else the default."""
        return toml_value(self.kind.write(self.default) if self.example is None else self.example)


def toml_value(value: object) -> str:
    """Write a value as TOML does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}" if value >= _GROUPED_FROM else str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(one) for one in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {toml_value(one)}' for name, one in value.items())} }}"
    # A JSON string is a TOML basic string, but for DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """Three keys for one secret, which never stands in the file: ``<field>_env``, ``_file`` and ``_credential``.

    Attributes:
        what: The secret, in words that fit after "holds".
        otherwise: What counts without any of the three, in words that follow the others' names.
        example: Makes the examples, for example ``bus-password``.
        prefix: Begins the help of each.
        several_lines: Whether it is a key's text, and no word to log in with.
    """

    what: str
    otherwise: str
    example: str
    prefix: str = ""
    several_lines: bool = False

    def keys(self, name: str) -> Iterator[Key]:
        """Yield the keys of a field."""
        variable, file, credential = (
            f"{self.prefix}{word if self.prefix else word[:1].upper() + word[1:]}"
            for word in ("environment", "file", "systemd credential (LoadCredential=)")
        )
        yield Key(
            kinds.VARIABLE,
            f"{variable} variable that holds {self.what}.",
            f"{name}_file or {name}_credential{self.otherwise}",
            f"KPR_{self.example.upper().replace('-', '_')}",
            name=f"{name}{ENV}",
        )
        yield Key(
            kinds.PATH,
            f"{file} that holds {self.what}, alone.",
            f"{name}_env or {name}_credential{self.otherwise}",
            f"/etc/kpr-sender/secrets/{self.example}",
            name=f"{name}{FILE}",
        )
        yield Key(
            kinds.CREDENTIAL,
            f"{credential} that holds {self.what}: the file of that name in $CREDENTIALS_DIRECTORY.",
            f"{name}_env or {name}_file{self.otherwise}",
            self.example,
            name=f"{name}{CREDENTIAL}",
        )


@dataclass(frozen=True, slots=True)
class KeyGroup:
    """A field whose own fields are keys of the same section; it is there when the first of them is."""

    type: type[Any]


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a configuration file.

    Attributes:
        type: The dataclass that declares its keys.
        repeated: Whether it may stand there several times, with double brackets.
        stem: Replaces ``{}`` in the examples of its keys.
        name: Its name in the file, dotted; empty for the top level.
    """

    type: type[Any]
    purpose: str = ""
    repeated: bool = False
    stem: str = ""
    name: str = ""
    keys: tuple[Key, ...] = field(default=(), repr=False)
    _of_environment: dict[Environment, tuple[Key, ...]] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )

    def keys_in(self, environment: Environment) -> tuple[Key, ...]:
        """Return the keys that may stand in an environment's configuration."""
        if environment not in self._of_environment:
            self._of_environment[environment] = tuple(key for key in self.keys if environment in key.environments)
        return self._of_environment[environment]

    @property
    def heading(self) -> str:
        """The line that begins it."""
        return f"[[{self.name}]]" if self.repeated else f"[{self.name}]"


def _metadata(declaration: Callable[P, object]) -> Callable[P, dict[str, Any]]:
    """Return what makes a field's metadata of the arguments of a declaration."""
    return lambda *args, **named: {DECLARED: declaration(*args, **named)}


option, secret, part, section = _metadata(Key), _metadata(SecretKeys), _metadata(KeyGroup), _metadata(Section)
"""Declare a field: as one key, as the keys of a secret, as a group of keys or sections, as a section."""


_declarations: Final[dict[type[Any], tuple[tuple[str, object], ...]]] = {}


def declarations(declaring: type[Any]) -> tuple[tuple[str, object], ...]:
    """Return the attributes of a dataclass, in order, each with what it declares."""
    if declaring not in _declarations:
        _declarations[declaring] = tuple((each.name, each.metadata.get(DECLARED)) for each in fields(declaring))
    return _declarations[declaring]


def keys_of(declaring: type[Any]) -> Iterator[Key]:
    """Yield the keys that a dataclass declares, in order."""
    for each in fields(declaring):
        match each.metadata.get(DECLARED):
            case Key() as declared:
                default = None if each.default is MISSING else each.default
                yield replace(declared, name=declared.name or each.name, default=default)
            case SecretKeys() as declared:
                yield from declared.keys(each.name)
            case KeyGroup() as declared:
                yield from keys_of(declared.type)


_first_keys: Final[dict[type[Any], str]] = {}


def first_key_of(declaring: type[Any]) -> str:
    """Return the name of the first key that a dataclass declares: what its ``KeyGroup`` is there by."""
    if declaring not in _first_keys:
        _first_keys[declaring] = next(keys_of(declaring)).name
    return _first_keys[declaring]


def sections_of(declaring: type[Any], below: str = "") -> Iterator[Section]:
    """Yield the sections that a dataclass declares, in order, each with its keys."""
    for each in fields(declaring):
        match each.metadata.get(DECLARED):
            case Section() as declared:
                yield with_keys(declared, f"{below}{each.name}")
            case KeyGroup() as declared:
                yield from sections_of(declared.type, f"{each.name}.")


def with_keys(declared: Section, name: str) -> Section:
    """Return a section with its name and its keys."""

    def example(one: Key) -> Example | None:
        if not isinstance(one.example, str):
            return one.example
        return one.example.replace("{}", declared.stem.upper() if one.kind is kinds.VARIABLE else declared.stem)

    found = tuple(replace(one, section=name, example=example(one)) for one in keys_of(declared.type))
    return replace(declared, name=name, keys=found)
