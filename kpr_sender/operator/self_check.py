"""Proves, without sending anything, that a send would work: a table of checks, carried out one after the other."""

from __future__ import annotations

import enum
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kpr_sender.errors import KprError
from kpr_sender.keys.configured import ConfiguredKeys, Keys
from kpr_sender.operator import machine_checks, network_checks
from kpr_sender.operator.machine_checks import Seen, Setup, utc_now
from kpr_sender.settings.values import Settings

_HERE: Final = 20.0  # seconds for what needs no network: a token or a disk may hang, too
_GRACE: Final = 2.0  # seconds beyond what the network may take: it tells more of what is wrong than we can
_QUESTIONS: Final = 6  # at most that many to the register in one check, with a HelseID's


class Light(enum.StrEnum):
    """How a check ended."""

    GREEN = "green"
    YELLOW = "yellow"
    """Nothing hinders a send, but a person should see to it; or it was not tried because of another red."""
    RED = "red"


@dataclass(frozen=True, slots=True)
class Line:
    """One check's result.

    Attributes:
        seen: What was seen, without secrets.
        next_step: What to do; empty when green.
    """

    name: str
    light: Light
    seen: str
    next_step: str = ""


def _here(_settings: Settings) -> float:
    return _HERE


def _register(settings: Settings) -> float:
    return settings.registry.timeout * _QUESTIONS + _GRACE


def _bus(settings: Settings) -> float:
    return settings.bus.connect_timeout * 2 + _GRACE


def _everywhere(settings: Settings) -> float:
    return _HERE + _register(settings) + _bus(settings)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Attributes:
        name: Of its line.
        look: Returns what it saw, or raises what is wrong.
        what_to_do: Where what is wrong does not say it better.
        needs: Checks that must not have failed before it.
        seconds: How long it may take, by the configuration.
    """

    name: str
    look: Callable[[Setup], Seen]
    what_to_do: str
    needs: tuple[str, ...] = ()
    seconds: Callable[[Settings], float] = _here


_ASK_BUS: Final = "Ask the bus's operator (kundesenter@nhn.no)."
_ALLOWED: Final = ("environment",)
"""Nobody is talked to who belongs to another environment."""

CHECKS: Final = (
    Check("environment", machine_checks.environment, "Correct the configuration."),
    Check("year", machine_checks.year, "Compare the values with FHI's letter about the year; put its reference there."),
    Check("secrets", machine_checks.secrets, "Let only the user that runs kpr-send read them (chmod 0600)."),
    Check("files", machine_checks.files, "Make the extracts in the EPJ, and name them."),
    Check("journal folder", machine_checks.journal_folder, "Use a folder on a local disk that this user may write to."),
    Check("disk space", machine_checks.disk_space, "Make room on the journal's disk."),
    Check("journal", machine_checks.journal, "Run kpr-send journal verify."),
    Check("signing key", machine_checks.signing_key, "Check [keys.signing]; certs/README.md tells how."),
    Check("decryption keys", machine_checks.decryption_keys, "Check [[keys.decryption]]; certs/README.md tells how."),
    Check(
        "self-sealed message",
        machine_checks.self_sealed,
        "Configure the key that belongs to each certificate.",
        needs=("signing key", "decryption keys"),
    ),
    Check("clock", network_checks.clock, "Set this machine's clock; let NTP keep it.", _ALLOWED, _register),
    Check("receiver", network_checks.receiver, "Compare with Adresseregisteret; ask kpr@fhi.no.", _ALLOWED, _register),
    Check(
        "sender", network_checks.sender, "Compare [sender] with our entry in Adresseregisteret.", _ALLOWED, _register
    ),
    Check(
        "certificates",
        network_checks.certificates,
        "See kpr-send certs: have the next one ready.",
        _ALLOWED,
        _everywhere,
    ),
    Check("bus TLS", network_checks.bus_tls, _ASK_BUS, _ALLOWED, _bus),
    Check("bus login", network_checks.bus_login, _ASK_BUS, ("bus TLS",), _bus),
    Check("receipts queue", network_checks.receipts_queue, _ASK_BUS, ("bus login",), _bus),
    Check("error queue", network_checks.error_queue, _ASK_BUS, ("bus login",), _bus),
    Check("receiver's exchange", network_checks.receivers_exchange, _ASK_BUS, ("bus login", "receiver"), _bus),
)


def examine(
    settings: Settings,
    *,
    keys: Keys | None = None,
    now: Callable[[], datetime] = utc_now,
    max_seconds: float = math.inf,
    checks: tuple[Check, ...] = CHECKS,
) -> Iterator[Line]:
    """Carry out the checks and yield a line for each, as soon as it is known.

    Args:
        settings: The configuration.
        keys: Other keys than the configured ones.
        now: The clock; aware.
        max_seconds: Bound on all of them together; each has its own besides.
        checks: What to look at.
    """
    setup = Setup(settings, keys or ConfiguredKeys(settings), now)
    ends = time.monotonic() + max_seconds
    failed: set[str] = set()
    try:
        for check in checks:
            missing = [name for name in check.needs if name in failed]
            if missing:
                line = Line(check.name, Light.YELLOW, "not tried", f"See to this first: {', '.join(missing)}.")
            else:
                line = _carried_out(check, setup, min(check.seconds(settings), ends - time.monotonic()))
            if missing or line.light is Light.RED:
                failed.add(check.name)
            yield line
    finally:
        setup.close()


def _carried_out(check: Check, setup: Setup, seconds: float) -> Line:
    """Look, on a thread of its own: a disk, a token or a resolver that hangs must not keep the other lines away."""
    found: list[Line] = []
    thread = threading.Thread(target=lambda: found.append(_looked(check, setup)), name="kpr-doctor", daemon=True)
    if seconds > 0:
        thread.start()
        thread.join(seconds)
    if not found:
        said = f"no answer in {seconds:.0f} seconds" if seconds > 0 else "not tried: the time is up"
        return Line(check.name, Light.RED, said, check.what_to_do)
    return found[0]


def _looked(check: Check, setup: Setup) -> Line:
    try:
        seen = check.look(setup)
    except KprError as error:
        place = f"{error.where}: " if error.where else ""
        # An error's general advice is for whoever is sending.
        own = error.next_step if error.next_step != error.advice else check.what_to_do
        return Line(check.name, Light.RED, f"{place}{error.what}", own)
    except Exception as error:  # noqa: BLE001 - a fault in one check must not keep the other lines away
        # No text: it might show what was handled (promise G6).
        return Line(check.name, Light.RED, f"an error in kpr-sender ({type(error).__name__})", "Report it.")
    if seen.unwise:
        return Line(check.name, Light.YELLOW, seen.text, check.what_to_do)
    return Line(check.name, Light.GREEN, seen.text)
