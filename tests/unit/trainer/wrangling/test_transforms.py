"""Fitting of declared transforms."""

from __future__ import annotations

import numpy as np
import pytest

from fleet_contract.errors import ConfigError, DataError
from fleet_contract.preprocessing import Difference, Impute, MinMax, OneHot, Robust, Standardize, Transform, apply
from fleet_contract.release import Feature
from trainer.wrangling.transform_settings import (
    ClipSetting,
    ImputeSetting,
    Log1pSetting,
    MinMaxSetting,
    OneHotSetting,
    RobustSetting,
    ScaleSetting,
    SelectSetting,
    StandardizeSetting,
    Strategy,
    TransformSetting,
)
from trainer.wrangling.transforms import fit_transforms, usable_rows

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


def fitted(*settings: TransformSetting, rows: list[list[float]], names: str = "") -> tuple[Transform, ...]:
    """The steps fitted on `rows`, whose columns have these names, one a letter."""
    return fit_transforms(settings, np.asarray(rows, np.float32), tuple(Feature(name=name) for name in names))


def test_robust_takes_median_and_quartiles() -> None:
    """One wild value moves neither."""
    (step,) = fitted(RobustSetting(), rows=[[0.0], [1.0], [2.0], [3.0], [1e6]])
    assert step == Robust(median=(2.0,), spread=(2.0,))


def test_min_max_takes_the_range_of_the_training_rows() -> None:
    """A column that never changes becomes 0."""
    (step,) = fitted(MinMaxSetting(clip=True), rows=[[2.0, 7.0], [6.0, 7.0]])
    assert step == MinMax(low=(2.0, 7.0), span=(4.0, 1.0), clip=True)


@pytest.mark.parametrize(("strategy", "expected"), [(Strategy.MEAN, 4.0), (Strategy.MEDIAN, 2.0)])
def test_a_missing_value_becomes_the_average_of_what_is_there(strategy: Strategy, expected: float) -> None:
    """Neither NaN nor a stand-in for it counts."""
    setting = ImputeSetting(strategy=strategy, also=(-1.0,), columns=("b",))
    (step,) = fitted(setting, rows=[[0.0, 1.0], [0.0, 2.0], [0.0, 9.0], [0.0, np.nan], [0.0, -1.0]], names="ab")
    assert step == Impute(values=(expected,), also=(-1.0,), columns=(1,))


def test_one_hot_has_a_column_for_every_word_and_every_code_seen() -> None:
    """A word that the training split lacks keeps its column."""
    features = (Feature(name="city", categories=("Oslo", "Rome", "Nice")), Feature(name="floor"))
    rows_B = np.asarray([[0.0, 4.0], [1.0, np.nan]], np.float32)
    (step,) = fit_transforms((OneHotSetting(columns=("floor", "city")),), rows_B, features)
    assert step == OneHot(columns=(1, 0), counts=(5, 3))


def test_columns_keep_their_names_through_the_steps() -> None:
    """After one-hot, indicators and select, a later step still finds what it names."""
    features = (Feature(name="city", categories=("Oslo", "Rome")), Feature(name="age"))
    rows_B = np.asarray([[0.0, 30.0], [1.0, np.nan], [1.0, 50.0]], np.float32)
    steps = fit_transforms(
        (
            ImputeSetting(strategy=Strategy.CONSTANT, value=-1.0, indicator=True, columns=("age",)),
            OneHotSetting(columns=("city",)),
            SelectSetting(columns=("age missing", "city=Rome", "age")),
            ScaleSetting(factor=2.0, columns=("age",)),
        ),
        rows_B,
        features,
    )
    assert apply(steps, rows_B).tolist() == [[0.0, 0.0, 60.0], [1.0, 1.0, -2.0], [0.0, 1.0, 100.0]]


REFUSED: dict[str, tuple[tuple[TransformSetting, ...], str]] = {
    "a name that is not there": ((Log1pSetting(columns=("agee",)),), "got 'agee', expected one of age, size"),
    "a number beyond the last": ((SelectSetting(columns=(2,)),), r"got 2, expected .*below 2"),
    "a column twice": ((ClipSetting(low=0.0, high=1.0, columns=("age", 0)),), r"got \[0, 0\]"),
    "too many counts": ((OneHotSetting(columns=(0,), counts=(2, 2)),), "got '2 counts', expected 1"),
    "a series of one step": ((Difference(lag=2),), "difference"),
}


@pytest.mark.parametrize(("settings", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_transform_that_does_not_fit_the_data_is_refused(settings: tuple[TransformSetting, ...], words: str) -> None:
    """Before training, in the words of the settings."""
    features = (Feature(name="age"), Feature(name="size"))
    with pytest.raises(ConfigError, match=rf"\[preprocessing\] .*{words}"):
        fit_transforms(settings, np.ones((4, 2), np.float32), features)


def test_the_nearest_name_is_offered() -> None:
    """A slip of the pen costs no search."""
    with pytest.raises(ConfigError) as caught:
        fit_transforms((Log1pSetting(columns=("arae",)),), np.ones((2, 1), np.float32), (Feature(name="area"),))
    assert caught.value.hint == "did you mean 'area'?"


def test_a_column_that_is_missing_everywhere_cannot_be_fitted() -> None:
    """The column is named; a constant would do."""
    with pytest.raises(DataError, match=r"impute: entry 1 \('b'\): got no value"):
        fitted(ImputeSetting(strategy=Strategy.MEAN), rows=[[1.0, np.nan], [2.0, np.nan]], names="ab")


@pytest.mark.parametrize("value", [0.5, -1.0, 10_000.0])
def test_values_that_are_no_codes_are_named(value: float) -> None:
    """One-hot of a measurement is a mistake."""
    with pytest.raises(DataError, match=rf"entry 0 \('a'\): got 1 values that are no codes, for instance {value:g}"):
        fitted(OneHotSetting(columns=("a",)), rows=[[1.0], [value]], names="a")


def test_training_rows_that_are_not_finite_in_the_end_are_counted() -> None:
    """log(0) would train a model of NaN."""
    with pytest.raises(DataError, match=r"got 2 of 3 training rows that are not finite.*rows 0, 2"):
        fitted(Log1pSetting(), rows=[[-1.0], [1.0], [-7.0]])


def test_rows_with_missing_values_are_used_only_where_something_fills_them() -> None:
    """NaN stays with an imputer, infinity never."""
    rows_B = np.asarray([[1.0, 2.0], [np.nan, 2.0], [np.inf, 2.0]], np.float32)
    assert usable_rows((), rows_B).tolist() == [True, False, False]
    assert usable_rows((ImputeSetting(strategy=Strategy.MEAN),), rows_B).tolist() == [True, True, False]
    assert usable_rows((), rows_B[:1].astype(np.uint8)).tolist() == [True]
