"""What stands behind a sandbox's bus, in its folder: the queues, who is registered, and the KPR receiver.

The bus in front of it is a broker on loopback (``broker``) or one in the process (``in_process``).
"""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kpr_sender import profiles
from kpr_sender.cms.algorithms import Policy
from kpr_sender.cms.port import Signer
from kpr_sender.errors import JournalLocked
from kpr_sender.journal.lock import JournalLock
from kpr_sender.keys.files import KeyPair, load_pkcs12
from kpr_sender.model import Environment, Party
from kpr_sender.profiles import Profile
from kpr_sender.sandbox.answers import Answers
from kpr_sender.sandbox.dialect import Dialect
from kpr_sender.sandbox.evaluation import Receiver
from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.kpr_receiver import KprReceiver
from kpr_sender.sandbox.ledger import Ledger
from kpr_sender.sandbox.links import Fate
from kpr_sender.sandbox.pki import Pki, ensure_pki, impostor
from kpr_sender.sandbox.queues import Queues
from kpr_sender.sandbox.registered import Registered
from kpr_sender.settings.sample_file import RECEIVER_QUEUE
from kpr_sender.texts import Text


@dataclass(frozen=True, slots=True)
class Fhi:
    """FHI without what messages come by.

    Attributes:
        pki: Every key in the folder.
        receiver: Evaluates messages.
        impostor: Makes a key that is not FHI's.
    """

    pki: Pki
    registered: Registered
    receiver: Receiver
    impostor: Callable[[], Signer]


def open_fhi(
    directory: Path,
    *,
    sender_her_id: int,
    municipality: Party,
    max_bytes: int,
    faults: Faults,
    now: Callable[[], datetime],
) -> Fhi:
    """Make what the folder lacks of keys, and return who evaluates messages. Arguments as ``open_receiving_end``.

    Raises:
        OSError: The folder cannot be written.
    """
    pki = ensure_pki(directory, now=now())
    years = {year: profiles.load(year) for year in profiles.known_years()}
    party = _receiver_of(years)
    registered = Registered(
        pki,
        receiver=party,
        municipality=municipality,
        password=_ensure_password(directory / "bus-password"),
        faults=faults,
        now=now,
    )
    receiver = Receiver(
        party=party,
        sender_her_id=sender_her_id,
        decrypters=registered.decrypters,
        signers=(pki.certificate("kommune-signing"),),
        known=registered.certificates,
        profiles=years,
        queues=frozenset({own_queues(sender_her_id)[0]}),
        policy=Policy(max_bytes=max_bytes),
    )
    signing = load_pkcs12(pki.pkcs12("fhi-signing"), pki.passphrase(), name="fhi-signing")
    return Fhi(pki, registered, receiver, functools.cache(functools.partial(_impostor, signing, now)))


@dataclass(frozen=True, slots=True)
class ReceivingEnd:
    """All of it.

    Attributes:
        pki: Every key in the folder.
        unbound: What the bus does with what no queue is bound for.
    """

    pki: Pki
    queues: Queues
    registered: Registered
    receiver: KprReceiver
    unbound: Fate


def open_receiving_end(
    directory: Path,
    *,
    sender_her_id: int,
    municipality: Party,
    dialect: Dialect,
    max_bytes: int,
    apprec_version: str,
    faults: Faults,
    now: Callable[[], datetime],
) -> ReceivingEnd:
    """Make what the folder lacks, and open what an earlier run left in it.

    Args:
        directory: The sandbox's folder.
        sender_her_id: Level 2 HER-id of the municipality that may send; names its queues.
        municipality: Who that is, as the register has it.
        dialect: How the queues count deliveries.
        max_bytes: The largest message.
        apprec_version: Of the receipts, ``1.0`` or ``1.1``.
        faults: What goes wrong from the start.
        now: The clock; aware.

    Raises:
        OSError: The folder cannot be written.
    """
    receipts_queue, error_queue = own_queues(sender_her_id)
    fhi = open_fhi(
        directory, sender_her_id=sender_her_id, municipality=municipality, max_bytes=max_bytes, faults=faults, now=now
    )
    registered = fhi.registered
    queues = Queues(directory / "queues", (receipts_queue, error_queue, RECEIVER_QUEUE), dialect)
    unbound = Fate.LOSE if dialect.loses_unroutable else Fate.RELEASE
    receiver = KprReceiver(
        RECEIVER_QUEUE,
        receiver=fhi.receiver,
        answers=Answers(
            party=fhi.receiver.party,
            sender_her_id=sender_her_id,
            signer=registered.signer,
            impostor=fhi.impostor,
            recipient=registered.recipient,
            error_queue=error_queue,
            apprec_version=apprec_version,
            now=now,
        ),
        queues=queues,
        ledger=Ledger(directory),
        unbound=unbound,
        now=now,
    )
    receiver.faults = faults
    return ReceivingEnd(fhi.pki, queues, registered, receiver, unbound)


def take_lock(directory: Path, now: Callable[[], datetime]) -> JournalLock:
    """Two sandboxes in one folder would write over each other's messages.

    Raises:
        JournalLocked: Another sandbox runs in this folder.
    """
    try:
        return JournalLock.acquire(directory / "sandbox", now=now)
    except JournalLocked:
        raise JournalLocked(
            Text("Another sandbox runs in this folder."),
            where=str(directory),
            next_step=Text("End it, or use another folder."),
        ) from None


def own_queues(sender_her_id: int) -> tuple[str, str]:
    """Return the names of a municipality's receipts and error queue."""
    return f"{sender_her_id}_async", f"{sender_her_id}_error"


def kpr_party() -> Party:
    """Return whom a sandbox plays."""
    return _receiver_of({year: profiles.load(year) for year in profiles.known_years()})


def _receiver_of(years: Mapping[int, Profile]) -> Party:
    return max(years.items())[1].receivers[Environment.LOKAL]


def _impostor(genuine: KeyPair, now: Callable[[], datetime]) -> Signer:
    key, certificate = impostor(genuine.certificate, now())
    return KeyPair(certificate, key, (genuine.certificate, *genuine.chain))


def _ensure_password(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes().strip()
    password = secrets.token_urlsafe(24).encode("ascii")
    with os.fdopen(descriptor, "wb") as file:
        file.write(password)
    return password
