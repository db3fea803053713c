"""A municipality that speaks EDI by hand: writes a mail, sends it with smtplib, and reads its Maildir."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import mailbox
import smtplib
import ssl
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from lxml import etree

from kpr_sender.cms.algorithms import Policy
from kpr_sender.cms.read import decrypt
from kpr_sender.cms.write import encrypt
from kpr_sender.ebxml import envelope, signature
from kpr_sender.ebxml.envelope import EB, EbxmlMessage, EbxmlNames, EbxmlParties, MessageIds
from kpr_sender.messages import apprec
from kpr_sender.messages.hodemelding import Hodemelding
from kpr_sender.model import MessageType
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.sandbox.pki import Pki
from kpr_sender.settings.sample_file import EDI_RECEIVER, EDI_SENDER, MAILBOX
from tests.helpers.command import until

if TYPE_CHECKING:
    from tests.sandbox.conftest import Municipality  # which makes fixtures of this module's classes

Element = etree._Element
"""lxml's."""
PAYLOAD_ID, SOAP_ID = "payload@rehearsal.example", "soap@rehearsal.example"


@dataclass
class Draft:
    """A mail in its parts, to be changed before it is put together.

    Attributes:
        headers: Of the mail.
        soap_headers: Of the envelope's part; of a signal nothing.
        soap: The envelope.
        payload_headers: Of the attachment.
        payload: Its bytes.
        message_id: eb:MessageId.
    """

    headers: dict[str, str]
    soap_headers: dict[str, str]
    soap: bytes
    payload_headers: dict[str, str]
    payload: bytes | None
    message_id: str
    boundary: str = field(default_factory=lambda: f"=_{uuid.uuid4().hex}")

    def data(self) -> bytes:
        parts = [(self.soap_headers, self.soap)]
        if self.payload is not None:
            parts.append((self.payload_headers, self.payload))
        if not self.soap_headers:  # a signal is no multipart
            return _head(self.headers) + base64.encodebytes(self.soap).replace(b"\n", b"\r\n")
        start = f"--{self.boundary}\r\n".encode()
        body = b"".join(start + _head(head) + _encoded(head, content) + b"\r\n" for head, content in parts)
        headers = {name: value.replace("BOUNDARY", self.boundary) for name, value in self.headers.items()}
        return _head(headers) + body + f"--{self.boundary}--\r\n".encode()


