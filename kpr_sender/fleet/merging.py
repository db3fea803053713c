"""One municipality's configuration, made of what the fleet file says of all and of what it says of this one.

What is said of one counts before what is said of all, key by key; a list counts as a whole. Where of several keys only
one may be there (a secret's three places, the three kinds of a key) the municipality's takes the place of the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kpr_sender.settings.keys import ENV, SECRET_ENDINGS
from kpr_sender.settings.values import SECTIONS
from kpr_sender.texts import Text

Tables = Mapping[str, Any]
"""As TOML has them."""

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_IN_FILES: Final = frozenset({"pkcs12", "certificate", "key"})
_IN_TOKEN: Final = "pkcs11_module"  # noqa: S105 - a key's name
_OF_TOKEN: Final = frozenset({_IN_TOKEN, "token_label", "slot", "key_label", "key_id"})
_DROP: Final = "drop"
_TWO_FILES: Final = frozenset({"fagmelding", "identmelding"})
_NO_BYDEL: Final = "00"
SENDER: Final = frozenset(key.name for key in SECTIONS["sender"].keys)
"""The keys of [sender], which may stand directly in [[municipality]]."""


class UnknownPlaceholder(Exception):
    """A common value has a name in braces that stands for nothing."""

    what: Text

    def __init__(self, key: str, known: tuple[str, ...]) -> None:
        self.key = key
        names = ", ".join(f"{{{one}}}" for one in known)
        self.what = Text("A name in braces is not known here; expected one of {names}.", names=names)
        super().__init__(self.what)


def name_of(kommunenummer: str, bydel: str) -> str:
    """Return what a municipality is called in a fleet: ``0301``, or ``0301-03`` with its bydel."""
    return kommunenummer if bydel == _NO_BYDEL else f"{kommunenummer}-{bydel}"


def in_sections(written: Tables) -> dict[str, Any]:
    """Return what [[municipality]] says, with the keys of [sender] that stand directly in it in that section."""
    own = {key: value for key, value in written.items() if key not in SENDER}
    direct = {key: value for key, value in written.items() if key in SENDER}
    sender = own.get("sender", {})
    if direct and isinstance(sender, dict):
        own["sender"] = {**sender, **direct}
    return own


def merged(common: Tables, own: Tables) -> dict[str, Any]:
    """Return a municipality's configuration.

    Args:
        common: What is said of all, with a municipality's values filled in.
        own: What is said of this one, as ``in_sections`` returns it.
    """
    result = {**common}
    for name, value in own.items():
        before = result.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            result[name] = merged(_without_alternatives(before, value), value)
        else:
            result[name] = value
    return result


def _without_alternatives(common: Tables, own: Tables) -> dict[str, Any]:
    """Return a common section without what the municipality's own has another of."""
    dropped = set[str]()
    for key in own:
        for ending in SECRET_ENDINGS:
            if key.endswith(ending):
                dropped |= {f"{key.removesuffix(ending)}{each}" for each in SECRET_ENDINGS}
        if key in _IN_FILES:
            others = _OF_TOKEN | ({"certificate", "key"} if key == "pkcs12" else {"pkcs12"})
            dropped |= {*others, *(f"pin{ending}" for ending in SECRET_ENDINGS)}
        if key == _IN_TOKEN:
            dropped |= {*_IN_FILES, *(f"passphrase{ending}" for ending in SECRET_ENDINGS)}
        if key in _TWO_FILES:
            dropped.add(_DROP)
        if key == _DROP:
            dropped |= _TWO_FILES
    return {key: value for key, value in common.items() if key not in dropped}


def filled(common: Tables, own: Tables) -> dict[str, Any]:
    """Return the common values for one municipality: ``{municipality}`` and so on are its own.

    Raises:
        UnknownPlaceholder: Another name stands in braces.
    """
    sender = {**_table(common, "sender"), **_table(own, "sender")}
    values: dict[str, str] = {
        key: str(sender[key]) for key in ("kommunenummer", "her_id", "service_her_id") if key in sender
    }
    values["bydel"] = str(sender.get("bydel", _NO_BYDEL))
    values["municipality"] = name_of(values.get("kommunenummer", ""), values["bydel"])

    def fill(key: str, text: str) -> str:
        if "{" not in text:
            return text

        def value(match: re.Match[str]) -> str:
            if match[1] not in values:
                raise UnknownPlaceholder(key, tuple(values))
            # No variable of an environment has a hyphen in its name.
            return values[match[1]].replace("-", "_") if key.endswith(ENV) else values[match[1]]

        return _PLACEHOLDER.sub(value, text)

    return {key: _filled(key, value, fill) for key, value in common.items()}


def _filled(key: str, value: Any, fill: Callable[[str, str], str]) -> Any:
    match value:
        case str():
            return fill(key, value)
        case dict():
            return {name: _filled(f"{key}.{name}", one, fill) for name, one in value.items()}
        case list():
            return [_filled(key, one, fill) for one in value]
    return value


def _table(document: Tables, name: str) -> dict[str, Any]:
    found = document.get(name, {})
    return dict(found) if isinstance(found, dict) else {}
