"""EDI's messages: ebXML Messaging 2.0 in the Norwegian profile (HIS 1037, HITS 1171, HITS 1172), written and read.

Pure: bytes, keys and values in, bytes and values out; no clock, no ids, no sockets. ``envelope`` makes the SOAP
envelopes, ``signature`` signs and verifies them, ``mail`` writes mails, ``read_mail`` reads them, ``answers`` says what
one is and how far it is verified.
"""
