"""docs/exit-codes.md follows the classes in errors.py."""

from __future__ import annotations

import runpy
from pathlib import Path

from kpr_sender.errors import (
    ERRORS,
    AccessRefused,
    AnswerUnopened,
    BusUnreachable,
    EvidenceNotGenuine,
    NoticeNotSent,
    ReceiptUnverified,
    RegistryUnreachable,
)

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_document_is_current() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_exit_codes.py"))

    assert (ROOT / "docs" / "exit-codes.md").read_text("utf-8") == script["documentation"]()


def test_only_what_is_out_of_reach_cannot_be_verified_or_lacks_keys_and_logins_shares_an_exit_code() -> None:
    assert len({error.code for error in ERRORS}) == len(ERRORS)
    sharing = {RegistryUnreachable, NoticeNotSent, AnswerUnopened, EvidenceNotGenuine}
    apart = [error.exit_code for error in ERRORS if error not in sharing]
    assert len(set(apart)) == len(apart)
    assert AnswerUnopened.exit_code == AccessRefused.exit_code
    assert RegistryUnreachable.exit_code == NoticeNotSent.exit_code == BusUnreachable.exit_code
    assert EvidenceNotGenuine.exit_code == ReceiptUnverified.exit_code
