"""The self-checks: one table, from which ``doctor``, ``config check`` and ``certs`` select."""

from __future__ import annotations

import enum
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from kpr_sender.errors import BusUnreachable, InternalError, KprError, LoginRefused, NotReady, RegistryUnreachable
from kpr_sender.model import Transport
from kpr_sender.operator import certificates
from kpr_sender.operator import edi_checks as edi
from kpr_sender.operator import machine_checks as machine
from kpr_sender.operator import network_checks as network
from kpr_sender.operator.certificates import CertificateInUse
from kpr_sender.operator.check_context import CheckContext, CheckResult, Status, counted
from kpr_sender.settings.values import Revocation, Settings
from kpr_sender.texts import Text, listed
from kpr_sender.trust.port import Trust

__all__ = ["CHECKS", "WITHOUT_BUS", "Check", "CheckContext", "CheckResult", "Place", "Status", "carry_out", "in_use"]


class Place(enum.Enum):
    """Where a check looks."""

    MACHINE = "machine"
    KEYS = "keys"
    """Our keys and certificates; where the configuration asks for it, also whether they are revoked."""
    REGISTER = "register"
    """Adresseregisteret, or the files that take its place."""
    BUS = "bus"


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table.

    Attributes:
        carry_out: Returns what it found, or raises what is wrong.
        advice: What to do, where what is wrong does not say it better.
        needs: Checks that must not have failed before it.
        unreachable: What it is while the register cannot be reached.
        certificates: Yields the certificates that it is about; None where it is about none.
        way: The way that it is about; None where it is the same for both.
    """

    name: str
    place: Place
    carry_out: Callable[[CheckContext], CheckResult]
    advice: str
    needs: tuple[str, ...] = ()
    unreachable: Status = Status.RED
    certificates: Callable[[CheckContext, Trust], Iterator[CertificateInUse]] | None = None
    way: Transport | None = None


_REPLACE: Final = Text("See kpr-send certs; docs/certificates.md says how to replace one.")
_NO_ANSWER: Final = Text("See that this machine reaches the address, then ask who runs it (kundesenter@nhn.no).")
_ASK_BUS: Final = Text("Ask the bus's operator (kundesenter@nhn.no).")
_ASK_MAIL_SERVER: Final = Text("Ask who runs the mail server (in Helsenettet kundesenter@nhn.no).")
_ASK_OWNER: Final = Text(
    "Ask who else reads this queue to read it, docs/shared-queue.md tells how; else ask the bus's operator "
    "(kundesenter@nhn.no)."
)
_ALLOWED: Final = ("environment",)  # nobody is asked who belongs to another environment
_ANSWERED: Final = ("register",)
_TRUSTED: Final = Text("trust")  # without the authorities no certificate can be evaluated
_OWN_KEYS: Final = (Text("signing key"), Text("decryption keys"))
_ELSEWHERE: Final = Text(
    "Let XDG_STATE_HOME name, for every run, a folder that lasts, lies elsewhere than the journal and is this user's."
)
_COMPARE: Final = Text("Compare [sender] with our entry in Adresseregisteret.")

_AMQP, _EDI = Transport.AMQP, Transport.EDI

CHECKS: Final = (
    Check(Text("environment"), Place.MACHINE, machine.environment, Text("Correct the configuration.")),
    Check(
        Text("year"),
        Place.MACHINE,
        machine.year,
        Text("Compare with FHI's letter about the year; put its reference there."),
    ),
    Check(Text("addresses"), Place.MACHINE, machine.addresses, Text("Correct [bus] or [registry]."), way=_AMQP),
    Check(Text("EDI account"), Place.MACHINE, edi.account, Text("Correct [edi]."), way=_EDI),
    Check(
        Text("trust"),
        Place.MACHINE,
        machine.trust,
        Text("Set [protection] roots and revocation; certs/README.md says how."),
    ),
    Check(
        Text("secrets"),
        Place.MACHINE,
        machine.secrets,
        Text("Let only the user that runs kpr-send read them (chmod 0600)."),
    ),
    Check(Text("files"), Place.MACHINE, machine.files, Text("Make the extracts in the EPJ, and name them.")),
    Check(
        Text("journal folder"),
        Place.MACHINE,
        machine.journal_folder,
        Text("Use a local folder that this user may write to."),
    ),
    Check(
        Text("receipts"),
        Place.MACHINE,
        machine.receipts_from,
        Text("Let a person look at what is there, and ask kpr@fhi.no."),
        way=_AMQP,
    ),
    Check(Text("disk space"), Place.MACHINE, machine.disk_space, Text("Make room on the journal's disk.")),
    Check(Text("journal"), Place.MACHINE, machine.journal, Text("Run kpr-send journal verify.")),
    Check(Text("second witness"), Place.MACHINE, machine.second_witness, _ELSEWHERE),
    Check(
        Text("notices"),
        Place.MACHINE,
        machine.notices,
        Text("Try kpr-send notify --test; docs/monitoring.md says how."),
    ),
    Check(
        Text("monitoring"), Place.MACHINE, machine.monitoring, Text("Correct [monitor]; docs/monitoring.md says how.")
    ),
    Check(
        Text("signing key"),
        Place.KEYS,
        machine.signing_key,
        Text("Check [keys.signing]; certs/README.md says how."),
        (_TRUSTED,),
    ),
    Check(
        Text("decryption keys"),
        Place.KEYS,
        machine.decryption_keys,
        Text("Check [[keys.decryption]]; certs/README.md says how."),
    ),
    Check(
        Text("self-sealed message"),
        Place.KEYS,
        machine.self_sealed,
        Text("Configure the key of each certificate."),
        _OWN_KEYS,
    ),
    Check(
        Text("our certificates"),
        Place.KEYS,
        network.our_certificates,
        _REPLACE,
        (_TRUSTED, *_OWN_KEYS),
        certificates=certificates.own,
    ),
    Check(Text("register"), Place.REGISTER, network.register, _NO_ANSWER, _ALLOWED),
    Check(Text("clock"), Place.REGISTER, network.clock, Text("Set this machine's clock; let NTP keep it."), _ANSWERED),
    Check(
        Text("receiver"),
        Place.REGISTER,
        network.receiver,
        Text("Compare with Adresseregisteret; ask kpr@fhi.no."),
        _ANSWERED,
    ),
    Check(
        Text("receiver's certificates"),
        Place.REGISTER,
        network.receivers_certificates,
        _REPLACE,
        ("receiver", _TRUSTED),
        certificates=certificates.receivers,
    ),
    Check(Text("sender"), Place.REGISTER, network.sender, _COMPARE, _ANSWERED, unreachable=Status.YELLOW),
    Check(
        Text("EDI addresses"),
        Place.REGISTER,
        edi.registered,
        _COMPARE,
        ("receiver",),
        unreachable=Status.YELLOW,
        way=_EDI,
    ),
    Check(Text("mail server"), Place.BUS, edi.mail_server, _ASK_MAIL_SERVER, _ALLOWED, way=_EDI),
    Check(Text("mailbox"), Place.BUS, edi.mailbox, Text("docs/edi.md says who may read it."), _ALLOWED, way=_EDI),
    Check(Text("bus TLS"), Place.BUS, network.bus_tls, _ASK_BUS, _ALLOWED, way=_AMQP),
    Check(
        Text("bus certificate"),
        Place.BUS,
        network.bus_certificate,
        _ASK_BUS,
        (Text("bus TLS"),),
        certificates=certificates.of_the_bus,
        way=_AMQP,
    ),
    Check(Text("bus login"), Place.BUS, network.bus_login, _ASK_BUS, (Text("bus TLS"),), way=_AMQP),
    Check(Text("receipts queue"), Place.BUS, network.receipts_queue, _ASK_OWNER, (Text("bus login"),), way=_AMQP),
    Check(Text("error queue"), Place.BUS, network.error_queue, _ASK_OWNER, (Text("bus login"),), way=_AMQP),
    Check(
        Text("receiver's exchange"),
        Place.BUS,
        network.receivers_exchange,
        _ASK_BUS,
        (Text("bus login"), "receiver"),
        way=_AMQP,
    ),
)
WITHOUT_BUS: Final = tuple(check for check in CHECKS if check.place is not Place.BUS)
"""The rows of ``config check``: nothing connects to the bus, and the register is asked where one is configured."""

_LOCAL: Final = 20.0  # seconds for what needs no network: a token or a disk may hang, too
_REVOCATION: Final = 120.0  # 10 for each of three CRLs and three OCSP addresses of a certificate and its issuer
_GRACE: Final = 2.0  # seconds beyond what the network may take: its own error says more of what is wrong
_QUESTIONS: Final = 7  # at most that many to the register in one check, with a HelseID's


def in_use(context: CheckContext) -> tuple[CertificateInUse, ...]:
    """Collect the certificates that the checks are about, each whatever the others are.

    Raises:
        ConfigInvalid: The authorities that the configuration names cannot be read.
    """
    trust = context.trust(context.observe)
    checks = (check for check in CHECKS if _is_about(check, context.settings) and check.certificates)
    return tuple(row for check in checks if check.certificates for row in check.certificates(context, trust))


def _is_about(check: Check, settings: Settings) -> bool:
    return check.way in {None, settings.transport}


def carry_out(checks: tuple[Check, ...], context: CheckContext, *, max_seconds: float) -> Iterator[CheckResult]:
    """Carry out checks and yield each result as soon as it is known; ``max_seconds`` bounds all together.

    One cause is one line: what depends on it, or says the same once more, is not tried, and names the cause.
    """
    ends = time.monotonic() + max_seconds
    causes: dict[str, list[str]] = {}
    red: dict[str, str] = {}
    try:
        for check in (one for one in checks if _is_about(one, context.settings)):
            first = list(dict.fromkeys(cause for name in check.needs for cause in causes.get(name, ())))
            if first:
                result = _not_tried(first)
                causes[check.name] = first
            else:
                result = _bounded(check, context, min(_seconds(check.place, context.settings), ends - time.monotonic()))
                if result.status is Status.RED and result.text in red:
                    first = causes[check.name] = [red[result.text]]
                    result = _not_tried(first)
                elif result.status is Status.RED:
                    causes[check.name] = [check.name]
                    if not isinstance(result.error, NotReady | InternalError):  # which name no cause
                        red[result.text] = check.name
                if check.place is Place.REGISTER and isinstance(result.error, RegistryUnreachable | LoginRefused):
                    causes["register"] = [check.name]  # it told the time, and does not answer us when it is asked
            yield replace(result, name=check.name)
    finally:
        context.close()


def _not_tried(first: list[str]) -> CheckResult:
    return CheckResult(Status.YELLOW, Text("not tried"), Text("See to this first: {checks}.", checks=listed(*first)))


def _seconds(place: Place, settings: Settings) -> float:
    """Return how long a check may take."""
    revocation = 0.0 if settings.protection.revocation is Revocation.OFF else _REVOCATION
    return {
        Place.MACHINE: _LOCAL,
        Place.KEYS: _LOCAL + revocation,
        Place.REGISTER: settings.registry.timeout * _QUESTIONS + revocation + _GRACE,
        Place.BUS: (settings.bus if settings.edi is None else settings.edi).connect_timeout * 4 + _GRACE
        if settings.transport is Transport.EDI
        else settings.bus.connect_timeout * 2 + _GRACE,
    }[place]


def _bounded(check: Check, context: CheckContext, seconds: float) -> CheckResult:
    """Carry a check out on its own thread: a disk, token or resolver that hangs must not block the others."""
    found: list[CheckResult] = []
    thread = threading.Thread(target=lambda: found.append(_result(check, context)), name="kpr-check", daemon=True)
    if seconds > 0:
        thread.start()
        thread.join(seconds)
    if found:
        return found[0]
    text = (
        Text("no answer in {counted}", counted=counted(math.ceil(seconds), "second"))
        if seconds > 0
        else Text("not tried: the time is up")
    )
    return _red(NotReady(Text("{check}: {text}.", check=check.name, text=text)), text, check.advice)


def _result(check: Check, context: CheckContext) -> CheckResult:
    try:
        result = check.carry_out(context)
    except KprError as error:
        # An error's general advice is for whoever is sending.
        general = _NO_ANSWER if isinstance(error, BusUnreachable | RegistryUnreachable) else check.advice
        own = error.next_step if error.next_step != error.advice else general
        if isinstance(error, RegistryUnreachable) and check.unreachable is Status.YELLOW:
            return CheckResult(Status.YELLOW, Text("not compared: {what}", what=error.placed), own)
        return _red(error, error.placed, own)
    except Exception as error:  # noqa: BLE001 - a fault in one check must not hide the other results
        # No text: it might show what was handled (promise G6).
        text = Text("an error in kpr-sender ({name})", name=type(error).__name__)
        return _red(InternalError(Text("{check}: {text}.", check=check.name, text=text)), text, Text("Report it."))
    return result if result.status is Status.GREEN else replace(result, next_step=check.advice)


def _red(error: KprError, text: str, next_step: str) -> CheckResult:
    return CheckResult(Status.RED, text, next_step, error=error)
