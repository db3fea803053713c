"""The port: what the engine asks of Adresseregisteret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A communication party as the registry describes it.

    Attributes:
        her_id: Level 2 HER-id.
        queue: Name of its asynchronous queue: the last part of the registered address.
        encryption: The certificate to encrypt for.
        signing: The certificates it may sign with: the current one first, then earlier ones still to be believed.
    """

    her_id: int
    queue: str
    encryption: Certificate
    signing: tuple[Certificate, ...]


class AddressRegistry(Protocol):
    """Looks up a communication party."""

    def counterpart(self, her_id: int) -> Counterpart:
        """Return what is registered for a level 2 HER-id.

        Raises:
            ConfigInvalid: The HER-id or its certificates are not known here.
            AccessRefused: A certificate is unreadable. Dates and uses are checked where it is used.
        """
