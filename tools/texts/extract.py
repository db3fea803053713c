"""What a person reads, found in the code without running it: ``Text`` literals, and the help that click shows.

What cannot be translated is a fault: a text that is not one literal, or that is put together of others.
"""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parents[2] / "kpr_sender"
_HOME: Final = "kpr_sender.texts"
_HELP: Final = frozenset({"help", "short_help", "prompt"})
_SHOW_HELP: Final = frozenset({"command", "group", "option", "argument", "version_option", "confirmation_option"})
_SAYING: Final = frozenset({"kpr_sender.errors", "kpr_sender.events"})
"""Where the classes are that are made of sentences."""
_FOR_DEVELOPERS: Final = {name for name, one in vars(builtins).items() if isinstance(one, type)} | {"BerError"}
"""Exceptions that nobody else reads: ``ValueError`` and the like."""
_SENTENCES: Final = frozenset({"Text", "paragraph"})
"""What of ``kpr_sender.texts`` makes a sentence; the others make one value of several."""
_TYPED: Final = ("kpr-send", "-")
"""How a value begins that is typed as it stands, in every language."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One text.

    Attributes:
        id: Its English.
        plural: Its English for a count other than one; empty where there is none.
        values: The names that stand in it; None where braces mean nothing.
    """

    id: str
    plural: str = ""
    values: frozenset[str] | None = None


@dataclass(slots=True)
class Found:
    """What a module has: its texts in their order, and what is wrong, by line."""

    entries: list[Entry] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)


def modules(package: Path = PACKAGE) -> Iterator[tuple[str, Found]]:
    """Yield every module of a package that has texts or faults, by its path without the ending, in order."""
    for path in sorted(package.rglob("*.py")):
        found = extract(path.read_text(encoding="utf-8"))
        if found != Found():
            yield path.relative_to(package).as_posix().removesuffix(".py"), found


