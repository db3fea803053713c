"""The environment that a program names."""

from __future__ import annotations

from kpr_sender.errors import UsageError
from kpr_sender.model import Environment
from kpr_sender.texts import Text, listed


def environment_named(name: str | Environment) -> Environment:
    """Return the environment of a name.

    Raises:
        UsageError: There is none of that name.
    """
    try:
        return Environment(name)
    except ValueError:  # what was written is not repeated: it may be anything
        raise UsageError(
            Text("There is no such environment."),
            where="environment",
            next_step=Text("Name one of {names}.", names=listed(*(one.value for one in Environment))),
        ) from None
