"""Samples that devices collected: from raw tensors to arrays, and merged into the project's own data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fleet_contract.errors import DataError
from fleet_contract.tensors import DType
from trainer.data.dataset import FLEET_SLICE, FleetSamples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.data.dataset import Dataset, Groups, Times


@dataclass(frozen=True, slots=True)
class RawSample:
    """One labelled sample as the server stores it: the tensor's bytes in C order, little-endian."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes
    label: str


def stack_raw(samples: Sequence[RawSample], *, source: str) -> FleetSamples | None:
    """The samples as arrays; None when there are none.

    Raises:
        DataError: bytes that do not fit their shape, a dtype that is not ours, or samples of different form.
    """
    if not samples:
        return None
    first = samples[0]
    for index, sample in enumerate(samples):
        _check_raw(sample, first, f"{source}: sample {index}")
    rows = [np.frombuffer(sample.data, sample.dtype).reshape(sample.shape) for sample in samples]
    return FleetSamples(inputs_B=np.stack(rows), labels=[sample.label for sample in samples], source=source)


def _check_raw(sample: RawSample, first: RawSample, where: str) -> None:
    if sample.dtype not in tuple(DType):
        raise DataError(f"{where}: got dtype {sample.dtype!r}, expected one of {', '.join(DType)}")
    if (sample.dtype, sample.shape) != (first.dtype, first.shape):
        raise DataError(
            f"{where}: got {sample.dtype} {list(sample.shape)}, expected {first.dtype} {list(first.shape)} as the first"
        )
    expected_bytes = math.prod(sample.shape) * np.dtype(sample.dtype).itemsize
    if len(sample.data) != expected_bytes:
        raise DataError(f"{where}: got {len(sample.data)} bytes, expected {expected_bytes}")


def merge_fleet(base: Dataset, extra: FleetSamples) -> Dataset:
    """`base` followed by the fleet's samples, which carry the slice `fleet`.

    Raises:
        DataError: another dtype or shape than the base data, an unknown label, or a label too many or too few.
    """
    fleet_B = _checked_inputs(base, extra)
    labels_B = _index_labels(base.label_names, extra)
    width = max(base.slices_B.dtype.itemsize // 4, len(FLEET_SLICE))
    return replace(
        base,
        inputs_B=np.concatenate([base.inputs_B, fleet_B]),
        labels_B=np.concatenate([base.labels_B, labels_B]),
        slices_B=np.concatenate(
            [base.slices_B.astype(f"<U{width}"), np.full(len(labels_B), FLEET_SLICE, f"<U{width}")]
        ),
        source=f"{base.source} + {extra.source}",
        groups_B=_extended_groups(base.groups_B, len(labels_B)),
        times_B=_extended_times(base.times_B, len(labels_B)),
        places=base.places.followed_by(extra.source, len(labels_B)) if base.places else None,
    )


def _extended_groups(groups_B: Groups | None, count: int) -> Groups | None:
    """The fleet's samples are a group of their own; they are split apart anyway."""
    return None if groups_B is None else np.concatenate([groups_B, np.full(count, FLEET_SLICE)])


def _extended_times(times_B: Times | None, count: int) -> Times | None:
    """The fleet's samples come after all else."""
    return None if times_B is None else np.concatenate([times_B, np.full(count, times_B.max(initial=0.0))])


def _checked_inputs(base: Dataset, extra: FleetSamples) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    got = (extra.inputs_B.dtype, extra.inputs_B.shape[1:])
    expected = (base.inputs_B.dtype, base.inputs_B.shape[1:])
    if got != expected:
        raise DataError(
            f"{extra.source}: got {got[0]} {list(got[1])}, expected {expected[0]} {list(expected[1])} as the base data",
            hint="these samples were collected by a model with another input",
        )
    return extra.inputs_B


def _index_labels(label_names: tuple[str, ...], extra: FleetSamples) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    if len(extra.labels) != len(extra.inputs_B):
        raise DataError(f"{extra.source}: got {len(extra.labels)} labels, expected {len(extra.inputs_B)}")
    index = {name: number for number, name in enumerate(label_names)}
    unknown = sorted(set(extra.labels) - set(label_names))
    if unknown:
        raise DataError(
            f"{extra.source}: got labels {unknown[:5]}, expected one of {list(label_names)}",
            hint="correct the labels, or add the new class to the base data first",
        )
    return np.asarray([index[label] for label in extra.labels], np.int64)
