"""What a configuration says, checked and typed. Every duration is in seconds, every size in bytes."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kpr_sender.model import Environment, Party


class SecretSource(Protocol):
    """Where a secret is read from, at the moment it is needed."""

    def read(self) -> str:
        """Return the secret.

        Raises:
            ConfigInvalid: It is not where the configuration says.
        """

    @property
    def concern(self) -> str:
        """What is unwise about the place, for example who else may read the file; empty when all is well."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that does not print. ``reveal()`` is called where it is used, nowhere else (promise G6).

    Args:
        _source: The secret itself, or the place to read it from.
    """

    _source: str | SecretSource = field(repr=False)

    def reveal(self) -> str:
        """Return the secret itself, read now.

        Raises:
            ConfigInvalid: It is not where the configuration says.
        """
        return self._source if isinstance(self._source, str) else self._source.read()

    @property
    def concern(self) -> str:
        """What is unwise about the place it is kept; empty when all is well."""
        return "" if isinstance(self._source, str) else self._source.concern

    def __repr__(self) -> str:
        return "Secret(***)"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key in a hardware token.

    Attributes:
        module: The vendor's PKCS#11 library.
        token_label: The token; empty where the slot says which.
        slot: The slot's number; None where the label says which.
        key_label: Label of the private key; empty for any.
        key_id: Id of the private key; empty for any.
        pin: Of the token's user.
    """

    module: Path
    token_label: str
    slot: int | None
    key_label: str
    key_id: bytes
    pin: Secret


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where one key with its certificate lies: a PKCS#12 file, a PEM pair, or a hardware token.

    Attributes:
        key: The configuration key it came from, for messages.
        pkcs12: PKCS#12 file, or None.
        certificate_pem: PEM file with the certificate first and its intermediates after it, or None.
        key_pem: PEM file with the private key, or None.
        token: The hardware token, or None. With it the certificate's file is needed only where the token has none.
    """

    key: str
    pkcs12: Path | None
    certificate_pem: Path | None
    key_pem: Path | None
    passphrase: Secret | None
    token: TokenKey | None = None

    @property
    def secret(self) -> Secret | None:
        """What opens it: the token's PIN or the file's passphrase."""
        return self.passphrase if self.token is None else self.token.pin


@dataclass(frozen=True, slots=True)
class FileSettings:
    """The two files, where the command line names none."""

    fagmelding: Path | None
    identmelding: Path | None


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """Which year, the letter that confirms an unconfirmed year's profile, and when a missing receipt is overdue.

    Attributes:
        overdue_after: How long after it was published a shipment without receipt is overdue.
    """

    year: int
    letter: str
    overdue_after: float


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """The municipality and its tjenestested."""

    party: Party
    kommunenummer: str
    bydel: str


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """FHI's certificates and queue as downloaded from Adresseregisteret (the pinned mode).

    With ``registry.kind = "soap"`` none of the three need be given; what is given is compared.

    Attributes:
        encryption_certificate: PEM or DER file; None where the registry tells it.
        signing_certificates: PEM or DER files: the current one first, then earlier ones still to be believed. Empty
            where the registry tells them.
        queue: The receiver's queue, or its whole registered address; empty where the registry tells it.
        unsealed_receipts: Believe receipts that are not sealed. Off unless FHI is known to answer so.
    """

    encryption_certificate: Path | None
    signing_certificates: tuple[Path, ...]
    queue: str
    unsealed_receipts: bool


class RegistryKind(enum.StrEnum):
    """Where the receiver's queue and certificates come from."""

    FILES = "files"
    SOAP = "soap"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class HelseIdSettings:
    """Whom we are in HelseID.

    Attributes:
        url: Its issuer.
        client_id: Our client.
        client_key: The client's private key, JWK or PEM.
    """

    url: str
    client_id: str
    client_key: Secret


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """How Adresseregisteret is asked.

    Attributes:
        kind: ``files`` asks nobody: the receiver's section says it all.
        url: Its address; empty with ``files``.
        user: Whom it is asked as.
        password: That user's.
        ca_file: Own CA bundle (PEM); None for the machine's.
        timeout: Bound on one question and its answer.
        max_age: How old an answer may be before it is asked for again.
        stale_for: How old the last good answer may be when the register cannot be reached.
        helseid: What opens ``rest``; None with any other kind.
    """

    kind: RegistryKind
    url: str
    user: str
    password: Secret | None
    ca_file: Path | None
    timeout: float
    max_age: float
    stale_for: float
    helseid: HelseIdSettings | None


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Our own keys. Several decryption keys at a certificate roll-over: the current one first."""

    signing: KeySource
    decryption: tuple[KeySource, ...]


class KeyUse(enum.StrEnum):
    """Which key usage the signing certificates must have."""

    NON_REPUDIATION = "nonRepudiation"
    DIGITAL_SIGNATURE = "digitalSignature"


class Revocation(enum.StrEnum):
    """Whether issuers are asked if a certificate is revoked, and what follows when nobody tells."""

    OFF = "off"
    SOFT = "soft"
    """Asked; where nobody tells, it is warned of."""
    REQUIRE = "require"
    """Asked; where nobody tells, the certificate is refused."""


@dataclass(frozen=True, slots=True)
class ProtectionSettings:
    """What is demanded of certificates and accepted in receipts.

    Attributes:
        roots: Files with the authorities that certificates must lead to; empty where that is not demanded.
        crl_dir: Folder with CRLs that somebody else fetches.
    """

    signing_key_usage: KeyUse
    accept_3des: bool
    roots: tuple[Path, ...] = ()
    revocation: Revocation = Revocation.OFF
    crl_dir: Path | None = None


class AddressForm(enum.StrEnum):
    """How queues are addressed: RabbitMQ's v1 form, its v2 form (version 4 and later), or by the broker's version."""

    AUTO = "auto"
    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class BusSettings:
    """The municipality's connection to Tjenestebuss.

    Attributes:
        tls: False only to a loopback address.
        ca_file: Own CA bundle (PEM); None for the machine's.
        exchange: Empty for the default exchange.
        connect_timeout: Bound on one attempt to connect.
        reconnect_budget: Bound on all attempts together, before the bus counts as unreachable.
        publish_timeout: Bound on the wait for credit, transfer and outcome together.
        idle_timeout: A silent connection is given up after this long.
        held_cap: How many foreign messages are held at most; beyond it a warning.
        hold_time: Foreign messages are given back after this long, well inside the broker's consumer timeout.
    """

    host: str
    port: int
    tls: bool
    ca_file: Path | None
    username: str
    password: Secret
    exchange: str
    address_form: AddressForm
    receipts_queue: str
    error_queue: str
    connect_timeout: float
    reconnect_budget: float
    publish_timeout: float
    idle_timeout: float
    held_cap: int
    hold_time: float


@dataclass(frozen=True, slots=True)
class HodemeldingSettings:
    """What the Hodemelding leaves open.

    Attributes:
        ack: Ask for an AppRec (``Ack V="J"``).
        type_text_ipl: DN of MsgInfo/Type for KPR_IPL.
        type_text_ide: DN of MsgInfo/Type for KPR_IDE.
        cpa_id: CPA of the parties; empty for none.
        xmldsig: Put a ds:Signature into the Hodemelding. Off: the register's own schema has no place for it.
    """

    ack: bool
    type_text_ipl: str
    type_text_ide: str
    cpa_id: str
    xmldsig: bool


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Sizes of the sealed bytes: warn above one, refuse above the other."""

    warn_bytes: int
    refuse_bytes: int


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Where the journal and the copies of the receipts lie.

    Attributes:
        allow_network: Take a journal on a network file system all the same.
    """

    path: Path
    receipts_dir: Path
    allow_network: bool = False


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """The embedded sandbox of ``--env lokal``: its folder holds PKI, queues and ledger."""

    embedded: bool
    dir: Path


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where log lines go: a file, or standard error."""

    file: Path | None
    level: str


@dataclass(frozen=True, slots=True)
class Settings:
    """One environment's configuration, whole."""

    environment: Environment
    origin: str
    files: FileSettings
    report: ReportSettings
    sender: SenderSettings
    receiver: ReceiverSettings
    registry: RegistrySettings
    keys: KeySettings
    protection: ProtectionSettings
    bus: BusSettings
    hodemelding: HodemeldingSettings
    limits: LimitSettings
    journal: JournalSettings
    sandbox: SandboxSettings | None
    log: LogSettings
