"""An engine on a scripted bus, with FHI on the other side."""

from tests.helpers.engine_fixtures import bus, events, fhi, kommune, new_client, silent_bus

__all__ = ["bus", "events", "fhi", "kommune", "new_client", "silent_bus"]
