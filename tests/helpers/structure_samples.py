"""A small right file of each kind; what stands on which line is part of them."""

from __future__ import annotations

IPLOS = b"""<IPLOS xmlns="http://www.npr.no/xmlstds/iplos/2019" versjon="3.7">
<INNHINFO><iiInnhType>P</iiInnhType><iiKomnr>9999</iiKomnr><iiBydelsnr>00</iiBydelsnr>
<iiKontakt><Type>1</Type><Navn>A</Navn><Telefon>1</Telefon><Epost>a</Epost></iiKontakt>
<iiKontakt><Type>2</Type><Navn>B</Navn><Telefon>2</Telefon><Epost>b</Epost></iiKontakt>
<iiFraDato>20240101</iiFraDato><iiTilDato>20241231</iiTilDato><iiLagetDato>20250106</iiLagetDato>
<iiSysID>EPJ</iiSysID><iiSysVersjon>1</iiSysVersjon><iiLopenr>1</iiLopenr></INNHINFO>
<PERSON pePeID="17">
<peAlder>80</peAlder>
<peKjonn>K</peKjonn>
<TJENESTE tjPeID="17" tjTjID="3">
<tjTjenType>15</tjTjenType>
<tjFraDato>20240101</tjFraDato>
</TJENESTE>
</PERSON>
</IPLOS>"""
IDE = b"""<Melding xmlns="http://www.npr.no/xmlstds/53_1_3_ide" versjon="53.1.3" meldingstype="B" lopenr="1"
 fraDatoPeriode="2024-01-01" tilDatoPeriode="2024-12-31" uttakDato="2025-01-06" leverandor="L" navnEPJ="E"
 versjonEPJ="1" versjonUt="1"><Kontaktperson kontPerson="A" meldEpost1="a" typeKontaktperson="16"/>
<Institusjon institusjonID="1">
<PasientIdent pid="17" fid="0" typeID="1"/>
<PasientIdent pid="18" fid="0" typeID="1"/>
</Institusjon>
</Melding>"""
