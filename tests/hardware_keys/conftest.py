"""A municipality's token."""

from tests.helpers.softhsm import softhsm

__all__ = ["softhsm"]
