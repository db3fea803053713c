"""The configuration: every section and every key, declared once. Durations are in seconds, sizes in bytes.

The types that callers see, the reader, the commented files and docs/configuration.md all come from these fields. To add
a key, add a field with its default, its kind and its help; then run ``docs/make_configuration.py``. A field without
default whose metadata has ``otherwise`` may be absent in the file: ``read.py`` fills it in.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from kpr_sender.model import Environment, Language, Party, Transport
from kpr_sender.settings import kinds
from kpr_sender.settings.edi import EdiSettings
from kpr_sender.settings.files import FileSettings
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.settings.keys import Section, option, part, secret, section, sections_of, with_keys
from kpr_sender.settings.monitoring import LogSettings, MonitorSettings, NotifySettings
from kpr_sender.settings.secrets import KeySettings, Secret
from kpr_sender.texts import Text

# fmt: off
# A declaration reads as one entry: name, type, default, kind, help.

_REGISTRY_KNOWS: Final = (
    'registry.kind must be "soap" or "rest": the registry has it. What is given all the same is compared'
)
_LOKAL: Final = frozenset({Environment.LOKAL})
_NOT_PRODUKSJON: Final = frozenset(Environment) - {Environment.PRODUKSJON}
_SIZE: Final = kinds.integer(1, 2_000_000_000, "bytes")


class RegistryKind(enum.StrEnum):
    """Where the receiver's queue and certificates come from."""

    FILES = "files"
    SOAP = "soap"
    REST = "rest"


class ReceiptSender(enum.StrEnum):
    """Whose HER-id a receipt's sender must have: the receiver's own, or its organisation's does, too."""

    LEVEL2 = "level2"
    LEVEL1 = "level1"


class KeyUse(enum.StrEnum):
    """Which key usage the signing certificates must have."""

    NON_REPUDIATION = "nonRepudiation"
    DIGITAL_SIGNATURE = "digitalSignature"


class Revocation(enum.StrEnum):
    """Whether issuers are asked if a certificate is revoked; without an answer *soft* warns and *require* refuses."""

    OFF = "off"
    SOFT = "soft"
    REQUIRE = "require"


class QueueIds(enum.StrEnum):
    """What stands in ``to`` and ``reply-to``: the queue's bare name, or its complete registered id."""

    QUEUE = "queue"
    REGISTERED = "registered"


class ReceiptsFrom(enum.StrEnum):
    """Where receipts come from: our queue, or a folder that another message server lays them down in."""

    QUEUE = "queue"
    FOLDER = "folder"


