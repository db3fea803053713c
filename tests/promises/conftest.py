"""A municipality in a folder, and FHI with the keys that go with it."""

from tests.helpers.engine_fixtures import fhi, kommune

__all__ = ["fhi", "kommune"]
