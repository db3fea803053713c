"""What a reader asks for in the address: language, which municipalities, a search, and whether the page reloads."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from kpr_sender.model import Language
from kpr_sender.privacy import shown_text
from kpr_sender.render.language import of_locale
from kpr_sender.texts import Text
from kpr_sender.web.port import MunicipalityLine
from kpr_sender.web.urgency import by_urgency, is_done, needs_person

RELOAD_SECONDS: Final = 15
_MOST_SEARCHED: Final = 80
_OFF: Final = "off"


class Shown(enum.StrEnum):
    """Which municipalities are listed."""

    ALL = "all"
    PERSON = "person"
    OPEN = "open"
    DONE = "done"


SELECTS: Final[Mapping[Shown, tuple[Callable[[MunicipalityLine], bool], Text]]] = {
    Shown.ALL: (lambda _: True, Text("All")),
    Shown.PERSON: (needs_person, Text("Needs a person")),
    Shown.OPEN: (lambda one: not is_done(one), Text("Not delivered")),
    Shown.DONE: (is_done, Text("Delivered")),
}
"""Each choice: whom it lists, and what it is called."""


@dataclass(frozen=True, slots=True)
class Query:
    """What one address asks for.

    Attributes:
        language: What it says of it; None where the browser decides.
        search: Without what could be a national id: it is shown again.
        reloads: Whether the page reloads itself.
    """

    language: Language | None = None
    shown: Shown = Shown.ALL
    search: str = ""
    reloads: bool = True

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Query:
        """Return what an address asks for; what it says otherwise counts as not said."""
        language, shown = parameters.get("lang", ""), parameters.get("show", "")
        return cls(
            Language(language) if language in tuple(Language) else None,
            Shown(shown) if shown in tuple(Shown) else Shown.ALL,
            shown_text(parameters.get("q", ""))[:_MOST_SEARCHED].strip(),
            parameters.get("reload") != _OFF,
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The same as an address has it; nothing that goes without saying."""
        said = {
            "lang": self.language.value if self.language else "",
            "show": "" if self.shown is Shown.ALL else self.shown.value,
            "q": self.search,
            "reload": "" if self.reloads else _OFF,
        }
        return {name: value for name, value in said.items() if value}

    def link(self, path: str = "", **changes: Any) -> str:
        """Return an address that asks for the same but for the changes.

        Args:
            path: Of which page; of the same where it is empty.
            changes: By attribute.
        """
        asked = urlencode(replace(self, **changes).parameters)
        return f"{path or '?'}{'?' if path and asked else ''}{asked}"

    def selected(self, lines: Iterable[MunicipalityLine]) -> list[MunicipalityLine]:
        """Return the municipalities that it asks for, the most urgent first."""
        wanted, _ = SELECTS[self.shown]
        words = self.search.casefold().split()
        return by_urgency(one for one in lines if wanted(one) and all(word in _searched(one) for word in words))


def _searched(line: MunicipalityLine) -> str:
    return f"{line.key} {line.name}".casefold()


def preferred(accept: str, otherwise: Language) -> Language:
    """Return the language that a browser prefers of those that there are (RFC 9110, 12.5.4).

    Args:
        accept: What its Accept-Language says.
        otherwise: Where it names none of them.
    """
    best, weight = otherwise, 0.0
    for one in accept.split(",")[:20]:
        tag, _, quality = one.partition(";")
        try:
            its = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        primary = tag.strip().partition("-")[0].lower()
        found = Language.EN if primary == "en" else of_locale({"LANG": primary})
        if its > weight and (primary == "en" or found is Language.NB):
            best, weight = found, its
    return best
