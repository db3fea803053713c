"""Promise G7: nothing in a configuration, be it receiver, bus or register, is another environment's."""

from __future__ import annotations

from kpr_sender.profiles import Profile, guard_environment
from kpr_sender.registry.opening import demand_own_register
from kpr_sender.settings.values import Settings


def demand_one_environment(profile: Profile, settings: Settings) -> None:
    """Refuse a configuration that mixes environments.

    Args:
        profile: The configured year's.
        settings: The configuration.

    Raises:
        ConfigInvalid: Something in it is known to belong to another environment.
    """
    guard_environment(
        profile,
        settings.environment,
        receiver_her_id=profile.receivers[settings.environment].service_her_id,
        queue=settings.receiver.queue,
        host=settings.bus.host,
    )
    demand_own_register(profile, settings)
