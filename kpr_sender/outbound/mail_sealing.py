"""Sealing for EDI: the stored bytes are the mail's body exactly as it is sent (promise G3).

1. CMS EnvelopedData; the signature is the ebXML envelope's, over the ciphertext (HIS 1037 5.1, HITS 1171 6).
2. The whole mail's size is known before anything is sealed, against NHN's limit.
3. From and To are the registered addresses (HITS 1172, rules 261 and 262): one that differs stops the send.
4. ConversationId is the MsgId, so that the same message sealed anew is the same conversation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Final

from kpr_sender.cms.port import Signer
from kpr_sender.ebxml.envelope import EbxmlMessage, EbxmlNames, EbxmlParties, MessageIds, MessageVersions, cpa_id
from kpr_sender.ebxml.mail import MailAddresses, PayloadForm, payload_mail, payload_mail_length
from kpr_sender.ebxml.versions import content_schema
from kpr_sender.errors import InputRefused
from kpr_sender.messages.transport import SEALED_MESSAGE_ID, application_properties
from kpr_sender.model import Envelope, Party, Transport
from kpr_sender.outbound.port import Route, Sealed, Unsealed
from kpr_sender.registry.edi_address import own_edi_address, receivers_edi_address
from kpr_sender.registry.port import Counterpart, RegisterEntry
from kpr_sender.settings.edi import EdiSettings
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

_MSH: Final = "kpr-sender"


@dataclass(frozen=True, slots=True)
class MailSealing:
    """For EDI: a payload message of ebXML Messaging 2.0.

    Attributes:
        edi: Our account.
        now: The clock: the envelope's Timestamp must lie within the signing certificate's validity.
    """

    settings: Settings
    edi: EdiSettings
    now: Callable[[], datetime]

    @property
    def transport(self) -> Transport:
        """Which way it is for."""
        return Transport.EDI

    def addresses(self, known: Party, counterpart: Counterpart, own: RegisterEntry | None) -> Route:
        """Return both EDI addresses, as configured and registered."""
        # A counterpart whose address is not known is one that no register was asked for: asked, it would be refused.
        theirs, ours = counterpart.edi_address or None, None if own is None else own.queues.edi
        return Route(
            receivers_edi_address(self.settings, self.edi, known.service_her_id, theirs),
            own_edi_address(self.settings, self.edi, ours),
        )

    def seal(self, message: Unsealed, counterpart: Counterpart, signer: Signer) -> Sealed:
        """Seal for the receiver, as ``Sealing.seal`` says; the sealed payload is held in memory, once."""
        sent = self._sent(message)
        addresses = MailAddresses(message.addresses.reply_to, message.addresses.to)
        recipient = counterpart.encryption
        form = PayloadForm(signed_inside=self.edi.signed_inside, inner_mime=self.edi.inner_mime)
        length = payload_mail_length(
            message.length, sent=sent, addresses=addresses, signer=signer, recipient=recipient, form=form
        )
        if length > self.edi.max_mail_bytes:
            raise InputRefused(
                Text(
                    "The mail with the {norwegian} would be {length:,} bytes, more than {most:,} (edi.max_mail_bytes).",
                    norwegian=message.type.norwegian,
                    length=length,
                    most=self.edi.max_mail_bytes,
                ),
                where=message.where,
                next_step=Text("Nothing was sealed or sent. Ask kpr@fhi.no and kundesenter@nhn.no how it can be sent."),
            )
        mail = payload_mail(
            message.chunks(),
            message.length,
            sent=sent,
            addresses=addresses,
            signer=signer,
            recipient=recipient,
            form=form,
        )
        head = dict(mail.head)
        envelope = Envelope(
            queue=message.addresses.to,
            subject=head["Subject"],
            reply_to=message.addresses.reply_to,
            correlation_id=message.msg_id,
            content_type=head["Content-Type"],
            properties={
                **application_properties(
                    sender_her_id=message.sender.service_her_id,
                    receiver_her_id=message.receiver.service_her_id,
                    at=message.made_at,
                    cpa_id=sent.names.cpa_id,
                ),
                SEALED_MESSAGE_ID: message.message_id,
            },
            transport=Transport.EDI,
        )
        return Sealed(envelope, mail.length, mail.chunks())

    def _sent(self, message: Unsealed) -> EbxmlMessage:
        names = self.edi.names(message.type)
        ours, theirs = message.sender.service_her_id, message.receiver.service_her_id
        return EbxmlMessage(
            EbxmlParties(ours, theirs, names.from_role, names.to_role),
            EbxmlNames(names.service, names.action, names.cpa_id or cpa_id(ours, theirs), names.service_type),
            MessageIds(message.message_id, message.msg_id, self.now()),
            _versions(message),
        )


def _versions(message: Unsealed) -> MessageVersions | None:
    """Return what is sent for the monitoring of versions: the document's own schema (HITS 1210, requirements 5, 6)."""
    schema = content_schema(message.chunks())
    return None if schema is None else MessageVersions(_MSH, version(_MSH), *schema)
