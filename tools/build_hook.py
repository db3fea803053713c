"""Compiles the Norwegian catalogues when the package is built or installed in place: no .mo is in any commit.

And puts the pages that texts name into the wheel: whoever has installed it reads them without internet.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PAGES = "kpr_sender/documents"


class Catalogues(BuildHookInterface[Any]):
    """Runs before the wheel's files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile them beside their sources, and add the pages."""
        sys.path.insert(0, self.root)
        from tools.texts.catalogues import compile_all  # noqa: PLC0415 - it is found only now

        compile_all()
        if version != "editable":
            root = Path(self.root)
            pages = sorted((*root.glob("docs/*.md"), *root.glob("docs/nb/*.md"), root / "certs" / "README.md"))
            build_data["force_include"] |= {str(page): f"{_PAGES}/{page.relative_to(root)}" for page in pages}
