"""The same tests against both brokers."""

from __future__ import annotations

import pytest

from tests.helpers.rabbitmq import RabbitMq

# The node of each, and with it the process of ``pytest -n`` that runs its tests.
_BROKERS = {"3.10": "rabbitmq", "4.0": "rabbitmq4"}


@pytest.fixture(
    params=[
        pytest.param(fixture, id=version, marks=[pytest.mark.rabbitmq, pytest.mark.xdist_group(fixture)])
        for version, fixture in _BROKERS.items()
    ]
)
def broker(request: pytest.FixtureRequest) -> RabbitMq:
    """RabbitMQ 3.10 and RabbitMQ 4.0, each running and with every queue empty."""
    node: RabbitMq = request.getfixturevalue(request.param)
    return node
