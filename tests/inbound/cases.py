"""What may come instead of the one right receipt, and what must follow from it: one table.

Every case is about the fagmelding, while the identmelding's receipt is always right. ``state`` and ``code`` are what
stands after that; ``settled`` is how many of the case's messages are taken off the queue, the others stay on it;
``kept`` are the fagmelding's receipts in the journal, each believed or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from kpr_sender.bus.port import Inbound, Outbound
from kpr_sender.cms import asn1
from kpr_sender.cms.certificates import CertificateIdentity
from kpr_sender.keys.files import KeyPair
from kpr_sender.model import MessageType
from tests.helpers import cms, pki
from tests.helpers.fhi import Fhi

EXPIRED_FILE: Final = "fhi-expired.pem"
UNKNOWN_MSG_ID: Final = "11111111-2222-4333-8444-555555555555"
_AUTH_ENVELOPED_DATA: Final = "1.2.840.113549.1.9.16.1.23"
_AES_256_GCM: Final = "2.16.840.1.101.3.4.1.46"
_DES_EDE3_CBC: Final = "1.2.840.113549.3.7"


@dataclass(frozen=True)
class Made:
    """What a case makes its messages from."""

    fhi: Fhi
    message: Outbound
    other_msg_id: str
    version: str

    def xml(self, status: str = "1", **changes: object) -> bytes:
        return self.fhi.apprec(self.message, status, self.version, **changes)

    def sealed(self, xml: bytes, *, signed_by: KeyPair | None = None) -> list[Inbound]:
        return self.raw(self.fhi.sealed(xml, signed_by=signed_by))

    def raw(self, body: bytes) -> list[Inbound]:
        return [self.fhi.inbound(self.message, body)]

    def answer(self, status: str = "1") -> list[Inbound]:
        return self.sealed(self.xml(status))

    @property
    def signer(self) -> KeyPair:
        return self.fhi.key("fhi-signing")

    def enveloped(self, signed: bytes) -> list[Inbound]:
        return self.raw(cms.sealed(signed, self.fhi.pki.certificate("kommune-encryption")))


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        from_file: The exit code when the same bytes come by ``receipts add``; ``code`` when it is the same. 65: it is
            no receipt of ours, as outside the queue nothing but its content says whose it is; nothing is kept then.
        versions: Which AppRec versions make a difference; one where it is none.
        clock: By how much our clock is ahead when it comes.
        clock_before: By how much it was ahead when the pair was sent.
    """

    name: str
    make: Callable[[Made], list[Inbound]]
    state: str
    code: int
    settled: int
    kept: tuple[bool, ...]
    from_file: int = 0
    versions: tuple[str, ...] = ("1.0", "1.1")
    changes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    clock: timedelta = timedelta()
    clock_before: timedelta = timedelta()

    @property
    def file_code(self) -> int:
        return self.from_file or self.code


def _believed(name: str, make: Callable[[Made], list[Inbound]], **more: object) -> Case:
    return replace(Case(name, make, "delivered", 0, 1, (True,)), **more)  # type: ignore[arg-type]  # a row names fields


def _disbelieved(name: str, make: Callable[[Made], list[Inbound]], **more: object) -> Case:
    return replace(Case(name, make, "published", 76, 0, (False,)), **more)  # type: ignore[arg-type]  # the same


def _twice(made: Made) -> list[Inbound]:
    return made.answer() * 2


def _without_signer(made: Made) -> list[Inbound]:
    return made.enveloped(cms.signed_data(made.xml(), [], [made.fhi.pki.certificate("fhi-signing")]))


def _wrong_signer(made: Made) -> list[Inbound]:
    """Signed by a key the municipality itself has, with FHI's right certificate bundled."""
    pair = replace(made.fhi.key("kommune-signing"), chain=(made.fhi.pki.certificate("fhi-signing"),))
    return made.sealed(made.xml(), signed_by=pair)


