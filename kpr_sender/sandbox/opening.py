"""Opens a sealed message as strictly as a receiver must, and gives each reason against it its error condition.

HITS 1216 2.2.6: whatever is wrong with sealing, signature or certificates goes to the sender's error queue. A real
receiver should say less than this one: what depends on its secret key must not be reported to whoever alters messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.x509 import Certificate

from kpr_sender.cms import asn1
from kpr_sender.cms.algorithms import ID_ENVELOPED_DATA, Policy
from kpr_sender.cms.asn1 import content_info
from kpr_sender.cms.certificates import CertificateUse, check, names
from kpr_sender.cms.port import Decrypter, Malformed, NotForUs, ProtectionRefused
from kpr_sender.cms.read import open_envelope
from kpr_sender.cms.read_signed import verify
from kpr_sender.errors import AccessRefused
from kpr_sender.sandbox import codes
from kpr_sender.sandbox.codes import TransportFault, transport_fault


class Unopened(Exception):
    """A message that cannot be opened and verified.

    Args:
        fault: What its sender is told.
    """

    def __init__(self, fault: TransportFault) -> None:
        super().__init__(fault.condition)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens what is sealed for a receiver and signed by one sender.

    Attributes:
        decrypters: The receiver's keys.
        signers: The certificates registered for the sender.
        known: Every certificate that the receiver knows: it can name the one that a message was sealed for in vain.
        policy: The bounds.
    """

    decrypters: Sequence[Decrypter]
    signers: Sequence[Certificate]
    known: Sequence[Certificate]
    policy: Policy

    def open(self, sealed: bytes, *, at: datetime) -> bytes:
        """Decrypt and verify; return the content.

        Args:
            sealed: The message.
            at: When the signer's certificate must be valid; aware.

        Raises:
            Unopened: It cannot be.
        """
        plain = self._decrypted(sealed)
        try:
            opened = verify(plain, signers=self.signers, policy=self.policy)
        except ProtectionRefused as refused:
            _refuse(codes.INVALID_SIGNATURE, f"The signature is not valid: {refused}", *map(thumbprint, self.signers))
        self._check(opened.signer, at)
        return opened.content

    def _decrypted(self, sealed: bytes) -> memoryview:
        if len(sealed) > self.policy.max_bytes:
            _refuse(codes.INVALID_CMS, f"The message is larger than {self.policy.max_bytes} bytes")
        try:
            return open_envelope(memoryview(sealed), self.decrypters, self.policy)
        except (asn1.BerError, Malformed):
            _refuse(codes.INVALID_CMS)
        except NotForUs:
            expected = thumbprint(self.decrypters[0].certificate)
            _refuse(codes.INVALID_CERTIFICATE, "", expected, *map(thumbprint, self._recipients(sealed)))
        except ProtectionRefused as refused:
            _refuse(codes.DECRYPTION_FAILED, f"The content cannot be decrypted: {refused}")

    def _check(self, signer: Certificate, at: datetime) -> None:
        try:
            check(signer, CertificateUse.SIGNING_NON_REPUDIATION, at=at, name="the sender's certificate")
        except AccessRefused as refused:
            # The reference client says *expired* also of a certificate that is not valid yet.
            in_time = signer.not_valid_before_utc <= at <= signer.not_valid_after_utc
            condition = codes.INVALID_CERTIFICATE if in_time else codes.EXPIRED_CERTIFICATE
            _refuse(condition, refused.what, signer.subject.rfc4514_string(), thumbprint(signer))

    def _recipients(self, sealed: bytes) -> Iterable[Certificate]:
        """Return the known certificates that an envelope names as its recipients."""
        fields = asn1.Fields(content_info(memoryview(sealed), ID_ENVELOPED_DATA, self.policy))
        fields.take(asn1.INTEGER)
        fields.optional(asn1.CONTEXT_0_CONSTRUCTED)
        identifiers = []
        for info in fields.take(asn1.SET).children():
            if info.tag == asn1.SEQUENCE:
                recipient = asn1.Fields(info)
                recipient.take(asn1.INTEGER)
                identifiers.append(recipient.take(asn1.SEQUENCE, asn1.CONTEXT_0))
        return [each for each in self.known if any(names(identifier, each) for identifier in identifiers)]


def thumbprint(certificate: Certificate) -> str:
    """Return a certificate's thumbprint as Windows shows it: SHA-1, upper-case hex."""
    return certificate.fingerprint(SHA1()).hex().upper()  # noqa: S303 - a name, not a protection


def _refuse(condition: str, description: str = "", *data: str) -> NoReturn:
    raise Unopened(transport_fault(condition, description, *data)) from None
