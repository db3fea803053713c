"""``python -m bench.edi_build``: our side, a payload on standard input to a finished mail on standard output."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Final

from bench.measure import DATA
from kpr_sender.cms.certificates import load_certificate
from kpr_sender.ebxml.envelope import EbxmlMessage, EbxmlNames, EbxmlParties, MessageIds, cpa_id
from kpr_sender.ebxml.mail import MailAddresses, attempt_id, header_block, payload_mail
from kpr_sender.keys.files import load_pem

_CHUNK: Final = 1 << 18
_ID: Final = "7d3f5a52-8f7e-4a53-9d0c-2f8a6f1f7a01"
_AT: Final = datetime(2027, 1, 14, 8, 30, tzinfo=UTC)


def main() -> None:
    """Seal, sign and write."""
    signing = DATA / "pki" / "kommune-signing.pem"
    key = DATA / "kommune-signing.key.pem"
    source = sys.stdin.buffer
    length = source.seek(0, 2)
    source.seek(0)
    mail = payload_mail(
        iter(lambda: source.read(_CHUNK), b""),
        length,
        sent=EbxmlMessage(
            EbxmlParties(8_140_000, 122_612, "KPR_IPLsender", "KPR_IPLreceiver"),
            EbxmlNames("S-KPR_IPL", "KPR_IPL", cpa_id(8_140_000, 122_612)),
            MessageIds(_ID, _ID, _AT),
        ),
        addresses=MailAddresses("kommune@edi.nhn.no", "kpr@edi.nhn.no"),
        signer=load_pem(signing.read_bytes(), key.read_bytes(), None, name=signing.name),
        recipient=load_certificate((DATA / "pki" / "fhi-encryption.pem").read_bytes(), "recipient"),
    )
    sys.stdout.buffer.write(header_block(mail.head, at=_AT, attempt=attempt_id(_ID, "1"), host="edi.nhn.no"))
    sys.stdout.buffer.writelines(mail.chunks())


if __name__ == "__main__":
    main()
