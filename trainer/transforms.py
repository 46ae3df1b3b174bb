"""Fitting of declared transforms: settings in, the contract's steps out, with numbers from the training split only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fleet_contract.errors import ConfigError
from fleet_contract.preprocessing import Standardize, Transform, apply
from trainer.settings import StandardizeSetting, TransformSetting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.dataset import RawInputs


def fit_transforms(settings: Sequence[TransformSetting], train_B: RawInputs) -> tuple[Transform, ...]:
    """The steps in order; each is fitted on what the steps before it make of `train_B`.

    Raises:
        ConfigError: a declared mean or std does not have one number per entry of the last axis.
    """
    steps: list[Transform] = []
    current_B: NDArray[np.float32] | None = None
    for setting in settings:
        if not isinstance(setting, StandardizeSetting):
            step: Transform = setting
        else:
            current_B = apply(steps, train_B)
            step = _fit_standardize(setting, current_B)
        steps.append(step)
    return tuple(steps)


def _fit_standardize(setting: StandardizeSetting, train_B: NDArray[np.float32]) -> Standardize:
    """Entries that never change get a std of 1, so that they become 0 and not 0/0."""
    axes = tuple(range(train_B.ndim - 1))
    mean_C = train_B.mean(axes, dtype=np.float64)
    std_C = train_B.std(axes, dtype=np.float64)
    fitted_mean = tuple(float(value) for value in mean_C)
    fitted_std = tuple(float(value) if value > 0.0 else 1.0 for value in std_C)
    mean = fitted_mean if setting.mean is None else setting.mean
    std = fitted_std if setting.std is None else setting.std
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, len(mean_C)):
            raise ConfigError(
                f"[preprocessing] standardize: {name}: got {len(values)} numbers, expected {len(mean_C)} (last axis)"
            )
    return Standardize(mean=mean, std=std)
