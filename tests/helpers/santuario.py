"""Apache Santuario, the XML signature library that most peers of EDI use: asked in one start of Java.

Debian's libxml-security-java, unpacked in a folder as RabbitMQ's packages are; Java is the machine's own.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from tests.helpers.debian_packages import NotToBeHad, unpacked

NO_SANTUARIO: Final = "no Apache Santuario here"
"""Begins as tests/conftest.py knows it, which sees to it that the run says so aloud."""

_JARS: Final = ("xmlsec", "slf4j-api", "slf4j-nop", "commons-codec")
_PROGRAM: Final = """\
import java.io.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.security.spec.PKCS8EncodedKeySpec;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.xml.security.Init;
import org.apache.xml.security.signature.*;
import org.apache.xml.security.transforms.*;
import org.apache.xml.security.transforms.params.XPathContainer;
import org.apache.xml.security.utils.resolver.*;
import org.w3c.dom.*;

public class Oracle {
    static final String DS = "http://www.w3.org/2000/09/xmldsig#";

    static class Parts extends ResourceResolverSpi {
        final File folder;
        Parts(File folder) { this.folder = folder; }
        public boolean engineCanResolveURI(ResourceResolverContext context) {
            return context.uriToResolve != null && context.uriToResolve.startsWith("cid:");
        }
        public XMLSignatureInput engineResolveURI(ResourceResolverContext context) {
            try {
                String[] names = Files.readString(new File(folder, "parts").toPath()).split("\\n");
                for (int i = 0; i < names.length; i++)
                    if (context.uriToResolve.equals("cid:" + names[i]))
                        return new XMLSignatureInput(Files.readAllBytes(new File(folder, "part" + i).toPath()));
            } catch (IOException error) { throw new UncheckedIOException(error); }
            throw new IllegalStateException("no such part");
        }
    }

    static Document parsed(File file) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        return factory.newDocumentBuilder().parse(file);
    }

    static void verify(File folder) throws Exception {
        Element found = (Element) parsed(new File(folder, "soap.xml")).getElementsByTagNameNS(DS, "Signature").item(0);
        XMLSignature signature = new XMLSignature(found, "", false);
        signature.addResourceResolver(new Parts(folder));
        CertificateFactory certificates = CertificateFactory.getInstance("X.509");
        try (InputStream in = new FileInputStream(new File(folder, "certificate.der"))) {
            boolean holds = signature.checkSignatureValue(certificates.generateCertificate(in).getPublicKey());
            System.out.println(folder.getName() + " " + holds);
        }
    }

    static void sign(File folder) throws Exception {
        Document document = parsed(new File(folder, "soap.xml"));
        Element header = (Element) document.getElementsByTagNameNS(
            "http://schemas.xmlsoap.org/soap/envelope/", "Header").item(0);
        XMLSignature signature = new XMLSignature(
            document, "", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            "http://www.w3.org/TR/2001/REC-xml-c14n-20010315");
        header.appendChild(signature.getElement());
        Transforms transforms = new Transforms(document);
        transforms.addTransform(Transforms.TRANSFORM_ENVELOPED_SIGNATURE);
        XPathContainer xpath = new XPathContainer(document);
        xpath.setXPathNamespaceContext("S", "http://schemas.xmlsoap.org/soap/envelope/");
        xpath.setXPath(Files.readString(new File(folder, "xpath").toPath()));
        transforms.addTransform(Transforms.TRANSFORM_XPATH, xpath.getElement());
        transforms.addTransform(Transforms.TRANSFORM_C14N_OMIT_COMMENTS);
        signature.addDocument("", transforms, "http://www.w3.org/2001/04/xmlenc#sha256");
        CertificateFactory certificates = CertificateFactory.getInstance("X.509");
        try (InputStream in = new FileInputStream(new File(folder, "certificate.der"))) {
            signature.addKeyInfo((X509Certificate) certificates.generateCertificate(in));
        }
        byte[] key = Files.readAllBytes(new File(folder, "key.der").toPath());
        signature.sign(KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(key)));
        javax.xml.transform.TransformerFactory.newInstance().newTransformer().transform(
            new javax.xml.transform.dom.DOMSource(document),
            new javax.xml.transform.stream.StreamResult(new File(folder, "signed.xml")));
        System.out.println(folder.getName() + " true");
    }

    public static void main(String[] arguments) throws Exception {
        Init.init();
        File[] folders = new File(arguments[0]).listFiles(File::isDirectory);
        for (File folder : folders) {
            if (new File(folder, "key.der").exists()) sign(folder); else verify(folder);
        }
    }
}
"""


@dataclass(frozen=True)
class Asked:
    """One envelope that Santuario is asked about, or is to sign.

    Attributes:
        soap: The envelope.
        certificate: Whose key it is verified with; what is embedded where it is to be signed.
        parts: The other parts of the mail, by Content-ID.
        key: PKCS#8, DER, where it is to be signed.
        xpath: The expression to sign with; the prefix S is SOAP's.
    """

    soap: bytes
    certificate: Certificate
    parts: Mapping[str, bytes] = field(default_factory=dict)
    key: bytes = b""
    xpath: str = ""


def asked(folder: Path, questions: Sequence[Asked]) -> list[bool | bytes]:
    """Return for each question whether its signature holds, or the signed envelope. Skips loudly without Santuario."""
    for number, question in enumerate(questions):
        own = folder / f"{number}"
        own.mkdir()
        (own / "soap.xml").write_bytes(question.soap)
        (own / "certificate.der").write_bytes(question.certificate.public_bytes(Encoding.DER))
        (own / "parts").write_text("\n".join(question.parts))
        for at, part in enumerate(question.parts.values()):
            (own / f"part{at}").write_bytes(part)
        if question.key:
            (own / "key.der").write_bytes(question.key)
            (own / "xpath").write_text(question.xpath)
    said = dict(line.split() for line in _ran(folder).splitlines())
    return [
        (folder / f"{number}" / "signed.xml").read_bytes() if question.key else said[f"{number}"] == "true"
        for number, question in enumerate(questions)
    ]


def _ran(folder: Path) -> str:
    if shutil.which("javac") is None:
        pytest.skip(f"{NO_SANTUARIO}: no Java: apt-get install default-jdk-headless")
    try:
        debian = unpacked(
            platform.freedesktop_os_release().get("VERSION_CODENAME", ""),
            name="santuario",
            packages=("libxml-security-java",),
        )
    except NotToBeHad as error:
        pytest.skip(f"{NO_SANTUARIO}: {error}")
    program = folder / "Oracle.java"
    program.write_text(_PROGRAM)
    jars = ":".join(str(debian.path / "usr/share/java" / f"{name}.jar") for name in _JARS)
    command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", jars, str(program), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
