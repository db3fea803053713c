"""The port: what the program asks of our own keys. ``cms.port`` says what each of them must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from kpr_sender.cms.port import Decrypter, Signer


class OwnKey(Signer, Decrypter, Protocol):
    """One key of ours with its certificate, whatever it is used for."""


class Keys(Protocol):
    """Our own keys. A key in a hardware module is plugged in here: nothing else asks for one."""

    def signer(self, *, at: datetime) -> Signer:
        """Return what signs, its certificate checked for this moment.

        Raises:
            ConfigInvalid: A file is missing.
            AccessRefused: A key or certificate is refused.
        """

    def decrypters(self) -> Sequence[Decrypter]:
        """Return what decrypts, the current key first.

        Dates are not checked: a receipt sealed for a certificate that has expired since is still ours to read.

        Raises:
            ConfigInvalid: A file is missing.
            AccessRefused: A key or certificate is refused.
        """
