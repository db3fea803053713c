"""For a vendor's own tests: a municipality, Tjenestebuss or EDI, and FHI in the process, with keys made on the spot.

    def test_our_delivery(tjenestebuss: FakeTjenestebuss) -> None:
        with tjenestebuss.client() as client:
            client.submit()
            assert client.wait(timeout=0).exit_code == 0

The client is the real one, with journal, sealing and verification. ``kpr_sender.testing.plugin`` has the fixtures, this
one and ``edi``. ``FakeEdi`` is loaded when it is asked for: it needs ``kpr-sender[edi]``.
"""

from typing import TYPE_CHECKING, Any

from kpr_sender.sandbox.ledger import LedgerLine
from kpr_sender.testing.fake import FakeTjenestebuss
from kpr_sender.testing.municipality import FakeMunicipality

if TYPE_CHECKING:
    from kpr_sender.testing.fake_edi import FakeEdi

__all__ = ["FakeEdi", "FakeMunicipality", "FakeTjenestebuss", "LedgerLine"]

if not TYPE_CHECKING:  # a type checker would take every name for one that this finds

    def __getattr__(name: str) -> Any:
        """Import what is asked for."""
        if name == "FakeEdi":
            from kpr_sender.testing.fake_edi import FakeEdi  # noqa: PLC0415 - needs an extra

            return FakeEdi
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
