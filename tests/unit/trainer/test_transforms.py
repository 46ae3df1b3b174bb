"""Fitting of declared transforms."""

from __future__ import annotations

import numpy as np
import pytest

from fleet_contract.errors import ConfigError
from fleet_contract.preprocessing import Standardize, apply
from trainer.transform_settings import ScaleSetting, StandardizeSetting
from trainer.transforms import fit_transforms

RNG = np.random.default_rng(0)


def test_standardize_is_fitted_on_what_the_steps_before_it_make() -> None:
    """After all steps the training data have mean 0 and deviation 1 in each entry of the last axis."""
    raw_B = (RNG.normal(size=(500, 3, 2)) * [2.0, 50.0] + [7.0, -4.0]).astype(np.float32)
    steps = fit_transforms((ScaleSetting(factor=0.1), StandardizeSetting()), raw_B)
    result = apply(steps, raw_B)
    assert result.mean((0, 1)) == pytest.approx([0.0, 0.0], abs=1e-4)
    assert result.std((0, 1)) == pytest.approx([1.0, 1.0], abs=1e-4)


def test_declared_numbers_are_kept_and_the_rest_is_fitted() -> None:
    """A given mean stays; the deviation left out is fitted."""
    raw_B = np.asarray([[0.0], [10.0]], np.float32)
    (step,) = fit_transforms((StandardizeSetting(mean=(3.0,)),), raw_B)
    assert step == Standardize(mean=(3.0,), std=(5.0,))


def test_a_constant_entry_becomes_zero_not_nan() -> None:
    """A channel that never changes has deviation 1."""
    steps = fit_transforms((StandardizeSetting(),), np.full((4, 2), 9, np.uint8))
    assert apply(steps, np.full((1, 2), 9, np.uint8)).tolist() == [[0.0, 0.0]]


def test_numbers_for_another_axis_are_refused() -> None:
    """Two means do not fit three channels."""
    with pytest.raises(ConfigError, match="got '2 numbers', expected 3"):
        fit_transforms((StandardizeSetting(mean=(0.0, 0.0), std=(1.0, 1.0)),), np.zeros((4, 3), np.float32))
