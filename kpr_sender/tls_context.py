"""The TLS that every connection of ours is made with: verified, 1.2 or newer."""

from __future__ import annotations

import ssl
from pathlib import Path

from kpr_sender.errors import ConfigInvalid


def verifying(ca_file: Path | None, *, key: str) -> ssl.SSLContext:
    """Return a context that verifies the other side.

    Args:
        ca_file: PEM bundle of the authorities to trust instead of the machine's; None for the machine's.
        key: The configuration's key for it, for the error.

    Raises:
        ConfigInvalid: The file cannot be read or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigInvalid(
            f"The CA file cannot be used: {getattr(error, 'strerror', None) or 'it holds no PEM certificate'}.",
            where=f"{key}: {ca_file}",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