def _head(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"


def _encoded(head: dict[str, str], content: bytes) -> bytes:
    plain = head.get("Content-Transfer-Encoding") != "base64"
    return content if plain else base64.encodebytes(content).replace(b"\n", b"\r\n")


def mail_headers(content_type: str) -> dict[str, str]:
    return {
        "From": EDI_SENDER,
        "To": EDI_RECEIVER,
        "Subject": "KPR",
        "Date": format_datetime(datetime.now(UTC)),
        "Message-ID": f"<{uuid.uuid4()}@rehearsal.example>",
        "MIME-Version": "1.0",
        "SOAPAction": '"ebXML"',
        "Content-Type": content_type,
    }


@dataclass
class EdiMunicipality:
    """Writes and reads as a sender does."""

    municipality: Municipality

    def head(self, type_: MessageType = MessageType.KPR_IPL) -> Hodemelding:
        return self.municipality.hodemelding(type_)

    def draft(
        self,
        head: Hodemelding | None = None,
        *,
        before_signing: Callable[[Element], object] = lambda _: None,
        content: bytes | None = None,
        signer: str = "kommune-signing",
        recipient: str = "fhi-encryption",
        names: EbxmlNames | None = None,
    ) -> Draft:
        """Return a valid message; the envelope is signed after ``before_signing`` changed it."""
        head = head or self.head()
        plain = self.municipality.framed(head) if content is None else content
        certificate = self.municipality.pki.certificate(recipient)
        sealed = b"".join(map(bytes, encrypt([plain], len(plain), recipient=certificate)))
        type_ = head.type.value
        ours, theirs = head.sender.service_her_id, head.receiver.service_her_id
        ids = MessageIds(str(uuid.uuid4()), str(uuid.uuid4()), datetime.now(UTC))
        sent = EbxmlMessage(
            EbxmlParties(ours, theirs, f"{type_}sender", f"{type_}receiver"),
            names or EbxmlNames(f"S-{type_}", type_, envelope.cpa_id(ours, theirs), "string"),
            ids,
        )
        root = envelope.payload_message(sent, content_id=PAYLOAD_ID)
        before_signing(root)
        key = self.municipality.key_pair(signer)
        signed = signature.sign(root, signer=key, digests={PAYLOAD_ID: hashlib.sha256(sealed).digest()})
        kind = f'multipart/related; type="text/xml"; start="<{SOAP_ID}>"; boundary="BOUNDARY"'
        return Draft(
            headers=mail_headers(kind),
            soap_headers=_part('text/xml; charset="UTF-8"', SOAP_ID),
            soap=signed.xml,
            payload_headers=_part("application/pkcs7-mime; smime-type=enveloped-data", PAYLOAD_ID),
            payload=sealed,
            message_id=ids.message_id,
        )

    def signal(self, unsigned: Element) -> Draft:
        """Return an acknowledgement or error of ours."""
        signed = signature.sign(unsigned, signer=self.municipality.key_pair("kommune-signing"), digests={})
        headers = mail_headers('text/xml; charset="UTF-8"') | {"Content-Transfer-Encoding": "base64"}
        return Draft(headers, {}, signed.xml, {}, None, "")

    def acknowledge(self, received: Received) -> Draft:
        """Return the acknowledgement of an AppRec."""
        head = self.head()
        root = envelope.acknowledgment(
            EbxmlParties(head.sender.service_her_id, head.receiver.service_her_id),
            MessageIds(str(uuid.uuid4()), received.text("ConversationId"), datetime.now(UTC)),
            cpa=received.text("CPAId"),
            acknowledged=received.text("MessageId"),
            accepted_at=datetime.now(UTC),
            references=signature.references(received.soap),
        )
        return self.signal(root)

    def open(self, received: Received) -> apprec.AppRec:
        """Verify an AppRec as a receiver does, and read it."""
        received.verified(self.municipality.pki)
        part = received.parts[-1].get_payload(decode=True)
        assert isinstance(part, bytes)
        keys = [self.municipality.key_pair("kommune-encryption")]
        return apprec.parse(bytes(decrypt(part, decrypters=keys, policy=Policy())))


def _part(kind: str, content_id: str) -> dict[str, str]:
    return {"Content-Type": kind, "Content-Transfer-Encoding": "base64", "Content-ID": f"<{content_id}>"}


@dataclass(frozen=True)
class Received:
    """A mail in the municipality's mailbox."""

    mail: Message

    @property
    def parts(self) -> list[Message]:
        return [part for part in self.mail.walk() if not part.is_multipart()]

    @property
    def soap(self) -> bytes:
        found = self.parts[0].get_payload(decode=True)
        assert isinstance(found, bytes)
        return found

    @property
    def root(self) -> Element:
        return etree.fromstring(self.soap)

    def text(self, name: str) -> str:
        return self.root.findtext(f".//{EB}{name}") or ""

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        if self.mail.get_content_type() in {"multipart/report", "text/plain"}:
            return "report" if self.mail.is_multipart() else "mail"
        named = {"Acknowledgment": "acknowledgement", "ErrorList": "error", "Manifest": "receipt"}
        found = next((kind for name, kind in named.items() if self.root.find(f".//{EB}{name}") is not None), "fault")
        return "warning" if found == "error" and self.error.get(f"{EB}severity") == "Warning" else found

    @property
    def error(self) -> Element:
        (found,) = self.root.findall(f".//{EB}Error")
        return found

    def verified(self, pki: Pki) -> signature.VerifiedEnvelope:
        """Verify its signature with FHI's certificate."""
        parts = {str(part["Content-ID"]).strip("<>"): bytes(part.get_payload(decode=True)) for part in self.parts[1:]}
        return signature.verify(
            self.soap,
            parts=parts,
            expected=[pki.certificate("fhi-signing")],
            policy=signature.SignaturePolicy(),
        )


class EdiClient:
    """A mail client of the municipality's."""

    def __init__(self, sandbox: EdiSandbox, pki: Pki) -> None:
        self.sandbox = sandbox
        self._tls = ssl.create_default_context(cafile=str(pki.ca))
        self._read: set[str] = set()

    @contextlib.contextmanager
    def connected(self) -> Iterator[smtplib.SMTP]:
        password = (self.sandbox.directory / "bus-password").read_text(encoding="ascii")
        with contextlib.closing(smtplib.SMTP("127.0.0.1", self.sandbox.port, timeout=10)) as server:
            server.starttls(context=self._tls)
            server.login(EDI_SENDER, password)
            yield server

    def send(self, draft: Draft | bytes, envid: str = "", notify: str = "FAILURE,DELAY") -> tuple[int, str]:
        """Send a mail; return the answer to its last dot."""
        data = draft if isinstance(draft, bytes) else draft.data()
        with self.connected() as server:
            for code, text in (
                server.mail(EDI_SENDER, [f"ENVID={envid}", "RET=HDRS"] if envid else []),
                server.rcpt(EDI_RECEIVER, [f"NOTIFY={notify}"]),
            ):
                if code != 250:
                    return code, text.decode()
            code, text = server.data(data)
            return code, text.decode()

    def mails(self) -> list[Received]:
        """Return what is in the mailbox and was not returned before, oldest first."""
        box: Any = mailbox.Maildir(self.sandbox.directory / MAILBOX, create=False)
        keys = sorted(set(box.keys()) - self._read)
        self._read |= set(keys)
        return [Received(box.get_message(key)) for key in keys]


def come(client: EdiClient, count: int) -> list[Received]:
    """Wait for that many mails."""
    found: list[Received] = []
    until(lambda: len(found.__iadd__(client.mails())) >= count)
    return found
