"""Statistics of data: figures agree with numpy's own, whatever is missing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes.trainer_projects import make_dataset
from tests.fakes.trainer_tables import make_table, with_value
from trainer.data import statistics
from trainer.data.feature_view import DataKind
from trainer.data.statistics import describe


def test_columns_have_the_figures_that_numpy_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over small chunks and whole columns agree; gaps count for nothing."""
    monkeypatch.setattr(statistics, "CHUNK_VALUES", 30)
    data = with_value(make_table(), 3, 0, np.nan)
    heat, colour, _ = describe(data).features
    column = np.delete(data.inputs_B[:, 0], 3).astype(np.float64)
    assert (heat.count, heat.missing, heat.distinct) == (120, 1, 119)
    assert (heat.low, heat.high, heat.mean, heat.std) == pytest.approx(
        (column.min(), column.max(), column.mean(), column.std())
    )
    assert heat.median == pytest.approx(np.median(column), abs=1e-3)
    assert sum(heat.histogram) == 119
    assert (colour.categories, colour.histogram, colour.zeros) == (("red", "green", "blue"), (40, 40, 40), 40)


def test_images_are_described_by_channel_with_their_classes() -> None:
    """Every pixel counts; classes have shares."""
    data = make_dataset(90)
    found = describe(data)
    (channel,) = found.features
    assert (found.kind, channel.count, channel.high) == (DataKind.IMAGES, 90 * 16, 255.0)
    assert [one.count for one in found.classes] == [30, 30, 30]


def test_copies_and_rows_with_gaps_are_counted() -> None:
    """A copy is a row that stood there before."""
    data = make_table()
    inputs_B = data.inputs_B[[0, 0, 0, 1, 2]]
    found = describe(with_value(make_table(5).rows(np.arange(5)), 4, 0, np.inf))
    assert found.missing_rows == 1
    assert describe(make_dataset(5, inputs_B=inputs_B)).copies == 2


def test_a_column_without_a_value_has_zeros_for_figures() -> None:
    """Nothing is divided by nothing."""
    data = make_table()
    data.inputs_B[:, 0] = np.nan
    heat = describe(data).features[0]
    assert (heat.missing, heat.low, heat.high, heat.mean, heat.std, heat.histogram) == (120, 0.0, 0.0, 0.0, 0.0, ())
