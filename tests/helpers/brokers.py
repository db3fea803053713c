"""The real brokers, as parameters of a fixture: a test runs on some of them in every run, on the others at night."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.helpers.rabbitmq import RabbitMq

NODES: Final = {"3.10": "rabbitmq_node", "4.0": "rabbitmq4_node", "4.3": "rabbitmq43_node"}
"""The fixture of each broker's node. Its tests are one group: ``pytest -n`` runs them in one process."""


def on(*in_every_run: str) -> list[Any]:
    """Return a fixture's parameters.

    Args:
        in_every_run: The brokers to run on whatever the run is; on all others ``make nightly`` does.
    """
    return [
        pytest.param(
            node,
            id=version,
            marks=[
                *(pytest.mark.rabbitmq, pytest.mark.xdist_group(node.removesuffix("_node"))),
                *([] if version in in_every_run else [pytest.mark.nightly]),
            ],
        )
        for version, node in NODES.items()
    ]


def fresh(request: pytest.FixtureRequest) -> RabbitMq:
    """Return the broker of a fixture's parameter, running and with every queue empty."""
    node: RabbitMq = request.getfixturevalue(request.param)
    return node.fresh()


@pytest.fixture(params=on("3.10", "4.0", "4.3"))
def every_broker(request: pytest.FixtureRequest) -> RabbitMq:
    """Every broker, in every run."""
    return fresh(request)


@pytest.fixture(params=on("3.10", "4.0"))
def broker(request: pytest.FixtureRequest) -> RabbitMq:
    """RabbitMQ 3.10 and 4.0, and 4.3 at night."""
    return fresh(request)


@pytest.fixture(params=on("3.10"))
def a_broker(request: pytest.FixtureRequest) -> RabbitMq:
    """RabbitMQ 3.10, and the others at night."""
    return fresh(request)


@pytest.fixture(params=on("4.0")[1:])
def broker4(request: pytest.FixtureRequest) -> RabbitMq:
    """RabbitMQ 4.0, and 4.3 at night: for what 3.10 does in another way, or not at all."""
    return fresh(request)
