"""The file for Prometheus: what is written is read again, whole or not at all, by everybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.notify.metrics_file import PrometheusFile
from kpr_sender.notify.port import Measured

FIGURES = (
    Measured("kpr_runs_total", "Runs.", ("code", "environment"), {("0", "lokal"): 3.0, ("80", "lokal"): 1.0}),
    Measured("kpr_days_to_deadline", "Days.", ("environment", "year"), {("lokal", "2024"): -2.0}),
    Measured("kpr_shipment_state", "None yet.", ("environment", "state"), {}),
)


def test_what_one_run_writes_the_next_one_reads(tmp_path: Path) -> None:
    file, path = PrometheusFile(tmp_path / "kpr.prom"), tmp_path / "kpr.prom"
    assert file.read() == {}
    before = os.umask(0o077)
    try:
        file.write(FIGURES)
    finally:
        os.umask(before)
    assert file.read() == {
        "kpr_runs_total": {("0", "lokal"): 3.0, ("80", "lokal"): 1.0},
        "kpr_days_to_deadline": {("lokal", "2024"): -2.0},
    }
    assert "# TYPE kpr_runs_total counter" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644  # node_exporter is another user
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"\xff", b"kpr_runs_total{code=\n", b"kpr_runs_total x\n", b"x" * 3_000_000])
def test_a_file_that_is_none_counts_as_none_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kpr.prom"
    path.write_bytes(content)
    file = PrometheusFile(path)
    assert file.read() == {}
    file.write(FIGURES)
    assert file.read()["kpr_days_to_deadline"] == {("lokal", "2024"): -2.0}


def test_a_figure_that_is_no_number_is_not_carried_on(tmp_path: Path) -> None:
    path = tmp_path / "kpr.prom"
    path.write_text('kpr_runs_total{code="0"} NaN\nkpr_runs_total{code="80"} 1e999\nkpr_runs_total{code="83"} 2\n')
    assert PrometheusFile(path).read() == {"kpr_runs_total": {("83",): 2.0}}


def test_one_that_cannot_be_written_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "kpr.prom").mkdir()
    with pytest.raises(ConfigInvalid, match="cannot be written"):
        PrometheusFile(tmp_path / "kpr.prom").write(FIGURES)
    assert [one.name for one in tmp_path.iterdir()] == ["kpr.prom"]
