"""Decoding telemetry: the binary batch of the contract against JSON windows, in one run.

What a user would choose instead is one JSON document a window, decoded by json or by msgspec into a typed struct.
Prints microseconds a window (best of several rounds), bytes a window and the ratio to the binary batch.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from fleet_contract.signals import signal_names
from fleet_contract.telemetry import decode_batch, encode_batch, window_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

CLASSES = 10
WINDOWS = 60
ROUNDS = 30


class JsonWindow(msgspec.Struct):
    """The same window as a document."""

    seq: int
    started_s: float
    duration_s: float
    count: int
    means: list[float]
    squares: list[float]
    classes: list[int]
    histograms: list[list[int]]
    latency: list[int]


def best_us(deed: Callable[[], object]) -> float:
    """The shortest of ROUNDS, in microseconds a window."""
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        deed()
        taken.append(time.perf_counter() - started)
    return min(taken) / WINDOWS * 1e6


def main() -> None:
    """Measures and prints a table."""
    rng = np.random.default_rng(1)
    windows = np.zeros(WINDOWS, window_dtype(len(signal_names(CLASSES)), CLASSES))
    for name in ("means", "squares"):
        windows[name] = rng.normal(size=windows[name].shape)
    windows["histograms"] = rng.poisson(2, windows["histograms"].shape)
    windows["latency"] = rng.poisson(1, windows["latency"].shape)
    batch = encode_batch(windows)
    documents = [
        json.dumps({name: row[name].tolist() for name in JsonWindow.__struct_fields__}).encode() for row in windows
    ]
    decoder = msgspec.json.Decoder(JsonWindow)
    rows = {
        "binary batch, numpy": (best_us(decode_batch(batch)["means"].sum), len(batch)),
        "JSON, msgspec struct": (
            best_us(lambda: [decoder.decode(each) for each in documents]),
            sum(map(len, documents)),
        ),
        "JSON, standard library": (best_us(lambda: [json.loads(each) for each in documents]), sum(map(len, documents))),
    }
    base_us = rows["binary batch, numpy"][0]
    print(f"{'':<24}{'us/window':>12}{'bytes/window':>14}{'ratio':>8}")
    for name, (us, size_bytes) in rows.items():
        print(f"{name:<24}{us:>12.2f}{size_bytes / WINDOWS:>14.0f}{us / base_us:>8.1f}")


if __name__ == "__main__":
    main()
