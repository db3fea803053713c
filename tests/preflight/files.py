"""Small files of both types, and how they are looked at."""

from __future__ import annotations

from collections.abc import Sequence

from kpr_sender.model import MessageType
from kpr_sender.preflight import Payload, inspect
from kpr_sender.profiles import load
from tests.helpers.chunks import cut

IPL, IDE = MessageType.KPR_IPL, MessageType.KPR_IDE
PROFILE = load(2024)
NAME = {IPL: "fagmelding.xml", IDE: "identmelding.xml"}

FAGMELDING = b"""<?xml version="1.0" encoding="utf-8"?>
<IPLOS xmlns="http://www.npr.no/xmlstds/iplos/2019" versjon="3.7">
<INNHINFO>
<iiInnhType>P</iiInnhType>
<iiKomnr>3101</iiKomnr>
<iiBydelsnr>00</iiBydelsnr>
<iiKontakt><Type>1</Type><Navn>Kari Eksempel</Navn></iiKontakt>
<iiFraDato>20240101</iiFraDato>
<iiTilDato>20241231</iiTilDato>
<iiLopenr>17</iiLopenr>
</INNHINFO>
<PERSON pePeID="1001"/>
</IPLOS>
"""
IDENTMELDING = b"""<?xml version="1.0" encoding="utf-8"?>
<Melding xmlns="http://www.npr.no/xmlstds/53_1_3_ide" versjon="53.1.3" meldingstype="B"
 fraDatoPeriode="2024-01-01" tilDatoPeriode="2024-12-31" lopenr="A-1">
<Kontaktperson kontPerson="Kari Eksempel"/>
<Institusjon institusjonID="999999999">
<PasientIdent pid="1001" fid="01810112345" typeID="1"/>
</Institusjon>
</Melding>
"""
GOOD = {IPL: FAGMELDING, IDE: IDENTMELDING}


def look(data: bytes, expected: MessageType = IPL, *, places: Sequence[int] = (), year: int = 2024) -> Payload:
    return inspect(cut(data, places), expected, name=NAME[expected], profile=load(year))
