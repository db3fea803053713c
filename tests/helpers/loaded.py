"""Everything loaded before a process forks: what each child would else load by itself, for longer than its run."""

from __future__ import annotations

import dataclasses
import functools
import gc
import importlib
import os
import pkgutil
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import kpr_sender
from kpr_sender.client import Client
from kpr_sender.model import Environment
from kpr_sender.privacy import foreign_text, redact_text, shown_text
from kpr_sender.settings import load
from kpr_sender.settings.values import Settings
from tests.helpers import keys_once, schema_once  # noqa: F401 - so that the forks need not do it either
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality

_DIGITS_TO_LOOK_AT = "12345678901"


@functools.cache
def all_loaded(config: str) -> Settings:
    """Import every module of the product, read a configuration, and send its files once, with a journal of their own.

    What is loaded and compiled by that stays shared with all forks.

    Args:
        config: Of a municipality's folder; names the files that the forks send.
    """
    settings = load(Path(config), Environment.LOKAL, environ={})
    for module in pkgutil.walk_packages(kpr_sender.__path__, "kpr_sender."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for clean in (foreign_text, redact_text, shown_text):
        clean(_DIGITS_TO_LOOK_AT)
    with TemporaryDirectory(prefix="kpr-loaded-") as name, mock.patch.dict(os.environ, XDG_STATE_HOME=name):
        folder = Path(name, "kommune")  # beside the witness, which would else go to the machine's own folder
        folder.mkdir()
        own = dataclasses.replace(settings.journal, path=folder / "journal.db", receipts_dir=folder / "receipts")
        bus = MemoryBus(Fhi(Municipality(Path(config).parent).pki).answer)
        with Client(dataclasses.replace(settings, journal=own), bus=bus) as client:
            client.submit()
            assert client.wait(timeout=0).exit_code == 0
    gc.collect()
    gc.freeze()
    return settings
