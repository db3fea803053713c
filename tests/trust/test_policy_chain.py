"""Real certificates of a Norwegian authority lead to its root in their time."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509

from kpr_sender.cms.certificates import organisation_number
from kpr_sender.errors import AccessRefused
from kpr_sender.trust.policy import Authorities, trusted_path
from kpr_sender.trust.revocation import sources
from tests.helpers import seid_pki
from tests.helpers.keys_once import load_anew
from tests.helpers.shared import SHARED

IN_ITS_TIME = dt.datetime(2016, 1, 1, tzinfo=dt.UTC)
PASSPHRASES = {
    "Helsenorge_Signature.p12": b"drQhrTUSKyQCHYoY",
    "Counterparty_Signature.p12": b"XVNQ2QEL1PrREwVD",
    "Counterparty_Encryption.p12": b"XVNQ2QEL1PrREwVD",
}


@pytest.fixture(params=PASSPHRASES)
def buypass(request: pytest.FixtureRequest) -> list[x509.Certificate]:
    """A leaf and its authorities, with keys that the reference client publishes for its own tests."""
    data = (SHARED / "vectors/peer" / request.param).read_bytes()
    with pytest.warns(UserWarning, match="could not be parsed as DER"):
        bundle = load_anew(data, PASSPHRASES[request.param])
    assert bundle.cert is not None
    return [bundle.cert.certificate, *(each.certificate for each in bundle.additional_certs)]


def test_buypass_test4_leads_to_its_root_in_2016(buypass: list[x509.Certificate]) -> None:
    leaf, *above = buypass
    path = trusted_path(leaf, Authorities.of(above), at=IN_ITS_TIME, name="receiver")

    names = [each.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value for each in path]
    assert names[1:] == ["Buypass Class 3 Test4 CA 3", "Buypass Class 3 Test4 Root CA"]


def test_buypass_test4_is_refused_today_and_under_another_root(buypass: list[x509.Certificate]) -> None:
    leaf, *above = buypass
    today = dt.datetime.now(dt.UTC)
    with pytest.raises(AccessRefused, match="not valid at validation time"):
        trusted_path(leaf, Authorities.of(above), at=today, name="receiver")
    with pytest.raises(AccessRefused, match="its issuer is not among"):
        trusted_path(leaf, Authorities.of([seid_pki.new_root().certificate]), at=IN_ITS_TIME, name="receiver")


def test_buypass_test4_says_whose_it_is_and_where_to_ask(buypass: list[x509.Certificate]) -> None:
    assert organisation_number(buypass[0]) == "983544622"
    assert sources(buypass[0]).crls == ("http://crl.test4.buypass.no/crl/BPClass3T4CA3.crl",)
    assert sources(buypass[0]).ocsp == ("http://ocsp.test4.buypass.no/ocsp/BPClass3T4CA3",)
