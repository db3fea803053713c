"""The public names are those of docs/public-api.txt, so is all that they speak of, and a type checker knows them."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

import kpr_sender
from kpr_sender.cli.main import cli
from kpr_sender.errors import ERRORS
from tests.helpers.repository import ROOT

_TOOL: Final = runpy.run_path(str(ROOT / "docs" / "make_public_api.py"))
_NO_VENDOR_NAMES: Final = {
    "Lifecycle",  # what Shipment is derived from: its fields are Shipment's
    "JournalView",  # of Report.of, which the client calls
    "Profile",  # of preflight.inspect, which submit calls
    "PersonRecord",  # of YearStatistics.add, which check calls
}
"""Classes that a public signature speaks of, and that nobody outside need name."""


def test_the_committed_list_is_current() -> None:
    assert (ROOT / "docs" / "public-api.txt").read_text("utf-8") == _TOOL["documentation"](), (
        "see the list's first line"
    )


def test_every_class_of_ours_in_a_public_signature_is_public_itself() -> None:
    """So that whoever writes a function of their own can say what it takes and returns."""
    sources = (path.read_text("utf-8") for path in (ROOT / "kpr_sender").rglob("*.py"))
    ours = {name for source in sources for name in re.findall(r"^class (\w+)", source, re.MULTILINE)}
    public = {name for module in _TOOL["MODULES"] for name in _TOOL["public_names"](import_module(module))}
    spoken_of: dict[str, str] = {}
    for line in _TOOL["documentation"]().splitlines():
        words = {word.strip("'") for word in line.translate(str.maketrans("()[]{},:=|*<>.", " " * 14)).split()}
        spoken_of |= dict.fromkeys(words & ours, line.strip())
    private = {name: line for name, line in spoken_of.items() if name not in public | _NO_VENDOR_NAMES}
    assert private == {}


def test_what_loads_lazily_is_what_a_type_checker_sees() -> None:
    tree = ast.parse(Path(kpr_sender.__file__).read_text("utf-8"))
    seen = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
        for imported in ast.walk(node)
        if isinstance(imported, ast.ImportFrom)
        for alias in imported.names
    }
    assert seen | {"__version__"} == set(kpr_sender.__all__)
    assert set(kpr_sender.__all__) <= set(dir(kpr_sender))
    for name in kpr_sender.__all__:
        assert getattr(kpr_sender, name) is not None
    with pytest.raises(AttributeError, match="Klient"):
        kpr_sender.Klient  # type: ignore[attr-defined]  # noqa: B018 - that is what is shown


def test_every_error_has_its_place_in_the_public_module() -> None:
    public = _TOOL["public_names"](import_module("kpr_sender.errors"))
    assert {error.__name__ for error in ERRORS} < set(public)


_RIGHT: Final = """
from dataclasses import replace

from kpr_sender import Certificate, Client, Decrypter, Envelope, Observer, Provenance, Reach, ReceiptDocument
from kpr_sender import BusSettings, Secret, Settings, Signer, Verdict, __version__
from kpr_sender.errors import InDoubt, KprError

class Key:
    def __init__(self, certificate: Certificate) -> None:
        self.certificate, self.chain = certificate, (certificate,)
    def sign_digest(self, digest: bytes) -> bytes:
        return digest

def key(certificate: Certificate) -> Signer:
    return Key(certificate)

def documents(client: Client) -> tuple[ReceiptDocument, ...]:
    return client.receipts()

reveal_type(__version__)
reveal_type(Verdict.ACCEPTED)
reveal_type(Settings.from_dict({}, "lokal", folder="/"))
reveal_type(InDoubt.exit_code)

def on_another_port(settings: Settings, bus: BusSettings) -> Settings:
    return replace(settings, bus=replace(bus, port=5672, password=Secret("byttet")))
"""
_MISSPELT: Final = """
import kpr_sender
from kpr_sender import Klient
kpr_sender.Verdikt
"""


def test_a_type_checker_knows_the_right_names_and_refuses_misspelt_ones(tmp_path: Path) -> None:
    """With the project's own options and cache: mypy --strict."""
    for name, text in (("right.py", _RIGHT), ("misspelt.py", _MISSPELT)):
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / "right.py"), str(tmp_path / "misspelt.py")]
    ran = subprocess.run([sys.executable, "-m", "mypy", *files], cwd=ROOT, capture_output=True, text=True, check=False)
    errors = [line for line in ran.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 2, ran.stdout + ran.stderr
    assert all("misspelt.py" in line for line in errors)
    assert '"Klient"; maybe "Client"?' in errors[0]
    assert '"Verdikt"' in errors[1]
    revealed = [line.partition("Revealed type is ")[2] for line in ran.stdout.splitlines() if "Revealed" in line]
    assert [text.strip('"').rsplit(".", 1)[-1].rstrip("?]\"'") for text in revealed] == [
        "str",
        "ACCEPTED",
        "Settings",
        "int",
    ]


def test_the_version_is_the_packages() -> None:
    assert kpr_sender.__version__ == importlib.metadata.version("kpr-sender")
    assert CliRunner().invoke(cli, ["--version"]).output == f"kpr-send, version {kpr_sender.__version__}\n"
