"""What the README shows works as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kpr_sender.errors import ERRORS, EXIT_OK
from kpr_sender.sandbox.sandbox import Sandbox
from tests.helpers.municipality import SENDER_HER_ID, municipality

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_library_example_runs_and_prints_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example, _ = EXAMPLES
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    made = municipality(tmp_path)
    with Sandbox(tmp_path, sender_her_id=SENDER_HER_ID) as sandbox:
        made.configure(port=sandbox.port)
        monkeypatch.chdir(tmp_path)
        exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - it is our own README
    printed = capsys.readouterr().out
    assert printed.startswith("delivered TEST lokal: Both shipments are delivered")
    assert printed.count("1 ()") == 2


def test_the_check_example_runs_and_prints_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    municipality(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile(EXAMPLES[1], "README.md", "exec"), {})  # noqa: S102 - it is our own README
    assert "ident.synthetic KPR_IDE 6 PasientIdent 1001 / fid" in capsys.readouterr().out


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_exit_code_of_the_readme_is_a_real_one() -> None:
    table = README[README.index("Exit code 0\n") : README.index("`--json` prints")]
    cells = re.findall(r"\| (\d[\d, ]*) \|", table)
    shown = {int(code) for cell in cells for code in cell.split(",")} - {EXIT_OK}
    real = {error.exit_code for error in ERRORS}
    assert shown <= real
    assert real - shown == {70}, "what an error in the program means needs no table"
