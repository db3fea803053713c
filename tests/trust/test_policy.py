"""Which certificates are used, and what is said of those that are not: one table, each row with its text."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from kpr_sender.cms import certificates
from kpr_sender.cms.certificates import CertificateUse
from kpr_sender.errors import AccessRefused, RegistryUnreachable
from kpr_sender.events import Event
from kpr_sender.model import Environment
from kpr_sender.settings.values import Revocation
from kpr_sender.trust import fetch, policy
from kpr_sender.trust.fetch import Issuers
from kpr_sender.trust.policy import POLICIES, Authorities, ConfiguredTrust
from tests.helpers import seid_pki
from tests.helpers.figures import figure
from tests.helpers.issuers_server import IssuersServer, Misbehaviour, issuers_server
from tests.helpers.pki import NOW
from tests.helpers.seid_pki import DAY, ENCIPHER, ORGANISATION, OTHER_ORGANISATION, UNKNOWN_CRITICAL, Authority, SeidPki

SIGNING, ENCRYPTION = CertificateUse.SIGNING_NON_REPUDIATION, CertificateUse.ENCRYPTION
SECOND = dt.timedelta(seconds=1)
NUMBERS = itertools.count(1)
Crl = x509.CertificateRevocationList


@dataclass(frozen=True)
class Stage:
    """An issuer with a server, and what a row needs of them."""

    server: IssuersServer
    pki: SeidPki

    @property
    def ca(self) -> Authority:
        return self.pki.issuing

    def with_crl(self, make: Callable[[x509.Certificate], Crl | bytes | int | Misbehaviour]) -> x509.Certificate:
        """Issue a certificate that names a CRL, and put the CRL there."""
        path = f"{next(NUMBERS)}.crl"
        certificate = self.ca.issue(crl=self.server.at(path))
        made = make(certificate)
        self.server.answers[path] = made.public_bytes(Encoding.DER) if isinstance(made, Crl) else made
        return certificate

    def with_ocsp(
        self, make: Callable[[x509.Certificate], bytes | int], crl: Callable[[x509.Certificate], Crl] | None = None
    ) -> x509.Certificate:
        """Issue a certificate that names a responder, and let it answer; with a CRL beside it, if wanted."""
        path = f"{next(NUMBERS)}"
        crl_at = self.server.at(f"{path}.crl") if crl else ""
        certificate = self.ca.issue(ocsp_at=self.server.at(path), crl=crl_at)
        self.server.answers[path] = make(certificate)
        if crl is not None:
            self.server.answers[f"{path}.crl"] = crl(certificate).public_bytes(Encoding.DER)
        return certificate


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with issuers_server() as server:
        pki = SeidPki(root_crl=server.at("root.crl"))
        server.answers["root.crl"] = pki.root.crl().public_bytes(Encoding.DER)
        yield Stage(server, pki)


def configured(stage: Stage) -> Sequence[x509.Certificate]:
    """What ``protection.roots`` names, if a row does not say otherwise."""
    return [stage.pki.root.certificate, stage.ca.certificate]


Make = Callable[[Stage], x509.Certificate]
GOOD = ""
REVOKED = ocsp.OCSPCertStatus.REVOKED


@dataclass(frozen=True)
class Row:
    """One certificate, what is asked of it, and the text; an empty one for a certificate that is used."""

    make: Make
    text: str = GOOD
    use: CertificateUse = SIGNING
    at: dt.datetime = NOW
    organisation: str | None = ORGANISATION
    mode: Revocation = Revocation.OFF
    roots: Callable[[Stage], Sequence[x509.Certificate]] = configured
    along: Callable[[Stage], Sequence[x509.Certificate]] = field(default=lambda _stage: ())
    laid_in: Callable[[Stage, x509.Certificate], Sequence[Crl]] | None = None
    warning: str = ""


def issued(**changes: object) -> Make:
    return lambda stage: stage.ca.issue(**changes)  # type: ignore[arg-type]  # a row names fields freely


def below(**changes: object) -> Make:
    """A certificate of an authority that is not in order."""
    return lambda stage: stage.pki.root.authority("Test SEID CA 9", "other", **changes).issue()


def with_nine(**changes: object) -> Callable[[Stage], Sequence[x509.Certificate]]:
    """The roots, and that authority."""
    return lambda stage: [
        stage.pki.root.certificate,
        stage.pki.root.authority("Test SEID CA 9", "other", **changes).certificate,
    ]


def point(**changes: object) -> x509.Extension[x509.ExtensionType]:
    values: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    made = x509.IssuingDistributionPoint(**values | changes)  # type: ignore[arg-type]  # the same
    return x509.Extension(ExtensionOID.ISSUING_DISTRIBUTION_POINT, True, made)


def odd_version(stage: Stage) -> bytes:
    """A CRL that says it is of version 38 (RFC 5280 5.1.2.1 knows 1 and 2)."""
    made = stage.ca.crl().public_bytes(Encoding.DER)
    at = made.index(b"\x02\x01\x01\x30")
    return made[: at + 2] + b"\x25" + made[at + 3 :]


def claiming(header: bytes, body: bytes = b"12") -> Callable[[Stage], Misbehaviour]:
    """An answer with a header of which HTTP libraries make what they like."""
    return lambda _stage: lambda to: to.sendall(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n" + body)


def many_addresses(count: int) -> x509.Extension[x509.ExtensionType]:
    points = [
        x509.DistributionPoint([URI(f"http://127.0.0.1:1/{number + 1}.crl")], None, None, None)
        for number in range(count)
    ]
    return x509.Extension(ExtensionOID.CRL_DISTRIBUTION_POINTS, False, x509.CRLDistributionPoints(points))


def crl(*gone: bool, **changes: object) -> Make:
    """A certificate with a CRL; it is on it when anything is said."""
    return lambda stage: stage.with_crl(lambda leaf: stage.ca.crl(*[leaf for _ in gone], **changes))  # type: ignore[arg-type]


def other_crl(make: Callable[[Stage], Crl | bytes | int | Misbehaviour]) -> Make:
    return lambda stage: stage.with_crl(lambda _leaf: make(stage))


def answered(**changes: object) -> Make:
    return lambda stage: stage.with_ocsp(lambda leaf: stage.ca.answer(leaf, **changes))  # type: ignore[arg-type]


def delegated(**changes: object) -> Make:
    def make(stage: Stage) -> x509.Certificate:
        responder = stage.ca.responder(**changes)
        return stage.with_ocsp(lambda leaf: stage.ca.answer(leaf, responder=responder))

    return make


def strangers_responder(stage: Stage) -> x509.Certificate:
    responder = seid_pki.new_root("Test SEID CA 3", "other").responder()
    return stage.with_ocsp(lambda leaf: stage.ca.answer(leaf, responder=responder))


def forged_answer(stage: Stage) -> x509.Certificate:
    impostor = seid_pki.new_root("Test SEID CA 3", "other")
    return stage.with_ocsp(lambda leaf: stage.ca.answer(leaf, responder=impostor))


def over(make: Make, **changes: object) -> Row:
    """A row that demands to know whether the certificate is revoked."""
    return Row(make, mode=Revocation.REQUIRE, **changes)  # type: ignore[arg-type]  # a row names fields freely


def untold(make: Make, why: str) -> Row:
    return over(make, text=rf"No issuer says whether the certificate is revoked \(.*{why}")


URI = x509.UniformResourceIdentifier
PAST = (NOW - 400 * DAY, NOW - SECOND)

ROWS: dict[str, Row] = {
    # -- dates, key usage, key
    "SEID 1 for signing": Row(issued()),
    "SEID 2 for signing": Row(issued(subject=seid_pki.seid_2())),
    "SEID 2 for encryption": Row(issued(subject=seid_pki.seid_2(), usages=ENCIPHER), use=ENCRYPTION),
    "in its first second": Row(issued(valid=(NOW, NOW + DAY))),
    "in its last second": Row(issued(valid=(NOW - DAY, NOW))),
    "expires today": Row(issued(valid=(NOW - DAY, NOW + dt.timedelta(hours=1)))),
    "expired a second ago": Row(issued(valid=PAST), "The certificate expired on .* UTC"),
    "not yet valid": Row(issued(valid=(NOW + SECOND, NOW + DAY)), "The certificate is not valid before .* UTC"),
    "signing without nonRepudiation": Row(
        issued(usages=("digital_signature",)), "key usage does not include nonRepudiation"
    ),
    "signing with the one for encryption": Row(issued(usages=ENCIPHER), "key usage does not include nonRepudiation"),
    "encryption with the one for signing": Row(issued(), "does not include keyEncipherment", use=ENCRYPTION),
    "no key usage": Row(issued(usages=()), "has no key usage; nonRepudiation is needed"),
    "RSA 1024": Row(issued(leaf_key="rsa-1024"), "RSA key has 1024 bits; at least 2048 are needed"),
    "elliptic curve": Row(issued(leaf_key="ec"), "key is EC; only RSA can be used"),
    # -- path
    "no issuer known": Row(
        issued(),
        "does not lead to a trusted authority: its issuer is not among protection.roots",
        roots=lambda _stage: [seid_pki.new_root("Another root", "other").certificate],
    ),
    "issuing authority left out": Row(
        issued(), "its issuer is not among protection.roots", roots=lambda stage: [stage.pki.root.certificate]
    ),
    "issuing authority comes along": Row(
        issued(), roots=lambda stage: [stage.pki.root.certificate], along=lambda stage: [stage.ca.certificate]
    ),
    "issuing authority trusted itself": Row(issued(), roots=lambda stage: [stage.ca.certificate]),
    "a root of the same name": Row(
        issued(),
        "does not lead to a trusted authority",
        roots=lambda stage: [seid_pki.new_root("Test SEID Root", "other").certificate, stage.ca.certificate],
    ),
    "forged in the issuer's name": Row(
        lambda stage: Authority(stage.ca.certificate, seid_pki.key("other")).issue(),
        "does not lead to a trusted authority: .*signature",
    ),
    "by the root itself": Row(lambda stage: stage.pki.root.issue()),
    "by itself": Row(
        lambda _stage: seid_pki.new_root("Self", "leaf").issue(usages=seid_pki.SIGN),
        "its issuer is not among protection.roots",
    ),
    "issuer is expired": Row(below(valid=PAST), "not valid at validation time", roots=with_nine(valid=PAST)),
    "issuer is no authority": Row(below(ca=False), "does not lead to", roots=with_nine(ca=False)),
    "issuer may not issue": Row(below(usages=("crl_sign",)), "keyUsage", roots=with_nine(usages=("crl_sign",))),
    "issuer with RSA 1024": Row(
        lambda stage: stage.pki.root.authority("Test SEID CA 8", "rsa-1024").issue(),
        "does not lead to a trusted authority",
        roots=lambda stage: [
            stage.pki.root.certificate,
            stage.pki.root.authority("Test SEID CA 8", "rsa-1024").certificate,
        ],
    ),
    "path longer than allowed": Row(
        lambda stage: stage.pki.root.authority("A", "other", path_length=0).authority("B", "next-signer").issue(),
        "does not lead to a trusted authority",
        roots=lambda stage: [
            stage.pki.root.certificate,
            (above := stage.pki.root.authority("A", "other", path_length=0)).certificate,
            above.authority("B", "next-signer").certificate,
        ],
    ),
    "signed with SHA-1": Row(
        lambda stage: seid_pki.with_sha1(stage.ca.issue(), stage.ca.key), "does not lead to .*algorithm"
    ),
    "negative serial number": Row(
        lambda stage: seid_pki.with_serial(stage.ca.issue(serial=(0x7F << 120) + 1), 0xFF, stage.ca.key),
        r"does not lead to .*serial.*serial number FF:00:.*:01, SHA-1",
    ),
    "critical extension nobody knows": Row(issued(more=[UNKNOWN_CRITICAL]), "does not lead to .*extension"),
    # -- whose it is
    "another organisation's, SEID 1": Row(
        issued(subject=seid_pki.seid_1(OTHER_ORGANISATION)),
        f"subject has organisation number {OTHER_ORGANISATION}; it must be {ORGANISATION}",
    ),
    "another organisation's, SEID 2": Row(
        issued(subject=seid_pki.seid_2(OTHER_ORGANISATION)), f"has organisation number {OTHER_ORGANISATION}; it must be"
    ),
    "no organisation number": Row(issued(subject=seid_pki.nameless()), "has no organisation number; it must be"),
    "a VAT number": Row(issued(subject=seid_pki.seid_2(scheme="VATNO-")), "has no organisation number; it must be"),
    "number not known to us": Row(issued(subject=seid_pki.nameless()), organisation=None),
    "a person's": Row(
        issued(subject=seid_pki.person("9578-4050-100000000")),
        "no organisation number; .* It is a certificate of no organisation, serial number",
    ),
    "with a person's number in its name": Row(
        issued(subject=seid_pki.seid_1(OTHER_ORGANISATION, "Kontakt 9578-4050-100000000")),
        r"must be .* It is Kontakt \*\*\* \(EKSEMPEL KOMMUNE TEST\)",
    ),
    # -- CRL
    "CRL without it": over(crl()),
    "CRL with it": over(crl(True), text=r"The certificate is revoked on .* UTC\. It is"),
    "CRL with it, and why": over(
        crl(True, reason=x509.ReasonFlags.key_compromise), text=r"is revoked on .* UTC \(keyCompromise\)"
    ),
    "CRL with it, on hold": over(
        crl(True, reason=x509.ReasonFlags.certificate_hold), text=r"is revoked on .* UTC \(certificateHold\)"
    ),
    "CRL with it, only warned of without an answer": Row(crl(True), "is revoked on", mode=Revocation.SOFT),
    "CRL with it, and nobody asks": Row(crl(True)),
    "CRL is stale": untold(crl(until=NOW - SECOND), "the CRL does not count: it is stale since .* UTC"),
    "CRL is of tomorrow": untold(crl(made=NOW + DAY, until=NOW + 2 * DAY), "it is only made on .* UTC"),
    "CRL is another issuer's": untold(other_crl(lambda stage: stage.pki.root.crl()), "the CRL is another issuer's"),
    "CRL is forged": untold(crl(signed_by=seid_pki.key("other")), "the CRL's signature is not the issuer's"),
    "CRL is signed with SHA-1": untold(
        other_crl(lambda stage: seid_pki.crl_with_sha1(stage.ca.crl(), stage.ca.key)),
        "the CRL's signature algorithm is too weak",
    ),
    "CRL of an issuer that may sign none": over(
        below(usages=("key_cert_sign",)),
        text=r"No issuer says .*the CRL's signature is not the issuer's",
        roots=with_nine(usages=("key_cert_sign",)),
        laid_in=lambda stage, _leaf: [
            stage.pki.root.crl(),
            stage.pki.root.authority("Test SEID CA 9", "other", usages=("key_cert_sign",)).crl(),
        ],
    ),
    "CRL with a critical extension": untold(crl(more=[UNKNOWN_CRITICAL]), r"critical extension .*\(2.5.29.99\)"),
    "CRL is a delta": untold(
        crl(more=[x509.Extension(ExtensionOID.DELTA_CRL_INDICATOR, True, x509.DeltaCRLIndicator(1))]),
        r"critical extension that is not known here \(2.5.29.27\)",
    ),
    "CRL is indirect": untold(crl(more=[point(indirect_crl=True)]), "the CRL is indirect or partial"),
    "CRL for authorities only": untold(
        crl(more=[point(only_contains_ca_certs=True)]), "the CRL is for other certificates of this issuer"
    ),
    "CRL for end certificates": over(crl(more=[point(only_contains_user_certs=True)])),
    "CRL of another distribution point": untold(
        crl(more=[point(full_name=[URI("http://example.test/2.crl")])]), "the CRL is of another distribution point"
    ),
    "CRL is no CRL": untold(other_crl(lambda _stage: b"<html>502</html>"), "the CRL cannot be read"),
    "CRL of a version that is none": untold(other_crl(odd_version), "the CRL cannot be read"),
    "CRL of a length that cannot be": untold(other_crl(claiming(b"Content-Length: 1" + b"0" * 23)), "is cut off"),
    "CRL of a length that is none": untold(other_crl(claiming(b"Content-Length: " + b"9" * 5000)), "is cut off"),
    "CRL in chunks that cannot be": untold(
        other_crl(claiming(b"Transfer-Encoding: chunked", b"f" * 19 + b"\r\n12")), "is cut off"
    ),
    "CRL at an address that cannot be": untold(issued(crl="http://a..b/a.crl"), "CRL http://a..b/a.crl: no connection"),
    "CRL at too many addresses": untold(
        issued(more=[many_addresses(20)]), r"/1\.crl: [^;]*; CRL \S*/2\.crl: [^;]*; CRL \S*/3\.crl: [^;]*\)\. It is "
    ),
    "CRL is not there": untold(other_crl(lambda _stage: 404), "the server says 404"),
    "CRL has moved": untold(other_crl(lambda _stage: 302), "the server says 302"),
    "CRL drips": untold(other_crl(lambda stage: stage.server.drip), "no answer in 0.3 seconds"),
    "CRL is cut off": untold(
        other_crl(lambda _stage: lambda to: to.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12")), "is cut off"
    ),
    "CRL is huge": untold(
        other_crl(lambda _stage: bytes(fetch.MOST_CRL_BYTES + 1)), "the answer is larger than 20,000,000 bytes"
    ),
    "CRL out of reach": untold(issued(crl="http://127.0.0.1:1/a.crl"), "CRL http://127.0.0.1:1/a.crl: no connection"),
    "CRL out of reach, only warned of": Row(
        issued(crl="http://127.0.0.1:1/b.crl"), mode=Revocation.SOFT, warning="No issuer says .* no connection"
    ),
    "CRL by https only": untold(issued(crl="https://127.0.0.1:1/c.crl"), "names no http address for CRL or OCSP"),
    "no address": untold(issued(), "names no http address for CRL or OCSP, and no CRL is laid in"),
    "CRL laid in": over(issued(), laid_in=lambda stage, _leaf: [stage.ca.crl()]),
    "CRL laid in, with it": over(issued(), text="is revoked on", laid_in=lambda stage, leaf: [stage.ca.crl(leaf)]),
    "CRL laid in is stale, a fresh one is fetched": over(
        crl(True), text="is revoked on", laid_in=lambda stage, _leaf: [stage.ca.crl(until=NOW - SECOND)]
    ),
    "issuing authority is revoked": over(
        lambda stage: stage.pki.root.authority("Test SEID CA 9", "other").issue(),
        text=r"The certificate is revoked on .* UTC. It is Test SEID CA 9 ",
        roots=with_nine(serial=99),
        laid_in=lambda stage, _leaf: [
            (nine := stage.pki.root.authority("Test SEID CA 9", "other", serial=99)).crl(),
            stage.pki.root.crl(nine.certificate),
        ],
    ),
    # -- OCSP
    "OCSP good": over(answered()),
    "OCSP good, by its key": over(answered(by_key=True)),
    "OCSP revoked": over(answered(status=REVOKED), text=r"is revoked on .* UTC \(keyCompromise\)"),
    "OCSP does not know it": untold(
        answered(status=ocsp.OCSPCertStatus.UNKNOWN), "the OCSP responder does not know the certificate"
    ),
    "OCSP is stale": untold(answered(until=NOW - SECOND), "the OCSP answer does not count: it is stale since"),
    "OCSP of tomorrow": untold(answered(made=NOW + DAY, until=NOW + 2 * DAY), "it is only made on"),
    "OCSP of now, without an end": over(answered(made=NOW, until=None)),
    "OCSP of yesterday, without an end": untold(answered(until=None), "it is stale since"),
    "OCSP is forged": untold(forged_answer, "the OCSP answer's signature does not hold"),
    "OCSP about another": untold(
        lambda stage: stage.with_ocsp(lambda _leaf: stage.ca.answer(stage.ca.issue())), "is about another certificate"
    ),
    "OCSP with a critical extension": untold(answered(more=[UNKNOWN_CRITICAL]), r"critical extension .*\(2.5.29.99\)"),
    "OCSP is too busy": untold(
        lambda stage: stage.with_ocsp(
            lambda _leaf: ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(
                Encoding.DER
            )
        ),
        "the OCSP responder says try_later",
    ),
    "OCSP is no OCSP": untold(lambda stage: stage.with_ocsp(lambda _leaf: b"moved"), "the OCSP answer cannot be read"),
    "OCSP out of order, CRL good": over(lambda stage: stage.with_ocsp(lambda _leaf: 500, lambda _: stage.ca.crl())),
    "OCSP out of order, CRL with it": over(
        lambda stage: stage.with_ocsp(lambda _leaf: 500, stage.ca.crl), text="is revoked on"
    ),
    "responder delegated": over(delegated()),
    "responder without id-kp-OCSPSigning": untold(
        delegated(purposes=[ExtendedKeyUsageOID.CLIENT_AUTH]), "may not answer for its issuer"
    ),
    "responder without any purpose": untold(delegated(purposes=()), "may not answer for its issuer"),
    "responder expired": untold(delegated(valid=PAST), "the OCSP responder's certificate is not valid now"),
    "responder of another": untold(strangers_responder, "the OCSP responder's certificate is not this issuer's"),
}

NEXT_STEPS = ("certs/README.md", "registered", "clock", "organisation number", "protection.roots", "protection.crl_dir")


@pytest.mark.parametrize("name", ROWS)
def test_a_certificate_is_used_or_refused_with_its_text(name: str, stage: Stage, tmp_path: Path) -> None:
    row = ROWS[name]
    certificate = row.make(stage)
    laid_in = None
    if row.laid_in is not None:
        laid_in = tmp_path / "crl"
        laid_in.mkdir()
        for number, each in enumerate(row.laid_in(stage, certificate)):
            (laid_in / f"{number}.crl").write_bytes(each.public_bytes(Encoding.PEM))
    heard: list[Event] = []
    asked = None if row.mode is Revocation.OFF else Issuers(tmp_path / "kept", laid_in, seconds=0.3)
    trust = ConfiguredTrust(Authorities.of(row.roots(stage)), row.mode, asked, heard.append)

    def judge() -> None:
        certificates.check(certificate, row.use, at=row.at, name="keys.signing")
        trust.require(
            certificate,
            at=row.at,
            name="keys.signing",
            organisation=row.organisation,
            intermediates=row.along(stage),
        )

    if not row.text:
        judge()
    else:
        with pytest.raises(AccessRefused, match=row.text) as refused:
            judge()
        error = refused.value
        assert error.where == "keys.signing"
        assert re.search(
            r"It is .+, serial number [0-9A-F:]+, SHA-1 thumbprint ([0-9A-F]{2}:){19}[0-9A-F]{2}\.$", error.what
        )
        assert any(step in error.next_step for step in NEXT_STEPS), error.next_step
        assert not re.search(r"Privat|4050", str(error))
    assert [bool(re.search(row.warning, event.text)) for event in heard] == [True] * bool(row.warning)
    figure("certificates", cases=1, refused=int(bool(row.text)))


# -- what is kept --------------------------------------------------------------------------------------------------


def standing(stage: Stage, certificate: x509.Certificate, folder: Path, at: dt.datetime = NOW) -> str:
    """Ask as a new run would."""
    return Issuers(folder, seconds=0.3).revocation(certificate, stage.ca.certificate, at=at).status.value


@pytest.mark.parametrize("make", [crl(), answered()], ids=["CRL", "OCSP"])
def test_an_answer_is_fetched_once_and_kept_until_its_next_update(make: Make, stage: Stage, tmp_path: Path) -> None:
    certificate = make(stage)
    before = stage.server.asked.total()

    assert [standing(stage, certificate, tmp_path / "kept") for _ in range(3)] == ["good"] * 3
    assert stage.server.asked.total() == before + 1
    assert standing(stage, certificate, tmp_path / "kept", at=NOW + 2 * DAY) == "unknown"
    assert stage.server.asked.total() == before + 2


def test_what_was_kept_is_judged_again_and_needs_no_trust(stage: Stage, tmp_path: Path) -> None:
    certificate = stage.with_crl(stage.ca.crl)
    assert standing(stage, certificate, tmp_path) == "revoked"
    (kept,) = tmp_path.iterdir()
    for forged in (b"", stage.ca.crl(signed_by=seid_pki.key("other")).public_bytes(Encoding.DER)):
        kept.write_bytes(forged)
        assert standing(stage, certificate, tmp_path) == "revoked"


def test_a_folder_that_cannot_be_written_only_means_fetching_again(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    certificate = stage.with_crl(lambda _leaf: stage.ca.crl())
    assert standing(stage, certificate, tmp_path / "file" / "kept") == "good"


def test_that_nobody_answers_is_remembered_for_some_minutes(stage: Stage, tmp_path: Path) -> None:
    certificate = stage.with_crl(lambda _leaf: 503)
    asked = Issuers(tmp_path, seconds=0.3)
    before = stage.server.asked.total()
    for minutes in (0, 1, 4, 6):
        asked.revocation(certificate, stage.ca.certificate, at=NOW + minutes * dt.timedelta(minutes=1))
    assert stage.server.asked.total() == before + 2


@pytest.mark.parametrize("make", [Stage.with_crl, Stage.with_ocsp], ids=["CRL", "OCSP"])
def test_a_stop_breaks_the_asking_off_within_a_second_and_says_nothing_of_the_certificate(
    make: Callable[..., x509.Certificate], stage: Stage, tmp_path: Path
) -> None:
    """Also by --max-wait: else a slow issuer made a run longer, and a receipt that is good "not verified"."""
    certificate = make(stage, lambda *_, **__: stage.server.drip)
    told = threading.Event()
    asked = Issuers(tmp_path, seconds=20, stopped=told.is_set)
    trust = ConfiguredTrust(Authorities.of(configured(stage)), Revocation.SOFT, asked)
    stop = threading.Timer(0.2, told.set)
    stop.start()
    began = time.monotonic()
    with pytest.raises(RegistryUnreachable, match="told to stop, or its time was up"):
        trust.require(certificate, at=NOW, name="its signing certificate")
    assert time.monotonic() - began < 8
    stop.join()
    told.clear()
    path = list(stage.server.answers)[-1]
    stage.server.answers[path] = 503
    asked.revocation(certificate, stage.ca.certificate, at=NOW)
    assert stage.server.asked[path] == 2, "that it was not asked to the end is not remembered"


def test_a_warning_is_given_once(stage: Stage, tmp_path: Path) -> None:
    heard: list[Event] = []
    trust = ConfiguredTrust(Authorities.of(configured(stage)), Revocation.SOFT, Issuers(tmp_path), heard.append)
    certificate = stage.ca.issue()
    for _ in range(3):
        trust.require(certificate, at=NOW, name="its signing certificate")
    assert len(heard) == 1


def test_the_question_is_one_that_a_responder_reads(stage: Stage, tmp_path: Path) -> None:
    certificate = stage.with_ocsp(stage.ca.answer)
    assert standing(stage, certificate, tmp_path) == "good"
    question = ocsp.load_der_ocsp_request(list(stage.server.questions.values())[-1])
    assert question.serial_number == certificate.serial_number


class _PanicError(BaseException):
    """As pyo3's PanicException: no Exception."""


