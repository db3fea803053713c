"""Log lines as the command writes them."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from kpr_sender import file_owners
from kpr_sender.errors import ConfigInvalid
from kpr_sender.events import Event, EventKind
from kpr_sender.logs import log_event, logging_to
from kpr_sender.model import MessageType
from tests.helpers.tenor import TENOR_ID

MSG_ID = "3b1f9c2e-1111-4222-8333-123456789012"


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_of_the_engine_is_one_line_of_json() -> None:
    stream = io.StringIO()
    event = Event(EventKind.PUBLISHED, "The bus has it.", MSG_ID, MessageType.KPR_IPL, {"attempts": 1})

    with logging_to(stream, level="info", environment="lokal") as logger:
        log_event(logger, event)

    (line,) = _lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "published",
        "level": "info",
        "environment": "lokal",
        "text": "The bus has it.",
        "msg_id": MSG_ID,
        "type": "KPR_IPL",
        "attempts": 1,
    }


@pytest.mark.parametrize(
    ("kind", "level"),
    [(EventKind.WARNING, "warning"), (EventKind.IN_DOUBT, "error"), (EventKind.RECEIPT, "info")],
)
def test_the_kind_of_event_decides_the_level(kind: EventKind, level: str) -> None:
    stream = io.StringIO()
    with logging_to(stream, level="debug") as logger:
        log_event(logger, Event(kind, "x"))

    assert _lines(stream)[0]["level"] == level


def test_nothing_below_the_level_is_written() -> None:
    stream = io.StringIO()
    with logging_to(stream, level="warning") as logger:
        log_event(logger, Event(EventKind.PUBLISHED, "x"))

    assert stream.getvalue() == ""


def test_g6_an_exceptions_text_is_redacted_too() -> None:
    stream = io.StringIO()
    with logging_to(stream, level="debug") as logger:
        try:
            int(f"{TENOR_ID} password=hemmelig")
        except ValueError:
            logger.exception("failed")

    assert "Traceback" in _lines(stream)[0]["exception"]
    assert TENOR_ID not in stream.getvalue()
    assert "hemmelig" not in stream.getvalue()


def test_g6_lines_of_other_libraries_are_redacted_and_name_their_logger() -> None:
    stream = io.StringIO()
    with logging_to(stream, level="debug"):
        logging.getLogger("some.library").warning("got %s", f"<a>{TENOR_ID}</a>")
        try:
            int(f"<a>{TENOR_ID}</a>")
        except ValueError:
            logging.getLogger("some.library").exception("failed")

    first, second = _lines(stream)
    assert first["logger"] == "some.library"
    assert "Traceback" in second["exception"]
    assert TENOR_ID not in stream.getvalue()


@pytest.mark.parametrize("name", ["signxml", "signxml.verifier", "proton", "proton.reactor", "lxml"])
def test_g6_libraries_that_log_messages_are_silent_whatever_the_level(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.StringIO()
    with logging_to(stream, level="debug"):
        library = logging.getLogger(name)
        library.setLevel("DEBUG")
        library.critical("the payload")
        library.setLevel("NOTSET")

    assert stream.getvalue() == ""
    assert "payload" not in capsys.readouterr().err


def test_logging_is_left_as_it_was() -> None:
    root, library = logging.getLogger(), logging.getLogger("signxml")
    before = (list(root.handlers), root.level, list(library.handlers), library.propagate)

    with logging_to(io.StringIO(), level="debug"):
        pass

    assert (list(root.handlers), root.level, list(library.handlers), library.propagate) == before


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_log_file_is_added_to_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "kpr.log"
    for _ in range(2):
        with logging_to(file, level="info") as logger:
            log_event(logger, Event(EventKind.FINISHED, "Ferdig på æøå."))

    lines = file.read_text("utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["Ferdig på æøå."] * 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="/dev/full is POSIX")
def test_g6_a_line_that_cannot_be_written_prints_no_raw_record_and_is_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a full disk nor a record that cannot be formatted reaches the run."""

    class Unprintable:
        def __repr__(self) -> str:
            raise ValueError(TENOR_ID)

    monkeypatch.setattr(logging, "raiseExceptions", True)
    lost: list[str] = []
    with logging_to(Path("/dev/full"), level="info", lost=lost.append) as logger:
        for _ in range(2):
            log_event(logger, Event(EventKind.RECEIPT, f"Pasienten {TENOR_ID} finnes ikke"))
        logger.warning("x", extra={"kpr_fields": {"value": Unprintable()}})
    assert lost == ["No space left on device"], "the last one is that of the file's closing"
    with logging_to(io.StringIO(), level="info", lost=lost.append) as logger:
        logger.warning("x", extra={"kpr_fields": {"value": Unprintable()}})
    assert lost[1:] == ["ValueError"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_log_that_was_moved_goes_on_in_a_file_that_is_private_too(tmp_path: Path) -> None:
    file, before = tmp_path / "kpr.log", os.umask(0o022)
    try:
        with logging_to(file, level="info") as logger:
            log_event(logger, Event(EventKind.FINISHED, "first"))
            file.rename(tmp_path / "kpr.log.1")
            log_event(logger, Event(EventKind.FINISHED, "second"))
            file.rename(tmp_path / "kpr.log.2")
            file.touch(0o644)  # logrotate's "create 0644"
            log_event(logger, Event(EventKind.FINISHED, "third"))
    finally:
        os.umask(before)

    texts = [json.loads(one.read_text("utf-8"))["text"] for one in sorted(tmp_path.iterdir())]
    assert texts == ["third", "first", "second"]
    assert [oct(stat.S_IMODE(one.stat().st_mode)) for one in sorted(tmp_path.iterdir())] == ["0o640", "0o600", "0o600"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_a_log_that_root_begins_in_a_user_s_folder_is_that_user_s(tmp_path: Path) -> None:
    os.chown(tmp_path, 4711, 4711)
    for _ in range(2):
        with logging_to(tmp_path / "kpr.log", level="info") as logger:
            log_event(logger, Event(EventKind.FINISHED, "x"))

    found = (tmp_path / "kpr.log").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (4711, 4711, 0o600)


@pytest.mark.skipif(os.name != "posix", reason="links and modes are POSIX")
def test_a_log_is_never_written_through_a_link_or_where_anybody_may_plant_one(tmp_path: Path) -> None:
    other, file = tmp_path / "other", tmp_path / "kpr.log"
    other.write_text("")
    file.symlink_to(other)
    with pytest.raises(ConfigInvalid, match="symbolic link"), logging_to(file, level="info"):
        pass
    file.unlink()
    lost: list[str] = []
    with logging_to(file, level="info", lost=lost.append) as logger:
        file.rename(tmp_path / "kpr.log.1")
        file.symlink_to(other)
        log_event(logger, Event(EventKind.FINISHED, "x"))
    assert (other.read_text(), len(lost)) == ("", 1)

    file.unlink()
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigInvalid, match="everybody may write"), logging_to(file, level="info"):
        pass
    os.mkfifo(tmp_path / "pipe")
    tmp_path.chmod(0o1777)
    with pytest.raises(ConfigInvalid, match="cannot be written"), logging_to(tmp_path / "pipe", level="info"):
        pass  # nobody reads it: opened as other files are, it would wait for ever
    with logging_to(file, level="info"):
        pass
    assert file.exists()


@pytest.mark.skipif(os.name != "posix", reason="these names are POSIX")
def test_a_container_s_log_may_be_standard_error_or_a_collector_s_pipe_and_never_standard_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"):
        with logging_to(Path(name), level="info") as logger:
            log_event(logger, Event(EventKind.FINISHED, "Ferdig på æøå."))
    told = capfd.readouterr()
    assert [json.loads(line)["text"] for line in told.err.splitlines()] == ["Ferdig på æøå."] * 3
    assert told.out == ""
    os.fstat(2)  # it is the process's, and stays open

    with (
        pytest.raises(ConfigInvalid, match="for the result alone") as refused,
        logging_to(Path("/dev/stdout"), level="info"),
    ):
        pass
    assert "leave log.file out" in refused.value.next_step

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigInvalid, match="a pipe that nobody reads from"), logging_to(pipe, level="info"):
        pass
    collector = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with logging_to(pipe, level="info") as logger:
        log_event(logger, Event(EventKind.FINISHED, "x"))
    assert json.loads(os.read(collector, 1000))["event"] == "finished"
    os.close(collector)


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX")
def test_a_log_on_a_mount_with_owners_and_modes_of_its_own_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WSL's drives have mode 0777 and let nobody change it; a share's files may be another user's."""
    file, here = tmp_path / "kpr.log", os.geteuid()
    file.touch(0o777)
    tmp_path.chmod(0o777)
    if not here:
        os.chown(file, 4712, 4712)
    monkeypatch.setattr(os, "geteuid", lambda: here + 4711)
    with pytest.raises(ConfigInvalid, match="everybody may write"), logging_to(file, level="info"):
        pass
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigInvalid, match="another user's"), logging_to(file, level="info"):
        pass
    tmp_path.chmod(0o777)
    monkeypatch.setattr(file_owners, "file_system", lambda _path: "drvfs")
    with logging_to(file, level="info") as logger:
        log_event(logger, Event(EventKind.FINISHED, "x"))
    assert "finished" in file.read_text("utf-8")


