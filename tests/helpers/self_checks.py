"""A municipality whose self-checks are all green, and what tests ask of the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kpr_sender.operator.self_check import CHECKS, Check, CheckResult, Status
from kpr_sender.settings.values import Settings
from tests.helpers.municipality import Changes, Municipality


@dataclass(frozen=True)
class Stage:
    """A municipality and the bus it can reach; each test configures it anew."""

    made: Municipality
    port: int

    def settings(self, changes: Changes | None = None, *, port: int | None = None) -> Settings:
        return self.made.configure(changes, port=port or self.port)


def lights(lines: Sequence[CheckResult], light: Status) -> set[str]:
    return {line.name for line in lines if line.status is light}


def only(name: str) -> tuple[Check, ...]:
    return tuple(replace(check, needs=()) for check in CHECKS if check.name == name)
