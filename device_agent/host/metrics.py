"""The host's figures in Prometheus' text format; names end in their unit, totals in `_total`. Pure.

Source: Prometheus exposition format 0.0.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.telemetry import LATENCY_BINS_PER_OCTAVE, LATENCY_FLOOR_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_agent.host.statistics import Statistics

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_DURATION: Final = "edgeferry_inference_duration_seconds"


def render_metrics(statistics: Statistics, labels: Mapping[str, str], *, rss_bytes: float, age_s: float) -> str:
    """One scrape. `labels` name model, version, variant and digest; `age_s` is since the host took over."""
    who = _labels({name: value for name, value in labels.items() if name != "digest"})
    lines = ["# TYPE edgeferry_inference_requests_total counter"]
    for outcome, total in statistics.requests.items():
        lines.append(f"edgeferry_inference_requests_total{{{who},{_labels({'outcome': outcome.value})}}} {total}")
    lines += _counter("edgeferry_inferences_total", who, statistics.inferences)
    lines += _gauge("edgeferry_inference_in_flight", who, statistics.in_flight)
    lines += _histogram(statistics, who)
    lines += _gauge("edgeferry_model_info", _labels(labels), 1)
    lines += _gauge("edgeferry_model_age_seconds", who, age_s)
    lines += _gauge("process_resident_memory_bytes", "", rss_bytes)
    return "\n".join(lines) + "\n"


def _histogram(statistics: Statistics, who: str) -> list[str]:
    """Cumulative buckets, one an octave."""
    lines = [f"# TYPE {_DURATION} histogram"]
    cumulative = np.cumsum(statistics.latency)
    for index in range(LATENCY_BINS_PER_OCTAVE - 1, len(cumulative) - 1, LATENCY_BINS_PER_OCTAVE):
        edge_s = LATENCY_FLOOR_MS * 2.0 ** ((index + 1) / LATENCY_BINS_PER_OCTAVE) / 1000.0
        lines.append(f'{_DURATION}_bucket{{{who},le="{edge_s:g}"}} {cumulative[index]}')
    total = int(cumulative[-1])
    lines.append(f'{_DURATION}_bucket{{{who},le="+Inf"}} {total}')
    lines.append(f"{_DURATION}_sum{{{who}}} {statistics.latency_sum_ms / 1000.0:g}")
    lines.append(f"{_DURATION}_count{{{who}}} {total}")
    return lines


def _counter(name: str, who: str, value: float) -> list[str]:
    return [f"# TYPE {name} counter", f"{name}{{{who}}} {value:g}"]


def _gauge(name: str, who: str, value: float) -> list[str]:
    return [f"# TYPE {name} gauge", f"{name}{{{who}}} {value:g}" if who else f"{name} {value:g}"]


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
