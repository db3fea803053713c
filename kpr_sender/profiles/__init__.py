"""One file per reporting year: deadline, receivers, refused HER-ids, payload formats, known hosts. Data, not code."""

from kpr_sender.profiles.guard import (
    admit,
    guard_address,
    guard_edi_address,
    guard_environment,
    guard_receiver,
    guard_registry,
)
from kpr_sender.profiles.profile import Format, Profile, known_years, load

__all__ = [
    "Format",
    "Profile",
    "admit",
    "guard_address",
    "guard_edi_address",
    "guard_environment",
    "guard_receiver",
    "guard_registry",
    "known_years",
    "load",
]
