"""Fitting of declared transforms: settings in, the contract's steps out, with numbers from the training split only.

Each step is fitted on what the steps before it make of the training rows. Missing values (NaN) count for nothing.
Legend: B rows, N values of an entry, C entries of the last axis.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import UNSET

from fleet_contract.errors import ConfigError, ContractError, DataError
from fleet_contract.preprocessing import (
    Difference,
    Grayscale,
    Impute,
    MinMax,
    OneHot,
    Robust,
    Spectrum,
    Standardize,
    StandardizeEach,
    Transform,
    apply,
)
from fleet_contract.preprocessing_shapes import MAX_CODES
from trainer.wrangling.transform_columns import Entries, entries_after, entries_of
from trainer.wrangling.transform_settings import (
    DeclaredSetting,
    ImputeSetting,
    MinMaxSetting,
    OneHotSetting,
    RobustSetting,
    StandardizeSetting,
    Strategy,
    TransformSetting,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fleet_contract.release import Feature
    from trainer.data.dataset import RawInputs

MAX_EXAMPLES = 5


def fit_transforms(
    settings: Sequence[TransformSetting], train_B: RawInputs, features: Sequence[Feature] = ()
) -> tuple[Transform, ...]:
    """The steps in order.

    Args:
        settings: what was declared.
        train_B: raw inputs of the training split.
        features: the columns of a table; empty where columns have no names.

    Raises:
        ConfigError: a column is not there, or a step cannot take what comes to it.
        DataError: an entry has no value or codes that are none, or a training row is not finite in the end.
    """
    steps: list[Transform] = []
    entries: tuple[Feature, ...] = tuple(features)
    current_B = apply((), train_B)
    for setting in settings:
        step = _fit(setting, current_B, entries)
        try:
            step.output_shape(current_B.shape[1:])
        except ContractError as error:
            raise ConfigError(f"[preprocessing] {error.message}") from error
        entries = entries_after(step, entries)
        current_B = apply((step,), current_B)
        steps.append(step)
    if settings:
        _require_finite(current_B)
    return tuple(steps)


def usable_rows(settings: Sequence[TransformSetting], inputs_B: RawInputs) -> NDArray[np.bool_]:
    """Which raw rows can be used: finite ones, and, where a transform imputes, also those with NaN."""
    if inputs_B.dtype.kind != "f":
        return np.ones(len(inputs_B), np.bool_)
    imputed = any(isinstance(setting, ImputeSetting) for setting in settings)
    good = ~np.isinf(inputs_B) if imputed else np.isfinite(inputs_B)
    return np.asarray(good.reshape(len(inputs_B), -1).all(axis=1), np.bool_)


def _fit(setting: TransformSetting, current_B: NDArray[np.float32], features: tuple[Feature, ...]) -> Transform:
    if isinstance(setting, StandardizeEach | Grayscale | Difference | Spectrum):
        return setting
    entries = entries_of(str(setting.__struct_config__.tag), setting.columns, current_B, features)
    step: Transform
    match setting:
        case StandardizeSetting():
            step = _fit_standardize(setting, entries)
        case RobustSetting():
            step = _fit_robust(entries)
        case MinMaxSetting():
            step = _fit_min_max(setting, entries)
        case ImputeSetting():
            step = _fit_impute(setting, entries)
        case OneHotSetting():
            step = _fit_one_hot(setting, entries, features)
        case _:
            step = _as_declared(setting, entries)
    return step


def _as_declared(setting: DeclaredSetting, entries: Entries) -> Transform:
    """The contract's step of the same kind, with columns by number."""
    fields = msgspec.to_builtins(setting)
    del fields["columns"]
    if entries.columns is not UNSET:
        fields["columns"] = entries.columns
    step: Transform = msgspec.convert(fields, Transform)
    return step


