"""What an ``errorCondition`` on the error queue means, and what a person does about it: one table.

Conditions are those of HITS 1216 2.2.3 and 2.2.6, misprint included, and of NHN's .NET client
(helsenorge/Helsenorge.Messaging, ``Amqp/AmqpCore.cs``). Receivers may use others.
"""

from __future__ import annotations

import enum
from typing import Final

from kpr_sender.texts import Text


class Subject(enum.Enum):
    """What the receiver reported as wrong with our message, and what to do."""

    CERTIFICATE = Text(
        "The receiver could not use a certificate or key. See kpr-send certs and kpr-send doctor, compare the "
        "thumbprints with those that Adresseregisteret has of both parties, have the wrong one replaced "
        "(FHI's: write to kpr@fhi.no), then let the same content go again with kpr-send resend MSGID --reason "
        "TEXT. No new extract is needed."
    )
    SIGNATURE = Text(
        "The receiver could not verify our signature. Register the certificate that kpr-send certs shows as "
        "ours for signing in Adresseregisteret, or configure the registered one, then let the same content go "
        "again with kpr-send resend MSGID --reason TEXT. No new extract is needed."
    )
    ADDRESSING = Text(
        "HER-ids outside and inside the message do not agree, or FHI does not take this message from us. "
        "Compare [sender] with Adresseregisteret, agree with kpr@fhi.no, then let the same content go again "
        "with kpr-send resend MSGID --reason TEXT. No new extract is needed."
    )
    FIELD = Text(
        "The receiver misses or refuses a field outside the sealed message. Compare [sender] and "
        "bus.receipts_queue with Adresseregisteret, update kpr-sender, ask kpr@fhi.no, then let the same "
        "content go again with kpr-send resend MSGID --reason TEXT. No new extract is needed."
    )
    FORMAT = Text(
        "The receiver could not read how the message is sealed. Update kpr-sender, send kpr@fhi.no what the "
        "error says, then let the same content go again with kpr-send resend MSGID --reason TEXT. No new "
        "extract is needed."
    )
    XML = Text(
        "The receiver could open the message, and could not read its XML. Run kpr-send check on the files, "
        "send kpr@fhi.no what the error says; where the files are at fault, send a new extract with kpr-send "
        "send --replaces ID --reason TEXT."
    )
    OTHER = Text(
        "Ask kpr@fhi.no what is wrong, and name the MsgId; then let the same content go again with kpr-send "
        "resend MSGID --reason TEXT. No new extract is needed."
    )


BY_CONDITION: Final = {
    "transport:invalid-certificate": Subject.CERTIFICATE,
    "transport:expired-certificate": Subject.CERTIFICATE,
    "transport:revoked-certificate": Subject.CERTIFICATE,
    "transport:revoked-cerificate": Subject.CERTIFICATE,
    "transport:revoked-certificate-offline": Subject.CERTIFICATE,
    "transport:unverified-certificate": Subject.CERTIFICATE,
    "transport:missing-certificate": Subject.CERTIFICATE,
    "transport:decryption-failed": Subject.CERTIFICATE,
    "transport:invalid-signature": Subject.SIGNATURE,
    "abuse:spoofing-attack": Subject.ADDRESSING,
    "transport:unsupported-message": Subject.ADDRESSING,
    "transport:required-field-missing": Subject.FIELD,
    "transport:invalid-field-value": Subject.FIELD,
    "transport:invalid-cms-pkcs": Subject.FORMAT,
    "transport:invalid-encoding": Subject.FORMAT,
    "transport:xml-not-interpretable": Subject.XML,
    "transport:not-well-formed-xml": Subject.XML,
}


def advice(condition: str) -> Text:
    """Return what to do about a condition, whatever its case; ``OTHER``'s where it is not in the table."""
    return BY_CONDITION.get(condition.strip().lower(), Subject.OTHER).value
