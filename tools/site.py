"""``python -m tools.site [check]``: the documentation as a site, in ``.cache/site/html``; a warning is an error.

Then every link of every page must lead to a page and an anchor that is there, and no page may load anything from
elsewhere: it is read on machines without internet. ``check`` reads the sources and resolves what they refer to, which
finds all that a writer gets wrong, and writes no page: two thirds of the time.
"""

from __future__ import annotations

import html
import posixpath
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tools.setup.environment import ROOT

FOLDER: Final = ROOT / ".cache" / "site" / "html"
_DOCTREES: Final = ROOT / ".cache" / "site" / "doctrees"
_HREF: Final = re.compile(r"<a\b[^>]*?\bhref=\"([^\"]*)\"")
_LOADED: Final = re.compile(r"<(?:script|img|source|iframe|link)\b[^>]*?\b(?:src|href)=\"([^\"]*)\"[^>]*>")
_ANCHOR: Final = re.compile(r"\bid=\"([^\"]+)\"")
_ELSEWHERE: Final = re.compile(r"[a-z][a-z+.-]*:|//", re.IGNORECASE)


def build(builder: str, *, anew: bool) -> subprocess.CompletedProcess[str]:
    """Let Sphinx read, and write, what changed, or everything anew."""
    how = ("--quiet", "--fail-on-warning", "--keep-going", "-b", builder, "-c", "docs", "-d", str(_DOCTREES))
    whole = ("--fresh-env", "--write-all") if anew else ()
    command = [sys.executable, "-m", "sphinx", *how, *whole, str(ROOT), str(FOLDER)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)


def flaws(pages: Mapping[str, str], files: set[str]) -> Iterator[str]:
    """Yield what is wrong with a site, a line each.

    Args:
        pages: Its pages' texts, by their names within the site.
        files: The names of all that is in it, pages included.
    """
    anchors = {name: {html.unescape(one) for one in _ANCHOR.findall(text)} for name, text in pages.items()}
    for name, text in pages.items():
        for loaded in _LOADED.findall(text):
            target = _target(name, loaded)[0]
            if _ELSEWHERE.match(loaded) and not loaded.startswith("data:"):
                yield f"{name}: loads {loaded}"
            elif not _ELSEWHERE.match(loaded) and target not in files:
                yield f"{name}: {loaded} is not there"
        for link in _HREF.findall(text):
            if _ELSEWHERE.match(link):
                continue
            target, anchor = _target(name, html.unescape(link))
            if target not in files:
                yield f"{name}: {link} leads nowhere"
            elif anchor and target in anchors and anchor not in anchors[target]:
                yield f"{name}: {link}: no such place on that page"


def _target(page: str, link: str) -> tuple[str, str]:
    path, _, anchor = link.partition("#")
    path = path.partition("?")[0]
    return (posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page), anchor


def main(arguments: Sequence[str]) -> int:
    """Build and check; return 0 where nothing is wrong.

    What is kept of an earlier time may name a page as missing that is there by now: it counts only when it is wrong
    with everything made anew.
    """
    builder = "dummy" if "check" in arguments else "html"
    found = _wrong(builder, anew=False) if _DOCTREES.exists() else ["nothing is there yet"]
    found = found and _wrong(builder, anew=True)
    for flaw in found:
        print(flaw, file=sys.stderr)
    if builder == "html" and not found:
        print(f"Open {FOLDER / 'index.html'}")
    return int(bool(found))


def _wrong(builder: str, *, anew: bool) -> list[str]:
    built = build(builder, anew=anew)
    if built.returncode:
        return [built.stdout + built.stderr]
    if builder != "html":
        return []
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    return list(
        flaws({one: (FOLDER / one).read_text(encoding="utf-8") for one in files if one.endswith(".html")}, files)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
