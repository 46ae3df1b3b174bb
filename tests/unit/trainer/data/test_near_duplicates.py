"""Near duplicates across splits: planted ones are found, unrelated rows are not."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.fakes.trainer_tables import make_table
from trainer.data import near_duplicates
from trainer.data.near_duplicates import find_near_duplicates
from trainer.data.parts import Split

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset

PLANTED = 25


def halves(count: int) -> Split:
    """The last quarter is test data."""
    rows_I = np.arange(count)
    cut = count * 3 // 4
    return Split(train_I=rows_I[:cut], validation_I=rows_I[cut:cut], test_I=rows_I[cut:])


def rows_of(inputs_B: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Dataset:
    """A data set of these inputs."""
    return replace(make_table(len(inputs_B)), inputs_B=inputs_B.astype(np.float32), features=())


def mixture(rng: np.random.Generator, count: int, features: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Clusters of very different density."""
    centre = rng.integers(0, 5, count)
    return np.asarray(rng.normal(size=(count, features)) * (0.1 + centre)[:, None] + 10.0 * centre[:, None])


@pytest.mark.parametrize("features", [3, 12, 60])
def test_unrelated_rows_of_any_density_are_not_flagged(features: int) -> None:
    """The promised one in ten thousand: of two thousand rows at most two by chance."""
    rng = np.random.default_rng(features)
    found = find_near_duplicates(rows_of(mixture(rng, 8000, features)), halves(8000), rng=rng)
    assert found.checked == 2000
    assert found.count <= 2


def test_planted_near_duplicates_of_a_table_are_found_with_their_rows() -> None:
    """Rows with a hundredth of a deviation of noise on every column."""
    rng = np.random.default_rng(0)
    inputs_B = mixture(rng, 4000, 12)
    inputs_B[3000 : 3000 + PLANTED] = inputs_B[:PLANTED] + 0.001 * rng.normal(size=(PLANTED, 12))
    found = find_near_duplicates(rows_of(inputs_B), halves(4000), rng=rng)
    assert {(pair.row, pair.train_row) for pair in found.pairs} <= {(3000 + row, row) for row in range(PLANTED)}
    assert abs(found.count - PLANTED) <= 2
    assert f"{found.count} of 1000 held-out rows" in str(found)


def test_augmented_copies_of_every_row_are_found() -> None:
    """Where all held-out rows have near duplicates, their being common hides none."""
    rng = np.random.default_rng(1)
    train_B = rng.normal(size=(3000, 12))
    copies_B = train_B[:1000] + 0.01 * rng.normal(size=(1000, 12))
    found = find_near_duplicates(rows_of(np.concatenate([train_B, copies_B])), halves(4000), rng=rng)
    assert found.count > 950


def test_an_image_under_another_light_is_a_near_duplicate() -> None:
    """Brightness, contrast and a little noise do not hide a copy."""
    rng = np.random.default_rng(2)
    images_B = rng.normal(128, 40, (1200, 24, 24, 1))
    images_B[900 : 900 + PLANTED] = images_B[:PLANTED] * 0.7 + 30 + rng.normal(0, 2, (PLANTED, 24, 24, 1))
    data = replace(make_table(1200), inputs_B=np.clip(images_B, 0, 255).astype(np.uint8), features=())
    assert find_near_duplicates(data, halves(1200), rng=rng).count == PLANTED


def test_too_little_to_judge_is_said() -> None:
    """With too few training rows nothing is claimed."""
    found = find_near_duplicates(make_table(24), halves(24), rng=np.random.default_rng(0))
    assert "not judged" in str(found)


def test_memory_grows_with_the_rows_and_not_with_their_pairs() -> None:
    """Twenty thousand training rows and five hundred others: ten million pairs, never at once."""
    rng = np.random.default_rng(5)
    data = rows_of(rng.normal(size=(20_500, 2)))
    rows_I = np.arange(20_500)
    parts = Split(train_I=rows_I[:20_000], validation_I=rows_I[:0], test_I=rows_I[20_000:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "BLOCK_NUMBERS", 200_000)
        tracemalloc.start()
        find_near_duplicates(data, parts, rng=rng)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes < 20_000_000
