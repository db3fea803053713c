"""Secrets and our keys: the configuration says where each is, in an environment variable, a file or a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kpr_sender.errors import ConfigInvalid
from kpr_sender.regular_file import TooLarge, read_regular
from kpr_sender.settings import kinds
from kpr_sender.settings.file_access import exposed, perhaps_exposed, too_open
from kpr_sender.settings.keys import option, part, secret, section
from kpr_sender.texts import Text

CREDENTIALS_DIRECTORY: Final = "CREDENTIALS_DIRECTORY"
"""systemd.exec(5): where a service finds what LoadCredential= and SetCredentialEncrypted= hand to it."""
_MOST_BYTES: Final = 65_536
_BY_SYSTEMD: Final = Text(
    "systemd sets it for a service with LoadCredential=NAME:PATH; elsewhere name a file or an environment variable."
)
_BYTE_ORDER_MARK: Final = "\ufeff"
_LAYOUT: Final = frozenset("\t\r\n")
"""What a key of several lines may have beside letters."""


def flaw(text: str, *, several_lines: bool = False) -> str:
    """Say what no secret has that a person typed; in words that fit after its place, empty where all is well.

    A library that is handed such a text cuts it, fails on it with the text in its words, or logs in with what nobody
    sees on a screen until the account is locked.
    """
    if not text:
        return Text("is empty")
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # how Python shows bytes that are no UTF-8
        return Text("is not UTF-8 text")
    if "\0" in text:
        return Text("has NUL in it, as UTF-16 text and binary files do")
    if not several_lines and text.splitlines() != [text]:
        return Text("has a second line or line end in it")
    layout = _LAYOUT if several_lines else frozenset[str]()
    if any(letter < " " or "\x7f" <= letter <= "\x9f" or letter == _BYTE_ORDER_MARK for letter in set(text) - layout):
        return Text("has a control character in it")
    return Text("ends with a blank") if text[-1].isspace() and not several_lines else ""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that does not print. ``reveal()`` is called where it is used, nowhere else (promise G6).

    Attributes:
        several_lines: Whether it is a key's text, and no word to log in with.
    """

    _source: str | EnvironmentSecret | FileSecret | CredentialSecret = field(repr=False)
    several_lines: bool = False

    def reveal(self) -> str:
        """Return the secret itself, read now.

        Raises:
            ConfigInvalid: It is not where the configuration says, or can be no secret.
        """
        if isinstance(self._source, str):
            if wrong := flaw(self._source, several_lines=self.several_lines):
                raise ConfigInvalid(Text("A secret {wrong}.", wrong=wrong))
            return self._source
        return self._source.read(several_lines=self.several_lines)

    @property
    def place(self) -> EnvironmentSecret | FileSecret | CredentialSecret | None:
        """Where it is stored; None for one that a program has handed in."""
        return None if isinstance(self._source, str) else self._source

    @property
    def concern(self) -> str:
        """What is unwise about the place it is stored; empty when all is well."""
        return "" if self._file is None else too_open(self._file)

    @property
    def exposed(self) -> str:
        """That others may read it there, in a sentence; empty where nobody may."""
        return "" if self._file is None else exposed(self._file)

    @property
    def _file(self) -> Path | None:
        return self._source.path if isinstance(self._source, FileSecret | CredentialSecret) else None

    def __repr__(self) -> str:
        return "Secret(***)"


@dataclass(frozen=True, slots=True)
class EnvironmentSecret:
    """A secret in an environment variable; ``key`` is the configuration's file and key that names it, for messages."""

    key: str
    variable: str
    environ: Mapping[str, str] = field(repr=False, compare=False)

    def read(self, *, several_lines: bool = False) -> str:
        """Return the variable's value, without a byte order mark.

        Raises:
            ConfigInvalid: It is not set, or is no secret.
        """
        value = self.environ.get(self.variable, "").removeprefix(_BYTE_ORDER_MARK)
        wrong = flaw(value, several_lines=several_lines) if value else Text("is not set")
        if wrong:
            raise ConfigInvalid(
                Text("The environment variable {variable} {wrong}.", variable=self.variable, wrong=wrong),
                where=self.key,
                next_step=Text("Set it for the process that runs kpr-send, or name a file with the secret instead."),
            )
        return value


