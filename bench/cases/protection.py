"""Sealing and opening against two openssl processes joined by a pipe; EDI's mail against who makes it by hand.

Both sides read a file and write one. What their start takes (Python's imports, openssl's loading) is measured in the
same round on 1 kB and taken off, in seconds and in memory, on both sides alike.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.measure import DATA, Case, Run, Sample, pipeline, python, scratch_folder

_PKI: Final = DATA / "pki"
_SIGN: Final = (
    *("openssl", "cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-md", "sha256"),
    *("-signer", str(_PKI / "kommune-signing.pem"), "-inkey", str(DATA / "kommune-signing.key.pem")),
)
# Without -binary openssl would change line ends inside the DER that it is to encrypt.
_ENCRYPT: Final = ("openssl", "cms", "-encrypt", "-binary", "-aes256", "-outform", "DER")
_RECIPIENT: Final = str(_PKI / "fhi-encryption.pem")
_DECRYPT: Final = (
    *("openssl", "cms", "-decrypt", "-binary", "-inform", "DER"),
    *("-recip", _RECIPIENT, "-inkey", str(DATA / "fhi-encryption.key.pem")),
)
_VERIFY: Final = (
    *("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any"),
    *("-certfile", str(_PKI / "kommune-signing.pem"), "-CAfile", str(_PKI / "ca.pem"), "-partial_chain"),
)


@contextmanager
def _sides(ours: Sequence[str], theirs: Sequence[Sequence[str]], size: str, suffix: str) -> Iterator[tuple[Run, Run]]:
    subprocess.run(python("bench.data"), check=True)
    handle, name = tempfile.mkstemp(prefix="kpr-bench-", dir=scratch_folder())
    os.close(handle)
    result = Path(name)

    def side(commands: Sequence[Sequence[str]]) -> Run:
        def run() -> Sample:
            start = pipeline(commands, DATA / f"tiny{suffix}", result)
            return pipeline(commands, DATA / f"{size}{suffix}", result).above(start)

        return run

    try:
        yield side([ours]), side(theirs)
    finally:
        result.unlink()


CASES: Final = (
    Case(
        "seal_vs_openssl_der",
        "200 MB sealed; openssl cms in DER",
        "0.30",
        lambda: _sides(python("bench.protect", "seal"), [_SIGN, (*_ENCRYPT, _RECIPIENT)], "200mb", ".xml"),
    ),
    Case(
        "seal_vs_openssl_stream",
        "200 MB sealed; openssl cms -stream",
        "0.75",
        lambda: _sides(
            python("bench.protect", "seal"),
            [(*_SIGN, "-stream"), (*_ENCRYPT, "-stream", _RECIPIENT)],
            "200mb",
            ".xml",
        ),
    ),
    Case(
        "open_vs_openssl",
        "50 MB opened; openssl cms",
        "0.35",
        lambda: _sides(python("bench.protect", "open"), [_DECRYPT, _VERIFY], "50mb", ".p7m"),
    ),
    Case(
        "edi_build",
        "20 MB to an EDI mail; openssl, xmlsec1, email",
        "1.0",
        lambda: _sides(python("bench.edi_build"), [python("bench.edi_by_hand")], "20mb", ".xml"),
    ),
)
