"""A stage for many short plays: one municipality in memory, with keys that last sixty years and are read once.

The real engine and the real journal run on it, in a folder of their own for each play; what is slow and proves nothing
here (parsing the configuration, OpenSSL's proof that a key's primes are prime) happens once.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kpr_sender import profiles
from kpr_sender.bus.port import Inbound, Source
from kpr_sender.cms.write import seal
from kpr_sender.keys.files import KeyPair
from kpr_sender.messages.hodemelding import Hodemelding
from kpr_sender.messages.transport import CONTENT_TYPE
from kpr_sender.model import Environment, MessageType
from kpr_sender.registry.port import Counterpart
from kpr_sender.sandbox import apprec
from kpr_sender.sandbox.sample import write_pair
from kpr_sender.settings.values import Settings
from tests.helpers import pki
from tests.helpers.edi_municipality import ACCOUNT
from tests.helpers.fhi import REJECTION
from tests.helpers.municipality import YEAR, municipality

BEGIN = datetime(2025, 1, 6, 9, tzinfo=UTC)
EXTRACTS = 5
_VALID = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC))
_SIGN, _ENCIPHER = ("content_commitment",), ("key_encipherment", "data_encipherment")


@functools.cache
def _pair(name: str, usages: tuple[str, ...]) -> KeyPair:
    key = rsa.generate_private_key(65537, 2048)
    issuer_key = pki.private_key(pki.Kind.STRANGER)
    return KeyPair(pki.issue(name, key, issuer="Stage CA", issuer_key=issuer_key, usages=usages, valid=_VALID), key)


@dataclass(frozen=True)
class Stage:
    """What all plays share.

    Attributes:
        settings: A municipality's, with no time to wait for anything.
        extracts: Pairs of files, each with other content, but that the second has the first one's fagmelding.
        counterpart: FHI, as the register has it.
    """

    folder: Path
    settings: Settings
    extracts: tuple[tuple[Path, Path], ...]
    counterpart: Counterpart
    kommune: KeyPair
    kommune_encryption: KeyPair
    fhi: KeyPair
    stranger: KeyPair

    def in_folder(self, folder: Path) -> Settings:
        """Return the settings of one play."""
        journal = replace(self.settings.journal, path=folder / "journal.db", receipts_dir=folder / "receipts")
        return replace(self.settings, journal=journal)

    def load_key(self, source: object) -> KeyPair:
        """Stand in for ``engine.keys.load_key``: the same keys, already loaded."""
        return self.kommune if source == self.settings.keys.signing else self.kommune_encryption

    def registry(self) -> FixedRegistry:
        """Return a register that knows FHI."""
        return FixedRegistry(self.counterpart)

    def apprec(self, msg_id: str, message_type: MessageType, status: str, *, her_id: int | None = None) -> bytes:
        """Write FHI's plain AppRec for a message."""
        receiver = profiles.load(YEAR).receivers[Environment.LOKAL]
        original = Hodemelding(
            type=message_type,
            type_text=message_type.value,
            msg_id=msg_id,
            generated_at=BEGIN,
            sender=self.settings.sender.party,
            receiver=receiver if her_id is None else replace(receiver, service_her_id=her_id),
            ack=True,
        )
        return apprec.build(
            version="1.0",
            apprec_id=str(uuid.uuid4()),
            generated_at=BEGIN,
            status_code=status,
            errors=() if status == "1" else REJECTION,
            original=original,
        )

    def sealed(self, xml: bytes, *, by: KeyPair | None = None) -> bytes:
        """Seal for the municipality, as FHI does unless another key is given."""
        signer, recipient = by or self.fhi, self.kommune_encryption.certificate
        return b"".join(map(bytes, seal([xml], len(xml), signer=signer, recipient=recipient)))

    def inbound(self, body: bytes, *, correlation_id: str = "", from_her_id: int | None = None) -> Inbound:
        """A message as it comes from the receipts queue."""
        properties = {"fromHerId": str(from_her_id or self.counterpart.her_id), "toHerId": "900002"}
        message_id = str(uuid.uuid4())
        return Inbound(None, Source.RECEIPTS, message_id, correlation_id, "APPREC", CONTENT_TYPE, properties, body)


@dataclass(frozen=True)
class FixedRegistry:
    """Knows one party, whose certificates are at hand."""

    known: Counterpart

    def counterpart(self, her_id: int) -> Counterpart:
        assert her_id == self.known.her_id
        return self.known


def stage() -> Stage:
    """Set the stage up, in a folder that ``strike`` takes away."""
    folder = Path(tempfile.mkdtemp())
    kommune, encryption = _pair("kommune-signing", _SIGN), _pair("kommune-encryption", _ENCIPHER)
    fhi, fhi_encryption = _pair("fhi-signing", _SIGN), _pair("fhi-encryption", _ENCIPHER)
    made = municipality(folder / "kommune")
    for name, pair in {"signing": kommune, "decryption": encryption}.items():
        (made.folder / f"{name}.pem").write_bytes(pair.certificate.public_bytes(Encoding.PEM))
        (made.folder / f"{name}.key").write_bytes(
            pair.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
    no_p12: dict[str, object] = {"pkcs12": None, "passphrase_file": None}
    settings = made.configure(
        {
            f"keys.{name}": {**no_p12, "certificate": f"{name}.pem", "key": f"{name}.key"}
            for name in ("signing", "decryption")
        }
        | {"edi": ACCOUNT}
    )
    receiver = profiles.load(YEAR).receivers[Environment.LOKAL].service_her_id
    return Stage(
        folder=folder,
        settings=replace(settings, bus=replace(settings.bus, reconnect_budget=0.0)),
        extracts=_extracts(folder),
        counterpart=Counterpart(receiver, "171479_async", fhi_encryption.certificate, (fhi.certificate,)),
        kommune=kommune,
        kommune_encryption=encryption,
        fhi=fhi,
        stranger=_pair("stranger", _SIGN),
    )


def _extracts(folder: Path) -> tuple[tuple[Path, Path], ...]:
    made = [
        write_pair(folder / f"extract-{number}", year=YEAR, persons=1, seed=number, lopenr=number)
        for number in range(1, EXTRACTS)
    ]
    fagmelding, identmelding = made[0]
    corrected = identmelding.with_name("corrected.xml")
    corrected.write_bytes(identmelding.read_bytes() + b"\n")
    return (made[0], (fagmelding, corrected), *made[1:])


def strike(made: Stage) -> None:
    """Take the stage away."""
    shutil.rmtree(made.folder, ignore_errors=True)
