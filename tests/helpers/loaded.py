"""Everything loaded before a process forks: what each child would else load by itself, for longer than its run."""

from __future__ import annotations

import functools
import gc
import importlib
import pkgutil
from pathlib import Path

import kpr_sender
from kpr_sender.keys import configured
from kpr_sender.model import Environment
from kpr_sender.preflight import check
from kpr_sender.settings import load
from kpr_sender.settings.values import Settings
from tests.helpers import keys_once, schema_once  # noqa: F401 - so that the forks need not do it either


@functools.cache
def all_loaded(config: str) -> Settings:
    """Import every module of the product, and read a configuration, its keys and the catalogues, once.

    What is loaded stays shared with all forks.

    Args:
        config: Names the files that the forks send.
    """
    settings = load(Path(config), Environment.LOKAL, environ={})
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
