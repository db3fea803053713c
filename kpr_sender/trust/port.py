"""The port: whether a certificate is trusted, beyond its dates, its key and its key usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


class Trust(Protocol):
    """What is required of a certificate: who issued it, whether it is revoked, whose it is."""

    def require(
        self,
        certificate: Certificate,
        *,
        at: datetime,
        name: str,
        organisation: str | None = None,
        intermediates: Sequence[Certificate] = (),
    ) -> None:
        """Refuse a certificate that is not trusted.

        Args:
            certificate: Which one.
            at: For which moment.
            name: Where it came from, for messages.
            organisation: The organisation number that it must be issued to; None where any may be.
            intermediates: What came with it; a path may go through them, they are not trusted themselves.

        Raises:
            AccessRefused: It leads to no authority that is trusted, it or what issued it is revoked, it is another
                organisation's; or no issuer says whether it is revoked, where that is required.
        """
