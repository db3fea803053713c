"""A text file for Prometheus, by prometheus_client. The only module that knows it.

node_exporter reads the file as another user, so everybody may read it: nothing in it is about a person.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kpr_sender.durable import rewriting
from kpr_sender.errors import ConfigInvalid
from kpr_sender.notify.port import Measured
from kpr_sender.regular_file import read_regular
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.samples import Sample

KEY: Final = "monitor.metrics_file"
_MOST_BYTES: Final = 2_000_000
_FOR_ALL: Final = 0o644
_GROWS: Final = "_total"


class PrometheusFile:
    """A ``MetricsFile``.

    Args:
        path: The file.

    Raises:
        ConfigInvalid: prometheus_client is not there.
    """

    def __init__(self, path: Path) -> None:
        try:
            import prometheus_client  # noqa: F401, PLC0415 - an extra
        except ImportError:
            raise ConfigInvalid(
                Text("Metrics need prometheus-client, which is not installed."),
                where=KEY,
                next_step=Text("Install it: pip install 'kpr-sender[metrics]'."),
            ) from None
        self._path = path

    def read(self) -> Mapping[str, Mapping[tuple[str, ...], float]]:
        """Return what the last run left in it."""
        from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - as above

        found: dict[str, dict[tuple[str, ...], float]] = {}
        try:
            text = read_regular(self._path, most=_MOST_BYTES).decode("utf-8")
            for family in text_string_to_metric_families(text):
                for sample in filter(_is_a_number, family.samples):
                    values = tuple(sample.labels[name] for name in sorted(sample.labels))
                    found.setdefault(sample.name, {})[values] = sample.value
        except (OSError, ValueError, KeyError, IndexError):  # what the parser raises at a text that is none
            return {}
        return found

    def write(self, figures: Sequence[Measured]) -> None:
        """Put another in its place, at once and complete."""
        content = exposition(figures)
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        try:
            with rewriting(self._path, draft=draft, synced=False) as file:
                if sys.platform != "win32":
                    os.fchmod(file.fileno(), _FOR_ALL)
                file.write(content)
        except OSError as error:
            raise ConfigInvalid(
                Text("The metrics file cannot be written: {why}.", why=error.strerror or ""),
                where=f"{KEY}: {self._path}",
            ) from None


def exposition(figures: Sequence[Measured]) -> bytes:
    """Return figures as Prometheus reads them."""
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - an extra

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(figures))
    return generate_latest(registry)


def _is_a_number(sample: Sample) -> bool:
    """Tell whether a figure can be carried on: what is written by hand or damaged may be NaN or endless."""
    return math.isfinite(sample.value)


class _Collected:
    """What prometheus_client asks for figures."""

    def __init__(self, figures: Sequence[Measured]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import (  # noqa: PLC0415 - as above
            CounterMetricFamily,
            GaugeMetricFamily,
        )

        for one in self._figures:
            family = CounterMetricFamily if one.name.endswith(_GROWS) else GaugeMetricFamily
            metric = family(one.name, one.help, labels=list(one.labels))
            for labels, value in one.values.items():
                metric.add_metric(list(labels), value)
            yield metric