def _fit_standardize(setting: StandardizeSetting, entries: Entries) -> Standardize:
    """Entries that never change get a std of 1, so that they become 0 and not 0/0."""
    values_NC = entries.known()
    mean = setting.mean or _numbers(np.nanmean(values_NC, axis=0, dtype=np.float64))
    std = setting.std or _positive(np.nanstd(values_NC, axis=0, dtype=np.float64))
    return Standardize(mean=mean, std=std, columns=entries.columns)


def _fit_robust(entries: Entries) -> Robust:
    """Entries of which half never changes get a spread of 1."""
    first_C, median_C, third_C = np.nanquantile(entries.known(), (0.25, 0.5, 0.75), axis=0).astype(np.float64)
    return Robust(median=_numbers(median_C), spread=_positive(third_C - first_C), columns=entries.columns)


def _fit_min_max(setting: MinMaxSetting, entries: Entries) -> MinMax:
    """Entries that never change get a span of 1, so that they become 0."""
    values_NC = entries.known()
    low_C = np.nanmin(values_NC, axis=0).astype(np.float64)
    span_C = np.nanmax(values_NC, axis=0).astype(np.float64) - low_C
    return MinMax(low=_numbers(low_C), span=_positive(span_C), clip=setting.clip, columns=entries.columns)


def _fit_impute(setting: ImputeSetting, entries: Entries) -> Impute:
    """The mean and median are those of what is there."""
    step = Impute(values=(setting.value,), also=setting.also, indicator=setting.indicator)
    if setting.strategy is not Strategy.CONSTANT:
        without_NC = np.where(step.missing(entries.values_NC), np.float32(np.nan), entries.values_NC)
        average = np.nanmean if setting.strategy is Strategy.MEAN else np.nanmedian
        fitted_C = average(replace(entries, values_NC=without_NC).known().astype(np.float64), axis=0)
        step = msgspec.structs.replace(step, values=_numbers(fitted_C))
    return msgspec.structs.replace(step, columns=entries.columns)


def _fit_one_hot(setting: OneHotSetting, entries: Entries, features: tuple[Feature, ...]) -> OneHot:
    """As many columns as the vocabulary has words, and at least as many as the training split has codes."""
    assert entries.columns is not UNSET
    if setting.counts is not None:
        return OneHot(columns=entries.columns, counts=setting.counts)
    codes_NC = entries.known()
    for place, codes_N in enumerate(codes_NC.T):
        _require_codes(entries.name(place), codes_N[~np.isnan(codes_N)])
    seen = [int(highest) + 1 for highest in np.nanmax(codes_NC, axis=0)]
    words = [len(features[column].categories) if features else 0 for column in entries.columns]
    return OneHot(columns=entries.columns, counts=tuple(map(max, seen, words)))


def _require_codes(name: str, codes_N: NDArray[np.float32]) -> None:
    bad_N = codes_N[(codes_N < 0) | (codes_N >= MAX_CODES) | (codes_N != np.floor(codes_N))]
    if len(bad_N):
        raise DataError(
            f"[preprocessing] one-hot: {name}: got {len(bad_N)} values that are no codes, for instance {bad_N[0]:g}, "
            f"expected 0, 1, ... below {MAX_CODES}",
            hint="one-hot takes the codes of a column of words or of small whole numbers",
        )


def _require_finite(inputs_B: NDArray[np.float32]) -> None:
    bad_I = np.flatnonzero(~np.isfinite(inputs_B.reshape(len(inputs_B), -1)).all(axis=1))
    if len(bad_I):
        raise DataError(
            f"[preprocessing]: got {len(bad_I)} of {len(inputs_B)} training rows that are not finite after it "
            f"(rows {', '.join(map(str, bad_I[:MAX_EXAMPLES]))} of the training split), expected none",
            hint="log1p takes values above -1, standardize-each needs rows that are not constant, impute fills NaN",
        )


def _numbers(values_C: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values_C)


def _positive(values_C: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) if value > 0.0 else 1.0 for value in values_C)
