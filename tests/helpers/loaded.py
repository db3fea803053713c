"""Everything loaded before a process forks: what each child would else load by itself, for longer than its run."""

from __future__ import annotations

import gc
import importlib
import pkgutil

import kpr_sender
from kpr_sender.preflight import check
from kpr_sender.settings.values import Settings


def load_all(settings: Settings) -> None:
    """Import every module of the product and read its catalogues; what is loaded stays shared with all forks.

    Args:
        settings: Name the files that the forks send.
    """
    for module in pkgutil.walk_packages(kpr_sender.__path__, "kpr_sender."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    files = settings.files
    assert files.fagmelding is not None
    assert files.identmelding is not None
    with files.fagmelding.open("rb") as fagmelding, files.identmelding.open("rb") as identmelding:
        check(fagmelding, identmelding, settings.report.year)
    gc.freeze()
