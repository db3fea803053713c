"""What we said of a message against what the broker has: counted on the broker, never in our journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from kpr_sender.bus.port import Outcome, Verdict
from tests.helpers.figures import figure
from tests.helpers.rabbitmq import RabbitMq


def on_broker(node: RabbitMq, *queues: str) -> Counter[str]:
    """Take everything off some queues and count it by message id."""
    return Counter(str(taken.message_id) for queue in queues for taken in node.drain(queue))


def reckon(node: RabbitMq, said: Mapping[str, Outcome], arrived: Mapping[str, int], *, dropped: bool = False) -> None:
    """Compare, count, and fail where a verdict was wrong or a message is there twice.

    Args:
        node: The broker, for the name of the figure.
        said: The outcome of the last attempt, by message id.
        arrived: How often the broker has each.
        dropped: The broker is known to have thrown away what it accepted: no fault of the verdict.
    """
    verdicts = {name: outcome.verdict for name, outcome in said.items()}
    misclassified = [name for name, one in verdicts.items() if one is Verdict.NOT_SENT and arrived.get(name)]
    lost = [name for name, one in verdicts.items() if one is Verdict.ACCEPTED and not arrived.get(name)]
    lost = [] if dropped else lost
    duplicated = [name for name, count in arrived.items() if count > 1]
    figure(
        f"broker faults, RabbitMQ {node.version.rpartition('.')[0]}",
        cases=len(said),
        lost=len(lost),
        duplicated=len(duplicated),
        misclassified=len(misclassified),
    )
    assert not misclassified, "not sent, and the broker has it"
    assert not lost, "accepted, and the broker does not have it"
    assert not duplicated, "the broker has it twice"
