"""The pages that texts name, as ``docs/in-doubt.md`` or ``certs/README.md``: where they lie on this machine.

The wheel has them in the package's own folder (``tools/build_hook.py``); in a checkout they lie beside the package.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from kpr_sender.model import Language
from kpr_sender.render.language import spoken

_PACKAGE: Final = Path(__file__).resolve().parents[1]
INSTALLED: Final = "documents"
_PAGE: Final = re.compile(r"(?<![\w./\\-])(?:(docs)/([a-z-]+\.md)|certs/README\.md)\b")


def located(text: str) -> str:
    """Return a text in which each page that it names is named by its path; in Norwegian by the Norwegian page's."""
    return _PAGE.sub(_path, text) if ".md" in text else text


def _path(match: re.Match[str]) -> str:
    folder = _PACKAGE / INSTALLED
    if not folder.is_dir():
        folder = _PACKAGE.parent
    translated = folder / "docs" / "nb" / (match[2] or "README.md")
    if match[1] and spoken() is Language.NB and translated.exists():
        return str(translated)
    page = folder / match[0]
    return str(page) if page.exists() else match[0]
