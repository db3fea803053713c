"""Pages: a template of this package filled in as one HTML file that opens without network.

What a template shows passes through here: a text is said in the page's language, what could be a national id is taken
out, and all of it is escaped. No script, image or address: the page's own policy (CSP) forbids what it does not have.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from markupsafe import escape as escaped

from kpr_sender.model import Language
from kpr_sender.privacy import shown_text
from kpr_sender.render.language import say, spoken

_FOLDER: Final = "templates"
_STYLE: Final = "page.css"


def page(template: str, /, *, forms: str = "'none'", **values: object) -> str:
    """Return a template of this package filled in.

    Args:
        template: A file of ``kpr_sender/render/templates`` that extends ``page.html``.
        forms: Where its forms may lead, as its policy has it.
        values: What it shows, by name; one that it names and that is missing is an error.
    """
    style, own_policy = Markup(_style()), Markup(policy(forms))  # noqa: S704 - our own
    made = _environment().get_template(template)
    return made.render(language=spoken().value, style=style, policy=own_policy, **values)


@functools.cache
def policy(forms: str = "'none'") -> str:
    """Return the policy (CSP) of a page: its own style, and nothing else; forms lead where ``forms`` says."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action {forms}"


def escape(text: str) -> Markup:
    """Return a text as it stands in the page."""
    return escaped(_shown(text))


def _shown(value: Any) -> Any:
    """Return a value as it may stand in the page: what is marked up already is our own template's."""
    return shown_text(say(value)) if isinstance(value, str) and not isinstance(value, Markup) else value


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"number": _number, "tight": _tight}
    return made


@functools.cache
def _style() -> str:
    return _source(_STYLE)


def _source(name: str) -> str:
    return resources.files(__package__).joinpath(_FOLDER, name).read_text("utf-8")


def _number(value: float) -> str:
    """Return a whole number with its thousands grouped as the page's language does."""
    written = f"{value:,.0f}"
    return written if spoken() is Language.EN else written.replace(",", "\N{NO-BREAK SPACE}")


def _tight(text: str) -> Markup:
    """Return a text that stays in one line."""
    return Markup(str(escape(text)).replace(" ", "&nbsp;"))  # noqa: S704 - escaped right here
