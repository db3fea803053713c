"""``python -m bench.edi_by_hand``: the same mail by openssl, xmlsec1 and Python's email, as anybody would do it."""

from __future__ import annotations

import email.policy
import subprocess
import sys
import tempfile
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from bench.measure import DATA

_RECIPIENT: Final = DATA / "pki" / "fhi-encryption.pem"
_SIGNER: Final = (DATA / "kommune-signing.key.pem", DATA / "pki" / "kommune-signing.pem")
_SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
_TEMPLATE: Final = f"""<?xml version="1.0" encoding="UTF-8"?>
<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xlink="http://www.w3.org/1999/xlink"
 xmlns:eb="http://www.oasis-open.org/committees/ebxml-msg/schema/msg-header-2_0.xsd"><S:Header>
<eb:MessageHeader S:mustUnderstand="1" eb:version="2.0"><eb:From><eb:PartyId eb:type="HER">8140000</eb:PartyId>
<eb:Role>KPR_IPLsender</eb:Role></eb:From><eb:To><eb:PartyId eb:type="HER">122612</eb:PartyId>
<eb:Role>KPR_IPLreceiver</eb:Role></eb:To><eb:CPAId>122612_8140000</eb:CPAId><eb:ConversationId>1</eb:ConversationId>
<eb:Service>S-KPR_IPL</eb:Service><eb:Action>KPR_IPL</eb:Action><eb:MessageData><eb:MessageId>1</eb:MessageId>
<eb:Timestamp>2027-01-14T08:30:00Z</eb:Timestamp></eb:MessageData><eb:DuplicateElimination/></eb:MessageHeader>
<eb:AckRequested S:mustUnderstand="1" eb:version="2.0" eb:signed="true"/>
<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo>
<CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>
<SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>
<Reference URI=""><Transforms>
<Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>
<Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/></Transforms>
<DigestMethod Algorithm="{_SHA256}"/><DigestValue/></Reference>
<Reference URI="cid:payload"><DigestMethod Algorithm="{_SHA256}"/><DigestValue/></Reference></SignedInfo>
<SignatureValue/><KeyInfo><X509Data/></KeyInfo></Signature></S:Header>
<S:Body><eb:Manifest eb:version="2.0"><eb:Reference xlink:type="simple" xlink:href="cid:payload"/></eb:Manifest>
</S:Body></S:Envelope>
"""


def main() -> None:
    """Encrypt, sign and write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sealed, template, soap = folder / "payload.p7m", folder / "template.xml", folder / "soap.xml"
        encrypt = ["openssl", "cms", "-encrypt", "-binary", "-aes256", "-outform", "DER", "-out", str(sealed)]
        subprocess.run([*encrypt, str(_RECIPIENT)], stdin=sys.stdin.buffer, check=True)
        template.write_text(_TEMPLATE)
        keys = ",".join(map(str, _SIGNER))
        sign = ["xmlsec1", "--sign", "--privkey-pem", keys, "--url-map:cid:payload", str(sealed)]
        subprocess.run([*sign, "--output", str(soap), str(template)], check=True)
        mail = EmailMessage(email.policy.SMTP)
        mail["From"], mail["To"], mail["Subject"] = "kommune@edi.nhn.no", "kpr@edi.nhn.no", "KPR_IPL"
        mail["SOAPAction"] = '"ebXML"'
        mail.set_content(soap.read_bytes(), "text", "xml", cid="<soap>")
        mail.make_related()
        mail.add_related(sealed.read_bytes(), "application", "pkcs7-mime", cid="<payload>")
        sys.stdout.buffer.write(mail.as_bytes())


if __name__ == "__main__":
    main()
