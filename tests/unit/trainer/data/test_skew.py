"""Skew between two samples: limits follow the sampling noise, so clean splits pass and shifts do not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fleet_contract.errors import DataError
from tests.fakes.trainer_projects import make_dataset, make_fleet_samples
from tests.fakes.trainer_tables import make_table
from trainer.data.skew import find_skew, fleet_skew
from trainer.sources.fleet import merge_fleet

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset

SPLITS = 100


def heavy_table(rng: np.random.Generator, count: int, features: int = 12) -> Dataset:
    """Columns with long tails, with few values, with gaps."""
    values = rng.standard_t(2, (count, features))
    values[:, 0] = rng.poisson(0.3, count)
    values[:, 1] = np.where(rng.random(count) < 0.05, np.nan, values[:, 1])
    data = make_table(count)
    return replace(data, inputs_B=values.astype(np.float32), features=())


@pytest.mark.parametrize(("base", "other"), [(2000, 60), (500, 500), (5000, 1000)])
def test_clean_splits_are_hardly_ever_flagged(base: int, other: int) -> None:
    """Over all features together at most the promised one in a hundred, here with room for chance."""
    rng = np.random.default_rng(base)
    flagged = sum(bool(find_skew(heavy_table(rng, base), heavy_table(rng, other)).shifted) for _ in range(SPLITS))
    assert flagged <= 0.04 * SPLITS


def test_a_shifted_column_is_found_at_any_size_that_shows_it() -> None:
    """Half a deviation shows in two hundred rows, and only in the column that moved."""
    rng = np.random.default_rng(3)
    base, other = heavy_table(rng, 3000), heavy_table(rng, 400)
    other.inputs_B[:, 5] += 1.0
    assert [feature.name for feature in find_skew(base, other).shifted] == ["feature 5"]


def test_a_small_shift_is_noise_in_few_rows_and_not_in_many() -> None:
    """The limit is not a fixed number."""
    rng = np.random.default_rng(4)

    def shifted(count: int) -> int:
        other = heavy_table(rng, count)
        other.inputs_B[:, 5] += 0.2
        return len(find_skew(heavy_table(rng, 20_000), other).shifted)

    assert (shifted(50), shifted(20_000)) == (0, 1)


def test_categories_missing_values_and_labels_are_compared_by_share() -> None:
    """Each is found in the column where it happened."""
    base, other = make_table(900), make_table(900, seed=1)
    inputs_B = other.inputs_B.copy()
    inputs_B[:, 1] = 0.0
    inputs_B[:200, 2] = np.nan
    labels_B = np.zeros(900, np.int64)
    found = find_skew(base, replace(other, inputs_B=inputs_B, labels_B=labels_B)).shifted
    assert {feature.name for feature in found} == {"colour", "length", "label"}
    assert "strongly shifted" in str(found[0])


def test_samples_of_the_fleet_are_held_against_the_base_data() -> None:
    """Inverted images are another brightness; base data alone have nothing to be compared with."""
    data = make_dataset(300)
    assert fleet_skew(data) is None
    report = fleet_skew(merge_fleet(data, make_fleet_samples(90)))
    assert report is not None
    assert "mean of channel 0" in {feature.name for feature in report.shifted}


def test_samples_of_another_form_cannot_be_compared() -> None:
    """The difference is named."""
    with pytest.raises(DataError, match="shape"):
        find_skew(make_dataset(), make_table())
    with pytest.raises(DataError, match="no rows"):
        find_skew(make_table(), make_table().rows(np.zeros(0, np.int64)))
