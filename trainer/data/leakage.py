"""Train/test leakage by exact duplicates: no test row may also be in training or validation.

Rules: pure; two rows are duplicates when all bytes of their inputs agree, whatever their labels. The test split is
never changed; copies are taken out of training and validation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fleet_contract.errors import DataError
from trainer.data.equal_rows import first_equal_rows
from trainer.data.parts import Split

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset


def remove_leakage(data: Dataset, parts: Split, *, refuse: bool) -> tuple[Split, int]:
    """The split without copies of test rows in training and validation, or of validation rows in training.

    Returns:
        The split and how many rows were taken out.

    Raises:
        DataError: `refuse`, and there are such rows.
    """
    first_B = first_equal_rows(data.inputs_B)
    train_leak_I = np.isin(first_B[parts.train_I], first_B[np.concatenate([parts.validation_I, parts.test_I])])
    validation_leak_I = np.isin(first_B[parts.validation_I], first_B[parts.test_I])
    count = int(train_leak_I.sum() + validation_leak_I.sum())
    if count and refuse:
        rows = [*parts.train_I[train_leak_I].tolist(), *parts.validation_I[validation_leak_I].tolist()]
        raise _leakage_error(data, rows)
    clean = Split(
        train_I=parts.train_I[~train_leak_I],
        validation_I=parts.validation_I[~validation_leak_I],
        test_I=parts.test_I,
    )
    require_rows(data, parts, clean)
    return clean, count


def _leakage_error(data: Dataset, rows: list[int]) -> DataError:
    return DataError(
        f"{data.source}: got {len(rows)} rows that are in more than one split (rows {rows[:5]}), expected none",
        hint='remove the copies from the data, or set [data] duplicates = "remove"',
    )


def require_rows(data: Dataset, before: Split, after: Split) -> None:
    """Passes when what is left can be learned from.

    Raises:
        DataError: training or validation has no rows, or training has lost a class.
    """
    hint = "the data hold almost only duplicates"
    for name, rows_I in (("training", after.train_I), ("validation", after.validation_I)):
        if len(rows_I) == 0:
            raise DataError(
                f"{data.source}: {name}: got no rows without copies in another split, expected some", hint=hint
            )
    for label in np.setdiff1d(data.labels_B[before.train_I], data.labels_B[after.train_I]).tolist():
        raise DataError(
            f"{data.source}: class {data.label_names[label]!r}: training: got no rows without copies in another split, "
            "expected some",
            hint=hint,
        )
