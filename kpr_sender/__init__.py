"""kpr-sender: hands a municipality's KPR data to FHI over NHN Tjenestebuss. Nothing lost, nothing sent twice.

The public names are here; everything else may move. They load when they are first used, so that
``kpr-send --help`` and ``kpr-send status`` start without the bus and the cryptography behind them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kpr_sender.bus.port import Bus as Bus
    from kpr_sender.bus.port import Inbound as Inbound
    from kpr_sender.bus.port import Outbound as Outbound
    from kpr_sender.bus.port import Outcome as Outcome
    from kpr_sender.bus.port import Source as Source
    from kpr_sender.client import Client as Client
    from kpr_sender.errors import KprError as KprError
    from kpr_sender.events import Event as Event
    from kpr_sender.events import EventKind as EventKind
    from kpr_sender.inbound.receipt import Handling as Handling
    from kpr_sender.keys.port import Keys as Keys
    from kpr_sender.model import Environment as Environment
    from kpr_sender.model import MessageType as MessageType
    from kpr_sender.model import Party as Party
    from kpr_sender.model import Receipt as Receipt
    from kpr_sender.model import ReceiptError as ReceiptError
    from kpr_sender.model import Shipment as Shipment
    from kpr_sender.model import Submission as Submission
    from kpr_sender.model import SubmissionState as SubmissionState
    from kpr_sender.operator.resolve import Case as Case
    from kpr_sender.operator.resolve import Decision as Decision
    from kpr_sender.registry.port import AddressRegistry as AddressRegistry
    from kpr_sender.registry.port import Counterpart as Counterpart
    from kpr_sender.report import Report as Report
    from kpr_sender.settings.values import Settings as Settings
    from kpr_sender.states import ReceiptStatus as ReceiptStatus
    from kpr_sender.states import ShipmentState as ShipmentState

_HOMES: Final = {
    "kpr_sender.bus.port": ("Bus", "Inbound", "Outbound", "Outcome", "Source"),
    "kpr_sender.client": ("Client",),
    "kpr_sender.inbound.receipt": ("Handling",),
    "kpr_sender.keys.port": ("Keys",),
    "kpr_sender.operator.resolve": ("Case", "Decision"),
    "kpr_sender.errors": ("KprError",),
    "kpr_sender.events": ("Event", "EventKind"),
    "kpr_sender.model": (
        "Environment",
        "MessageType",
        "Party",
        "Receipt",
        "ReceiptError",
        "Shipment",
        "Submission",
        "SubmissionState",
    ),
    "kpr_sender.registry.port": ("AddressRegistry", "Counterpart"),
    "kpr_sender.report": ("Report",),
    "kpr_sender.settings.values": ("Settings",),
    "kpr_sender.states": ("ReceiptStatus", "ShipmentState"),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - the names above


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
