"""kpr-sender: hands a municipality's KPR data to FHI over NHN Tjenestebuss. Nothing lost, nothing sent twice.

The public names are here, in ``kpr_sender.errors`` (every error), ``kpr_sender.preflight`` (the check alone) and
``kpr_sender.testing`` (for a vendor's own tests); everything else may move. docs/public-api.txt lists them all.

They load when they are first used, so that ``kpr-send --help`` and ``kpr-send status`` start without the bus and the
cryptography behind them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.x509 import Certificate as Certificate

    from kpr_sender.app import Parts as Parts
    from kpr_sender.bus.port import Bus as Bus
    from kpr_sender.bus.port import Inbound as Inbound
    from kpr_sender.bus.port import LinkState as LinkState
    from kpr_sender.bus.port import Outbound as Outbound
    from kpr_sender.bus.port import Outcome as Outcome
    from kpr_sender.bus.port import Reach as Reach
    from kpr_sender.bus.port import Source as Source
    from kpr_sender.bus.port import Verdict as Verdict
    from kpr_sender.client import Client as Client
    from kpr_sender.cms.port import Decrypter as Decrypter
    from kpr_sender.cms.port import KeyTransport as KeyTransport
    from kpr_sender.cms.port import Oaep as Oaep
    from kpr_sender.cms.port import Pkcs1v15 as Pkcs1v15
    from kpr_sender.cms.port import Signer as Signer
    from kpr_sender.errors import KprError as KprError
    from kpr_sender.errors import LastError as LastError
    from kpr_sender.events import Event as Event
    from kpr_sender.events import EventKind as EventKind
    from kpr_sender.events import Observer as Observer
    from kpr_sender.fleet.fleet import Fleet as Fleet
    from kpr_sender.fleet.overview import MunicipalityStatus as MunicipalityStatus
    from kpr_sender.inbound.receipt import Handling as Handling
    from kpr_sender.journal.values import JournalEvent as JournalEvent
    from kpr_sender.journal.values import ReceiptDocument as ReceiptDocument
    from kpr_sender.keys.port import Keys as Keys
    from kpr_sender.model import CertificateName as CertificateName
    from kpr_sender.model import Certificates as Certificates
    from kpr_sender.model import Envelope as Envelope
    from kpr_sender.model import Environment as Environment
    from kpr_sender.model import ErrorMessage as ErrorMessage
    from kpr_sender.model import Language as Language
    from kpr_sender.model import MailNote as MailNote
    from kpr_sender.model import MessageType as MessageType
    from kpr_sender.model import NoteKind as NoteKind
    from kpr_sender.model import Party as Party
    from kpr_sender.model import Receipt as Receipt
    from kpr_sender.model import ReceiptError as ReceiptError
    from kpr_sender.model import Shipment as Shipment
    from kpr_sender.model import SourceFile as SourceFile
    from kpr_sender.model import Submission as Submission
    from kpr_sender.model import SubmissionState as SubmissionState
    from kpr_sender.model import Transport as Transport
    from kpr_sender.model import Version as Version
    from kpr_sender.operator.resolve import Attempt as Attempt
    from kpr_sender.operator.resolve import Case as Case
    from kpr_sender.operator.resolve import Decision as Decision
    from kpr_sender.profiles.profile import Deadline as Deadline
    from kpr_sender.registry.port import AddressRegistry as AddressRegistry
    from kpr_sender.registry.port import Counterpart as Counterpart
    from kpr_sender.registry.port import Provenance as Provenance
    from kpr_sender.report import LastLook as LastLook
    from kpr_sender.report import NextLook as NextLook
    from kpr_sender.report import Report as Report
    from kpr_sender.report import Review as Review
    from kpr_sender.settings.edi import EdiSettings as EdiSettings
    from kpr_sender.settings.edi import MailboxKind as MailboxKind
    from kpr_sender.settings.edi import MailboxPlace as MailboxPlace
    from kpr_sender.settings.edi import ServiceNames as ServiceNames
    from kpr_sender.settings.edi import SmtpSecurity as SmtpSecurity
    from kpr_sender.settings.files import FileSettings as FileSettings
    from kpr_sender.settings.journal import JournalSettings as JournalSettings
    from kpr_sender.settings.monitoring import LogLevel as LogLevel
    from kpr_sender.settings.monitoring import LogSettings as LogSettings
    from kpr_sender.settings.monitoring import MonitorSettings as MonitorSettings
    from kpr_sender.settings.monitoring import NotifySettings as NotifySettings
    from kpr_sender.settings.secrets import CredentialSecret as CredentialSecret
    from kpr_sender.settings.secrets import EnvironmentSecret as EnvironmentSecret
    from kpr_sender.settings.secrets import FileSecret as FileSecret
    from kpr_sender.settings.secrets import KeySettings as KeySettings
    from kpr_sender.settings.secrets import KeySource as KeySource
    from kpr_sender.settings.secrets import Secret as Secret
    from kpr_sender.settings.secrets import TokenKey as TokenKey
    from kpr_sender.settings.values import AddressForm as AddressForm
    from kpr_sender.settings.values import BusSettings as BusSettings
    from kpr_sender.settings.values import HelseIdSettings as HelseIdSettings
    from kpr_sender.settings.values import HodemeldingSettings as HodemeldingSettings
    from kpr_sender.settings.values import KeyUse as KeyUse
    from kpr_sender.settings.values import LimitSettings as LimitSettings
    from kpr_sender.settings.values import ProtectionSettings as ProtectionSettings
    from kpr_sender.settings.values import QueueIds as QueueIds
    from kpr_sender.settings.values import ReceiptSender as ReceiptSender
    from kpr_sender.settings.values import ReceiptsFrom as ReceiptsFrom
    from kpr_sender.settings.values import ReceiverSettings as ReceiverSettings
    from kpr_sender.settings.values import RegistryKind as RegistryKind
    from kpr_sender.settings.values import RegistrySettings as RegistrySettings
    from kpr_sender.settings.values import ReportSettings as ReportSettings
    from kpr_sender.settings.values import Revocation as Revocation
    from kpr_sender.settings.values import SandboxSettings as SandboxSettings
    from kpr_sender.settings.values import SenderSettings as SenderSettings
    from kpr_sender.settings.values import Settings as Settings
    from kpr_sender.states import Cause as Cause
    from kpr_sender.states import ReceiptStatus as ReceiptStatus
    from kpr_sender.states import ShipmentState as ShipmentState
    from kpr_sender.texts import Text as Text

    __version__: str
    """The version of the installed package."""

_HOMES: Final = {
    "cryptography.x509": "Certificate",
    "kpr_sender.app": "Parts",
    "kpr_sender.bus.port": "Bus Inbound LinkState Outbound Outcome Reach Source Verdict",
    "kpr_sender.client": "Client",
    "kpr_sender.cms.port": "Decrypter KeyTransport Oaep Pkcs1v15 Signer",
    "kpr_sender.errors": "KprError LastError",
    "kpr_sender.events": "Event EventKind Observer",
    "kpr_sender.fleet.fleet": "Fleet",
    "kpr_sender.fleet.overview": "MunicipalityStatus",
    "kpr_sender.inbound.receipt": "Handling",
    "kpr_sender.journal.values": "JournalEvent ReceiptDocument",
    "kpr_sender.keys.port": "Keys",
    "kpr_sender.model": "CertificateName Certificates Envelope Environment ErrorMessage Language MailNote MessageType "
    "NoteKind Party Receipt ReceiptError Shipment SourceFile Submission SubmissionState Transport Version",
    "kpr_sender.operator.resolve": "Attempt Case Decision",
    "kpr_sender.profiles.profile": "Deadline",
    "kpr_sender.registry.port": "AddressRegistry Counterpart Provenance",
    "kpr_sender.report": "LastLook NextLook Report Review",
    "kpr_sender.settings.edi": "EdiSettings MailboxKind MailboxPlace ServiceNames SmtpSecurity",
    "kpr_sender.settings.files": "FileSettings",
    "kpr_sender.settings.journal": "JournalSettings",
    "kpr_sender.settings.monitoring": "LogLevel LogSettings MonitorSettings NotifySettings",
    "kpr_sender.settings.secrets": "CredentialSecret EnvironmentSecret FileSecret KeySettings KeySource Secret "
    "TokenKey",
    "kpr_sender.settings.values": "AddressForm BusSettings HelseIdSettings HodemeldingSettings "
    "KeyUse LimitSettings ProtectionSettings QueueIds ReceiptSender ReceiptsFrom ReceiverSettings "
    "RegistryKind RegistrySettings ReportSettings Revocation SandboxSettings SenderSettings Settings",
    "kpr_sender.states": "Cause ReceiptStatus ShipmentState",
    "kpr_sender.texts": "Text",
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names.split()}
__all__ = [*sorted(_HOME_OF), "__version__"]  # noqa: PLE0604 - the names above

if not TYPE_CHECKING:  # a type checker would take every name for one that this finds, a misspelt one, too

    def __getattr__(name: str) -> object:
        """Load a public name when it is first used (PEP 562)."""
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 - it reads files

            value = version("kpr-sender")
        elif name in _HOME_OF:
            value = getattr(import_module(_HOME_OF[name]), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """List the public names, loaded or not."""
        return sorted({*globals(), *__all__})
