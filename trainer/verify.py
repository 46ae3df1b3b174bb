"""Checks of data against their schema: every anomaly in words, with a count and examples.

Rules: pure. Base data must meet all of the schema; samples from the fleet all but the class shares, since a device sees
what stands before it. Conflicting labels are told and do not stop a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import DataError
from trainer.leakage import row_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.dataset import Dataset
    from trainer.schema import DataSchema

MAX_EXAMPLES = 5
MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One way in which data differ from their schema. `rows` are examples, not all of `count`.

    A `fatal` one stops a training; one that is not `waivable` does so whoever accepts it.
    """

    kind: str
    count: int
    words: str
    rows: tuple[int, ...] = ()
    fatal: bool = True
    waivable: bool = True

    def __str__(self) -> str:
        """The anomaly as a line for people."""
        where = f" (rows {', '.join(map(str, self.rows))}{', ...' if self.count > len(self.rows) else ''})"
        return f"{self.kind}: {self.words}{where if self.rows else ''}"


def find_anomalies(data: Dataset, schema: DataSchema) -> list[Anomaly]:
    """Everything about `data` that `schema` does not allow, worst first; empty when all is well."""
    form = _form(data, schema)
    if form:
        return form
    base = data.rows(np.flatnonzero(~data.fleet_mask))
    return [*_missing(data, schema), *_out_of_range(data, schema), *_class_balance(base, schema), *_conflicts(data)]


def require_sound(anomalies: list[Anomaly], source: str) -> None:
    """Passes when no anomaly is fatal.

    Raises:
        DataError: at least one is; the message names the first few.
    """
    fatal = [anomaly for anomaly in anomalies if anomaly.fatal]
    if not fatal:
        return
    lines = "".join(f"\n  {anomaly}" for anomaly in fatal[:MAX_NAMED])
    more = f"\n  and {len(fatal) - MAX_NAMED} more" if len(fatal) > MAX_NAMED else ""
    raise DataError(
        f"{source}: got {len(fatal)} kinds of anomaly, expected none:{lines}{more}",
        hint="mend the data; where they are right, correct the schema: edgeferry data schema --update",
    )


def accepted(anomalies: list[Anomaly], source: str, accept: str) -> str:
    """`accept`, followed by the fatal anomalies that it takes; empty when there are none.

    Raises:
        DataError: there are fatal anomalies, and `accept` is empty or cannot take one of them.
    """
    fatal = [anomaly for anomaly in anomalies if anomaly.fatal]
    if not accept or any(not anomaly.waivable for anomaly in fatal):
        require_sound(anomalies, source)
    return f"{accept} ({'; '.join(map(str, fatal))})" if fatal else ""


def finite_rows(data: Dataset) -> NDArray[np.bool_]:
    """Which rows hold neither NaN nor infinity."""
    if data.inputs_B.dtype.kind != "f":
        return np.ones(len(data), np.bool_)
    return np.asarray(np.isfinite(data.inputs_B).reshape(len(data), -1).all(axis=1), np.bool_)


def _form(data: Dataset, schema: DataSchema) -> list[Anomaly]:
    found = []
    if len(data) == 0:
        found.append(Anomaly("rows", 0, "got none, expected some", waivable=False))
    for kind, got, expected in (
        ("dtype", data.inputs_B.dtype.name, schema.dtype.value),
        ("shape", list(data.sample_shape), list(schema.shape)),
        ("labels", list(data.label_names), list(schema.labels)),
    ):
        if got != expected:
            found.append(Anomaly(kind, len(data), f"got {got}, expected {expected}", waivable=False))
    return found


def _missing(data: Dataset, schema: DataSchema) -> list[Anomaly]:
    bad_B = ~finite_rows(data)
    count = int(bad_B.sum())
    if count == 0:
        return []
    words = f"{count} of {len(data)} rows hold NaN or infinity, expected at most {schema.max_missing_fraction:.2%}"
    fatal = count > schema.max_missing_fraction * len(data)
    return [Anomaly("missing", count, words, _examples(bad_B), fatal=fatal)]


def _out_of_range(data: Dataset, schema: DataSchema) -> list[Anomaly]:
    flat_BN = data.inputs_B.reshape(len(data), -1)
    with np.errstate(invalid="ignore"):
        outside_BN = np.isfinite(flat_BN) & ((flat_BN < schema.low) | (flat_BN > schema.high))
    outside_B = np.asarray(outside_BN.any(axis=1), np.bool_)
    if not outside_B.any():
        return []
    value = flat_BN[outside_BN][0]
    words = f"{int(outside_B.sum())} rows hold values outside [{schema.low:g}, {schema.high:g}], for instance {value:g}"
    return [Anomaly("range", int(outside_B.sum()), words, _examples(outside_B))]


def _class_balance(base: Dataset, schema: DataSchema) -> list[Anomaly]:
    counts_K = np.bincount(base.labels_B, minlength=len(schema.labels))
    found = []
    for label, count, expected in zip(schema.labels, counts_K.tolist(), schema.class_shares, strict=True):
        share = count / max(1, len(base))
        if count < schema.min_rows_per_class:
            found.append(
                Anomaly("class", count, f"{label!r} has {count} rows, expected at least {schema.min_rows_per_class}")
            )
        elif abs(share - expected) > schema.max_share_change:
            words = f"{label!r} is {share:.1%} of the rows, expected {expected:.1%} +- {schema.max_share_change:.1%}"
            found.append(Anomaly("class share", count, words))
    return found


def _conflicts(data: Dataset) -> list[Anomaly]:
    """Rows whose input occurs elsewhere with another label."""
    _, group_B = np.unique(row_hashes(data.inputs_B), return_inverse=True)
    pairs = np.unique(np.stack([group_B, data.labels_B]), axis=1)
    labels_of_group = np.bincount(pairs[0], minlength=int(group_B.max()) + 1)
    conflict_B: NDArray[np.bool_] = labels_of_group[group_B] > 1
    count = int(conflict_B.sum())
    if count == 0:
        return []
    words = f"{count} rows are equal to another row with another label"
    return [Anomaly("conflicting labels", count, words, _examples(conflict_B), fatal=False)]


def _examples(mask_B: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(row) for row in np.flatnonzero(mask_B)[:MAX_EXAMPLES])
