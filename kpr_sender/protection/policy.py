"""What is accepted when opening, beyond what is always refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds on what is read, and the one weak cipher that a setting may let in.

    Attributes:
        accept_3des: Open what is sealed with 3DES; old peers only.
        max_bytes: Largest sealed message, in bytes.
        max_nodes: Most ASN.1 elements read in each of the two layers.
        max_depth: Deepest nesting of ASN.1 elements.
    """

    accept_3des: bool = False
    max_bytes: int = 50_000_000
    max_nodes: int = 200_000
    max_depth: int = 40
