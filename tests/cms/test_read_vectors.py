"""Every message that other implementations made: opened or refused as it must be, and our own bytes against theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates
from cryptography.x509 import Certificate

from kpr_sender.cms.certificates import load_certificate
from kpr_sender.cms.port import AlgorithmRefused, ProtectionRefused
from kpr_sender.cms.read import Policy, open_sealed
from kpr_sender.cms.read_signed import verify
from kpr_sender.keys.files import KeyPair, load_pem, load_pkcs12
from tests.helpers import cms
from tests.helpers.shared import SHARED

VECTORS: Final = SHARED / "vectors"
PASSPHRASES: Final = {"Helsenorge": "drQhrTUSKyQCHYoY", "Counterparty": "XVNQ2QEL1PrREwVD"}
AES_ONLY: Final = Policy()
WITH_3DES: Final = Policy(accept_3des=True)

CONTENT: Final = {
    "dotnet-mono": "dotnet-mono/MsgHead.xml",
    "dotnet-mono-synthetic": "dotnet-mono-synthetic/in.xml",
    "openssl": "dotnet-mono-synthetic/in.xml",
}

REFUSED: Final = {
    "dotnet-mono/counterparty-to-helsenorge-3des.p7m": "3DES",
    "dotnet-mono/helsenorge-to-counterparty-3des.p7m": "3DES",
    "dotnet-mono/helsenorge-to-counterparty-sha1.p7m": "SHA-1",
    "dotnet-mono/helsenorge-to-counterparty-sha1.p7m.signed.der": "SHA-1",
    "dotnet-mono-synthetic/out-default.p7m": "SHA-1",
    "openssl/ossl-des3.p7m": "3DES",
    "openssl/ossl-rc2.p7m": "RC2",
    "openssl/ossl-sha1.sd.der": "SHA-1",
}


def peer(name: str) -> KeyPair:
    file = VECTORS / "peer" / f"{name}.p12"
    return load_pkcs12(file.read_bytes(), PASSPHRASES[name.split("_", maxsplit=1)[0]], name=file.name)


def synthetic(name: str) -> KeyPair:
    return load_pkcs12((VECTORS / "synthetic-pki" / f"{name}.p12").read_bytes(), "spike", name=name)


@pytest.fixture(scope="module")
def decrypters() -> list[KeyPair]:
    return [
        peer("Helsenorge_Encryption"),
        peer("Counterparty_Encryption"),
        synthetic("fhi-enc"),
        synthetic("sender-enc"),
    ]


@pytest.fixture(scope="module")
def signers() -> list[Certificate]:
    names = ("Helsenorge_Signature", "Counterparty_Signature")
    return [
        *(load_certificate((VECTORS / "peer" / f"{name}.cer").read_bytes(), name) for name in names),
        *(
            load_certificate((VECTORS / "synthetic-pki" / f"{name}.pem").read_bytes(), name)
            for name in ("sender-sign", "fhi-sign")
        ),
    ]


def messages() -> list[str]:
    """List all vectors, so that a new one is tested without a word."""
    return sorted(
        str(file.relative_to(VECTORS))
        for pattern in ("*.p7m", "*.der")
        for folder in CONTENT
        for file in (VECTORS / folder).glob(pattern)
    )


def test_there_are_vectors_of_all_three_makers() -> None:
    assert len(messages()) >= 26
    assert set(REFUSED) <= set(messages())


def opened(name: str, decrypters: list[KeyPair], signers: list[Certificate], policy: Policy) -> bytes:
    data = (VECTORS / name).read_bytes()
    if name.endswith(".der"):
        return verify(data, signers=signers, policy=policy).content
    return open_sealed(data, decrypters=decrypters, signers=signers, policy=policy).content


@pytest.mark.parametrize("name", [name for name in messages() if name not in REFUSED])
def test_what_other_implementations_made_opens(
    name: str, decrypters: list[KeyPair], signers: list[Certificate]
) -> None:
    content = (VECTORS / CONTENT[Path(name).parts[0]]).read_bytes()
    assert opened(name, decrypters, signers, AES_ONLY) == content


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_weak_is_refused_by_name(name: str, decrypters: list[KeyPair], signers: list[Certificate]) -> None:
    with pytest.raises(AlgorithmRefused, match=REFUSED[name]):
        opened(name, decrypters, signers, AES_ONLY)


@pytest.mark.parametrize("name", [name for name, algorithm in REFUSED.items() if algorithm == "3DES"])
def test_3des_opens_where_the_policy_lets_it(name: str, decrypters: list[KeyPair], signers: list[Certificate]) -> None:
    content = (VECTORS / CONTENT[Path(name).parts[0]]).read_bytes()
    assert opened(name, decrypters, signers, WITH_3DES) == content


@pytest.mark.parametrize("name", [name for name, algorithm in REFUSED.items() if algorithm != "3DES"])
def test_no_policy_lets_in_what_is_broken(name: str, decrypters: list[KeyPair], signers: list[Certificate]) -> None:
    with pytest.raises(AlgorithmRefused, match=REFUSED[name]):
        opened(name, decrypters, signers, WITH_3DES)


@pytest.mark.parametrize("name", [name for name in messages() if name not in REFUSED])
def test_g4_a_vector_signed_by_someone_else_than_expected_is_refused(name: str, decrypters: list[KeyPair]) -> None:
    with pytest.raises(ProtectionRefused):
        opened(name, decrypters, [synthetic("fhi-sign").certificate], AES_ONLY)


def test_a_certificate_chain_out_of_a_peers_file_has_the_intermediate_and_not_the_root() -> None:
    pair = peer("Helsenorge_Signature")
    assert [each.subject.rfc4514_string().split(",")[0] for each in pair.chain] == ["CN=Buypass Class 3 Test4 CA 3"]


# Mono was told which certificates to embed; which it was is part of how the vector was made.
LEAF_ONLY, WITH_ISSUER, WHOLE_CHAIN = "leaf only", "leaf and issuer", "leaf, issuer and root"


def chain_of(pair: KeyPair, embedded: str, root: Certificate) -> KeyPair:
    chains = {LEAF_ONLY: (), WITH_ISSUER: pair.chain, WHOLE_CHAIN: (*pair.chain, root)}
    return KeyPair(pair.certificate, pair.private_key, chains[embedded])


@pytest.mark.parametrize(
    ("vector", "signer", "embedded"),
    [
        ("dotnet-mono/counterparty-to-helsenorge-3des", "Counterparty_Signature", LEAF_ONLY),
        ("dotnet-mono/counterparty-to-helsenorge-aes256", "Counterparty_Signature", LEAF_ONLY),
        ("dotnet-mono/helsenorge-to-counterparty-3des", "Helsenorge_Signature", LEAF_ONLY),
        ("dotnet-mono/helsenorge-to-counterparty-aes256", "Helsenorge_Signature", LEAF_ONLY),
        ("dotnet-mono/helsenorge-to-counterparty-chain-bundled", "Helsenorge_Signature", WHOLE_CHAIN),
        ("dotnet-mono-synthetic/net-sha256", "sender-sign", WITH_ISSUER),
    ],
)
def test_our_signed_data_is_byte_identical_to_dotnets(vector: str, signer: str, embedded: str) -> None:
    pair = peer(signer) if "_" in signer else synthetic(signer)
    root = peer_root() if "_" in signer else load_certificate((VECTORS / "synthetic-pki/root.pem").read_bytes(), "root")
    content = (VECTORS / CONTENT[vector.split("/", maxsplit=1)[0]]).read_bytes()
    expected = (VECTORS / f"{vector}.p7m.signed.der").read_bytes()
    assert cms.signed(content, chain_of(pair, embedded, root)) == expected


def peer_root() -> Certificate:
    """Find the peers' root in the chain-bundled vector: loading a PKCS#12 leaves it out."""
    bundle = (VECTORS / "dotnet-mono/helsenorge-to-counterparty-chain-bundled.p7m.signed.der").read_bytes()
    return next(each for each in load_der_pkcs7_certificates(bundle) if each.subject == each.issuer)


def test_a_pem_pair_of_the_vectors_loads_with_its_intermediate() -> None:
    folder = VECTORS / "synthetic-pki"
    certificate_pem = b"".join((folder / f"{name}.pem").read_bytes() for name in ("sender-sign", "ica", "root"))
    pair = load_pem(certificate_pem, (folder / "sender-sign.key").read_bytes(), None, name="sender-sign")
    assert pair.certificate == synthetic("sender-sign").certificate
    assert pair.chain == (load_certificate((folder / "ica.pem").read_bytes(), "ica"),)
