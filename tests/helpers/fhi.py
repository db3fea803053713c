"""FHI's side in a test: opens what was published and answers with a sealed AppRec, rightly or wrongly on request."""

from __future__ import annotations

import functools
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from kpr_sender.bus.port import Inbound, Outbound, Source
from kpr_sender.cms.read import Policy, open_sealed
from kpr_sender.cms.write import seal
from kpr_sender.keys.files import KeyPair, load_pkcs12
from kpr_sender.messages.hodemelding import Hodemelding
from kpr_sender.messages.transport import CONTENT_TYPE
from kpr_sender.model import ReceiptError
from kpr_sender.sandbox import apprec
from kpr_sender.sandbox.hodemelding import read
from kpr_sender.sandbox.pki import Pki

REJECTION = (ReceiptError("T02", "2.16.578.1.12.4.1.1.8221", "XML validerer ikke", "element tjTjenType linje 7"),)


@functools.cache
def _key(data: bytes, passphrase: str, name: str) -> KeyPair:
    """One loading for all tests that share a PKI: opening PKCS#12 takes its time."""
    return load_pkcs12(data, passphrase, name=name)


@dataclass(frozen=True)
class Fhi:
    """Holds FHI's keys of a test PKI."""

    pki: Pki

    def key(self, name: str) -> KeyPair:
        return _key(self.pki.pkcs12(name), self.pki.passphrase(), name)

    def opened(self, message: Outbound) -> bytes:
        """The Hodemelding that was sealed for FHI, verified as the municipality's."""
        decrypter = self.key("fhi-encryption")
        signers = [self.pki.certificate("kommune-signing")]
        return open_sealed(message.body, decrypters=[decrypter], signers=signers, policy=Policy()).content

    def hodemelding(self, message: Outbound) -> Hodemelding:
        return read(self.opened(message))[0]

    def apprec(self, message: Outbound, status: str = "1", version: str = "1.0", **changes: object) -> bytes:
        """The plain AppRec; ``changes`` are to the Hodemelding it answers."""
        original = replace(self.hodemelding(message), **changes)  # type: ignore[arg-type]  # a test names fields freely
        errors = () if status == "1" else REJECTION
        return apprec.build(
            version=version,
            apprec_id=str(uuid.uuid4()),
            generated_at=datetime.now(UTC),
            status_code=status,
            errors=errors,
            original=original,
        )

    def sealed(self, xml: bytes, *, signed_by: KeyPair | None = None) -> bytes:
        """Seal for the municipality."""
        signer = signed_by or self.key("fhi-signing")
        recipient = self.pki.certificate("kommune-encryption")
        return b"".join(map(bytes, seal([xml], len(xml), signer=signer, recipient=recipient)))

    def inbound(self, message: Outbound, body: bytes, **changes: object) -> Inbound:
        """An answer as it comes from the receipts queue."""
        properties = {"fromHerId": message.envelope.properties["toHerId"], "toHerId": "900002"}
        made = Inbound(
            token=None,
            source=Source.RECEIPTS,
            message_id=str(uuid.uuid4()),
            correlation_id=message.envelope.correlation_id,
            subject="APPREC",
            content_type=CONTENT_TYPE,
            properties=properties,
            body=body,
        )
        return replace(made, **changes)  # type: ignore[arg-type]  # a test names fields freely

    def answer(self, message: Outbound, status: str = "1", version: str = "1.0") -> list[Inbound]:
        """The sealed receipt for a message."""
        return [self.inbound(message, self.sealed(self.apprec(message, status, version)))]
