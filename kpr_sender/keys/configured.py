"""Our own keys, from the files or tokens that the configuration names, checked before they are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kpr_sender.cms.certificates import CertificateUse, check, load_certificates
from kpr_sender.cms.port import Decrypter, Signer
from kpr_sender.errors import ConfigInvalid
from kpr_sender.keys.files import KeyPair, WantedKey, load_pem, load_pkcs12
from kpr_sender.logins import Attempt, unremembered
from kpr_sender.regular_file import read_regular, require_regular
from kpr_sender.settings.secrets import KeySource, TokenKey
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.keys.pkcs11 import HardwareKey


@dataclass(frozen=True)
class ConfiguredKeys:
    """``Keys`` from the configuration: one for signing, one or more for decryption, which are read once.

    Attributes:
        attempt: Entered around each login to a token.
    """

    settings: Settings
    attempt: Attempt = unremembered

    def signer(self, *, at: datetime) -> Signer:
        """Load the signing key and check its certificate: dates and key usage."""
        source = self.settings.keys.signing
        loaded = load(source, self.attempt)
        use = CertificateUse(self.settings.protection.signing_key_usage)
        check(loaded.certificate, use, at=at, name=source.key)
        return loaded

    def decrypters(self) -> Sequence[Decrypter]:
        """Load the decryption keys: opening a PKCS#12 file takes a tenth of a second, and a run asks twice."""
        return self._decrypters

    @cached_property
    def _decrypters(self) -> Sequence[Decrypter]:
        return tuple(load(source, self.attempt) for source in self.settings.keys.decryption)


def load(source: KeySource, attempt: Attempt = unremembered) -> KeyPair | HardwareKey:
    """Load a key, which signs and decrypts; its certificate's dates and key usage are not checked.

    Args:
        source: Where it is.
        attempt: Entered around each login to a token.

    Raises:
        ConfigInvalid: A file is missing.
        AccessRefused: Wrong passphrase or PIN, or key and certificate do not match.
    """
    return load_key(source) if source.token is None else _in_token(source, source.token, attempt)


def load_key(source: KeySource) -> KeyPair:
    """Load one key with its certificate from its files.

    Raises:
        ConfigInvalid: A file is missing or cannot be read.
        AccessRefused: Wrong passphrase, or key and certificate do not match.
    """
    passphrase = None if source.passphrase is None else source.passphrase.reveal()
    if source.pkcs12 is not None:
        wanted = WantedKey(source.key_label, source.key_id, for_decryption=source.key.startswith("keys.decryption"))
        return load_pkcs12(_read(source.pkcs12, source.key), passphrase, name=source.key, wanted=wanted)
    if source.certificate_pem is None or source.key_pem is None:
        raise ConfigInvalid(Text("Neither a PKCS#12 file nor a PEM pair is named."), where=source.key)
    return load_pem(
        _read(source.certificate_pem, source.key), _read(source.key_pem, source.key), passphrase, name=source.key
    )


def _in_token(source: KeySource, token: TokenKey, attempt: Attempt) -> HardwareKey:
    try:
        # Only where a token is configured: the library behind it is an extra.
        from kpr_sender.keys.pkcs11 import Address, HardwareKey  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigInvalid(
            Text("A key in a token needs the Python package {name}, which is not installed.", name=error.name),
            where=f"{source.key}.pkcs11_module",
            next_step=Text("Install kpr-sender[pkcs11]."),
        ) from None
    try:
        require_regular(token.module)
    except OSError as error:
        raise _unreadable(token.module, f"{source.key}.pkcs11_module", error) from None
    path = source.certificate_pem
    given = [] if path is None else load_certificates(_read(path, source.key), source.key)
    address = Address(str(token.module), token.token_label, token.slot, source.key_label, source.key_id)
    return HardwareKey.open(address, pin=token.pin.reveal, certificates=given, name=source.key, attempt=attempt)


def _read(path: Path, key: str) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise _unreadable(path, key, error) from error


def _unreadable(path: Path, key: str, error: OSError) -> ConfigInvalid:
    return ConfigInvalid(Text("The file {path} cannot be read: {reason}.", path=path, reason=error.strerror), where=key)
