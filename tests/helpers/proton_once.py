"""The TLS domains of proton's containers are made once in a process: each one reads the machine's authorities anew.

Only the tests' own clients have containers, a blocking connection one, and none of those speaks TLS: to make its two
domains took longer than all else that such a client does.
"""

from __future__ import annotations

import functools

from proton import _reactor

_reactor.SSLConfig = functools.cache(_reactor.SSLConfig)  # type: ignore[assignment,misc]
