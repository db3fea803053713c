"""What a message from the receipts queue is: match it to a shipment and verify it. Nothing is recorded here.

A receipt is verified only when it opens with our key, is signed with a certificate the registry holds for the receiver,
comes from the HER-id we sent to and names our MsgId and type (promise G4). What stands outside the sealed bytes is a
hint at most: it says where something that cannot be verified is shown, never that it is verified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.x509 import Certificate

from kpr_sender.bus.port import Inbound
from kpr_sender.cms import certificates
from kpr_sender.cms.certificates import CertificateUse, named, owner
from kpr_sender.cms.port import CannotOpen, Decrypter, NotForUs, ProtectionRefused, SignatureRefused
from kpr_sender.cms.read import OpenedMessage, Policy, open_sealed
from kpr_sender.ebxml.answers import Answer, PayloadMessage
from kpr_sender.ebxml.read_mail import USUAL_BOUNDS, MailBounds
from kpr_sender.errors import AccessRefused, KeyUnavailable
from kpr_sender.inbound.mails import MailReader, looks_like_mail
from kpr_sender.journal.port import Journal
from kpr_sender.messages import apprec, safe_xml
from kpr_sender.messages.apprec import AppRec
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.transport import FROM_HER_ID, ORIGINAL_MSG_ID, plain_id
from kpr_sender.model import MessageType, Shipment
from kpr_sender.privacy import MAX_FOREIGN, redact_text
from kpr_sender.registry.latest import LatestCounterpart
from kpr_sender.states import awaits_answer
from kpr_sender.texts import Text, quoted, said
from kpr_sender.trust.port import Trust
from kpr_sender.wording import all_of

_SIGNER: Final = Text("its signing certificate")
_NO_SIGNATURE: Final = Text("it is not sealed, and has no XML signature by a certificate that we hold for its sender")
_MOST_NAMED: Final = 20  # senders: anybody can write a million into a receipt
_XML_SIGNATURE: Final = "http://www.w3.org/2000/09/xmldsig#"
_ISSUE_DATE_TOLERANCE: Final = timedelta(days=1)  # what IssueDate may differ by: many write it without a zone


@dataclass(frozen=True, slots=True)
class Examined:
    """What a message turned out to be.

    Attributes:
        shipment: The one it answers or claims to answer; None where it is not ours.
        problem: Why it is not verified, or not ours: a clause with *it* for the message; empty when it is verified.
        apprec: What it says; None where it could not be read.
        xml: The same as it came.
        signer: The receiver's registered certificate that verified it.
        only_sender: Whether nothing but the sender's HER-id keeps it from being verified.
        remark: What is odd about it, and does not keep it from being verified.
        claim: Whether nothing but the sender's HER-id outside says that it is about one of our shipments.
        answers_another: Whether it names the receiver outside as its sender, and only ids that are not ours.
        for_another_key: Whether it is sealed for a key that we do not hold, and nothing says whose it is.
        unknown: Whether it is a verified answer of the receiver's to a KPR message that is not in this journal.
        readable_by_nobody: Whether it is the receiver's and about our message, and no certificate makes it readable.
    """

    shipment: Shipment | None
    problem: str = ""
    apprec: AppRec | None = None
    xml: bytes | None = None
    signer: Certificate | None = None
    only_sender: bool = False
    remark: str = ""
    claim: bool = False
    answers_another: bool = False
    for_another_key: bool = False
    readable_by_nobody: bool = False
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Examiner:
    """Matches and verifies messages from the receipts queue.

    Attributes:
        sender: Who answers us, with the certificates it may sign with.
        level1_her_id: Its organisation's HER-id where ``receiver.receipt_sender`` lets that do; else None.
        others: Returns certificates that do not open what is for us, and that it may be sealed for by mistake.
        accept_unsealed: Whether this receiver is configured to answer without sealing.
        xml_signed: Whether what is not sealed must have an XML signature of the receiver's instead.
        her_id: Ours, for what comes by mail.
        mail_bounds: Of what is read of a mail.
    """

    journal: Journal
    sender: LatestCounterpart
    decrypters: Sequence[Decrypter]
    others: Callable[[], Iterable[Certificate]]
    signing_use: CertificateUse
    trust: Trust
    policy: Policy
    accept_unsealed: bool
    now: Callable[[], datetime]
    level1_her_id: int | None = None
    xml_signed: bool = False
    her_id: int = 0
    mail_bounds: MailBounds = USUAL_BOUNDS

    def examine(self, inbound: Inbound, message: PayloadMessage | None = None) -> Examined:
        """Take a message as far as it can be taken.

        Args:
            inbound: The message.
            message: What it is as a mail, where that was read already.

        Raises:
            KeyUnavailable: Our key's token is away: an outage of ours, which says nothing about the message.
        """
        found = self._examined(inbound, message)
        # An algorithm's number or a list of HER-ids is as long as its sender likes.
        problem, remark = (redact_text(text, MAX_FOREIGN) for text in (found.problem, found.remark))
        return replace(found, problem=problem, remark=remark)

    @property
    def mails(self) -> MailReader:
        """What reads a message that came by mail."""
        return MailReader(self.her_id, self.sender, self.decrypters, self.policy, self.mail_bounds)

    def _examined(self, inbound: Inbound, message: PayloadMessage | None) -> Examined:
        if looks_like_mail(inbound.body):
            return self._mail(inbound, message or self.mails.read(inbound.body))
        if safe_xml.looks_like_xml(inbound.body):
            return self._receipt(inbound, inbound.body, sealed_by=None)
        try:
            opened = self._opened(inbound.body)
        except KeyUnavailable:
            raise
        except (ProtectionRefused, AccessRefused) as error:
            return self._unopened(inbound, error)
        return self._receipt(inbound, opened.content, sealed_by=opened.signer)

    def _mail(self, inbound: Inbound, message: Answer) -> Examined:
        """Take a receipt in its own ebXML message: signed outside, round what is sealed for us."""
        if not isinstance(message, PayloadMessage):
            return Examined(None, Text("it is no message with a receipt in it"))
        header, signer = message.header, message.assurance.certificate
        ours = self.journal.shipment(plain_id(header.conversation_id))
        outside = {FROM_HER_ID: str(header.from_her_id), **({ORIGINAL_MSG_ID: ours.msg_id} if ours else {})}
        hinted = replace(inbound, correlation_id=header.ref_to, message_id=header.message_id, properties=outside)
        if signer is None:
            return self._unopened(hinted, SignatureRefused(message.assurance.problem))
        try:
            xml = self.mails.content(message)
        except KeyUnavailable:
            raise
        except (ProtectionRefused, AccessRefused) as error:
            return self._unopened(hinted, error)
        return self._receipt(hinted, xml, sealed_by=signer)

    def _opened(self, sealed: bytes) -> OpenedMessage:
        def attempt() -> OpenedMessage:
            signers = self.sender.current.signing
            return open_sealed(sealed, decrypters=self.decrypters, signers=signers, policy=self.policy)

        try:
            return attempt()
        except (SignatureRefused, CannotOpen):
            if not self.sender.ask_again():
                raise
            return attempt()

    # Match

    def _receipt(self, inbound: Inbound, xml: bytes, *, sealed_by: Certificate | None) -> Examined:
        signed, xml_problem, xml_signer = self._signed_part(xml)
        try:
            answer = apprec.parse(signed)
        except MessageRefused as error:
            problem: str = (
                Text("it is not sealed and {error}", error=error)
                if sealed_by is None
                else Text("it is signed by the receiver but {error}", error=error)
            )
            return Examined(self._named(inbound), problem)
        shipment = self.journal.shipment(answer.original_msg_id)
        if shipment is None:
            signer = sealed_by or xml_signer
            theirs = self.sender.her_id in answer.sender_her_ids and answer.status is not None
            doubted = xml_problem or self._seal_problem(sealed_by, xml_signer)
            return Examined(
                None,
                Text("it answers a message that is not in this journal"),
                answer,
                answers_another=self.names_receiver(inbound),
                unknown=answer.original_type in set(MessageType) and signer is not None and theirs and not doubted,
            )
        found = Examined(shipment, "", answer, xml, sealed_by or xml_signer, remark=self._remark(shipment, answer))
        if problem := self._seal_problem(sealed_by, xml_signer) or xml_problem or _type_problem(shipment, answer):
            return replace(found, problem=problem)
        if answer.status is None:
            # Signed by the receiver and about our message: ours, and no certificate will make it readable.
            known = shipment.receiver_her_id in answer.sender_her_ids
            return replace(found, problem=Text("its status is none of 1, 2 and 3"), readable_by_nobody=known)
        problem = self._sender_problem(shipment, answer)
        only_sender = bool(problem) and found.signer is not None
        # Cleaning all of them takes its time: not for what anybody sends.
        if answer.errors_left and (not problem or only_sender):
            answer = apprec.parse(signed, most_errors=apprec.MOST_ERRORS_VERIFIED)
            found = replace(found, remark=quoted(found.remark, _errors_left(answer)))
        return replace(found, apprec=answer, problem=problem, only_sender=only_sender)

    def _unopened(self, inbound: Inbound, error: Exception) -> Examined:
        """Say what may be ours of what could not be opened or verified, by what it claims and what stands outside it.

        What claims to answer a message of another journal is another journal's, whoever signed it.
        """
        problem, claims = said(error), self.names_receiver(inbound)
        if isinstance(error, SignatureRefused) and error.claimed:
            with suppress(MessageRefused):
                answer = apprec.parse(error.claimed)
                found = Examined(self.journal.shipment(answer.original_msg_id), problem, answer, error.claimed)
                return replace(found, answers_another=claims and found.shipment is None)
        if isinstance(error, NotForUs) or (isinstance(error, SignatureRefused) and error.claimed):
            claims &= bool(inbound.message_id)  # else it is a file, and nothing in or outside it says that it is for us
        shipment = self._named(inbound)
        names_another = shipment is None and bool(inbound.properties.get(ORIGINAL_MSG_ID, "").strip())
        if shipment is None and (names_another or not claims):
            closed = isinstance(error, NotForUs)
            return Examined(None, problem, answers_another=names_another and claims, for_another_key=closed)
        if isinstance(error, NotForUs):
            owners = {owner(one): named(one).sha1 for one in self.others() if error.is_for(one)}
            for name, sha1 in owners.items():
                problem = Text("{problem} ({name}, SHA-1 thumbprint {sha1})", problem=problem, name=name, sha1=sha1)
        return Examined(shipment or self._oldest_awaiting(), problem, claim=shipment is None)

    def names_receiver(self, inbound: Inbound) -> bool:
        """Whether a message says outside its sealed bytes that it is from the receiver."""
        return inbound.properties.get(FROM_HER_ID, "").strip() == str(self.sender.her_id)

    def _named(self, inbound: Inbound) -> Shipment | None:
        """Return the shipment that a message names outside its sealed bytes: a hint, and no proof of anything.

        NHN's .NET client writes the MsgId there; its correlation-id is the message's own id.
        """
        ids = [plain_id(one) for one in (inbound.correlation_id, inbound.message_id) if one]
        msg_id = plain_id(inbound.properties.get(ORIGINAL_MSG_ID, ""))
        by_message_id = (self.journal.shipment_by_message_id(one) for one in ids)
        return next(filter(None, by_message_id), None) or (self.journal.shipment(msg_id) if msg_id else None)

    def _oldest_awaiting(self) -> Shipment | None:
        awaiting = (
            shipment
            for submission in reversed(self.journal.submissions())
            for shipment in submission.shipments
            if awaits_answer(shipment) and shipment.receiver_her_id == self.sender.her_id
        )
        return next(awaiting, None)

    # Verify: each returns why a receipt cannot be verified, or nothing

    def _seal_problem(self, sealed_by: Certificate | None, xml_signer: Certificate | None) -> str:
        """A seal is missing, or its registered certificate may not be used now, mostly because it has expired.

        Where clear text is accepted and XML is signed, the XML signature takes the seal's place.

        Nobody can tell when a message was signed but by the signer's own word, so the time that counts is now. It is
        recorded all the same: once the clock is right, or a new receipt has come, it is verified.
        """
        if sealed_by is None and not self.accept_unsealed:
            return Text("it is not sealed")
        signer = sealed_by or (xml_signer if self.xml_signed else None)
        if signer is None:
            return _NO_SIGNATURE if self.xml_signed else ""
        return self.certificate_problem(signer)

    def certificate_problem(self, signer: Certificate) -> str:
        """Return why a registered certificate may not be used now, as a clause; empty where it may."""
        try:
            certificates.check(signer, self.signing_use, at=self.now(), name=_SIGNER)
            organisation = self.sender.current.organisation_number or None
            self.trust.require(signer, at=self.now(), name=_SIGNER, organisation=organisation)
        except AccessRefused as error:
            return Text("{where}: {what:bare}", where=error.where, what=error.what)
        return ""

    def _sender_problem(self, shipment: Shipment, answer: AppRec) -> str:
        """The sender must be whom we sent to: level 2, or its organisation where the configuration lets that do."""
        named = answer.sender_her_ids
        if shipment.receiver_her_id in named or (self.level1_her_id in named and self.level1_her_id is not None):
            return ""
        if not named:
            if answer.sender_organisations:
                numbers = _numbers(answer.sender_organisations)
                return Text(
                    "its sender has no HER-id, only organisation number {numbers}, so that it does not say that it "
                    "comes from whom we sent to",
                    numbers=numbers,
                )
            return Text("its sender has no HER-id, so that it does not say that it comes from whom we sent to")
        found = _numbers(named)
        return Text(
            "it comes from another HER-id than that of whom we sent to: {found}, not {receiver}",
            found=found,
            receiver=shipment.receiver_her_id,
        )

    def _remark(self, shipment: Shipment, answer: AppRec) -> str:
        """Return what is odd about a receipt, and does not keep it from being verified."""
        submission = self.journal.submission(shipment.submission_id)
        outside = self.journal.envelope(shipment.msg_id).properties
        ours = {outside.get(FROM_HER_ID, ""), str(submission.sender_her_id) if submission else ""}
        odd = []
        if not answer.original_type:
            odd.append(Text("it does not say which type of message it answers"))
        if answer.receiver_her_ids and not ours & set(map(str, answer.receiver_her_ids)):
            odd.append(Text("it is addressed to another HER-id than we sent from"))
        if (issued := _time(answer.original_issued_at)) and abs(issued - shipment.created_at) > _ISSUE_DATE_TOLERANCE:
            odd.append(
                Text(
                    "it answers a message of {theirs}, ours is of {ours}",
                    theirs=issued.date().isoformat(),
                    ours=shipment.created_at.date().isoformat(),
                )
            )
        return quoted(*odd)

    def _signed_part(self, xml: bytes) -> tuple[bytes, str, Certificate | None]:
        """Return what a receipt's XML signature covers, why that does not verify, and the certificate that verified it.

        Nothing else of a signed receipt may be read. One without a signature, as most are, is returned as it is.
        """
        if not any(_XML_SIGNATURE.encode(codec) in xml for codec in ("utf-8", "utf-16-le", "utf-16-be")):
            return xml, "", None
        with suppress(MessageRefused):
            safe_xml.parse_answer(xml, max_bytes=apprec.MAX_BYTES)
            return self._verified_part(xml)
        return xml, "", None  # what is refused is refused by who reads it next, in words

    def _verified_part(self, xml: bytes) -> tuple[bytes, str, Certificate | None]:
        # Only where there is one: signxml takes its time to be imported.
        from kpr_sender.messages.xml_signature import verify_enveloped  # noqa: PLC0415

        problem = ""
        for certificate in self.sender.current.signing:
            try:
                return verify_enveloped(xml, certificate), "", certificate
            except ProtectionRefused as error:
                problem = said(error)
        return self._verified_part(xml) if self.sender.ask_again() else (xml, problem, None)


def _errors_left(answer: AppRec) -> str:
    """Return how many of its errors are stored beside it, where that is not all of them."""
    if not answer.errors_left:
        return ""
    read = len(answer.errors)
    return Text(
        "it has {errors:,} errors, of which the first {read:,} are shown; its copy has them all",
        errors=read + answer.errors_left,
        read=read,
    )


def _numbers(found: Iterable[int | str]) -> str:
    """Return numbers with a word between them: with signs alone some in a row look like a national id."""
    return all_of(map(str, list(dict.fromkeys(found))[:_MOST_NAMED]))


def _type_problem(shipment: Shipment, answer: AppRec) -> str:
    """One that leaves the type out names our MsgId all the same; one that names another is about another message."""
    named = answer.original_type
    return "" if named in {"", shipment.type.value} else Text("it names our MsgId as that of another type of message")


def _time(written: str) -> datetime | None:
    """Return a date as others write it; one without a zone as if in UTC. None where it cannot be read."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
