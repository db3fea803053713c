"""What one kind of error is: the rule, how the pair is changed, and what comes with it by necessity."""

from __future__ import annotations

from dataclasses import dataclass

from kpr_sender.model import Environment
from kpr_sender.sandbox.sample_errors_pair import Change


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of error.

    Attributes:
        rule: The rule that is broken.
        change: How the pair is changed for it.
        also: Rules that are broken with it by necessity.
        about: Element or attribute that the finding names last; empty where it names none.
        environment: Where it is an error.
        crowd: How many more persons are changed in the same way.
        companion: Whether a person that is right stands in the pair as well.
        compared: Whether last year's file is needed to find it.
        owned: Whether the municipality's own organisation number must be known, and be another.
        listed: Whether the person must be on the municipality's list of test persons.
        alone: Whether it hides, or makes, what other errors are about.
    """

    rule: str
    change: Change
    also: tuple[str, ...] = ()
    about: str = ""
    environment: Environment = Environment.LOKAL
    crowd: int = 0
    companion: bool = True
    compared: bool = False
    owned: bool = False
    listed: bool = False
    alone: bool = False

    @property
    def rules(self) -> frozenset[str]:
        """All that is found."""
        return frozenset({self.rule, *self.also})
