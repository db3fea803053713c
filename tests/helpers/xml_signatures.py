"""Enveloped XML signatures in tests: ours put in, and others' implementations asked whether they hold."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from lxml import etree
from signxml.exceptions import SignXMLException
from signxml.verifier import XMLVerifier

from kpr_sender.cms.port import Signer
from kpr_sender.messages.xml_signature import signature

NO_XMLSEC1: Final = "no xmlsec1 here: apt-get install xmlsec1"
"""Begins as tests/conftest.py knows it, which sees to it that the run says so aloud."""


def sign_enveloped(xml: bytes, signer: Signer) -> bytes:
    """Return a document, whose root has an end tag, with our signature as the last child of the root."""
    made = signature(xml, signer)
    at = xml.rindex(b"</")
    return xml[:at] + made + xml[at:]


@functools.cache
def _any_key() -> tuple[str, ...]:
    """From 1.3 on it takes the key that we hold only when told to: KeyInfo does not name that one."""
    version = subprocess.run(["xmlsec1", "--version"], capture_output=True, text=True, check=False).stdout
    return () if " 1.2." in version else ("--lax-key-search",)


def xmlsec1_holds(xml: bytes, certificate: Certificate, more: Sequence[str] = ()) -> bool:
    """Ask xmlsec1, with the key of the certificate that we hold and more arguments. Skips loudly without it."""
    if shutil.which("xmlsec1") is None:
        pytest.skip(NO_XMLSEC1)
    with tempfile.TemporaryDirectory() as folder:
        pinned, document = Path(folder) / "pinned.pem", Path(folder) / "document.xml"
        pinned.write_bytes(certificate.public_bytes(Encoding.PEM))
        document.write_bytes(xml)
        command = ["xmlsec1", "--verify", *_any_key(), "--enabled-key-data", "rsa", "--pubkey-cert-pem", str(pinned)]
        done = subprocess.run([*command, *more, str(document)], capture_output=True, check=False)
    return done.returncode == 0


def signxml_holds(xml: bytes, certificate: Certificate) -> bool:
    """Ask signxml, with the certificate that we hold."""
    parser = etree.XMLParser(huge_tree=True, resolve_entities=False)
    try:
        XMLVerifier().verify(etree.fromstring(xml, parser), x509_cert=certificate, parser=parser)
    except (SignXMLException, etree.LxmlError, ValueError):
        return False
    return True
