"""Writes a configuration file with every key in it, each with its explanation: the samples, and a sandbox's own."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

from kpr_sender.model import Environment
from kpr_sender.settings.keys import ARRAYS, SECTIONS, Absent, Key, keys_of

_WIDTH: Final = 110
_GROUPED_FROM: Final = 1_000_000


def render(environment: Environment, values: Mapping[str, Mapping[str, object]], *, intro: str) -> str:
    """Return the text of a configuration.

    Args:
        environment: Decides which keys there are.
        values: By section, what is written; every other key is named in a comment, with its default or an example.
        intro: Who the file is for and how to begin; may have several lines.

    Raises:
        KeyError: A value has no key in the schema.
    """
    _refuse_strangers(environment, values)
    lines = [f"# {line}".rstrip() for line in intro.strip().splitlines()]
    for section, purpose in SECTIONS.items():
        keys = [key for key in keys_of(environment) if key.section == section]
        if not keys:
            continue
        written = values.get(section, {})
        lines.append("")
        if section:
            lines += _comment(purpose)
            lines.append(_heading(section, commented=_nothing_needed(keys, written)))
        for key in keys:
            lines += _entry(key, written)
    return "\n".join(lines) + "\n"


def toml_value(value: object) -> str:
    """Write a value as TOML does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}" if value >= _GROUPED_FROM else str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(one) for one in value)}]"
    # A JSON string is a TOML basic string, but for DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _refuse_strangers(environment: Environment, values: Mapping[str, Mapping[str, object]]) -> None:
    known = {(key.section, key.name) for key in keys_of(environment)}
    strangers = {(section, name) for section, table in values.items() for name in table} - known
    if strangers:
        raise KeyError(min(strangers))


def _nothing_needed(keys: list[Key], written: Mapping[str, object]) -> bool:
    """Whether a repeatable section stands in a comment: an empty heading would mean one empty key."""
    return not written and keys[0].section.startswith("keys.")


def _heading(section: str, *, commented: bool) -> str:
    heading = f"[[{section}]]" if section in ARRAYS else f"[{section}]"
    return f"# {heading}" if commented else heading


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False)]


def _entry(key: Key, written: Mapping[str, object]) -> Iterator[str]:
    told = [] if key.kind.evident else [key.kind.expected]
    told += [] if key.default is Absent.REFUSED else [absence(key)]
    yield from _comment(f"{key.help} ({'; '.join(told)})" if told else key.help)
    if key.name in written:
        yield f"{key.name} = {toml_value(written[key.name])}"
    else:
        yield f"# {key.name} = {toml_value(shown(key))}"


def shown(key: Key) -> object:
    """Return the value that shows how the key is written: its default, or an example."""
    return key.example if key.default is Absent.NONE or key.example is not None else key.default


def absence(key: Key) -> str:
    """Return in words what it means when the key is not there."""
    match key.default:
        case Absent.REFUSED:
            return "required"
        case Absent.NONE:
            return f"optional: without it {key.otherwise}"
        case default:
            return f"default {toml_value(default)}" + (f": {key.otherwise}" if key.otherwise else "")
