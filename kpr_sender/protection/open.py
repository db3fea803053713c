"""Opens a sealed message: deciphers it, verifies it, and only then lets anyone see its content."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.x509 import Certificate

from kpr_sender.protection.ber import BerError
from kpr_sender.protection.envelope import open_envelope
from kpr_sender.protection.policy import Policy
from kpr_sender.protection.port import Decrypter
from kpr_sender.protection.refused import Malformed
from kpr_sender.protection.signature import Opened, verify

__all__ = ["Opened", "Policy", "open_sealed"]


def open_sealed(
    sealed: bytes | memoryview,
    *,
    decrypters: Sequence[Decrypter],
    signers: Sequence[Certificate],
    policy: Policy,
) -> Opened:
    """Open a message that is sealed for us and signed by a sender whose certificates we hold.

    Memory: the message is deciphered into one buffer and its content copied once; nothing else grows with it.

    Args:
        sealed: The message, DER or BER.
        decrypters: Our decryption keys: the current one and, at a roll-over, the earlier one.
        signers: The sender's signing certificates as the register or the configuration has them.
        policy: What is accepted.

    Returns:
        The verified content and who signed it.

    Raises:
        ProtectionRefused: One of its subclasses: ``Malformed`` (the outer structure), ``NotForUs``,
            ``AlgorithmRefused``, ``CannotOpen`` (one text for all that secret keys decide) or ``SignatureRefused``.
    """
    view = memoryview(sealed)
    if len(view) > policy.max_bytes:
        raise Malformed(f"it is {len(view):,} bytes; at most {policy.max_bytes:,} are opened")
    try:
        plain = open_envelope(view, decrypters, policy)
    except BerError as error:
        raise Malformed(f"it is not a sealed message (CMS EnvelopedData): {error}") from None
    return verify(plain, signers=signers, policy=policy)
