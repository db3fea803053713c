"""Each PKCS#12 file is opened once in a process: that its primes are prime takes longer than most tests' runs.

Only the library's reading is remembered, by content and passphrase. What we do with it runs each time.
"""

from __future__ import annotations

import functools

from cryptography.hazmat.primitives.serialization import pkcs12

pkcs12.load_pkcs12 = functools.lru_cache(maxsize=None)(pkcs12.load_pkcs12)
