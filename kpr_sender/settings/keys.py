"""Every key a configuration may have. The one table behind validation, the commented files and the documentation.

To add a key: add a row here and a field of the same name in ``values.py``; then run ``docs/make_configuration.py``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kpr_sender.model import Environment
from kpr_sender.settings import kinds
from kpr_sender.settings.kinds import Kind
from kpr_sender.settings.values import AddressForm, KeyUse, RegistryKind, Revocation

Example = str | int | tuple[str, ...]


class Absent(enum.Enum):
    """What it means that a key is not there."""

    REFUSED = "required"
    NONE = "optional"


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        section: The table it stands in, dotted; empty for the top level.
        name: Its name in the file.
        kind: What it may hold.
        help: What it does, in sentences for the person who fills it in.
        default: The value, as it would be written in the file, that counts when it is not there.
        otherwise: In words, what counts when it is not there and ``default`` cannot say it.
        example: What the documentation shows where there is no default.
        environments: Where it may stand.
    """

    section: str
    name: str
    kind: Kind
    help: str
    default: str | int | bool | Absent = Absent.REFUSED
    otherwise: str = ""
    example: Example | None = None
    environments: frozenset[Environment] = frozenset(Environment)

    @property
    def path(self) -> str:
        """The key as messages name it, for example ``bus.port``."""
        return f"{self.section}.{self.name}" if self.section else self.name


