"""Secrets and our keys: the configuration says where each is, in an environment variable, a file or a token."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kpr_sender.errors import ConfigInvalid
from kpr_sender.settings import kinds
from kpr_sender.settings.keys import option, part, secret, section

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that does not print. ``reveal()`` is called where it is used, nowhere else (promise G6)."""

    _source: str | EnvironmentSecret | FileSecret = field(repr=False)

    def reveal(self) -> str:
        """Return the secret itself, read now.

        Raises:
            ConfigInvalid: It is not where the configuration says.
        """
        return self._source if isinstance(self._source, str) else self._source.read()

    @property
    def concern(self) -> str:
        """What is unwise about the place it is stored; empty when all is well."""
        return self._source.concern if isinstance(self._source, FileSecret) else ""

    def __repr__(self) -> str:
        return "Secret(***)"


@dataclass(frozen=True, slots=True)
class EnvironmentSecret:
    """A secret in an environment variable; ``key`` is the configuration's file and key that names it, for messages."""

    key: str
    variable: str
    environ: Mapping[str, str] = field(repr=False, compare=False)

    def read(self) -> str:
        """Return the variable's value.

        Raises:
            ConfigInvalid: It is not set, or empty.
        """
        value = self.environ.get(self.variable, "")
        if not value:
            raise ConfigInvalid(
                f"The environment variable {self.variable} is not set.",
                where=self.key,
                next_step="Set it for the process that runs kpr-send, or name a file with the secret instead.",
            )
        return value


@dataclass(frozen=True, slots=True)
class FileSecret:
    """A secret in a file: everything in it but one line end at its end. ``key`` is as in ``EnvironmentSecret``."""

    key: str
    path: Path

    def read(self) -> str:
        """Return what the file holds.

        Raises:
            ConfigInvalid: It cannot be read, or is empty.
        """
        try:
            text = self.path.read_text("utf-8")
        except OSError as error:
            raise self._unusable(f"cannot be read ({os.strerror(error.errno or 0)})") from None
        except UnicodeDecodeError:
            # The decoder's own message shows the bytes it stumbled over.
            raise self._unusable("is not UTF-8 text") from None
        value = text.removesuffix("\n").removesuffix("\r")
        if not value:
            raise self._unusable("is empty")
        return value

    def _unusable(self, why: str) -> ConfigInvalid:
        return ConfigInvalid(
            f"The file {self.path} {why}.",
            where=self.key,
            next_step="Put the secret alone into that file, readable by the user that runs kpr-send and nobody else.",
        )

    @property
    def concern(self) -> str:
        """Whether others than its owner may read the file."""
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return ""
        # Windows reports modes that say nothing about who may read a file.
        if os.name != "posix" or not mode & _OTHERS:
            return ""
        return f"{self.path} may be read by others than its owner (mode {stat.S_IMODE(mode):04o}): chmod 600 it."


# fmt: off
# As in ``values.py``: a declaration reads as one entry.

@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """A key in a hardware token."""

    module: Path = field(metadata=option(
        kinds.PATH, "PKCS#11 library of the hardware token or HSM that holds the key, instead of a file. Needs "
        "kpr-sender[pkcs11]. certificate is then needed only where the token has none with the key's id.",
        name="pkcs11_module", otherwise="the key is in a file", example="/usr/lib/softhsm/libsofthsm2.so"))
    token_label: str = field(default="", metadata=option(
        kinds.NAME, "The token's label.", otherwise="slot names the token", example="kommune"))
    slot: int | None = field(default=None, metadata=option(
        kinds.integer(0, 2**63 - 1), "The number of the token's slot.", otherwise="token_label names the token",
        example=0))
    pin: Secret = field(metadata=secret("the token's PIN", otherwise=", where there is a token", example="{}-pin"))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySource:
    """Where one key with its certificate is: a PKCS#12 file, PEM pair or hardware token. ``key`` names its section."""

    key: str
    pkcs12: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PKCS#12 file with key, certificate and its intermediates.",
        otherwise="certificate and key stand in its place", example="../keys/{}.p12"))
    certificate_pem: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PEM file: the certificate first, its intermediates after it.", name="certificate",
        otherwise="pkcs12 stands in its place", example="../keys/{}.pem"))
    key_pem: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PEM file with the private key that goes with it.", name="key",
        otherwise="pkcs12 stands in its place", example="../keys/{}.key"))
    passphrase: Secret | None = field(default=None, metadata=secret(
        "the passphrase", otherwise=", or no passphrase", example="{}-passphrase"))
    key_label: str = field(default="", metadata=option(
        kinds.NAME, "Label of the private key on the token, or its friendly name in a pkcs12 file with several keys.",
        otherwise="key_id names the key, or in a file its certificate's key usage", example="{}"))
    key_id: bytes = field(default=b"", metadata=option(
        kinds.HEX, "Id of the private key on the token, or its localKeyID in a pkcs12 file with several keys.",
        otherwise="key_label names the key, or in a file its certificate's key usage", example="a1"))
    token: TokenKey | None = field(default=None, metadata=part(TokenKey))

    @property
    def secret(self) -> Secret | None:
        """What opens it: the token's PIN or the file's passphrase."""
        return self.passphrase if self.token is None else self.token.pin


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """Our own keys. Several decryption keys at a certificate roll-over: the current one first."""

    signing: KeySource = field(metadata=section(
        KeySource, "Our key for signing (virksomhetssertifikat): a PKCS#12 file, a PEM pair, or a hardware token.",
        stem="signing"))
    decryption: tuple[KeySource, ...] = field(metadata=section(
        KeySource, "Our key for opening receipts: the one whose certificate Adresseregisteret gives out for encryption "
        "to us. At a certificate roll-over repeat this section: the current key first, the old one after it.",
        repeated=True, stem="encryption"))
