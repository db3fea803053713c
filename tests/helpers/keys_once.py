"""Each private key of the tests is read once in a process: proving its primes takes longer than most tests do.

Only the library's reading is remembered, by content and passphrase. What we do with it runs each time.
"""

from __future__ import annotations

import functools

from cryptography.hazmat.primitives.serialization import pkcs12

from kpr_sender.keys import files

load_anew = pkcs12.load_pkcs12
"""The library's own, for who wants to see what it does while it reads."""

pkcs12.load_pkcs12 = functools.lru_cache(maxsize=None)(pkcs12.load_pkcs12)
files.load_pem_private_key = functools.lru_cache(maxsize=None)(files.load_pem_private_key)  # type: ignore[assignment,attr-defined]
