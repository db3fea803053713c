"""Files of ours take the place of files alone."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from kpr_sender.durable import new_file, rewriting, write_file
from kpr_sender.notify.metrics_file import PrometheusFile


def _whole(path: Path) -> None:
    write_file(path, b"x")


def _rewritten(path: Path) -> None:
    with rewriting(path, draft=path.with_name("draft"), alone=True) as file:
        file.write(b"x")


def _new(path: Path) -> None:
    with new_file(path) as file:
        file.write(b"x")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such files in folders")
@pytest.mark.parametrize(
    "write", [lambda path: write_file(path, b"x"), _rewritten, _new], ids=["whole", "draft", "new"]
)
def test_what_is_no_file_keeps_its_place(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """Run by root with ``metrics.file = "/dev/null"``, it took the device's place, and every program missed it."""
    pipe, gate = tmp_path / "pipe", tmp_path / "socket"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(gate))
        for path in (pipe, gate, tmp_path):
            before = stat.S_IFMT(path.lstat().st_mode)
            with pytest.raises(OSError, match=r"regular file|directory"):
                write(path)
            assert stat.S_IFMT(path.lstat().st_mode) == before
    assert {one.name for one in tmp_path.iterdir()} == {"pipe", "socket"}


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    write_file(link, b"x")
    assert link.read_bytes() == b"x"
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_a_metrics_file_that_is_a_device_is_said(tmp_path: Path) -> None:
    pipe = tmp_path / "kpr.prom"
    os.mkfifo(pipe)
    with pytest.raises(
        Exception, match="The metrics file cannot be written: it is a pipe, and a regular file is needed"
    ):
        PrometheusFile(pipe).write(())
