"""A table as a data set, read twice: once to learn what its columns are, once to fill arrays of a size then known.

Memory is that of the arrays plus one batch. Whatever is wrong is found in the first reading, before anything is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import ContractError, DataError
from fleet_rows.columns import encode_batch
from trainer.data.dataset import Dataset, no_slices
from trainer.data.places import Places
from trainer.sources.column_scan import ColumnScan
from trainer.sources.feature_choice import choose_features
from trainer.sources.label_choice import Classes, choose_classes
from trainer.sources.limits import MAX_CLASSES, require_fits
from trainer.sources.role_values import read_names, read_times
from trainer.sources.table_roles import Roles, TableFile, choose_roles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fleet_contract.release import Feature
    from trainer.settings import DataSection

FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the first reading found."""

    roles: Roles
    features: tuple[Feature, ...]
    classes: Classes
    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        """Rows of all files."""
        return sum(self.counts)


def load_table(
    tables: Sequence[TableFile], settings: DataSection, *, source: str, known: Sequence[Feature] = ()
) -> Dataset:
    """All rows of `tables`, one after the other; inputs are float32.

    Args:
        tables: the files, at least one.
        settings: which columns are for what.
        source: what to call the data in words.
        known: features of the reviewed schema, whose vocabularies hold; empty before there is one.

    Raises:
        ConfigError: settings contradict one another.
        DataError: whatever is wrong with a file, named with file, row and column.
    """
    roles = choose_roles(tables, settings)
    plan = _scan(tables, roles, settings, source, known)
    inputs_BF, labels_B = _fill(tables, plan)
    return Dataset(
        inputs_B=inputs_BF.reshape(plan.count, *settings.shape) if settings.shape else inputs_BF,
        labels_B=labels_B,
        label_names=plan.classes.names,
        slices_B=_names(tables, roles.slices) if roles.slices else no_slices(plan.count),
        source=source,
        features=plan.features,
        groups_B=_names(tables, roles.group) if roles.group else None,
        times_B=_times(tables, roles.time) if roles.time else None,
        places=Places.of([table.path.name for table in tables], plan.counts),
    )


def _scan(
    tables: Sequence[TableFile], roles: Roles, settings: DataSection, source: str, known: Sequence[Feature]
) -> _Plan:
    label = ColumnScan(roles.label, collect=True, max_words=MAX_CLASSES)
    scans = [ColumnScan(name, collect=name in settings.categorical) for name in roles.features]
    counts = dict.fromkeys((table.path for table in tables), 0)
    for table, row, batch in _batches(tables, [*roles.features, roles.label]):
        counts[table.path] = row + batch.num_rows
        for scan in (label, *scans):
            scan.add(batch[scan.name], typed=table.typed, file=table.path.name, first_row=row)
        require_fits(source, label.row_count * len(scans) * FLOAT32_BYTES, settings.max_bytes)
    if label.row_count == 0:
        raise DataError(f"{source}: got no rows, expected some")
    features = choose_features(scans, source=source, categorical=settings.categorical, known=known)
    classes = choose_classes(label, source=source, declared=roles.label in settings.categorical)
    return _Plan(roles, features, classes, tuple(counts.values()))


def _fill(tables: Sequence[TableFile], plan: _Plan) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    inputs_BF = np.empty((plan.count, len(plan.features)), np.float32)
    labels_B = np.empty(plan.count, np.int64)
    start = 0
    try:
        for _, _, batch in _batches(tables, [*plan.roles.features, plan.roles.label]):
            end = start + batch.num_rows
            inputs_BF[start:end] = encode_batch(batch, plan.features)
            labels_B[start:end] = plan.classes.index(batch[plan.roles.label])
            start = end
    except (ContractError, KeyError, ValueError) as error:
        raise _changed(tables[0].path) from error
    if start != plan.count:
        raise _changed(tables[0].path)
    return inputs_BF, labels_B


def _names(tables: Sequence[TableFile], column: str) -> NDArray[np.str_]:
    return np.concatenate([read_names(batch[column]) for _, _, batch in _batches(tables, [column])])


def _times(tables: Sequence[TableFile], column: str) -> NDArray[np.float64]:
    batches = _batches(tables, [column])
    return np.concatenate([read_times(batch[column], column, table.path, row) for table, row, batch in batches])


def _batches(tables: Sequence[TableFile], columns: Sequence[str]) -> Iterator[tuple[TableFile, int, Any]]:
    """Each batch with its file and the row of that file at which it starts."""
    for table in tables:
        row = 0
        for batch in table.batches(list(dict.fromkeys(columns))):
            yield table, row, batch
            row += batch.num_rows


def _changed(path: Path) -> DataError:
    return DataError(f"{path}: changed while it was read, expected a file at rest", hint="run it again")
