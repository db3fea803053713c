"""Everything loaded before a process forks: what each child would else load by itself, for longer than its run."""

from __future__ import annotations

import functools
import gc
import importlib
import pkgutil
from pathlib import Path

import kpr_sender
from kpr_sender.keys import configured
from kpr_sender.keys.files import KeyPair
from kpr_sender.model import Environment
from kpr_sender.preflight import check
from kpr_sender.settings import load
from kpr_sender.settings.secrets import KeySource
from kpr_sender.settings.values import Settings

_load_key = configured.load_key
_keys: dict[bytes, KeyPair] = {}


@functools.cache
def all_loaded(config: str) -> Settings:
    """Import every module of the product, and read a configuration, its keys and the catalogues, once.

    What is loaded stays shared with all forks.

    Args:
        config: Names the files that the forks send.
    """
    settings = load(Path(config), Environment.LOKAL, environ={})
    configured.load_key = _loaded_key
    for source in (settings.keys.signing, *settings.keys.decryption):
        configured.load_key(source)
    for module in pkgutil.walk_packages(kpr_sender.__path__, "kpr_sender."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    files = settings.files
    assert files.fagmelding is not None
    assert files.identmelding is not None
    with files.fagmelding.open("rb") as fagmelding, files.identmelding.open("rb") as identmelding:
        check(fagmelding, identmelding, settings.report.year)
    gc.freeze()
    return settings


def _loaded_key(source: KeySource) -> KeyPair:
    """Opening a PKCS#12 file takes longer than all the rest of a run: once is enough."""
    assert source.pkcs12 is not None
    content = source.pkcs12.read_bytes()
    if content not in _keys:
        _keys[content] = _load_key(source)
    return _keys[content]
