"""A page that a text names is named by where it lies on this machine, and is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kpr_sender.cli import documents
from kpr_sender.cli.documents import located
from kpr_sender.model import Language
from kpr_sender.render.language import speaking
from tests.helpers.municipality import Municipality
from tests.helpers.repository import ROOT


@pytest.mark.parametrize("page", ["certs/README.md", "docs/certificates.md", "docs/shared-queue.md"])
def test_a_page_is_named_by_its_path_once(page: str) -> None:
    said = located(f"See to it; {page} says how. {page}")
    assert said == f"See to it; {ROOT}/{page} says how. {ROOT}/{page}"
    assert located(said) == said
    assert Path(ROOT, page).exists()


@pytest.mark.parametrize("text", ["docs/none.md", "/srv/docs/certificates.md", "x-docs/certificates.md", "a text"])
def test_what_is_no_page_of_ours_stays(text: str) -> None:
    assert located(text) == text


def test_installed_it_lies_in_the_package_and_in_norwegian_where_there_is_a_norwegian_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = tmp_path / "documents" / "docs"
    (pages / "nb").mkdir(parents=True)
    for page in (pages / "in-doubt.md", pages / "nb" / "in-doubt.md", pages / "states.md"):
        page.touch()
    monkeypatch.setattr(documents, "_PACKAGE", tmp_path)

    assert located("docs/in-doubt.md") == f"{pages}/in-doubt.md"
    with speaking(Language.NB):
        assert located("docs/in-doubt.md, docs/states.md") == f"{pages}/nb/in-doubt.md, {pages}/states.md"


def test_doctor_names_the_page_about_certificates_where_it_lies(
    command: Callable[..., tuple[int, str, str]], made: Municipality
) -> None:
    made.configure({"receiver": {"encryption_certificate": "none.pem"}})
    _, out, _ = command("--env", "lokal", "--config", made.config, "config", "check")
    (line,) = [
        line for line in out.splitlines() if line.startswith("red") and "none.pem" in line and "receiver " in line
    ]
    assert f" {ROOT}/certs/README.md says which one goes where" in line

    _, out, _ = command("--env", "lokal", "--config", made.config, "--json", "config", "check")
    assert f" {ROOT}/certs/README.md says which one goes where" in out
