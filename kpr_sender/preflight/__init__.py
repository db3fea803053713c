"""What FHI would refuse, found before anything is sent."""

from kpr_sender.preflight.payload import Payload, inspect

__all__ = ["Payload", "inspect"]
