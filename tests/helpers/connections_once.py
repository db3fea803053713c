"""Proton's configuration of TLS is made once in a process: each of the tests' blocking connections made two of its own.

OpenSSL takes a tenth of a second of the processor for those, also where a connection is without TLS, as ours are.
"""

from __future__ import annotations

import functools

from proton import _reactor

_reactor.SSLConfig = functools.cache(_reactor.SSLConfig)  # type: ignore[assignment,misc]  # none of the tests changes it
