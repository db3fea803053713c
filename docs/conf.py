# ruff: noqa: INP001, D100 - Sphinx reads it, no package
# The documentation as a site: make site. Its source folder is the repository's, so that README.md and what lies beside
# docs/ are pages of it, and every link between documents is the same here as in a checkout.
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["LC_ALL"] = "C.UTF-8"  # the command's help in English, whatever the machine's language

import kpr_sender  # noqa: E402 - after the path is set

project = "kpr-sender"
author = "The kpr-sender developers"
project_copyright = author
language = "en"

root_doc = "docs/index"
include_patterns = ["*.md", "certs/*.md", "docs/**"]
exclude_patterns = [".venv", ".cache", ".demo", ".hypothesis", "dist", "build", "docs/_*", "**/__pycache__"]
source_suffix = {".md": "markdown"}

highlight_language = "text"  # what a fence names no language for is typed at a terminal
smartquotes = False  # what is quoted here is typed

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
myst_heading_anchors = 4

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "kpr-sender"
html_static_path = ["_static"]
html_extra_path = ["_root"]
html_css_files = ["print.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False


def setup(app: Sphinx) -> None:
    """Say of the Norwegian pages that they are, for whoever has them read aloud."""
    for name in kpr_sender.__all__:
        getattr(kpr_sender, name)  # loaded when it is first used, and described only then

    def norwegian(_: Sphinx, page: str, __: str, context: dict[str, Any], ___: object) -> None:
        if page.startswith("docs/nb/"):
            context["language"] = "nb"

    app.connect("html-page-context", norwegian)