def test_a_panic_of_the_library_at_a_certificate_is_no_path_and_no_answer(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(error: BaseException) -> Callable[..., object]:
        def made(*_: object) -> object:
            raise error

        return made

    certificate = stage.with_ocsp(stage.ca.answer, crl=lambda _leaf: stage.ca.crl())
    trust = ConfiguredTrust(Authorities.of(configured(stage)))
    for error, raised in ((_PanicError("a panic"), AccessRefused), (KeyboardInterrupt(), KeyboardInterrupt)):
        monkeypatch.setattr(policy, "PolicyBuilder", raises(error))
        with pytest.raises(raised):
            trust.require(certificate, at=NOW, name="ours")
    monkeypatch.setattr(ocsp, "OCSPRequestBuilder", raises(_PanicError("a panic")))
    assert standing(stage, certificate, tmp_path) == "good", "the CRL says so"


@pytest.mark.parametrize(
    ("environment", "policy", "warned"),
    [
        (Environment.PRODUKSJON, "2.16.578.1.26.1.3.2", False),
        (Environment.PRODUKSJON, "2.16.578.1.26.1.0.3.2", True),
        (Environment.AR_TEST, "2.16.578.1.26.1.0.3.2", False),
        (Environment.VALIDERING, "", True),
        (Environment.LOKAL, "", False),
    ],
)
def test_a_certificate_without_a_policy_of_the_profile_is_warned_of_once(
    environment: Environment, policy: str, *, warned: bool
) -> None:
    root = seid_pki.new_root()
    stated = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(policy), None)]) if policy else None
    certificate = root.issue(more=[x509.Extension(stated.oid, critical=False, value=stated)] if stated else [])
    told: list[Event] = []
    trust = ConfiguredTrust(Authorities.of([root.certificate]), observe=told.append, policies=POLICIES[environment])

    for _ in range(2):
        trust.require(certificate, at=NOW, name="ours")

    assert [f"it has {policy or 'none'}" in event.text for event in told] == [True] * warned
