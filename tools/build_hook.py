"""Compiles the Norwegian catalogues when the package is built or installed in place: no .mo is in any commit."""

from __future__ import annotations

import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Catalogues(BuildHookInterface[Any]):
    """Runs before the wheel's files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile them beside their sources."""
        sys.path.insert(0, self.root)
        from tools.texts.catalogues import compile_all  # noqa: PLC0415 - it is found only now

        compile_all()