def extract(source: str) -> Found:
    """Find the texts of a module's source."""
    found = Found()
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    imported = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    texts = {(a.asname or a.name): a.name for node in imported if node.module == _HOME for a in node.names}
    texts |= dict.fromkeys(_sentences(tree, texts), "paragraph")
    shows_help = any(isinstance(node, ast.Import) and any(a.name == "click" for a in node.names) for node in nodes)
    placed: list[tuple[int, int, Entry]] = []
    errors = {
        a.asname or a.name for node in imported if node.module in _SAYING for a in node.names if a.name[0].isupper()
    }
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in errors:
            found.faults += [(line, "what a person reads of an error or event is a Text") for line in _plain(node)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and texts.get(node.func.id) == "Text":
            placed += [(node.lineno, node.col_offset, entry) for entry in _text(node, texts, found)]
        elif shows_help and isinstance(node, ast.Call) and _attribute(node) in _SHOW_HELP:
            placed += [(node.lineno, node.col_offset, entry) for entry in _named_help(node, found)]
        elif shows_help and isinstance(node, ast.FunctionDef) and _is_command(node):
            doc = ast.get_docstring(node, clean=False)
            placed += [(node.lineno, node.col_offset, _help_entry(doc))] if doc else []
    if texts:
        found.faults += _lost(nodes)
    placed.sort(key=lambda one: one[:2])
    found.entries = list(dict.fromkeys(entry for *_, entry in placed if _is_said(entry)))
    found.faults.sort()
    return found


def fields(template: str) -> frozenset[str]:
    """Return the names that stand in a template.

    Raises:
        ValueError: It has a brace that is alone.
    """
    return frozenset(name for _, name, _, _ in Formatter().parse(template) if name is not None)


def _is_said(entry: Entry) -> bool:
    """Tell whether there are words in a text: else no language says it otherwise."""
    try:
        literals = [part for part, *_ in Formatter().parse(entry.id)] if entry.values else [entry.id]
    except ValueError:
        return True  # a brace that is alone is a fault of its own
    return any(map(str.isalpha, "".join(literals)))


def _text(call: ast.Call, texts: dict[str, str], found: Found) -> Iterator[Entry]:
    template = _literal(call.args[0]) if len(call.args) == 1 else None
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    plural = named.pop("plural", None)
    if template is None:
        found.faults.append((call.lineno, "the first argument of a Text is one literal"))
    elif plural is not None and not _literal(plural):
        found.faults.append((call.lineno, "the plural of a Text is one literal"))
    elif len(named) + (plural is not None) < len(call.keywords):
        found.faults.append((call.lineno, "the values of a Text are named one by one"))
    else:
        entry = Entry(template, (plural and _literal(plural)) or "", frozenset(named))
        found.faults += [(call.lineno, what) for what in _faults(entry, named, texts)]
        yield entry


def _faults(entry: Entry, named: dict[str, ast.expr], texts: dict[str, str]) -> Iterator[str]:
    for name, value in named.items():
        if reason := _glued(value, texts):
            yield f"the value {name} of a Text is {reason}: write one template for each case"
    try:
        needed = fields(entry.id) | fields(entry.plural) | ({"count"} if entry.plural else set())
    except ValueError:
        yield "a brace stands alone in a Text"
        return
    if needed != entry.values:
        yield f"the names in a Text and its values differ: {', '.join(sorted(needed ^ set(named)))}"


def _plain(call: ast.Call) -> Iterator[int]:
    """Yield the lines of an error's or event's sentences that are words in one language."""
    named = [keyword.value for keyword in call.keywords if keyword.arg in ("what", "next_step", "text")]
    for value in (*call.args[:2], *named):
        words = _literal(value) or ""
        if isinstance(value, ast.JoinedStr) or " " in words:
            yield value.lineno


def _lost(nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield where a text on its way to a person turns into words of one language: what an exception says."""
    caught = {node.name for node in nodes if isinstance(node, ast.ExceptHandler)}
    caught |= {node.arg for node in nodes if isinstance(node, ast.arg) and _is_exception(node.annotation)}
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id=name)]) if name in caught:
                yield node.lineno, f"what an exception says is said({name}), which stays a text"
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=[words, *_])) if name not in _FOR_DEVELOPERS:
                if isinstance(words, ast.JoinedStr) or " " in (_literal(words) or ""):
                    yield words.lineno, f"what {name} says is a Text"


def _is_exception(annotation: ast.expr | None) -> bool:
    return isinstance(annotation, ast.Name) and annotation.id.endswith(("Exception", "Error"))


def _sentences(tree: ast.Module, texts: dict[str, str]) -> Iterator[str]:
    """Yield the names of a module's constants that are whole sentences: what goes before or after is a paragraph's."""
    for node in tree.body:
        match node:
            case (
                ast.AnnAssign(target=ast.Name(id=name), value=value)
                | ast.Assign(targets=[ast.Name(id=name)], value=value)
            ) if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
                words = _literal(value.args[0]) if value.args and texts.get(value.func.id) == "Text" else None
                if (words or "").endswith("."):
                    yield name


def _glued(value: ast.expr, texts: dict[str, str]) -> str:
    """Return what makes a value a piece of a sentence; empty where nothing does."""
    match value:
        case ast.IfExp(body=one, orelse=other):
            return _glued(one, texts) or _glued(other, texts)
        case ast.BoolOp(values=values):
            return next(filter(None, (_glued(one, texts) for one in values)), "")
        case ast.Call(func=ast.Name(id=name)) if texts.get(name) in _SENTENCES:
            return "a text itself"
        case ast.Name(id=name) if texts.get(name) in _SENTENCES:
            return "a sentence itself"
        case ast.Constant(value=str() as words) if " " in words and not words.startswith(_TYPED):
            return "words"
    return "put together" if _is_put_together(value) else ""


def _is_put_together(value: ast.expr) -> bool:
    match value:
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _is_words(left) or _is_words(right)
        case ast.Call():
            return _attribute(value) == "format"
    return isinstance(value, ast.JoinedStr)


def _is_words(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or _literal(node) is not None or isinstance(node, ast.BinOp)


def _named_help(call: ast.Call, found: Found) -> Iterator[Entry]:
    for keyword in call.keywords:
        if keyword.arg not in _HELP:
            continue
        if (text := _literal(keyword.value)) is not None:
            yield _help_entry(text)
        elif isinstance(keyword.value, ast.JoinedStr | ast.BinOp):
            found.faults.append((keyword.value.lineno, f"{keyword.arg} is one literal"))


def _help_entry(text: str) -> Entry:
    """Return a help text as ``kpr_sender.cli.language`` asks for it."""
    return Entry(inspect.cleandoc(text).partition("\f")[0])


def _is_command(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(each, ast.Call) and _attribute(each) in ("command", "group") for each in function.decorator_list
    )


def _attribute(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