class AddressForm(enum.StrEnum):
    """How queues are addressed: RabbitMQ's v1 form, its v2 form (version 4 and later), or by the broker's version."""

    AUTO = "auto"
    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """Which year, the letter that confirms an unconfirmed year's profile, and when a missing receipt is overdue."""

    year: int = field(metadata=option(kinds.integer(2024, 2099), "The reporting year.", example=2024))
    letter: str = field(default="", metadata=option(
        kinds.TEXT, "FHI's letter that confirms the year's values. produksjon requires it for years that kpr-sender "
        "knows no letter for."))
    deadline: date | None = field(default=None, metadata=option(
        kinds.DATE, "The last day to report, where FHI's letter about the year names another one.",
        otherwise="the year's profile has it", example="2025-01-15"))
    extended_to: date | None = field(default=None, metadata=option(
        kinds.DATE, "The last day to report for this municipality, by an extension that FHI has granted.",
        otherwise="there is none", example="2025-01-31"))
    extension_letter: str = field(default="", metadata=option(
        kinds.NAME, "FHI's letter that grants it; goes together with extended_to.", otherwise="there is none",
        example="24/04733-9"))
    overdue_after: float = field(default=86_400.0, metadata=option(
        kinds.seconds(1, 8_760 * 3600), "What was published longer ago than this and has no receipt is overdue: exit "
        "code 84. It is waited for all the same."))


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """The municipality and its tjenestested."""

    name: str = field(metadata=option(kinds.NAME, "The municipality's name (level 1).", example="EKSEMPEL KOMMUNE"))
    her_id: int = field(metadata=option(kinds.HER_ID, "The municipality's HER-id (level 1).", example=900001))
    organisation_number: str | None = field(default=None, metadata=option(
        kinds.ORGANISATION_NUMBER, "The municipality's organisasjonsnummer.", otherwise="the Hodemelding has none",
        example="310000000"))
    service_name: str = field(default="Saksbehandling", metadata=option(
        kinds.NAME, "The tjenestested's name (level 2)."))
    service_her_id: int = field(metadata=option(
        kinds.HER_ID, "The tjenestested's HER-id (level 2). Its queues are ours.", example=900002))
    kommunenummer: str = field(metadata=option(
        kinds.KOMMUNENUMMER, "The kommunenummer that was valid in the reporting year.", example="9999"))
    bydel: str = field(default="00", metadata=option(kinds.BYDEL, "Bydel, where one is reported on its own."))

    @property
    def party(self) -> Party:
        """The municipality as a communication party."""
        return Party(self.name, self.her_id, self.service_name, self.service_her_id, self.organisation_number)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSettings:
    """FHI's certificates and queue as downloaded from Adresseregisteret (the pinned mode).

    Where a registry is asked none of the three need be given; what is given is compared.
    """

    her_id: int | None = field(default=None, metadata=option(
        kinds.HER_ID, "FHI's HER-id (level 2), if you want it written down: it must be the one of the year and "
        "environment.", otherwise="the year's profile has it", example=171479))
    name: str = field(default="", metadata=option(
        kinds.NAME, "FHI's name (level 1), as in Adresseregisteret. Where a registry is asked, its name is used.",
        otherwise="the year's profile has it", example="Folkehelseinstituttet"))
    service_name: str = field(default="", metadata=option(
        kinds.NAME, "The name of FHI's tjenestested (level 2), likewise.",
        otherwise="the year's profile has a likely one: FHI does not publish it", example="KPR Validering"))
    encryption_certificate: Path | None = field(default=None, metadata=option(
        kinds.PATH, "FHI's certificate for encryption, PEM or DER, downloaded from Adresseregisteret.",
        otherwise=_REGISTRY_KNOWS, example="certs/fhi-encryption.pem"))
    signing_certificates: tuple[Path, ...] = field(default=(), metadata=option(
        kinds.PATHS, "FHI's certificates for signing, PEM or DER, downloaded from Adresseregisteret: the current one "
        "first, then earlier ones that receipts may still be signed with.", otherwise=_REGISTRY_KNOWS,
        example=("certs/fhi-signing.pem",)))
    queue: str = field(default="", metadata=option(
        kinds.QUEUE, "FHI's asynchronous queue, or its complete address (E_SB_ASYNC) there. Copy it with care: "
        "RabbitMQ 3 says accepted to a queue that does not exist, too.", otherwise=_REGISTRY_KNOWS,
        example="171479_async"))
    unsealed_receipts: bool = field(default=False, metadata=option(
        kinds.FLAG, "Accept any clear text that names our MsgId as FHI's receipt; with hodemelding.xmldsig only one "
        "with an XML signature of FHI's. For tests with FHI alone: every run warns, and produksjon refuses it; there a "
        "person settles what FHI answered so (resolve --settled)."))
    receipt_sender: ReceiptSender = field(default=ReceiptSender.LEVEL2, metadata=option(
        kinds.choice(ReceiptSender), "Whose HER-id the sender of a receipt must have: that of FHI's tjenestested "
        "(level2), or that of FHI itself does, too (level1). Its signature must be valid in any case."))

    @property
    def concern(self) -> str:
        """What a person should look at, in a sentence; empty where that is nothing."""
        if not self.unsealed_receipts:
            return ""
        return Text(
            "receiver.unsealed_receipts is on: whoever can put a message on our queue can say that it is FHI's "
            "receipt. Remove the line once FHI answers sealed."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HelseIdSettings:
    """Our client in HelseID."""

    url: str = field(metadata=option(
        kinds.HTTPS_URL, "With rest: HelseID, https://helseid-sts.nhn.no or https://helseid-sts.test.nhn.no.",
        name="helseid_url", otherwise="kind must not be rest", example="https://helseid-sts.nhn.no"))
    client_id: str = field(metadata=option(
        kinds.NAME, "With rest: our client in HelseID.", otherwise="kind must not be rest",
        example="3e2f8a10-0000-4000-8000-000000000000"))
    client_key: Secret = field(metadata=secret(
        "the client's private key, JWK or PEM", otherwise=" stands in its place", example="helseid-key",
        prefix="With rest: ", several_lines=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """How Adresseregisteret is asked; with kind ``files`` it is not."""

    kind: RegistryKind = field(default=RegistryKind.FILES, metadata=option(
        kinds.choice(RegistryKind), "Where FHI's queue and certificates come from: files that [receiver] names, or "
        "Adresseregisteret. soap is its CommunicationPartyService; rest is its newer interface, which needs a client "
        "in HelseID and kpr-sender[helseid]."))
    url: str = field(default="", metadata=option(
        kinds.HTTPS_URL, "Its address: https://ws.nhn.no/v1/AR/Basic for validering and produksjon, "
        "https://ws-web.test.nhn.no/v1/AR/Basic (internet) or https://ws.test.nhn.no/v1/AR/Basic (Helsenettet) for "
        "ar-test. With rest https://cpapi.grunndata.nhn.no or https://cpapi.test.grunndata.nhn.no.",
        otherwise='registry.kind must be "files"', example="https://ws.nhn.no/v1/AR/Basic"))
    user: str = field(metadata=option(
        kinds.NAME, "The organisation's user in the register (OrgUsr in RegisterPlattformen).",
        otherwise="bus.username: the organisation's user is the same", example="kommune"))
    password: Secret = field(metadata=secret(
        "its password", otherwise=", or the bus's password", example="registry-password"))
    helseid: HelseIdSettings | None = field(default=None, metadata=part(HelseIdSettings))
    ca_file: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PEM file with the authorities to trust for the register's certificate.",
        otherwise="the machine's own", example="certs/registry-ca.pem"))
    timeout: float = field(default=20.0, metadata=option(
        kinds.seconds(0.1, 600), "Longest time for one question and its answer."))
    max_age: float = field(default=3_600.0, metadata=option(
        kinds.seconds(0, 24 * 3600), "How old an answer may be before it is asked for again. A send to produksjon "
        "always asks."))
    stale_for: float = field(default=86_400.0, metadata=option(
        kinds.seconds(0, 90 * 24 * 3600), "How old the last good answer may be when the register cannot be reached; a "
        "warning says so. 0 for never."))
    previous_for: float = field(default=60 * 86_400.0, metadata=option(
        kinds.seconds(0, 366 * 24 * 3600), "How long receipts signed with FHI's signing certificate before this one "
        "are accepted, from when the register first gave this one. 0 for never."))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionSettings:
    """What is required of certificates and accepted in receipts."""

    signing_key_usage: KeyUse = field(default=KeyUse.NON_REPUDIATION, metadata=option(
        kinds.choice(KeyUse), "The key usage that signing certificates must have."))
    accept_3des: bool = field(default=False, metadata=option(kinds.FLAG, "Open receipts that are encrypted with 3DES."))
    roots: tuple[Path, ...] = field(default=(), metadata=option(
        kinds.PATHS, "The authorities that certificates must lead to, ours and FHI's, PEM or DER: roots, and the "
        "issuing authorities below them. Organisation numbers in certificates are then compared as well.",
        otherwise="it is not asked who issued a certificate", example=("certs/roots.pem",)))
    revocation: Revocation = field(default=Revocation.OFF, metadata=option(
        kinds.choice(Revocation), "Ask the issuers (OCSP, CRL; over http) whether a certificate is revoked. soft warns "
        "without an answer, require refuses. Needs roots."))
    crl_dir: Path | None = field(default=None, metadata=option(
        kinds.PATH, "Folder with CRLs that somebody else fetches, where this machine cannot. They come before what is "
        "fetched.", otherwise="CRLs are fetched", example="certs/crl"))


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSettings:
    """The municipality's connection to Tjenestebuss."""

    host: str = field(metadata=option(
        kinds.HOST, "The bus. Tjenestebuss is reached from Helsenettet only.", example="tb.nhn.no"))
    port: int = field(default=5671, metadata=option(kinds.PORT, "Its port."))
    tls: bool = field(default=True, metadata=option(
        kinds.FLAG, "TLS 1.2 or later, host name checked. Off only to a loopback address."))
    ca_file: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PEM file with the authorities to trust for the bus's certificate.", otherwise="the machine's own",
        example="certs/bus-ca.pem"))
    username: str = field(metadata=option(
        kinds.NAME, "The organisation's user on the bus (OrgUsr in RegisterPlattformen).", example="kommune"))
    password: Secret = field(metadata=secret("its password", otherwise=" stands in its place", example="bus-password"))
    exchange: str = field(default="", metadata=option(
        kinds.TEXT, "The exchange, as in the registered address host/exchange/queue. Upper and lower case matter.",
        otherwise="the default exchange"))
    address_form: AddressForm = field(default=AddressForm.AUTO, metadata=option(
        kinds.choice(AddressForm), "How queues are addressed: RabbitMQ's v1 form, its v2 form, or by the version that "
        "the broker reports."))
    ids: QueueIds = field(default=QueueIds.QUEUE, metadata=option(
        kinds.choice(QueueIds), "What stands in a message's to and reply-to: the queues' bare names, as NHN's own "
        "client writes them, or their complete registered ids (host/exchange/queue), as HITS 1216 has them."))
    receipts_queue: str = field(metadata=option(
        kinds.QUEUE, "Our queue for receipts, or its complete address (E_SB_ASYNC).",
        otherwise="sender.service_her_id and _async", example="900002_async"))
    error_queue: str = field(metadata=option(
        kinds.QUEUE, "Our error queue, or its complete address (E_SB_ERROR).",
        otherwise="sender.service_her_id and _error; with a folder none is read", example="900002_error"))
    receipts_from: ReceiptsFrom = field(default=ReceiptsFrom.QUEUE, metadata=option(
        kinds.choice(ReceiptsFrom), "Where receipts are fetched: from our queue, or from the folder that the message "
        "server which reads our queue lays them down in. With folder the receipts queue is never read; it stays the "
        "address for answers.", otherwise="our queue is read", example="folder"))
    receipts_inbox: Path | None = field(default=None, metadata=option(
        kinds.PATH, "That folder. What was taken is moved into done, unverified and not-ours in it.",
        otherwise='receipts_from must be "queue"', example="/var/lib/kpr-sender/inbox"))
    max_inbound: int = field(default=8_000_000, metadata=option(
        _SIZE, "The largest message, or file in receipts_inbox, that is taken; a larger one is left where it is."))
    connect_timeout: float = field(default=10.0, metadata=option(
        kinds.seconds(0.1, 600), "Longest time for one attempt to connect."))
    reconnect_budget: float = field(default=60.0, metadata=option(
        kinds.seconds(0, 86_400),
        "Longest time for all attempts to connect or send together; a wait for receipts goes on to its end."))
    publish_timeout: float = field(default=60.0, metadata=option(
        kinds.seconds(0.1, 3600), "Longest time for one message and the bus's answer; after it the message is in "
        "doubt."))
    idle_timeout: float = field(default=60.0, metadata=option(
        kinds.seconds(1, 3600), "A connection that is silent this long is given up."))
    held_cap: int = field(default=500, metadata=option(
        kinds.integer(1, 100_000), "How many messages of others one look at our queue takes at most; beyond it a "
        "warning."))
    hold_time: float | None = field(default=None, metadata=option(
        kinds.seconds(1, 86_400), "Does nothing any more but warn: messages of others are given back in 5 seconds.",
        otherwise="no warning", example="10m"))

    @property
    def concern(self) -> str:
        """What a person should look at, in a sentence; empty where that is nothing."""
        if self.hold_time is None:
            return ""
        return Text("bus.hold_time does nothing any more: others' messages go back in 5 seconds. Remove the line.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HodemeldingSettings:
    """What the Hodemelding leaves open."""

    ack: bool = field(default=True, metadata=option(
        kinds.FLAG, "Ask FHI for an application receipt. Without it nothing is ever delivered."))
    type_text_ipl: str = field(default="KPR IPLOS fagmelding", metadata=option(
        kinds.NAME, "DN of MsgInfo/Type for KPR_IPL. No public source fixes it."))
    type_text_ide: str = field(default="KPR identmelding", metadata=option(
        kinds.NAME, "DN of MsgInfo/Type for KPR_IDE. No public source fixes it."))
    cpa_id: str = field(default="", metadata=option(
        kinds.TEXT, "The CPA's id, where the parties have one.", otherwise="no CPA"))
    processing_status: str = field(default="", metadata=option(
        kinds.pattern("[DPT]", 'one of "D", "P", "T"'), "MsgInfo/ProcessingStatus (kodeverk 8213): D for debugging and "
        "tests, T for training.", otherwise="there is none", example="D", environments=_NOT_PRODUKSJON))
    xmldsig: bool = field(default=False, metadata=option(
        kinds.FLAG, "Put an XML signature into the Hodemelding as well. The register's own schema has no place for "
        "it."))


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Sizes of the sealed bytes: warn above one, refuse above the other."""

    warn_bytes: int = field(default=1_000_000, metadata=option(_SIZE, "Warn above this size."))
    refuse_bytes: int = field(default=20_000_000, metadata=option(_SIZE, "Refuse above this size; nothing is sent."))


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """The sandbox of ``--env lokal``: its folder holds PKI, queues and ledger."""

    embedded: bool = field(default=False, metadata=option(
        kinds.FLAG, "Run the sandbox inside the process. It brings the register, the keys and the bus with it; those "
        "keys must then be left out.", environments=_LOKAL))
    dir: Path = field(metadata=option(
        kinds.PATH, "Its folder: test PKI, queues and ledger.", otherwise="needed when embedded is true",
        example="../.demo/sandbox", environments=_LOKAL))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The configuration of one environment; ``origin`` is the file it was read from, as messages name it."""

    environment: Environment = field(metadata=option(
        kinds.choice(Environment), "Where this configuration sends to. Must be what --env says, so that no file is "
        "used by mistake."))
    language: Language | None = field(default=None, metadata=option(
        kinds.choice(Language), "The language of screens, messages and pages; --lang counts before it. JSON, log and "
        "the journal's export are English always.", otherwise="the machine's locale says it", example="nb"))
    transport: Transport = field(default=Transport.AMQP, metadata=option(
        kinds.choice(Transport), "Which way a submission goes: amqp is NHN Tjenestebuss ([bus]), edi is ebXML over "
        "e-mail ([edi], docs/edi.md)."))
    origin: str
    files: FileSettings = field(metadata=section(
        FileSettings, "The two extracts of the EPJ, where the command line names none."))
    report: ReportSettings = field(metadata=section(ReportSettings, "Which year's data this is."))
    sender: SenderSettings = field(metadata=section(
        SenderSettings, 'The municipality and its tjenestested ("Saksbehandling"), as in Adresseregisteret.'))
    receiver: ReceiverSettings = field(metadata=section(
        ReceiverSettings, "FHI, as in Adresseregisteret. Its HER-ids are known from the year and the environment."))
    registry: RegistrySettings = field(metadata=section(
        RegistrySettings, "Adresseregisteret: ask it for FHI's queue and certificates instead of naming them in "
        "[receiver]."))
    keys: KeySettings = field(metadata=part(KeySettings))
    protection: ProtectionSettings = field(metadata=section(
        ProtectionSettings, "What is required of certificates and accepted in receipts."))
    bus: BusSettings = field(metadata=section(BusSettings, "Our connection to NHN Tjenestebuss."))
    edi: EdiSettings | None = field(default=None, metadata=section(
        EdiSettings, "Our EDI account: the other way than Tjenestebuss (docs/edi.md)."))
    hodemelding: HodemeldingSettings = field(metadata=section(HodemeldingSettings, "What the Hodemelding leaves open."))
    limits: LimitSettings = field(metadata=section(
        LimitSettings, "Size of one sealed message. NHN wants small ones: above 1 MB by agreement; Tjenestebuss has a "
        "cap."))
    journal: JournalSettings = field(metadata=section(
        JournalSettings, "The journal: the one durable thing. One for each environment; keep it, and keep it backed "
        "up."))
    sandbox: SandboxSettings | None = field(default=None, metadata=section(
        SandboxSettings, "The sandbox that --env lokal runs inside the process."))
    log: LogSettings = field(metadata=section(LogSettings, "Where log lines (JSON, without personal data) go."))
    notify: NotifySettings = field(metadata=section(
        NotifySettings, "Who gets a notice when something needs a person, once (docs/monitoring.md)."))
    monitor: MonitorSettings = field(metadata=section(
        MonitorSettings, "What watches that runs happen at all (docs/monitoring.md)."))

    @classmethod
    def from_dict(
        cls,
        document: Mapping[str, object],
        environment: str | Environment,
        *,
        folder: str | Path,
        secrets: Mapping[str, str] | None = None,
        name: str = "configuration",
    ) -> Settings:
        """Check what a program says in place of a file: a dictionary as TOML has it, for example read from a database.

        Args:
            document: The keys of docs/configuration.md; a section is a dictionary within it. A ``Path`` may stand where
                a path is meant.
            environment: Whose it must be: the dictionary says so, too (promise G7).
            folder: Where relative paths start; absolute.
            secrets: What ``*_env`` keys name, by name; the process's environment where none are given. Read when used.
            name: What messages call it: a file of this name in the folder, which need not be there.

        Raises:
            UsageError: There is no such environment.
            ConfigInvalid: It does not say what it must; or another user may write a file that it relies on.
        """
        from kpr_sender.settings.mapping import from_mapping  # noqa: PLC0415 - it reads by what is declared here

        return from_mapping(document, environment, path=Path(folder, name), secrets=secrets)


TOP: Final = with_keys(Section(Settings), "")
"""The keys that stand before the first section."""

SECTIONS: Final[Mapping[str, Section]] = {each.name: each for each in sections_of(Settings)}
