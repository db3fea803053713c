"""Rules on one organisation number, wherever it stands."""

from __future__ import annotations

from kpr_sender.organisation_number import is_synthetic, is_valid, normal
from kpr_sender.preflight.finding import Hit
from kpr_sender.preflight.record import Circumstances

_REMEMBERED = 10_000  # distinct numbers; a municipality's services are performed by some hundred units


class OrganisationNumbers:
    """Judges organisation numbers; few different ones stand in a file, so each is looked at once.

    Args:
        circumstances: Whether only real units are wanted.
    """

    def __init__(self, circumstances: Circumstances) -> None:
        self._production = circumstances.production
        self._known: dict[tuple[str, str], tuple[Hit, ...]] = {}

    def hits(self, field: str, number: str) -> tuple[Hit, ...]:
        """Return what a number breaks, never quoting it: a wrong one may be anything.

        Args:
            field: The element or attribute it stands in.
            number: As it stands; a 0 may follow the nine digits.
        """
        known = self._known.get((field, number))
        if known is None:
            known = self._judge(field, number)
            if len(self._known) < _REMEMBERED:
                self._known[field, number] = known
        return known

    def _judge(self, field: str, number: str) -> tuple[Hit, ...]:
        if normal(number) is None:
            return ()  # its form is a field rule's
        if not is_valid(number):
            return (Hit("orgnr.invalid", field, "The first digit or the check digit is wrong."),)
        if self._production and is_synthetic(number):
            return (Hit("orgnr.synthetic", field, "It begins with 2 or 3."),)
        return ()
