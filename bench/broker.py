"""``python -m bench.broker FOLDER``: a RabbitMQ of the measurement's own.

Writes one line of JSON (where it is) when it is ready, and one for each line it reads, once every queue is empty. Ends
with its input.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.helpers.rabbitmq import EXCHANGE, KOMMUNE_HER_ID, KPR_HER_ID, RabbitMq, installed


def main(folder: Path) -> None:
    """Serve until standard input ends."""
    sbin = installed()
    if sbin is None:
        print(json.dumps({"missing": "RabbitMQ is not installed: apt-get install rabbitmq-server"}), flush=True)
        return
    node = RabbitMq(sbin, folder)
    try:
        node.start()
        where = {
            "host": node.host,
            "port": node.tls_port,
            "ca_file": str(node.ca_file),
            "username": "kommune",
            "password": node.password("kommune"),
            "exchange": EXCHANGE,
            "queue": f"{KPR_HER_ID}_async",
            "sender_her_id": KOMMUNE_HER_ID,
        }
        print(json.dumps(where), flush=True)
        for _ in sys.stdin:
            node.fresh()
            print("{}", flush=True)
    finally:
        node.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
