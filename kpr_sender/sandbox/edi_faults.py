"""The rows of the table of faults that EDI alone has: its acknowledgements, its mail server, its mailbox."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kpr_sender.ebxml.envelope import ErrorCode
from kpr_sender.model import Transport
from kpr_sender.sandbox.fault_kinds import FaultKind, FaultName
from kpr_sender.texts import Text

ERROR_CODES: Final = (
    ErrorCode.SECURITY_FAILURE.value,
    *(code.value for code in ErrorCode if code is not ErrorCode.SECURITY_FAILURE),
)
"""The likeliest first."""
FAILED: Final = "failed"
DELAYED: Final = "delayed"
AT_DOT: Final = "dot"
"""After the complete mail."""
_STAGES: Final = (AT_DOT, "mail", "rcpt", "data")
"""Where the dialogue is when the mail server refuses; only after the dot does it know the message type."""

EDI_FAULTS: Final[Mapping[FaultName, FaultKind]] = MappingProxyType(
    {
        FaultName.NO_ACKNOWLEDGEMENT: FaultKind(
            Text("The message is received and answered, but no acknowledgement comes."),
            then="*Delivered*: a verified receipt says more than an acknowledgement. With `no-answer` the pair stays "
            "*published*, 80, then overdue, 84; nothing is sent again by itself.",
            only=Transport.EDI,
        ),
        FaultName.LATE_ACKNOWLEDGEMENT: FaultKind(
            Text("The acknowledgement comes this many seconds after the message, and the receipt after it."),
            number=5.0,
            then="*Published*, 80, until it comes; `wait` takes it.",
            only=Transport.EDI,
        ),
        FaultName.RECEIPT_FIRST: FaultKind(
            Text("The receipt comes before the acknowledgement."),
            then="*Delivered*: the acknowledgement that follows is noted and changes nothing.",
            only=Transport.EDI,
        ),
        FaultName.WRONG_DIGEST: FaultKind(
            Text("The acknowledgement repeats other digests than those of the message's signature."),
            then="Not counted as an acknowledgement: it is for other bytes. The receipt decides: *delivered*.",
            only=Transport.EDI,
        ),
        FaultName.UNSIGNED_ACKNOWLEDGEMENT: FaultKind(
            Text("The acknowledgement has no signature."),
            then="Not counted as an acknowledgement. The receipt decides: *delivered*.",
            only=Transport.EDI,
        ),
        FaultName.ACKNOWLEDGEMENT_SIGNER: FaultKind(
            Text("The acknowledgement is signed with another key, which bears FHI's name."),
            then="Not counted as an acknowledgement (promise G4). The receipt decides: *delivered*.",
            only=Transport.EDI,
        ),
        FaultName.MESSAGE_ERROR: FaultKind(
            Text("A MessageError with this code comes in place of acknowledgement and receipt."),
            choices=ERROR_CODES,
            then="*Faulted*, 81, or 82 where the other half is delivered. Fix what the code names, then `resend` and "
            "`send`: a new envelope.",
            only=Transport.EDI,
        ),
        FaultName.WARNING: FaultKind(
            Text("A MessageError that is a warning with this code comes in place of the acknowledgement."),
            choices=ERROR_CODES,
            then="*Delivered*: a warning counts as an acknowledgement and is noted.",
            only=Transport.EDI,
        ),
        FaultName.SOAP_FAULT: FaultKind(
            Text("A SOAP Fault, which nobody signs, comes in place of acknowledgement and receipt."),
            then="*Faulted*, 81; a verified answer that comes later counts for more.",
            only=Transport.EDI,
        ),
        FaultName.BOUNCE: FaultKind(
            Text("The mail server takes the message and sends a report that it cannot be delivered."),
            choices=(FAILED, DELAYED),
            then="With `failed`: *faulted*, 81; with `delayed` it is noted, and the message is delivered and answered.",
            only=Transport.EDI,
        ),
        FaultName.DROP_BEFORE_DOT: FaultKind(
            Text("The connection drops while the message is sent, before its last dot; nothing is stored."),
            then="Certainly not sent where the dot never left, else *in doubt*, 83.",
            only=Transport.EDI,
        ),
        FaultName.REFUSE_452: FaultKind(
            Text("The mail server answers 452 (no storage) at this point of the dialogue."),
            choices=_STAGES,
            then="Certainly not sent, after the dot too: tried again within `edi.reconnect_budget`, then *sealed*, 69.",
            only=Transport.EDI,
        ),
        FaultName.REFUSE_552: FaultKind(
            Text("The mail server answers 552 (too large) at this point of the dialogue."),
            choices=_STAGES,
            then="Certainly not sent: *sealed*, 65.",
            only=Transport.EDI,
        ),
        FaultName.GREYLIST: FaultKind(
            Text("The mail server answers the first attempt with 451 and takes the next one."),
            typed=False,
            then="*Delivered*: the first attempt is certainly not sent, and tried again.",
            only=Transport.EDI,
        ),
    }
)
