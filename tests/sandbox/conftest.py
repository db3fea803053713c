"""A municipality, its sealed messages, and sandboxes that share one PKI."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import Certificate
from proton import Message

from kpr_sender import profiles
from kpr_sender.cms.algorithms import Policy
from kpr_sender.cms.read import open_sealed
from kpr_sender.cms.write import seal
from kpr_sender.keys.files import KeyPair, load_pkcs12
from kpr_sender.messages import hodemelding, transport
from kpr_sender.messages.hodemelding import Hodemelding
from kpr_sender.messages.splice import splice
from kpr_sender.model import Environment, MessageType, Party, Transport
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.pki import Pki, ensure_pki
from kpr_sender.sandbox.sample import write_pair
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from tests.sandbox.bus_client import BusClient
from tests.sandbox.edi_client import EdiMunicipality

SENDER = Party("EKSEMPEL KOMMUNE", 900001, "Saksbehandling", 900002)
PLAIN = Behaviour(tls=False)


@functools.cache
def _key_pair(data: bytes, passphrase: str, name: str) -> KeyPair:
    """Loading checks the key, which takes longer than all else a test does."""
    return load_pkcs12(data, passphrase, name=name)


@dataclasses.dataclass
class Municipality:
    """What a sender does by hand: builds, seals and labels a message, and opens what comes back."""

    pki: Pki
    files: Mapping[MessageType, bytes] = dataclasses.field(repr=False)

    def key_pair(self, name: str) -> KeyPair:
        return _key_pair(self.pki.pkcs12(name), self.pki.passphrase(), name)

    def hodemelding(self, type_: MessageType) -> Hodemelding:
        receiver = profiles.load(2024).receivers[Environment.LOKAL]
        return Hodemelding(type_, "KPR", str(uuid.uuid4()), datetime.now(UTC), SENDER, receiver, ack=True)

    def framed(self, head: Hodemelding, payload: bytes | None = None) -> bytes:
        before, after = hodemelding.frame(head)
        return before + b"".join(splice([self.files[head.type] if payload is None else payload])) + after

    def seal(self, content: bytes, *, signer: KeyPair | None = None, recipient: str = "fhi-encryption") -> bytes:
        by = signer or self.key_pair("kommune-signing")
        return b"".join(map(bytes, seal([content], len(content), signer=by, recipient=self.pki.certificate(recipient))))

    def message(self, head: Hodemelding, body: bytes | None = None) -> Any:
        return Message(
            body=self.seal(self.framed(head)) if body is None else body,
            inferred=True,
            durable=True,
            id=str(uuid.uuid4()),
            subject=head.type.value,
            address="171479_async",
            reply_to=f"{SENDER.service_her_id}_async",
            correlation_id=str(uuid.uuid4()),
            content_type=transport.CONTENT_TYPE,
            properties=transport.application_properties(
                sender_her_id=head.sender.service_her_id,
                receiver_her_id=head.receiver.service_her_id,
                at=datetime.now(UTC),
            ),
        )

    def open(self, sealed: bytes, *, signed_by: Certificate | None = None) -> bytes:
        return open_sealed(
            bytes(sealed),
            decrypters=[self.key_pair("kommune-encryption")],
            signers=[signed_by or self.pki.certificate("fhi-signing")],
            policy=Policy(),
        ).content


@pytest.fixture(scope="session")
def shared_pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    ensure_pki(directory, now=datetime.now(UTC))
    return directory


@pytest.fixture(scope="session")
def sample_files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[MessageType, bytes]:
    pair = write_pair(tmp_path_factory.mktemp("files"), year=2024, persons=3)
    return dict(zip(MessageType, (path.read_bytes() for path in pair), strict=True))


@pytest.fixture
def folder(tmp_path: Path, shared_pki: Path) -> Path:
    directory = tmp_path / "sandbox"
    shutil.copytree(shared_pki, directory)
    return directory


@pytest.fixture
def municipality(folder: Path, sample_files: Mapping[MessageType, bytes]) -> Municipality:
    return Municipality(Pki(folder / "pki"), sample_files)


@pytest.fixture
def run(folder: Path) -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes in the test's folder, without TLS unless asked; all are closed at the end."""
    with ExitStack() as running:

        def start(**options: Any) -> Sandbox:
            options = {"behaviour": PLAIN, **options}
            return running.enter_context(Sandbox(folder, sender_her_id=SENDER.service_her_id, **options))

        yield start


@pytest.fixture
def connect(folder: Path) -> Iterator[Callable[[Sandbox], BusClient]]:
    """Connect to a sandbox as the municipality; all connections are closed at the end."""
    with ExitStack() as open_:

        def client(sandbox: Sandbox) -> BusClient:
            connection = BusClient(sandbox.port, (folder / "bus-password").read_text(encoding="ascii"))
            open_.callback(connection.leave)
            return connection

        yield client


@pytest.fixture
def run_edi(folder: Path) -> Iterator[Callable[..., EdiSandbox]]:
    """Start sandboxes that speak EDI in the test's folder, with the faults named; all are closed at the end."""
    with ExitStack() as running:

        def start(*faults: str) -> EdiSandbox:
            active = Faults.parse(faults, Transport.EDI)
            return running.enter_context(EdiSandbox(folder, sender_her_id=SENDER.service_her_id, faults=active))

        yield start


@pytest.fixture
def edi_sender(municipality: Municipality) -> EdiMunicipality:
    return EdiMunicipality(municipality)
