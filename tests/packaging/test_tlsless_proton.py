"""A proton without TLS of its own, as it comes from a machine without OpenSSL's headers, serves as well."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.helpers.municipality import municipality
from tests.helpers.repository import ROOT
from tools.setup import tlsless

# Client and sandbox both meet proton here: sending, receiving, and TLS on either end of the same connection.
_MAIN_JOB: Final = """
import dataclasses, os, pathlib, sys
import proton
from kpr_sender import Client
from kpr_sender.model import Environment
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.settings import load

assert not proton.SSL.present()
folder = pathlib.Path(sys.argv[1])
settings = load(folder / "lokal.toml", Environment.LOKAL, environ=os.environ)
assert settings.bus.tls
with Sandbox(folder, sender_her_id=settings.sender.party.service_her_id) as sandbox:
    bus = dataclasses.replace(settings.bus, port=sandbox.port)
    with Client(dataclasses.replace(settings, bus=bus)) as client:
        client.submit()
        print(client.wait(timeout=60).submission.state)
"""


@pytest.fixture(scope="module")
def tlsless_proton() -> Path:
    """The folder of such a build, which set-up makes; without it takes a quarter of a minute."""
    return tlsless.build()


def run(code: str, proton: Path, *arguments: str) -> str:
    """Run Python code with that proton in front, and return what it printed."""
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": f"{proton}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


def test_it_has_no_tls_of_its_own(tlsless_proton: Path) -> None:
    told = run("import proton; print(proton.__file__, proton.SSL.present())", tlsless_proton)
    assert told == f"{tlsless_proton / 'proton' / '__init__.py'} False"


def test_the_main_job_runs_on_it_through_tls(tlsless_proton: Path, tmp_path: Path) -> None:
    municipality(tmp_path)
    told = run(_MAIN_JOB, tlsless_proton, str(tmp_path))
    assert told == "delivered"
