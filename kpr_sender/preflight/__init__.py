"""What FHI would refuse, drop or blank, found before anything is sent."""

from kpr_sender.preflight.check import check, with_sizes
from kpr_sender.preflight.payload import Payload, inspect
from kpr_sender.preflight.report import CheckReport

__all__ = ["CheckReport", "Payload", "check", "inspect", "with_sizes"]
