"""Rows a second of verification: ours against pandera and a TFDV-style pass in pandas and pyarrow, on one table.

What a user would choose instead is a pandera schema with the same ranges, or a pass that makes the statistics of
TensorFlow Data Validation for numbers (count, missing, zeros, mean, deviation, extremes, median, ten buckets of equal
width and ten of equal count), whose own wheels have not been made for current Pythons. Prints rows a second (best of
several rounds) and the ratio to ours. pandera is left out where it is not installed: `pip install pandera`.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fleet_contract.release import Feature
from trainer.data.dataset import Dataset, no_slices
from trainer.data.feature_view import feature_view
from trainer.data.schema import infer_schema
from trainer.data.statistics import describe
from trainer.data.verify import find_anomalies
from trainer.data.verify_features import feature_anomalies

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.data.schema import DataSchema

ROUNDS = 3
COLUMNS = 20
BUCKETS = 10
QUANTILES = [share / BUCKETS for share in range(BUCKETS + 1)]


def make_table(rows: int) -> Dataset:
    """Normal columns of different scale and a label of two classes."""
    rng = np.random.default_rng(0)
    inputs_B = (rng.normal(size=(rows, COLUMNS)) * np.logspace(-1, 3, COLUMNS)).astype(np.float32)
    return Dataset(
        inputs_B=inputs_B,
        labels_B=rng.integers(0, 2, rows),
        label_names=("off", "on"),
        slices_B=no_slices(rows),
        source="benchmark",
        features=tuple(Feature(name=f"column_{index}") for index in range(COLUMNS)),
    )


def best_s(deed: Callable[[], object]) -> float:
    """The shortest of ROUNDS."""
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        deed()
        taken.append(time.perf_counter() - started)
    return min(taken)


def pandera_check(frame: pd.DataFrame, schema: DataSchema) -> Callable[[], object] | None:
    """The same ranges and no missing values, checked lazily as ours are; None without pandera."""
    if importlib.util.find_spec("pandera") is None:
        return None
    import pandera.pandas as pandera

    checks = {
        feature.name: pandera.Column("float32", pandera.Check.in_range(feature.low, feature.high), nullable=False)
        for feature in schema.features
    }
    checker = pandera.DataFrameSchema(checks)
    return lambda: checker.validate(frame, lazy=True)


def pandas_copies(frame: pd.DataFrame, schema: DataSchema) -> int:
    """Ranges, missing values and equal rows as one would write them in pandas."""
    outside = sum(int((~frame[one.name].between(one.low, one.high)).sum()) for one in schema.features)
    return outside + int(frame.isna().sum().sum()) + int(frame.duplicated().sum())


def pandas_statistics(frame: pd.DataFrame) -> list[object]:
    """What TFDV tells of each column, in pandas."""
    return [
        (
            column.agg(["count", "mean", "std", "min", "median", "max"]),
            column.isna().sum(),
            (column == 0).sum(),
            column.quantile(QUANTILES),
            np.histogram(column, bins=BUCKETS),
        )
        for _, column in frame.items()
    ]


def arrow_statistics(table: pa.Table) -> list[object]:
    """The same in pyarrow, with the median among the quantiles; numpy makes the histogram, which pyarrow lacks."""
    return [
        (
            pc.min_max(column),
            pc.mean(column),
            pc.stddev(column),
            pc.quantile(column, QUANTILES),
            column.null_count,
            pc.sum(pc.equal(column, 0.0)),
            np.histogram(column.to_numpy(), bins=BUCKETS),
        )
        for column in table.columns
    ]


def main() -> None:
    """Measures and prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    data = make_table(rows)
    schema = infer_schema(data)
    view = feature_view(data)
    frame = pd.DataFrame(view.values_VF, columns=list(view.names))
    table = pa.Table.from_pandas(frame)
    print(f"{rows} rows of {COLUMNS} float32 columns")
    by_pandera = pandera_check(frame, schema)
    report(
        "checks: range, missing (and equal rows)",
        {
            "edgeferry, values only": lambda: feature_anomalies(data, schema),
            "edgeferry, with equal rows": lambda: find_anomalies(data, schema),
            "pandas, with equal rows": lambda: pandas_copies(frame, schema),
            "pandera, values only": by_pandera,
        },
        rows,
    )
    report(
        "statistics",
        {
            "edgeferry (also equal rows, distinct values)": lambda: describe(data),
            "pandas": lambda: pandas_statistics(frame),
            "pyarrow": lambda: arrow_statistics(table),
        },
        rows,
    )
    report(
        "both, as a verification needs them",
        {
            "edgeferry": lambda: (find_anomalies(data, schema), describe(data)),
            "pandera and pandas": by_pandera and (lambda: (by_pandera(), pandas_statistics(frame))),
            "pandera and pyarrow": by_pandera and (lambda: (by_pandera(), arrow_statistics(table))),
        },
        rows,
    )


def report(title: str, deeds: dict[str, Callable[[], object] | None], rows: int) -> None:
    """Prints rows a second and how many times slower than the first."""
    print(title)
    first = 0.0
    for name, deed in deeds.items():
        if deed is None:
            print(f"  {name:45} not installed")
            continue
        taken_s = best_s(deed)
        first = first or taken_s
        print(f"  {name:45} {rows / taken_s:12,.0f} rows/s   {taken_s / first:5.2f} x the time of the first")


if __name__ == "__main__":
    main()
