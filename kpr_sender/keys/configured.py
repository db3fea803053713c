"""Our own keys, from the files or tokens the configuration names, checked before they are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from kpr_sender.cms import certificates
from kpr_sender.cms.certificates import CertificateUse
from kpr_sender.cms.port import Decrypter, Signer
from kpr_sender.errors import ConfigInvalid
from kpr_sender.keys.files import KeyPair, SoftwareDecrypter, SoftwareSigner, load_pem, load_pkcs12, pem_certificates
from kpr_sender.registry.port import FILES, Counterpart, Use
from kpr_sender.settings.values import KeySource, KeyUse, Settings, TokenKey
from kpr_sender.trust.policy import NOTHING_DEMANDED, Trust

if TYPE_CHECKING:
    from kpr_sender.keys.pkcs11 import HardwareKey

_SIGNING_USES: Final = {
    KeyUse.NON_REPUDIATION: CertificateUse.SIGNING_NON_REPUDIATION,
    KeyUse.DIGITAL_SIGNATURE: CertificateUse.SIGNING_DIGITAL_SIGNATURE,
}


class Keys(Protocol):
    """Our own keys. A key in a hardware module is plugged in here: nothing else asks for one."""

    def signer(self, *, at: datetime) -> Signer:
        """Return what signs, its certificate checked for this moment.

        Raises:
            ConfigInvalid: A file is missing.
            AccessRefused: A key or certificate is refused.
        """

    def decrypters(self) -> Sequence[Decrypter]:
        """Return what decrypts, the current key first.

        Raises:
            ConfigInvalid: A file is missing.
            AccessRefused: A key or certificate is refused.
        """


@dataclass(frozen=True, slots=True)
class ConfiguredKeys:
    """The keys in the files and tokens that the configuration names."""

    settings: Settings

    def signer(self, *, at: datetime) -> Signer:
        """Load the signing key and check its certificate."""
        return signer(self.settings, at=at)

    def decrypters(self) -> Sequence[Decrypter]:
        """Load the decryption keys."""
        return decrypters(self.settings)


def signing_use(settings: Settings) -> CertificateUse:
    """Return the key usage that signing certificates must have, ours and the receiver's."""
    return _SIGNING_USES[settings.protection.signing_key_usage]


def signer(settings: Settings, *, at: datetime) -> Signer:
    """Load the signing key and check its certificate.

    Raises:
        ConfigInvalid: A file is missing.
        AccessRefused: Wrong passphrase or PIN, key and certificate do not match, expired, not yet valid, wrong key
            usage.
    """
    source = settings.keys.signing
    found = load_signer(source)
    certificates.check(found.certificate, signing_use(settings), at=at, name=source.key)
    return found


def load_signer(source: KeySource) -> Signer:
    """Load a signing key; its certificate is not checked.

    Raises:
        ConfigInvalid: A file is missing.
        AccessRefused: Wrong passphrase or PIN, or key and certificate do not match.
    """
    return SoftwareSigner(load_key(source)) if source.token is None else _in_token(source, source.token)


def decrypters(settings: Settings) -> tuple[Decrypter, ...]:
    """Load the decryption keys, the current one first.

    Their dates are not checked: a receipt sealed for a certificate that has expired since is still ours to read.

    Raises:
        ConfigInvalid: A file is missing.
        AccessRefused: Wrong passphrase, or key and certificate do not match.
    """
    return tuple(decrypter(source) for source in settings.keys.decryption)


def decrypter(source: KeySource) -> Decrypter:
    """Load one decryption key.

    Raises:
        ConfigInvalid: A file is missing.
        AccessRefused: Wrong passphrase or PIN, or key and certificate do not match.
    """
    return SoftwareDecrypter(load_key(source)) if source.token is None else _in_token(source, source.token)


def check_counterpart(
    counterpart: Counterpart, settings: Settings, *, at: datetime, trust: Trust = NOTHING_DEMANDED
) -> None:
    """Check the receiver and its certificates before anything is sealed for it.

    Of those for signing only the current one: earlier ones are there to be recognised.

    Raises:
        ConfigInvalid: The register or the configuration speaks against sending to it.
        AccessRefused: Expired, not yet valid, made for another use, or not trusted as the configuration demands.
    """
    for objection in counterpart.objections:
        raise objection
    source = counterpart.provenance.source
    encryption, signing = (
        (f"Adresseregisteret ({source}), certificate for {use}" for use in Use)
        if source and source != FILES
        else ("receiver.encryption_certificate", "receiver.signing_certificates")
    )
    uses = {
        encryption: (counterpart.encryption, CertificateUse.ENCRYPTION),
        signing: (counterpart.signing[0], signing_use(settings)),
    }
    for name, (certificate, use) in uses.items():
        certificates.check(certificate, use, at=at, name=name)
        trust.demand(certificate, at=at, name=name, organisation=counterpart.organisation_number or None)


def check_signer(own: Signer, settings: Settings, trust: Trust, *, at: datetime) -> None:
    """Check who issued our signing certificate, and to whom; the rest was checked when it was loaded.

    Raises:
        AccessRefused: It is not trusted as the configuration demands.
    """
    trust.demand(
        own.certificate,
        at=at,
        name=settings.keys.signing.key,
        organisation=settings.sender.party.organisation_number,
        intermediates=own.chain,
    )


def load_key(source: KeySource) -> KeyPair:
    """Load one key with its certificate from its files.

    Raises:
        ConfigInvalid: A file is missing or cannot be read.
        AccessRefused: Wrong passphrase, or key and certificate do not match.
    """
    passphrase = None if source.passphrase is None else source.passphrase.reveal()
    if source.pkcs12 is not None:
        return load_pkcs12(_read(source.pkcs12, source.key), passphrase, name=source.key)
    if source.certificate_pem is None or source.key_pem is None:
        raise ConfigInvalid("Neither a PKCS#12 file nor a PEM pair is named.", where=source.key)
    return load_pem(
        _read(source.certificate_pem, source.key), _read(source.key_pem, source.key), passphrase, name=source.key
    )


def _in_token(source: KeySource, token: TokenKey) -> HardwareKey:
    try:
        # Only where a token is configured: the library behind it is an extra.
        from kpr_sender.keys.pkcs11 import Address, HardwareKey  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigInvalid(
            f"A key in a token needs the Python package {error.name}, which is not installed.",
            where=f"{source.key}.pkcs11_module",
            next_step="Install kpr-sender[pkcs11].",
        ) from None
    path = source.certificate_pem
    given = [] if path is None else pem_certificates(_read(path, source.key), source.key)
    address = Address(str(token.module), token.token_label, token.slot, token.key_label, token.key_id)
    return HardwareKey.open(address, pin=token.pin.reveal, certificates=given, name=source.key)


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"The file {path} cannot be read: {error.strerror}.", where=key) from error
