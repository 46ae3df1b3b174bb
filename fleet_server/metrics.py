"""Figures for Prometheus. What the fleet is comes from its status at the time of asking; the rest is counted."""

from __future__ import annotations

from collections import Counter as Count
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.metrics_core import Metric

    from fleet_contract.api import FleetStatus

BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)


class Metrics:
    """The registry of one server. `count_request` is called for each HTTP request."""

    media_type: Final = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "edgeferry_http_requests", "HTTP requests.", ["method", "route", "status"], registry=self._registry
        )
        self._durations = Histogram(
            "edgeferry_http_request_duration_seconds",
            "Time to answer an HTTP request.",
            ["method"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )

    def watch_fleet(self, status: Callable[[], FleetStatus]) -> None:
        """Adds the gauges of the fleet, read from `status` when somebody asks."""
        self._registry.register(_FleetCollector(status))

    def watch_counters(self, name: str, help_: str, label: str, counts: Callable[[], Mapping[str, int]]) -> None:
        """Adds a counter that another part keeps: `counts` gives its value for each word of `label`."""
        self._registry.register(_CountsCollector(name, help_, label, counts))

    def count_request(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Counts one request; `route` is the template, not the path, so that names do not multiply."""
        self._requests.labels(method, route, str(status)).inc()
        self._durations.labels(method).observe(duration_s)

    def exposition(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)


class _FleetCollector(Collector):
    def __init__(self, status: Callable[[], FleetStatus]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        status = self._status()
        plain = {
            "edgeferry_devices": ("Devices in the fleet.", status.devices),
            "edgeferry_devices_online": ("Devices that are connected.", status.online),
            "edgeferry_devices_drifted": ("Devices whose data or model drifts.", status.drifted),
            "edgeferry_alerts_open": ("Alerts that nobody has resolved.", status.open_alerts),
            "edgeferry_retrain_requests_open": ("Retrain requests that have not ended.", status.open_retrain_requests),
        }
        for name, (help_, value) in plain.items():
            yield GaugeMetricFamily(name, help_, value=value)
        running = GaugeMetricFamily("edgeferry_model_devices", "Devices by version.", labels=["model", "version"])
        for model in status.models:
            running.add_metric([model.model, str(model.version)], model.devices)
        yield running
        rollouts = GaugeMetricFamily("edgeferry_rollouts", "Rollouts not ended, and the last.", labels=["state"])
        for state, count in Count(rollout.state.value for rollout in status.rollouts).items():
            rollouts.add_metric([state], count)
        yield rollouts


class _CountsCollector(Collector):
    def __init__(self, name: str, help_: str, label: str, counts: Callable[[], Mapping[str, int]]) -> None:
        self._name, self._help, self._label, self._counts = name, help_, label, counts

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._help, labels=[self._label])
        for word, count in self._counts().items():
            family.add_metric([word], count)
        yield family
