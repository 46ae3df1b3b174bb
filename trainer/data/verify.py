"""Checks of data against their schema: every anomaly in words, with a count and examples.

Rules: pure. Base data must meet all of the schema; samples from the fleet all but the class shares, since a device sees
what stands before it. Conflicting labels are told and do not stop a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fleet_contract.errors import DataError
from trainer.data.anomaly import Anomaly, examples
from trainer.data.equal_rows import first_equal_rows
from trainer.data.verify_features import feature_anomalies, feature_form

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset
    from trainer.data.schema import DataSchema

MAX_NAMED = 5


def find_anomalies(data: Dataset, schema: DataSchema) -> list[Anomaly]:
    """Everything about `data` that `schema` does not allow or a person would want to know; empty when all is well."""
    return [anomaly.located(data.places) for anomaly in _form(data, schema) or _of_values(data, schema)]


def _of_values(data: Dataset, schema: DataSchema) -> list[Anomaly]:
    return [*feature_anomalies(data, schema), *_class_balance(data, schema), *_copies(data)]


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
        hint=_hint({anomaly.kind for anomaly in fatal}),
    )


def _hint(kinds: set[str]) -> str:
    """What helps; a schema that is inferred anew lets no missing values through unless it is asked to."""
    if kinds <= {"class", "split"}:
        return "give more rows of the class, or leave it out"
    if kinds == {"preprocessing"}:
        return "change the transforms in [preprocessing], or the values that they take"
    option = " --allow-missing" if "missing" in kinds else ""
    return f"mend the data; where they are right, correct the schema: edgeferry data schema --update{option}"


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
    new_B = _with_new_labels(data, schema)
    for kind, got, expected, wrong_B in (
        ("dtype", data.inputs_B.dtype.name, schema.dtype.value, new_B[:0]),
        ("shape", list(data.sample_shape), list(schema.shape), new_B[:0]),
        ("labels", list(data.label_names), list(schema.labels), new_B),
    ):
        if got != expected:
            count = int(wrong_B.sum()) or len(data)
            found.append(Anomaly(kind, count, f"got {got}, expected {expected}", examples(wrong_B), waivable=False))
    return found or feature_form(data, schema)


def _with_new_labels(data: Dataset, schema: DataSchema) -> NDArray[np.bool_]:
    new_K = np.asarray([name not in schema.labels for name in data.label_names], np.bool_)
    return new_K[data.labels_B]


def _class_balance(data: Dataset, schema: DataSchema) -> list[Anomaly]:
    own_B = ~data.fleet_mask
    counts_K = np.bincount(data.labels_B[own_B], minlength=len(schema.labels)).tolist()
    found = []
    for index, (label, count, expected) in enumerate(zip(schema.labels, counts_K, schema.class_shares, strict=True)):
        share = count / max(1, int(own_B.sum()))
        if count < schema.min_rows_per_class:
            words = f"{label!r} has {count} rows, expected at least {schema.min_rows_per_class}"
            found.append(Anomaly("class", count, words, examples(own_B & (data.labels_B == index))))
        elif abs(share - expected) > schema.max_share_change:
            words = f"{label!r} is {share:.1%} of the rows, expected {expected:.1%} +- {schema.max_share_change:.1%}"
            found.append(Anomaly("class share", count, words))
    return found


def _copies(data: Dataset) -> list[Anomaly]:
    """Rows whose input occurs elsewhere: with another label, or once more with the same."""
    same_B = first_equal_rows(data.inputs_B)
    if np.array_equal(same_B, np.arange(len(data))):
        return []
    _, first_I = np.unique(same_B * len(data.label_names) + data.labels_B, return_index=True)
    conflict_B: NDArray[np.bool_] = np.bincount(same_B[first_I], minlength=len(data))[same_B] > 1
    copy_B = np.ones(len(data), np.bool_)
    copy_B[first_I] = False
    return [
        *_told("conflicting labels", conflict_B, "are equal to another row with another label"),
        *_told("copies", copy_B, "are equal to an earlier row with the same label"),
    ]


def _told(kind: str, mask_B: NDArray[np.bool_], words: str) -> list[Anomaly]:
    """An anomaly that stops nothing; none when no row is marked."""
    count = int(mask_B.sum())
    return [Anomaly(kind, count, f"{count} rows {words}", examples(mask_B), fatal=False)] if count else []
