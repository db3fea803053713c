"""What FHI would refuse, drop or blank, found before anything is sent."""

from kpr_sender.preflight.check import check, with_sizes
from kpr_sender.preflight.model import Consequence, Effect, Finding, Violation
from kpr_sender.preflight.payload import Payload, inspect
from kpr_sender.preflight.report import CheckReport
from kpr_sender.preflight.statistics import Comparison, Difference, TypeDifference, TypeStatistics, YearStatistics
from kpr_sender.profiles.profile import Format

__all__ = [
    "CheckReport",
    "Comparison",
    "Consequence",
    "Difference",
    "Effect",
    "Finding",
    "Format",
    "Payload",
    "TypeDifference",
    "TypeStatistics",
    "Violation",
    "YearStatistics",
    "check",
    "inspect",
    "with_sizes",
]