class LogLevel(enum.StrEnum):
    """How much is logged: nothing below this."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


SECTIONS: Final = {
    "": "",
    "files": "The two extracts of the EPJ, where the command line names none.",
    "report": "Which year's data this is.",
    "sender": 'The municipality and its tjenestested ("Saksbehandling"), as in Adresseregisteret.',
    "receiver": "FHI, as in Adresseregisteret. Its HER-ids are known from the year and the environment.",
    "registry": "Adresseregisteret: ask it for FHI's queue and certificates instead of naming them in [receiver].",
    "keys.signing": "Our key for signing (virksomhetssertifikat): a PKCS#12 file, a PEM pair, or a hardware token.",
    "keys.decryption": (
        "Our key for opening receipts: the one whose certificate Adresseregisteret gives out for encryption to us. "
        "At a certificate roll-over repeat this section: the current key first, the old one after it."
    ),
    "protection": "What is demanded of certificates and accepted in receipts.",
    "bus": "Our connection to NHN Tjenestebuss.",
    "hodemelding": "What the Hodemelding leaves open.",
    "limits": "Size of one sealed message. NHN wants small ones: above 1 MB by agreement; Tjenestebuss has a cap.",
    "journal": "The journal: the one durable thing. One for each environment; keep it, and keep it backed up.",
    "sandbox": "The sandbox that --env lokal runs inside the process.",
    "log": "Where log lines (JSON, without personal data) go.",
}

ARRAYS: Final = frozenset({"keys.decryption"})
"""Sections that may be repeated, written with double brackets."""

_LOKAL: Final = frozenset({Environment.LOKAL})
_NONE: Final = Absent.NONE
_REGISTRY_TELLS: Final = (
    'registry.kind must be "soap" or "rest": the registry tells it. What is given all the same is compared'
)
_MOST_BYTES: Final = 2_000_000_000


def _key_source(section: str, name: str) -> tuple[Key, ...]:
    return (
        Key(section, "pkcs12", kinds.PATH, "PKCS#12 file with key, certificate and its intermediates.", _NONE,
            "certificate and key stand in its place", example=f"../keys/{name}.p12"),
        Key(section, "certificate", kinds.PATH, "PEM file: the certificate first, its intermediates after it.", _NONE,
            "pkcs12 stands in its place", example=f"../keys/{name}.pem"),
        Key(section, "key", kinds.PATH, "PEM file with the private key that goes with it.", _NONE,
            "pkcs12 stands in its place", example=f"../keys/{name}.key"),
        Key(section, "passphrase_env", kinds.VARIABLE, "Environment variable that holds the passphrase.", _NONE,
            "passphrase_file, or no passphrase", example=f"KPR_{name.upper()}_PASSPHRASE"),
        Key(section, "passphrase_file", kinds.PATH, "File that holds the passphrase, alone.", _NONE,
            "passphrase_env, or no passphrase", example=f"/run/credentials/kpr-{name}-passphrase"),
        Key(section, "pkcs11_module", kinds.PATH,
            "PKCS#11 library of the hardware token or HSM that holds the key, instead of a file. Needs "
            "kpr-sender[pkcs11]. certificate is then needed only where the token has none with the key's id.", _NONE,
            "the key is in a file", example="/usr/lib/softhsm/libsofthsm2.so"),
        Key(section, "token_label", kinds.NAME, "The token's label.", _NONE, "slot tells the token", example="kommune"),
        Key(section, "slot", kinds.integer(0, 2**63 - 1), "The number of the token's slot.", _NONE,
            "token_label tells the token", example=0),
        Key(section, "key_label", kinds.NAME, "Label of the private key on the token.", _NONE, "key_id tells the key",
            example=name),
        Key(section, "key_id", kinds.HEX, "Id of the private key on the token.", _NONE, "key_label tells the key",
            example="a1"),
        Key(section, "pin_env", kinds.VARIABLE, "Environment variable that holds the token's PIN.", _NONE,
            "pin_file, where there is a token", example=f"KPR_{name.upper()}_PIN"),
        Key(section, "pin_file", kinds.PATH, "File that holds the token's PIN.", _NONE,
            "pin_env, where there is a token", example=f"/run/credentials/kpr-{name}-pin"),
    )  # fmt: skip


KEYS: Final[tuple[Key, ...]] = (
    Key("", "environment", kinds.choice(Environment),
        "Where this configuration sends to. Must be what --env says, so that no file is used by mistake."),

    Key("files", "fagmelding", kinds.PATH, "The fagmelding (KPR_IPL, IPLOS 3.7).", _NONE,
        "the command line names it", example="../extract/fagmelding.xml"),
    Key("files", "identmelding", kinds.PATH, "The identmelding (KPR_IDE, XPR(ide)).", _NONE,
        "the command line names it", example="../extract/identmelding.xml"),

    Key("report", "year", kinds.integer(2024, 2099), "The reporting year, the whole of it.", example=2024),
    Key("report", "letter", kinds.TEXT,
        "FHI's letter that confirms the year's values. produksjon demands it for years that kpr-sender knows no "
        "letter for.", ""),
    Key("report", "overdue_after", kinds.seconds(1, 8_760 * 3600),
        "What was published longer ago than this and has no receipt is overdue: exit code 84. It is waited for all the "
        "same.", "24h"),

    Key("sender", "name", kinds.NAME, "The municipality's name (level 1).", example="EKSEMPEL KOMMUNE"),
    Key("sender", "her_id", kinds.HER_ID, "The municipality's HER-id (level 1).", example=900001),
    Key("sender", "organisation_number", kinds.ORGANISATION_NUMBER, "The municipality's organisasjonsnummer.", _NONE,
        "the Hodemelding has none", example="310000000"),
    Key("sender", "service_name", kinds.NAME, "The tjenestested's name (level 2).", "Saksbehandling"),
    Key("sender", "service_her_id", kinds.HER_ID, "The tjenestested's HER-id (level 2). Its queues are ours.",
        example=900002),
    Key("sender", "kommunenummer", kinds.KOMMUNENUMMER, "The kommunenummer that was valid in the reporting year.",
        example="9999"),
    Key("sender", "bydel", kinds.BYDEL, "Bydel, where one is reported on its own.", "00"),

    Key("receiver", "her_id", kinds.HER_ID,
        "FHI's HER-id (level 2), if you want it written down: it must be the one of the year and environment.", _NONE,
        "the year's profile tells it", example=171479),
    Key("receiver", "encryption_certificate", kinds.PATH,
        "FHI's certificate for encryption, PEM or DER, downloaded from Adresseregisteret.", _NONE, _REGISTRY_TELLS,
        example="../certs/fhi-encryption.pem"),
    Key("receiver", "signing_certificates", kinds.PATHS,
        "FHI's certificates for signing, PEM or DER, downloaded from Adresseregisteret: the current one first, then "
        "earlier ones still to be believed.", _NONE, _REGISTRY_TELLS, example=("../certs/fhi-signing.pem",)),
    Key("receiver", "queue", kinds.QUEUE,
        "FHI's asynchronous queue, or its whole address (E_SB_ASYNC) there. Copy it with care: RabbitMQ 3 says "
        "accepted to a queue that does not exist, too.", _NONE, _REGISTRY_TELLS, example="171479_async"),
    Key("receiver", "unsealed_receipts", kinds.FLAG,
        "Believe receipts that are neither signed nor encrypted. Only when FHI is known to answer so.", False),

    Key("registry", "kind", kinds.choice(RegistryKind),
        "Where FHI's queue and certificates come from: files that [receiver] names, or Adresseregisteret. soap is its "
        "CommunicationPartyService; rest is its newer interface, which needs a client in HelseID and "
        "kpr-sender[helseid].", RegistryKind.FILES.value),
    Key("registry", "url", kinds.HTTPS_URL,
        "Its address: https://ws.nhn.no/v1/AR/Basic for validering and produksjon, "
        "https://ws-web.test.nhn.no/v1/AR/Basic (internet) or https://ws.test.nhn.no/v1/AR/Basic (Helsenettet) for "
        "ar-test. With rest https://cpapi.grunndata.nhn.no or https://cpapi.test.grunndata.nhn.no.",
        _NONE, 'registry.kind must be "files"', example="https://ws.nhn.no/v1/AR/Basic"),
    Key("registry", "user", kinds.NAME, "The organisation's user in the register (OrgUsr in RegisterPlattformen).",
        _NONE, "bus.username: the organisation's user is the same", example="kommune"),
    Key("registry", "password_env", kinds.VARIABLE, "Environment variable that holds its password.", _NONE,
        "password_file, or the bus's password", example="KPR_REGISTRY_PASSWORD"),
    Key("registry", "password_file", kinds.PATH, "File that holds its password, alone.", _NONE,
        "password_env, or the bus's password", example="/run/credentials/kpr-registry-password"),
    Key("registry", "helseid_url", kinds.HTTPS_URL,
        "With rest: HelseID, https://helseid-sts.nhn.no or https://helseid-sts.test.nhn.no.", _NONE,
        "kind must not be rest", example="https://helseid-sts.nhn.no"),
    Key("registry", "client_id", kinds.NAME, "With rest: our client in HelseID.", _NONE, "kind must not be rest",
        example="3e2f8a10-0000-4000-8000-000000000000"),
    Key("registry", "client_key_env", kinds.VARIABLE,
        "With rest: environment variable that holds the client's private key, JWK or PEM.", _NONE,
        "client_key_file stands in its place", example="KPR_HELSEID_KEY"),
    Key("registry", "client_key_file", kinds.PATH, "With rest: file that holds it, alone.", _NONE,
        "client_key_env stands in its place", example="/run/credentials/kpr-helseid-key"),
    Key("registry", "ca_file", kinds.PATH, "PEM file with the authorities to trust for the register's certificate.",
        _NONE, "the machine's own", example="../certs/registry-ca.pem"),
    Key("registry", "timeout", kinds.seconds(0.1, 600), "Longest time for one question and its answer.", "20s"),
    Key("registry", "max_age", kinds.seconds(0, 24 * 3600),
        "How old an answer may be before it is asked for again. A send to produksjon always asks.", "1h"),
    Key("registry", "stale_for", kinds.seconds(0, 90 * 24 * 3600),
        "How old the last good answer may be when the register cannot be reached; a warning says so. 0 for never.",
        "24h"),

    *_key_source("keys.signing", "signing"),
    *_key_source("keys.decryption", "encryption"),

    Key("protection", "signing_key_usage", kinds.choice(KeyUse), "The key usage that signing certificates must have.",
        KeyUse.NON_REPUDIATION.value),
    Key("protection", "accept_3des", kinds.FLAG, "Open receipts that are encrypted with 3DES.", False),
    Key("protection", "roots", kinds.PATHS,
        "The authorities that certificates must lead to, ours and FHI's, PEM or DER: roots, and the issuing "
        "authorities below them. Organisation numbers in certificates are then compared as well.", _NONE,
        "it is not asked who issued a certificate", example=("../certs/roots.pem",)),
    Key("protection", "revocation", kinds.choice(Revocation),
        "Ask the issuers (OCSP, CRL; over http) whether a certificate is revoked. soft warns where nobody tells, "
        "require refuses. Needs roots.", Revocation.OFF.value),
    Key("protection", "crl_dir", kinds.PATH,
        "Folder with CRLs that somebody else fetches, where this machine cannot. They come before what is fetched.",
        _NONE, "CRLs are fetched", example="../certs/crl"),

    Key("bus", "host", kinds.HOST, "The bus. Tjenestebuss is reached from Helsenettet only.", example="tb.nhn.no"),
    Key("bus", "port", kinds.PORT, "Its port.", 5671),
    Key("bus", "tls", kinds.FLAG, "TLS 1.2 or later, host name checked. Off only to a loopback address.", True),
    Key("bus", "ca_file", kinds.PATH, "PEM file with the authorities to trust for the bus's certificate.", _NONE,
        "the machine's own", example="../certs/bus-ca.pem"),
    Key("bus", "username", kinds.NAME, "The organisation's user on the bus (OrgUsr in RegisterPlattformen).",
        example="kommune"),
    Key("bus", "password_env", kinds.VARIABLE, "Environment variable that holds its password.", _NONE,
        "password_file stands in its place", example="KPR_BUS_PASSWORD"),
    Key("bus", "password_file", kinds.PATH, "File that holds its password, alone.", _NONE,
        "password_env stands in its place", example="/run/credentials/kpr-bus-password"),
    Key("bus", "exchange", kinds.TEXT,
        "The exchange, as in the registered address host/exchange/queue. Upper and lower case matter.", "",
        "the default exchange"),
    Key("bus", "address_form", kinds.choice(AddressForm),
        "How queues are addressed: RabbitMQ's v1 form, its v2 form, or by the version the broker tells.",
        AddressForm.AUTO.value),
    Key("bus", "receipts_queue", kinds.QUEUE, "Our queue for receipts, or its whole address (E_SB_ASYNC).", _NONE,
        "sender.service_her_id and _async", example="900002_async"),
    Key("bus", "error_queue", kinds.QUEUE, "Our error queue, or its whole address (E_SB_ERROR).", _NONE,
        "sender.service_her_id and _error", example="900002_error"),
    Key("bus", "connect_timeout", kinds.seconds(0.1, 600), "Longest time for one attempt to connect.", "10s"),
    Key("bus", "reconnect_budget", kinds.seconds(0, 86_400),
        "Longest time for all attempts together, before the bus counts as unreachable.", "60s"),
    Key("bus", "publish_timeout", kinds.seconds(0.1, 3600),
        "Longest time for one message and the bus's answer; after it the message is in doubt.", "60s"),
    Key("bus", "idle_timeout", kinds.seconds(1, 3600), "A connection that is silent this long is given up.", "60s"),
    Key("bus", "held_cap", kinds.integer(1, 100_000),
        "How many messages of others on our queue are held at most while we wait; beyond it a warning.", 500),
    Key("bus", "hold_time", kinds.seconds(1, 86_400),
        "Messages of others are given back after this long: well inside the broker's consumer timeout, which is 30 "
        "minutes on RabbitMQ 3.", "10m"),

    Key("hodemelding", "ack", kinds.FLAG, "Ask FHI for an application receipt. Without it nothing is ever delivered.",
        True),
    Key("hodemelding", "type_text_ipl", kinds.NAME, "DN of MsgInfo/Type for KPR_IPL. No public source fixes it.",
        "KPR IPLOS fagmelding"),
    Key("hodemelding", "type_text_ide", kinds.NAME, "DN of MsgInfo/Type for KPR_IDE. No public source fixes it.",
        "KPR identmelding"),
    Key("hodemelding", "cpa_id", kinds.TEXT, "The CPA's id, where the parties have one.", "", "no CPA"),
    Key("hodemelding", "xmldsig", kinds.FLAG,
        "Put an XML signature into the Hodemelding as well. The register's own schema has no place for it.", False),

    Key("limits", "warn_bytes", kinds.integer(1, _MOST_BYTES, "bytes"), "Warn above this size.", 1_000_000),
    Key("limits", "refuse_bytes", kinds.integer(1, _MOST_BYTES, "bytes"), "Refuse above this size; nothing is sent.",
        20_000_000),

    Key("journal", "path", kinds.PATH, "The journal, an SQLite file on a local disk.",
        example="/var/lib/kpr-sender/journal.db"),
    Key("journal", "receipts_dir", kinds.PATH, "Folder for copies of the receipts.", _NONE,
        "a folder named receipts beside the journal", example="/var/lib/kpr-sender/receipts"),
    Key("journal", "allow_network", kinds.FLAG,
        "Take a journal on a network file system (NFS, SMB, sshfs). Only where its locks and writes are known to hold, "
        "and no other machine uses the journal.", False),

    Key("sandbox", "embedded", kinds.FLAG,
        "Run the sandbox inside the process. It brings the register, the keys and the bus with it; those keys must "
        "then be left out.", False, environments=_LOKAL),
    Key("sandbox", "dir", kinds.PATH, "Its folder: test PKI, queues and ledger.", _NONE,
        "needed when embedded is true", example="../.demo/sandbox", environments=_LOKAL),

    Key("log", "file", kinds.PATH, "File that log lines are added to.", _NONE, "standard error",
        example="/var/log/kpr-sender.log"),
    Key("log", "level", kinds.choice(LogLevel), "How much is logged.", LogLevel.INFO.value),
)  # fmt: skip


def keys_of(environment: Environment) -> Iterator[Key]:
    """Yield the keys that may stand in that environment's configuration."""
    return (key for key in KEYS if environment in key.environments)
