"""What each of a fleet's runs would make anew, made once by the process that they begin from; imported there alone.

To read the rules of the check and to compile what finds them takes longer than to check a small municipality's pair.
"""

from __future__ import annotations

from contextlib import suppress

from kpr_sender.model import Environment, MessageType
from kpr_sender.preflight.fagmelding import Fagmelding
from kpr_sender.preflight.identmelding import Identmelding
from kpr_sender.preflight.model import Circumstances
from kpr_sender.preflight.rules.pair import Pair
from kpr_sender.privacy import redact_text, shown_text
from kpr_sender.profiles import known_years, load


def make_ready() -> None:
    """Read the rules of every year that is known, and compile what finds what breaks them."""
    for year in known_years():
        circumstances, pair = Circumstances(year, Environment.PRODUKSJON), Pair(b"", year)
        formats = load(year).formats
        for form in formats[MessageType.KPR_IPL]:
            Fagmelding(form.namespace, circumstances, pair)
        for form in formats[MessageType.KPR_IDE]:
            Identmelding(form, circumstances, pair, lambda _: False)
    digits = "0" * 20
    redact_text(digits)
    shown_text(digits)


with suppress(Exception):  # what is wrong each run says by itself
    make_ready()
