"""CMS sealing and opening, keys, certificates and XMLDSig. Pure: bytes, keys and values in, bytes and values out.

The public surface, by module: ``seal`` (``seal``, ``sealed_length``, ``signed_data``), ``open`` (``open_sealed``,
``Policy``, ``Opened``), ``keys``, ``certificates``, ``xml_signing``, ``xmldsig``, ``port`` (what a key in an HSM must
be able to do), ``pkcs11`` (a key in an HSM) and ``refused`` (every way in which a message is refused). Nothing is
imported here, so that whoever needs only the exceptions does not load the cryptography.
"""
