"""The same tests against every broker."""

from __future__ import annotations

import pytest

from tests.helpers.rabbitmq import RabbitMq

# The node of each, and with it the process of ``pytest -n`` that runs its tests.
_BROKERS = {"3.10": "rabbitmq", "4.0": "rabbitmq4", "4.3": "rabbitmq43"}
_PARAMETERS = [
    pytest.param(fixture, id=version, marks=[pytest.mark.rabbitmq, pytest.mark.xdist_group(fixture)])
    for version, fixture in _BROKERS.items()
]


@pytest.fixture(params=_PARAMETERS[:2])
def broker(request: pytest.FixtureRequest) -> RabbitMq:
    """RabbitMQ 3.10 and RabbitMQ 4.0, each running and with every queue empty."""
    node: RabbitMq = request.getfixturevalue(request.param)
    return node


@pytest.fixture(params=_PARAMETERS)
def every_broker(request: pytest.FixtureRequest) -> RabbitMq:
    """RabbitMQ 3.10, 4.0 and 4.3, each running and with every queue empty."""
    node: RabbitMq = request.getfixturevalue(request.param)
    return node


_AT_NIGHT = [pytest.param(*one.values, id=one.id, marks=[*one.marks, pytest.mark.nightly]) for one in _PARAMETERS[1:]]


@pytest.fixture(params=[_PARAMETERS[0], *_AT_NIGHT])
def a_broker(request: pytest.FixtureRequest) -> RabbitMq:
    """RabbitMQ 3.10, and the others at night, running and with every queue empty."""
    node: RabbitMq = request.getfixturevalue(request.param)
    return node