def test_a_disk_that_is_full_when_the_log_is_opened_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, lost = tmp_path / "kpr.log", list[str]()

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("kpr_sender.logs.os.open", full)
        with logging_to(file, level="info", lost=lost.append) as logger:
            log_event(logger, Event(EventKind.FINISHED, "lost"))
            patch.undo()
            log_event(logger, Event(EventKind.FINISHED, "there is room again"))

    assert lost == ["No space left on device"]
    assert json.loads(file.read_text("utf-8"))["text"] == "there is room again"


def test_a_line_is_json_in_utf_8_whatever_is_in_it_and_wherever_it_goes(tmp_path: Path) -> None:
    event = Event(EventKind.CHECKED, "fag\udce6.xml er fagmeldingen \u2013 \u2019æ\u2019.")
    below = io.BytesIO()
    for target in (tmp_path / "kpr.log", io.TextIOWrapper(below, encoding="cp850", write_through=True)):
        with logging_to(target, level="info") as logger:
            log_event(logger, event)

    for written in ((tmp_path / "kpr.log").read_bytes(), below.getvalue()):
        assert json.loads(written.decode("utf-8"))["text"] == event.text.replace("\udce6", "\\xe6")


def test_a_log_file_that_cannot_be_written_is_the_configurations_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigInvalid, match="cannot be written"), logging_to(tmp_path / "file" / "x", level="info"):
        pass
