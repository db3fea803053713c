"""Log lines as the command writes them."""

from __future__ import annotations

import io
import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest

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


def test_a_log_file_that_cannot_be_written_is_the_configurations_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigInvalid, match="cannot be written"), logging_to(tmp_path / "file" / "x", level="info"):
        pass
