"""The port: what sealing and opening ask of a key, and every way in which a sealed message is refused.

A key in an HSM is one more implementation of these protocols. No refusal's text has content, key material or personal
data (promise G6). The rules:

1. Whatever is wrong with a message, ``open_sealed`` raises a subclass of ``ProtectionRefused``; nothing else leaks.
2. Everything that depends on secret-key processing (RSA, content key, padding, what the decrypted bytes look like,
   whether the signature is valid) gives ``CannotOpen``, always with the same text: a person who alters a message and
   sees our answer learns nothing about its content (RFC 3218; CBC padding oracles).
3. ``SignatureRefused`` is raised only for an intact message, so it reveals nothing either.
4. The texts are clauses for our own people. No message is answered with one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from kpr_sender.model import SEALED_FOR_ANOTHER
from kpr_sender.privacy import MAX_FOREIGN, redact_text
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm
    from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True)
class Pkcs1v15:
    """RSAES-PKCS1-v1_5 (RFC 8017 7.2)."""


@dataclass(frozen=True, slots=True)
class Oaep:
    """RSAES-OAEP with an empty label (RFC 8017 7.1)."""

    digest: HashAlgorithm
    mgf1_digest: HashAlgorithm


KeyTransport = Pkcs1v15 | Oaep
"""How a content key is encrypted for its recipient."""


class Signer(Protocol):
    """Our signing key, wherever it is."""

    @property
    def certificate(self) -> Certificate:
        """The certificate registered for the sender; it is embedded, since .NET peers require it."""

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """The intermediates from the certificate upwards, without the root; embedded, too."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the RSASSA-PKCS1-v1_5 signature of a SHA-256 digest (32 bytes, without DigestInfo)."""


class Decrypter(Protocol):
    """One of our decryption keys, wherever it is."""

    @property
    def certificate(self) -> Certificate:
        """The certificate that senders seal for."""

    def decrypt_key(self, encrypted_key: bytes, padding: KeyTransport) -> bytes:
        """Return the content key.

        Raises:
            ValueError: The ciphertext is not valid. An HSM's *encrypted data invalid* must become this. Anything else,
                such as an HSM that does not answer, must be another exception: it reaches the caller, so that an
                outage never counts as a bad message.
        """


class ProtectionRefused(ValueError):
    """The root; never raised itself. ``str()`` is a clause with *it* for the message, bounded, safe to log."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(redact_text(reason, MAX_FOREIGN))


class Malformed(ProtectionRefused):
    """The outer structure is not valid CMS, or is beyond the bounds."""


_MOST_NAMED: Final = 20
"""Recipients of a message for others: a refusal has no room for more, and anybody can write a million into one."""


class NotForUs(ProtectionRefused):
    """No recipientInfo names a certificate of ours: the message may be someone else's.

    Args:
        recipients: What it is sealed for: serial numbers or key identifiers, in hexadecimal.
        is_for: Tells whether a certificate is one of those.
    """

    def __init__(
        self, recipients: tuple[str, ...] = (), is_for: Callable[[Certificate], bool] = lambda _: False
    ) -> None:
        text = SEALED_FOR_ANOTHER
        if recipients:
            text = Text("{text} but for the certificate with {recipient}", text=text, recipient=recipients[0])
        for recipient in recipients[1:_MOST_NAMED]:
            text = Text("{text} and the one with {recipient}", text=text, recipient=recipient)
        super().__init__(text)
        self.is_for = is_for


class AlgorithmRefused(ProtectionRefused):
    """An algorithm that we do not accept; the text names it, and ``why`` what would accept it."""

    def __init__(self, algorithm: str, *, why: str = "") -> None:
        super().__init__(
            Text("it uses {algorithm}, which is refused ({why})", algorithm=algorithm, why=why)
            if why
            else Text("it uses {algorithm}, which is refused", algorithm=algorithm)
        )
        self.algorithm = algorithm


class CannotOpen(ProtectionRefused):
    """One error with one text for all that depends on secret-key processing."""

    def __init__(self) -> None:
        super().__init__(
            Text(
                "it cannot be opened and verified with the keys and certificates we hold: it was damaged or "
                "altered, or sealed or signed with other keys"
            )
        )


class SignatureRefused(ProtectionRefused):
    """The message is intact, but who signed it, or how, is not acceptable.

    Args:
        reason: A clause with *it* for the message.
        claimed: Its content where only the signer is unknown: nobody vouches for it, so it may only be used to tell
            which message it claims to answer.
    """

    def __init__(self, reason: str, claimed: bytes = b"") -> None:
        super().__init__(reason)
        self.claimed = claimed
