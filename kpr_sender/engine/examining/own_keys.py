"""Our keys: whether they may be used, and do their work."""

from __future__ import annotations

from typing import Final

from kpr_sender.engine.examining.setup import Seen, Setup, made, told_of
from kpr_sender.engine.keys import check_signer
from kpr_sender.engine.trust import Trust
from kpr_sender.errors import AccessRefused
from kpr_sender.events import Event
from kpr_sender.protection.open import Policy, open_sealed
from kpr_sender.protection.refused import ProtectionRefused
from kpr_sender.protection.seal import seal

_SAMPLE: Final = b"<prove/>"


def signing_key(setup: Setup) -> Seen:
    """Our signing key can be used, and its certificate is one to sign with."""
    told: list[Event] = []
    own = setup.keys.signer(at=setup.now())
    check_signer(own, setup.settings, Trust.of(setup.settings, told.append), at=setup.now())
    setup.signer = own
    return told_of(f"serial number {own.certificate.serial_number:x}", told)


def decryption_keys(setup: Setup) -> Seen:
    """Our decryption keys can be used."""
    setup.decrypters = setup.keys.decrypters()
    serials = ", ".join(f"{each.certificate.serial_number:x}" for each in setup.decrypters)
    return Seen(f"{len(setup.decrypters)}: serial number {serials}")


def self_sealed(setup: Setup) -> Seen:
    """What we sign is verified, and what is sealed for any of our certificates is opened: the keys do their work."""
    own = made(setup.signer)
    for decrypter in setup.decrypters:
        sealed = bytearray()
        seal([_SAMPLE], len(_SAMPLE), signer=own, recipient=decrypter.certificate, write=sealed.extend)
        try:
            open_sealed(bytes(sealed), decrypters=[decrypter], signers=[own.certificate], policy=Policy())
        except ProtectionRefused as error:
            raise AccessRefused(
                f"What is sealed for our certificate {decrypter.certificate.serial_number:x} is not opened: {error}.",
                where="keys.decryption",
            ) from None
    return Seen(f"signed, sealed, opened and verified with {len(setup.decrypters)} of our keys")
