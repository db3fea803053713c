"""For a vendor's own tests: a municipality, Tjenestebuss and FHI in the process, with keys made on the spot.

    def test_our_delivery(tjenestebuss: FakeTjenestebuss) -> None:
        with tjenestebuss.client() as client:
            client.submit()
            assert client.wait(timeout=0).exit_code == 0

The client is the real one, with journal, sealing and verification. ``kpr_sender.testing.plugin`` has the fixture.
"""

from kpr_sender.sandbox.ledger import LedgerLine
from kpr_sender.testing.fake import FakeTjenestebuss

__all__ = ["FakeTjenestebuss", "LedgerLine"]
