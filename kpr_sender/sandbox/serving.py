"""Which sandbox serves a transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Transport
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.sandbox.edi_sandbox import EdiSandbox
    from kpr_sender.sandbox.sandbox import Sandbox


def sandbox_class(transport: Transport) -> type[Sandbox | EdiSandbox]:
    """Return the sandbox of a transport: both are made, started and closed in the same way.

    Raises:
        ConfigInvalid: The one for EDI needs an extra that is not installed.
    """
    if transport is Transport.AMQP:
        from kpr_sender.sandbox.sandbox import Sandbox  # noqa: PLC0415 - the other one needs no bus

        return Sandbox
    try:
        from kpr_sender.sandbox.edi_sandbox import EdiSandbox  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("aiosmtpd"):
            raise
        raise ConfigInvalid(
            Text("The sandbox for EDI needs aiosmtpd, which is not installed."),
            where='transport = "edi"',
            next_step=Text("Install it: pip install 'kpr-sender[edi]'."),
        ) from None
    return EdiSandbox
