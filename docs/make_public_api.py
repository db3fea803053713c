# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes docs/public-api.txt: every public name of the package with what it takes, has and returns.

What stands there is what a vendor may rely on. A change of it is a change of the interface: run
``python docs/make_public_api.py``, and say in CHANGELOG.md what has changed.
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from kpr_sender.errors import KprError

TARGET: Final = Path(__file__).resolve().parent / "public-api.txt"
MODULES: Final = ("kpr_sender", "kpr_sender.errors", "kpr_sender.preflight", "kpr_sender.testing")
_OURS: Final = "kpr_sender"
_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
_HEAD: Final = "# The public names of kpr-sender. Made by docs/make_public_api.py: run it after a change.\n"


def public_names(module: ModuleType) -> list[str]:
    """Return a public module's names: what it lists, else the classes that it defines."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    own = (
        name for name, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__
    )
    return sorted(name for name in own if not name.startswith("_"))


def members(kind: type, public: frozenset[type]) -> Iterator[tuple[str, object, str]]:
    """Yield a class's public fields and methods, and those of what it is derived from unless that is public itself.

    Args:
        kind: The class.
        public: All public classes.

    Yields:
        Name, value (None where there is only an annotation) and annotation.
    """
    seen = set()
    for base in kind.__mro__:
        if not base.__module__.startswith(_OURS) or (base is not kind and base in public):
            continue
        annotations = inspect.get_annotations(base)
        for name in [*annotations, *vars(base)]:
            if name not in seen and not name.startswith("_"):
                seen.add(name)
                annotation = annotations.get(name, "")
                yield name, vars(base).get(name), str(getattr(annotation, "__forward_arg__", annotation))


def surface() -> Iterator[str]:
    """Yield the lines of docs/public-api.txt."""
    values = {name: _values(import_module(name)) for name in MODULES}
    public = frozenset(one for found in values.values() for one in found.values() if isinstance(one, type))
    for module, found in values.items():
        yield from ("", f"[{module}]")
        for name, value in found.items():
            yield from _lines(name, value, public)


def _values(module: ModuleType) -> dict[str, object]:
    return {name: getattr(module, name) for name in public_names(module)}


def _lines(name: str, value: object, public: frozenset[type]) -> Iterator[str]:
    if inspect.isfunction(value):
        yield f"{name}{_signature(value)}"
    elif not isinstance(value, type):
        yield name if isinstance(value, str | tuple) else f"{name} = {_ADDRESS.sub('', str(value))}"
    elif not value.__module__.startswith(_OURS):
        yield f"{name} = {value.__qualname__}, another library's"
    else:
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {name}({bases})" if bases else f"class {name}"
        yield from (f"    {line}" for line in _class_lines(value, public))


def _class_lines(kind: type, public: frozenset[type]) -> Iterator[str]:
    if issubclass(kind, enum.Enum):
        yield from (f"{member.name} = {member.value!r}" for member in kind)
    elif "__init__" in vars(kind) and not getattr(kind, "_is_protocol", False):
        yield f"__init__{_signature(vars(kind)['__init__'])}"
    if issubclass(kind, KprError) and kind is not KprError:
        yield f"code = {kind.code!r}, exit_code = {kind.exit_code}"
        return
    # A dataclass's fields stand in its __init__, with their types.
    said = inspect.signature(kind).parameters if is_dataclass(kind) else ()
    for name, value, annotation in members(kind, public):
        plain = getattr(value, "__func__", value)
        if inspect.isfunction(plain):
            yield f"{name}{_signature(plain)}"
        elif isinstance(value, property | cached_property):
            get = value.fget if isinstance(value, property) else value.func
            yield f"{name} -> {inspect.get_annotations(get)['return']}" if get else name
        elif annotation and name not in said:
            yield f"{name}: {annotation}"


def _signature(function: object) -> str:
    """Write a signature with its annotations as they stand in the code."""
    found = inspect.signature(function)  # type: ignore[arg-type]  # a function; what comes from vars() is an object
    parts, before = [], None
    for one in found.parameters.values():
        if one.kind is one.KEYWORD_ONLY and before not in {one.KEYWORD_ONLY, one.VAR_POSITIONAL}:
            parts.append("*")
        before = one.kind
        star = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
        typed = "" if one.annotation is one.empty else f": {one.annotation}"
        default = "" if one.default is one.empty else f" = {_ADDRESS.sub('', repr(one.default))}"
        parts.append(f"{star}{one.name}{typed}{default}")
    returned = "" if found.return_annotation is found.empty else f" -> {found.return_annotation}"
    return f"({', '.join(parts)}){returned}"


def documentation() -> str:
    """Return the text of docs/public-api.txt."""
    return _HEAD + "\n".join(surface()) + "\n"


if __name__ == "__main__":
    TARGET.write_text(documentation(), "utf-8")
