"""The section about EDI (ebXML over e-mail), the other way than Tjenestebuss. Declared as in ``values``.

What KPR does not publish, and what an EDI account looks like (host names, ports), is a setting: docs/edi.md.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from kpr_sender.model import MessageType, Transport
from kpr_sender.settings import kinds
from kpr_sender.settings.keys import option, secret
from kpr_sender.settings.kinds import Unfit, ValueKind
from kpr_sender.settings.secrets import Secret
from kpr_sender.texts import Text

MOST_MAIL_BYTES: Final = 51_200_000
"""NHN's limit for a whole mail, SMTP envelope included (developer portal, "EDI")."""


class SmtpSecurity(enum.StrEnum):
    """How the way to the mail server is protected: STARTTLS, TLS from the first byte, or not at all."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class MailboxKind(enum.StrEnum):
    """What our mailbox is. Without TLS (``pop3``, ``imap``) as ``smtp_security = "none"``."""

    POP3S = "pop3s"
    IMAPS = "imaps"
    POP3 = "pop3"
    IMAP = "imap"
    MAILDIR = "maildir"
    FOLDER = "folder"

    @property
    def is_remote(self) -> bool:
        """Whether a server has it, which asks for a login."""
        return self not in {MailboxKind.MAILDIR, MailboxKind.FOLDER}


_PORTS: Final = {MailboxKind.POP3S: 995, MailboxKind.IMAPS: 993, MailboxKind.POP3: 110, MailboxKind.IMAP: 143}
_SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(?:/(.*))?", re.ASCII)
_MOST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class MailboxPlace:
    """Where our mailbox is.

    Attributes:
        host: The server; empty for a folder on this machine.
        folder: With IMAP the folder there.
        path: The Maildir, or the folder of whole mails; None for a server's.
    """

    kind: MailboxKind
    host: str = ""
    port: int = 0
    folder: str = ""
    path: Path | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"{self.kind}:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}" + (f"/{self.folder}" if self.folder else "")


def _mailbox(value: object, base: Path) -> MailboxPlace:
    if not isinstance(value, str) or not value.isprintable():
        raise Unfit
    name, colon, rest = value.strip().partition(":")
    if not colon or name not in set(MailboxKind) or not rest:
        raise Unfit
    kind = MailboxKind(name)
    if not kind.is_remote:
        if rest.startswith("//"):
            raise Unfit(Text("a folder is written as maildir:/path or folder:/path"))
        return MailboxPlace(kind, path=Path(os.path.abspath(base / Path(rest).expanduser())))  # noqa: PTH100 - as paths
    found = _SERVER.fullmatch(rest.removeprefix("//"))
    if found is None or not rest.startswith("//"):
        raise Unfit
    port = int(found[2] or _PORTS[kind])
    folder = found[3] or ""
    if not 0 < port <= _MOST_PORT or (folder and kind in {MailboxKind.POP3S, MailboxKind.POP3}):
        raise Unfit
    imap = kind in {MailboxKind.IMAPS, MailboxKind.IMAP}
    return MailboxPlace(kind, found[1].strip("[]"), port, folder or ("INBOX" if imap else ""))


def _by_type(value: object, _base: Path) -> Mapping[MessageType, str]:
    if not isinstance(value, Mapping) or not value or not value.keys() <= set(MessageType):
        raise Unfit
    if not all(isinstance(one, str) and one.strip() and one.isprintable() for one in value.values()):
        raise Unfit
    return MappingProxyType({MessageType(name): one.strip() for name, one in value.items()})


UNUSED_HOST: Final = "none.invalid"
_UNUSED_BUS: Final[Mapping[str, object]] = MappingProxyType(
    {"host": UNUSED_HOST, "username": "none", "password_env": "KPR_NO_BUS"}
)
"""What takes the place of [bus] where a configuration for EDI has none: no connection to it is ever made."""

ADDRESS: Final = kinds.pattern(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*",
    Text("an e-mail address, alone"),
)
MAILBOX: Final = ValueKind(
    Text("pop3s://host:port, imaps://host:port/FOLDER, maildir:/path or folder:/path, without user and password"),
    _mailbox,
    write=str,
)
BY_TYPE: Final = ValueKind(
    Text("in braces a text for KPR_IPL, for KPR_IDE or for both"),
    _by_type,
    evident=False,
    write=lambda value: {str(name): one for name, one in value.items()},
)

# fmt: off


@dataclass(frozen=True, slots=True)
class ServiceNames:
    """What a message of one type is called outside (HISD 1209).

    Attributes:
        service_type: ``Service/@type``; empty for none.
        from_role: Ours in what we send; the AppRec comes to it.
        cpa_id: Empty where it is made of both HER-ids.
    """

    service: str
    service_type: str
    action: str
    from_role: str
    to_role: str
    cpa_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EdiSettings:
    """Our EDI account: where mail is sent from and where it comes back, and what KPR does not publish."""

    address: str = field(default="", metadata=option(
        ADDRESS, "Our EDI address, as Adresseregisteret has it for sender.service_her_id (E_EDI).",
        otherwise='transport must be "amqp"', example="kommune-kpr@example.no"))
    receiver_address: str = field(default="", metadata=option(
        ADDRESS, "KPR's EDI address. Where a register is asked it has it, and what is given is compared.",
        otherwise='registry.kind must be "soap" or "rest"', example="kpr@example.no"))
    smtp_host: str = field(default="", metadata=option(
        kinds.HOST, "The mail server that takes our mail.", otherwise='transport must be "amqp"',
        example="smtp.example.no"))
    smtp_port: int = field(default=587, metadata=option(kinds.PORT, "Its port."))
    smtp_security: SmtpSecurity = field(default=SmtpSecurity.STARTTLS, metadata=option(
        kinds.choice(SmtpSecurity), "How the way to it is protected; the host name is checked. none only on loopback, "
        "or with allow_plaintext, and never with a login."))
    user: str = field(default="", metadata=option(
        kinds.NAME, "Our user there, mostly the whole EDI address.", otherwise="no login",
        example="kommune-kpr@example.no"))
    password: Secret | None = field(default=None, metadata=secret(
        "its password", otherwise=", or there is no login", example="edi-password"))
    mailbox: MailboxPlace | None = field(default=None, metadata=option(
        MAILBOX, "Our mailbox: on a server, a Maildir, or the folder in which the message server that reads our "
        "mailbox lays down whole mails (.eml).", otherwise='transport must be "amqp"',
        example="pop3s://pop.example.no:995"))
    mailbox_user: str = field(default="", metadata=option(
        kinds.NAME, "Our user at the mailbox.", otherwise="edi.user", example="kommune-kpr@example.no"))
    mailbox_password: Secret | None = field(default=None, metadata=secret(
        "the mailbox's password", otherwise=", or edi.password", example="edi-mailbox-password"))
    tls_ca: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PEM file with the authorities to trust for the mail servers' certificates.",
        otherwise="the machine's own", example="certs/edi-ca.pem"))
    allow_plaintext: bool = field(default=False, metadata=option(
        kinds.FLAG, "Let mail go to a server within Helsenettet without TLS. The message is sealed all the same; "
        "doctor is yellow, and no login is sent."))
    acknowledge: bool | None = field(default=None, metadata=option(
        kinds.FLAG, "Acknowledge KPR's receipts (ebXML Acknowledgment). Whoever reads our mailbox does that.",
        otherwise="true, but false with a folder: the message server that lays them down acknowledges", example=True))
    signed_inside: bool = field(default=False, metadata=option(
        kinds.FLAG, "Put a signature (CMS SignedData) inside the encrypted payload as well. The envelope is signed in "
        "any case."))
    inner_mime: bool = field(default=False, metadata=option(
        kinds.FLAG, "Put the Hodemelding into a MIME part before it is encrypted (HITS 1172 5.15.1); else it is the "
        "bare XML, as peers send it."))
    require_digests: bool = field(default=False, metadata=option(
        kinds.FLAG, "Take an acknowledgement only if it repeats our digests. Those that it repeats must be ours in any "
        "case."))
    max_mail_bytes: int = field(default=MOST_MAIL_BYTES, metadata=option(
        kinds.integer(1, 2_000_000_000, "bytes"), "The largest mail, all of it; a larger one is refused before "
        "anything is sealed. A smaller limit of the server's counts, too."))
    max_inbound: int = field(default=8_000_000, metadata=option(
        kinds.integer(1, 2_000_000_000, "bytes"), "The largest mail that is fetched; a larger one is left where it "
        "is."))
    connect_timeout: float = field(default=30.0, metadata=option(
        kinds.seconds(0.1, 600), "Longest time for one attempt to connect, and for each answer but the last."))
    answer_timeout: float = field(default=600.0, metadata=option(
        kinds.seconds(0.1, 3600), "How long the server's answer to the whole mail is waited for (RFC 5321: 10 "
        "minutes); after it the message is in doubt."))
    reconnect_budget: float = field(default=60.0, metadata=option(
        kinds.seconds(0, 86_400), "Longest time for all attempts to connect or send together."))
    look_every: float = field(default=30.0, metadata=option(
        kinds.seconds(0.05, 3600), "How often the mailbox is looked at while a receipt is waited for."))
    service: Mapping[MessageType, str] = field(default_factory=dict, metadata=option(
        BY_TYPE, "eb:Service, for each type of message.", otherwise="S- and the type (HISD 1209)",
        example={"KPR_IPL": "S-KPR_IPL", "KPR_IDE": "S-KPR_IDE"}))
    service_type: Mapping[MessageType, str] = field(default_factory=dict, metadata=option(
        BY_TYPE, "Service/@type, for each type of message.", otherwise="string",
        example={"KPR_IPL": "kithService", "KPR_IDE": "kithService"}))
    action: Mapping[MessageType, str] = field(default_factory=dict, metadata=option(
        BY_TYPE, "eb:Action, for each type of message.", otherwise="the type",
        example={"KPR_IPL": "KPR_IPL", "KPR_IDE": "KPR_IDE"}))
    from_role: Mapping[MessageType, str] = field(default_factory=dict, metadata=option(
        BY_TYPE, "Our eb:Role, for each type of message.", otherwise="the type and sender",
        example={"KPR_IPL": "KPR_IPLsender", "KPR_IDE": "KPR_IDEsender"}))
    to_role: Mapping[MessageType, str] = field(default_factory=dict, metadata=option(
        BY_TYPE, "KPR's eb:Role, for each type of message.", otherwise="the type and receiver",
        example={"KPR_IPL": "KPR_IPLreceiver", "KPR_IDE": "KPR_IDEreceiver"}))
    cpa_id: Mapping[MessageType, str] = field(default_factory=dict, metadata=option(
        BY_TYPE, "eb:CPAId, for each type of message.", otherwise="both HER-ids, the lower first, with _ between",
        example={"KPR_IPL": "122612_900002", "KPR_IDE": "122612_900002"}))

    @property
    def acknowledges(self) -> bool:
        """Whether receipts are acknowledged."""
        by_folder = self.mailbox is not None and self.mailbox.kind is MailboxKind.FOLDER
        return not by_folder if self.acknowledge is None else self.acknowledge

    def names(self, kind: MessageType) -> ServiceNames:
        """Return what a message of a type is called outside."""
        return ServiceNames(
            service=self.service.get(kind, f"S-{kind}"),
            service_type=self.service_type.get(kind, "string"),
            action=self.action.get(kind, str(kind)),
            from_role=self.from_role.get(kind, f"{kind}sender"),
            to_role=self.to_role.get(kind, f"{kind}receiver"),
            cpa_id=self.cpa_id.get(kind, ""),
        )


def lacking(edi: EdiSettings | None, *, registered: bool) -> str:
    """Return the first key that is missing to send and receive by mail; empty where none is.

    Args:
        edi: Our account.
        registered: Whether a register is asked for the receiver's address.
    """
    edi = edi or EdiSettings()
    given = {
        "edi.address": edi.address,
        "edi.smtp_host": edi.smtp_host,
        "edi.mailbox": edi.mailbox is not None,
        "edi.receiver_address": registered or edi.receiver_address,
    }
    return next((name for name, value in given.items() if not value), "")


def bus_filled_in(transport: object, tables: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return what is written, by section, with something in the place of [bus] where mail needs none."""
    if transport != Transport.EDI or any(tables["bus"]):
        return tables
    return tables | {"bus": [dict(_UNUSED_BUS)]}
