"""What docs/testing.md shows is run as a vendor's tests are: by pytest, in a folder that knows nothing of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.helpers.repository import ROOT

PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
FILES: dict[str, str] = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, flags=re.DOTALL))


def test_its_tests_pass(tmp_path: Path) -> None:
    assert len(FILES) == PAGE.count("```python") == 5
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", ".", "."]
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # other packages', which take their time to load
    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert "8 passed" in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == 0