@dataclass(frozen=True, slots=True)
class FileSecret:
    """A secret in a file: everything in it but one line end at its end, and a byte order mark.

    ``key`` is as in ``EnvironmentSecret``.
    """

    key: str
    path: Path

    def read(self, *, several_lines: bool = False) -> str:
        """Return what the file holds.

        Raises:
            ConfigInvalid: It cannot be read, or is no secret.
        """
        try:
            text = read_regular(self.path, most=_MOST_BYTES).decode("utf-8-sig")
        except TooLarge:
            raise self._unusable(Text("is too large")) from None
        except OSError as error:
            raise self._unusable(Text("cannot be read ({reason})", reason=error.strerror)) from None
        except UnicodeDecodeError:
            # The decoder's own message shows the bytes it stumbled over.
            text = "\udcff"
        value = text.removesuffix("\n").removesuffix("\r")
        if wrong := flaw(value, several_lines=several_lines):
            raise self._unusable(wrong)
        return value

    def _unusable(self, why: str) -> ConfigInvalid:
        return ConfigInvalid(
            Text("The file {path} {why}.", path=self.path, why=why),
            where=self.key,
            next_step=Text(
                "Put the secret alone into that file, as UTF-8 text, readable by the user that runs kpr-send and "
                "nobody else."
            ),
        )


@dataclass(frozen=True, slots=True)
class CredentialSecret:
    """A secret that systemd hands to a service, in a file of a folder that is its alone.

    Attributes:
        key: As in ``EnvironmentSecret``.
        name: The credential's, as LoadCredential= has it.
    """

    key: str
    name: str
    environ: Mapping[str, str] = field(repr=False, compare=False)

    @property
    def path(self) -> Path | None:
        """The file; None where systemd has handed nothing to this process."""
        folder = self.environ.get(CREDENTIALS_DIRECTORY, "")
        return Path(folder, self.name) if folder else None

    def read(self, *, several_lines: bool = False) -> str:
        """Return what the file holds.

        Raises:
            ConfigInvalid: There is no such credential, or it is no secret.
        """
        if self.path is None:
            raise ConfigInvalid(
                Text("There is no credential {name}: $CREDENTIALS_DIRECTORY is not set.", name=self.name),
                where=self.key,
                next_step=_BY_SYSTEMD,
            )
        return FileSecret(self.key, self.path).read(several_lines=several_lines)


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
        kinds.integer(0, kinds.NO_END), "The number of the token's slot.", otherwise="token_label names the token",
        example=0))
    pin: Secret = field(metadata=secret("the token's PIN", otherwise=", where there is a token", example="{}-pin"))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySource:
    """Where one key with its certificate is: a PKCS#12 file, PEM pair or hardware token. ``key`` names its section."""

    key: str
    pkcs12: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PKCS#12 file with key, certificate and its intermediates.",
        otherwise="certificate and key stand in its place", example="keys/{}.p12"))
    certificate_pem: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PEM file: the certificate first, its intermediates after it.", name="certificate",
        otherwise="pkcs12 stands in its place", example="keys/{}.pem"))
    key_pem: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PEM file with the private key that goes with it.", name="key",
        otherwise="pkcs12 stands in its place", example="keys/{}.key"))
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
    def key_file(self) -> Path | None:
        """The file that its private key is in; None where a token has it."""
        return None if self.token is not None else self.pkcs12 or self.key_pem

    @property
    def secret(self) -> Secret | None:
        """What opens it: the token's PIN or the file's passphrase."""
        return self.passphrase if self.token is None else self.token.pin

    @property
    def exposed(self) -> str:
        """That others may read its private key, which no passphrase protects; empty where nobody may."""
        return "" if self._unprotected is None else exposed(self._unprotected)

    @property
    def concern(self) -> str:
        """The same, also where nothing tells, or nobody here can change it."""
        return "" if self._unprotected is None else perhaps_exposed(self._unprotected)

    @property
    def _unprotected(self) -> Path | None:
        return None if self.secret is not None else self.key_file


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
