"""One municipality's run in a process of its own: the same command as for one alone, with what it printed handed over.

Imported before any process begins (forkserver): whatever a run needs is loaded once for all of them.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from typing import Any, Final

from kpr_sender.cli.ending import Ending
from kpr_sender.cli.main import run
from kpr_sender.errors import KprError
from kpr_sender.fleet.file import FleetMunicipality
from kpr_sender.model import Environment

PRELOAD: Final = (
    "kpr_sender.cli.fleet_run",
    "kpr_sender.cli.fleet_ready",
    *(f"kpr_sender.cli.{name}" for name in ("certs", "check", "doctor", "send", "wait")),
    "kpr_sender.bus.amqp",
    "kpr_sender.inbound.listen",
    "kpr_sender.inbound.receipt",
    "kpr_sender.keys.configured",
    "kpr_sender.outbound.build",
    "kpr_sender.outbound.publish",
    "kpr_sender.preflight",
    "kpr_sender.operator.self_check",
    "kpr_sender.registry.cached",
    "kpr_sender.registry.soap",
    "kpr_sender.trust.parties",
    "kpr_sender.trust.policy",
    *(
        "encodings.ascii",
        "encodings.idna",
        "encodings.utf_16_be",
        "encodings.utf_8_sig",
        "importlib.readers",
        "zipfile",
    ),
)
"""What a run needs, loaded once."""
_MOST_LINES: Final = 50
_STDERR: Final = 2


def preload(environment: Environment) -> tuple[str, ...]:
    """Return the modules that are loaded before any process begins."""
    return (*PRELOAD, "kpr_sender.sandbox.sandbox") if environment is Environment.LOKAL else PRELOAD


@dataclass(frozen=True, slots=True)
class FleetOrder:
    """What a process is to do.

    Attributes:
        arguments: The command line after the options that say whose run it is.
        logging: Whether log lines go to standard error, as where nobody is at a terminal.
        verbose: Whether more of them do.
    """

    municipality: FleetMunicipality
    arguments: tuple[str, ...]
    logging: bool = False
    verbose: bool = False

    @property
    def command_line(self) -> tuple[str, ...]:
        """The whole command line, as it could be repeated for this municipality alone."""
        loudness = () if self.logging else ("-q",)
        return (*whose(self.municipality), "--json", *(("-v",) if self.verbose else loudness), *self.arguments)


def whose(municipality: FleetMunicipality) -> tuple[str, ...]:
    """Return the options that say whose a run is."""
    environment, path = municipality.environment.value, str(municipality.path)
    return "--env", environment, "--config", path, "--municipality", municipality.name


@dataclass(frozen=True, slots=True)
class FleetFound:
    """What a run has found.

    Attributes:
        error: What its exit code stands for; None for 0.
        result: The object of ``--json``.
        remarks: What it said on standard error beside log lines.
    """

    error: KprError | None
    result: Mapping[str, Any]
    remarks: tuple[str, ...] = ()


def carry_out(order: FleetOrder) -> FleetFound:
    """Look after one municipality: run its command, and return what it found; in the process."""
    ending, out, err = Ending(), io.StringIO(), RunLines(logging=order.logging)
    with redirect_stdout(out), redirect_stderr(err):
        run(order.command_line, ending=ending, given=order.municipality)
    result: Mapping[str, Any] = {}
    with suppress(ValueError):
        result = json.loads(out.getvalue())
    # What is wrong is handed over as the error; standard error has it once more.
    remarks = () if ending.error is not None else tuple(err.remarks)
    return FleetFound(ending.error, result, remarks)


class RunLines(io.TextIOBase):
    """Standard error of a run: log lines pass on, one write each, and the others are remembered."""

    def __init__(self, *, logging: bool) -> None:
        super().__init__()
        self.remarks: list[str] = []
        self._logging = logging
        self._begun = ""

    def writable(self) -> bool:
        """Take lines."""
        return True

    def write(self, text: str, /) -> int:
        """Pass complete log lines on, and remember other lines."""
        *complete, self._begun = f"{self._begun}{text}".split("\n")
        for line in complete:
            if line.startswith("{"):
                if self._logging:
                    with suppress(OSError):
                        os.write(_STDERR, f"{line}\n".encode("utf-8", "backslashreplace"))
            elif line.strip() and len(self.remarks) < _MOST_LINES:
                self.remarks.append(line.strip())
        return len(text)
