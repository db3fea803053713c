"""kpr-sender: hands a municipality's KPR data to FHI over NHN Tjenestebuss. Nothing lost, nothing sent twice.

The public names are here; everything else may move. They load when they are first used, so that
``kpr-send --help`` and ``kpr-send status`` start without the bus and the cryptography behind them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kpr_sender.bus.port import Bus, Inbound, Outbound, Outcome, Source
    from kpr_sender.client import Client
    from kpr_sender.errors import KprError
    from kpr_sender.events import Event, EventKind
    from kpr_sender.inbound.receipt import Handling
    from kpr_sender.keys.port import Keys
    from kpr_sender.model import Environment, MessageType, Party, Receipt, ReceiptError, Shipment, Submission
    from kpr_sender.operator.resolve import Case, Decision
    from kpr_sender.registry.port import AddressRegistry, Counterpart
    from kpr_sender.report import Report
    from kpr_sender.settings.values import Settings
    from kpr_sender.states import ReceiptStatus, ShipmentState
    from kpr_sender.submission_state import SubmissionState

__all__ = [
    "AddressRegistry",
    "Bus",
    "Case",
    "Client",
    "Counterpart",
    "Decision",
    "Environment",
    "Event",
    "EventKind",
    "Handling",
    "Inbound",
    "Keys",
    "KprError",
    "MessageType",
    "Outbound",
    "Outcome",
    "Party",
    "Receipt",
    "ReceiptError",
    "ReceiptStatus",
    "Report",
    "Settings",
    "Shipment",
    "ShipmentState",
    "Source",
    "Submission",
    "SubmissionState",
]

_HOMES: Final = {
    "kpr_sender.bus.port": ("Bus", "Inbound", "Outbound", "Outcome", "Source"),
    "kpr_sender.client": ("Client",),
    "kpr_sender.inbound.receipt": ("Handling",),
    "kpr_sender.keys.port": ("Keys",),
    "kpr_sender.operator.resolve": ("Case", "Decision"),
    "kpr_sender.errors": ("KprError",),
    "kpr_sender.events": ("Event", "EventKind"),
    "kpr_sender.model": ("Environment", "MessageType", "Party", "Receipt", "ReceiptError", "Shipment", "Submission"),
    "kpr_sender.registry.port": ("AddressRegistry", "Counterpart"),
    "kpr_sender.report": ("Report",),
    "kpr_sender.settings.values": ("Settings",),
    "kpr_sender.states": ("ReceiptStatus", "ShipmentState"),
    "kpr_sender.submission_state": ("SubmissionState",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