def _impersonated(made: Made) -> list[Inbound]:
    """Another key's signature under FHI's name: the SignerInfo's sid is that of FHI's certificate."""
    xml, right = made.xml(), made.fhi.pki.certificate("fhi-signing")
    sid = CertificateIdentity.of(right).issuer_and_serial
    return made.enveloped(
        cms.signed_data(xml, [cms.signer_info(xml, made.fhi.key("kommune-signing"), sid=sid)], [right])
    )


def _expired_signer(made: Made) -> list[Inbound]:
    return made.sealed(made.xml(), signed_by=pki.key_pair(pki.Kind.EXPIRED_SIGNER))


def _triple_des(made: Made) -> list[Inbound]:
    key, iv = bytes(range(24)), bytes(8)
    signed = cms.signed(made.xml(), made.signer)
    count = 8 - len(signed) % 8
    encryptor = Cipher(TripleDES(key), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(signed + bytes((count,)) * count) + encryptor.finalize()
    recipient = made.fhi.pki.certificate("kommune-encryption")
    public = recipient.public_key()
    assert isinstance(public, RSAPublicKey)
    info = cms.recipient_info(recipient, public.encrypt(key, padding.PKCS1v15()))
    cipher = cms.algorithm(_DES_EDE3_CBC, asn1.wrap(asn1.OCTET_STRING, iv))
    return made.raw(cms.enveloped_data([info], ciphertext, cipher=cipher))


def _emptiness(made: Made) -> list[Inbound]:
    return made.enveloped(cms.signed_data(b"", [cms.signer_info(b"", made.fhi.key("fhi-signing"))]))


def _gcm(made: Made) -> list[Inbound]:
    """AES-GCM where CBC is due: an EnvelopedData of that name."""
    info = cms.recipient_info(made.fhi.pki.certificate("kommune-encryption"))
    cipher = cms.algorithm(_AES_256_GCM, asn1.wrap(asn1.SEQUENCE, asn1.wrap(asn1.OCTET_STRING, bytes(12))))
    return made.raw(cms.enveloped_data([info], bytes(64), cipher=cipher))


def _auth_enveloped(made: Made) -> list[Inbound]:
    info = cms.recipient_info(made.fhi.pki.certificate("kommune-encryption"))
    inside = asn1.wrap(asn1.SEQUENCE, asn1.wrap(asn1.INTEGER, b"\x00"), asn1.wrap(asn1.SET, info))
    return made.raw(cms.content_info(_AUTH_ENVELOPED_DATA, inside))


def _bomb(made: Made) -> list[Inbound]:
    """Billion laughs."""
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    text = f'<!DOCTYPE AppRec [<!ENTITY l0 "ha">{laughs}]>'.encode()
    declaration, _, rest = made.xml().partition(b"\n")
    return made.sealed(declaration + text + rest.replace(b"</Name>", b"&l9;</Name>", 1))


def _large(made: Made) -> list[Inbound]:
    return made.sealed(made.xml() + b"<!--" + b" " * 20_000_000 + b"-->")


def _damaged(made: Made) -> list[Inbound]:
    sealed = bytearray(made.answer()[0].body)
    sealed[-40] ^= 1
    return made.raw(bytes(sealed))


def _changed(old: bytes, new: bytes) -> Callable[[Made], list[Inbound]]:
    def make(made: Made) -> list[Inbound]:
        xml = made.xml()
        assert old in xml
        return made.sealed(xml.replace(old, new))

    return make


def _upper_case(made: Made) -> list[Inbound]:
    msg_id = made.fhi.hodemelding(made.message).msg_id.encode()
    return made.sealed(made.xml().replace(msg_id, b"{" + msg_id.upper() + b"}"))


def _two_ids(made: Made) -> list[Inbound]:
    xml = made.xml()
    start, end = xml.index(b"<OriginalMsgId>"), xml.index(b"</AppRec>")
    return made.sealed(xml[:end] + xml[start:end] + xml[end:])


def _other_her_id(made: Made) -> list[Inbound]:
    receiver = replace(made.fhi.hodemelding(made.message).receiver, service_her_id=122612)
    return made.sealed(made.xml(receiver=receiver))


_ANY: Final = ("1.0",)
_LETS_3DES_IN: Final = {"protection": {"accept_3des": True}}
_UNSEALED: Final = {"receiver": {"unsealed_receipts": True}}
_ROLLED_OVER: Final = {"receiver": {"signing_certificates": ["pki/fhi-signing.pem", EXPIRED_FILE]}}

CASES: Final = (
    # What is right, whenever and however it comes
    _believed("positive", Made.answer),
    Case("negative", lambda made: made.answer("2"), "rejected", 82, 1, (True,)),
    Case("with errors", lambda made: made.answer("3"), "delivered_with_errors", 82, 1, (True,)),
    _believed("duplicated", _twice, settled=2),
    _believed("duplicated, sealed anew", lambda made: made.answer() + made.answer(), settled=2, kept=(True, True)),
    _believed("late by 60 days", Made.answer, clock=timedelta(days=60)),
    _believed("our clock went back an hour", Made.answer, clock_before=timedelta(hours=1), versions=_ANY),
    _believed("MsgId in upper case with braces", _upper_case),
    _believed("3DES, where it is let in", _triple_des, changes=_LETS_3DES_IN),
    _believed("not sealed, where that is configured", lambda made: made.raw(made.xml()), changes=_UNSEALED),
    # What contradicts itself
    Case(
        "positive then negative",
        lambda made: made.answer() + made.answer("2"),
        *("delivered", 82, 2, (True, True)),
    ),
    Case(
        "negative then positive",
        lambda made: made.answer("2") + made.answer(),
        *("rejected", 82, 2, (True, True)),
    ),
    # What is about another message
    Case(
        "for the other shipment",
        lambda made: made.sealed(made.xml(msg_id=made.other_msg_id, type=MessageType.KPR_IDE)),
        *("published", 80, 1, ()),
    ),
    Case(
        "for an unknown MsgId",
        lambda made: made.sealed(made.xml(msg_id=UNKNOWN_MSG_ID)),
        *("published", 82, 0, (), 65),
    ),
    # What nobody we believe has signed
    _disbelieved("not sealed", lambda made: made.raw(made.xml())),
    _disbelieved("no signer", _without_signer),
    _disbelieved("enveloped, not signed", lambda made: made.enveloped(made.xml())),
    _disbelieved("wrong signer, right certificate bundled", _wrong_signer),
    _disbelieved("wrong signer under the right name", _impersonated),
    _disbelieved("expired signer", _expired_signer, changes=_ROLLED_OVER),
    _disbelieved("from another HER-id", _other_her_id),
    _disbelieved("for our MsgId as another type", lambda made: made.sealed(made.xml(type=MessageType.KPR_IDE))),
    # What cannot be opened
    _disbelieved("3DES", _triple_des, versions=_ANY),
    _disbelieved("AES-GCM", _gcm, versions=_ANY),
    _disbelieved("AuthEnvelopedData", _auth_enveloped, versions=_ANY),
    _disbelieved("one bit turned", _damaged, versions=_ANY),
    _disbelieved("cut off", lambda made: made.raw(made.answer()[0].body[:-100]), versions=_ANY),
    _disbelieved("empty", lambda made: made.raw(b""), from_file=65, versions=_ANY),
    # What is signed by the receiver and cannot be read
    _disbelieved("sealed emptiness", _emptiness, from_file=65, versions=_ANY),
    _disbelieved("not XML", lambda made: made.sealed(b"Takk, mottatt."), from_file=65, versions=_ANY),
    _disbelieved("no AppRec", lambda made: made.sealed(b"<hello/>"), from_file=65, versions=_ANY),
    _disbelieved("DTD bomb", _bomb, from_file=65),
    _disbelieved("20 MB", _large, from_file=65),
    _disbelieved("two MsgIds", _two_ids, from_file=65),
    _disbelieved("unknown status", _changed(b'Status V="1"', b'Status V="9"'), settled=1),
)
