"""Verification of tables, feature by feature, and who may train in spite of it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from fleet_contract.errors import DataError
from fleet_contract.release import Feature
from tests.fakes.trainer_projects import make_dataset
from tests.fakes.trainer_tables import make_table, with_value
from trainer.data.schema import infer_schema
from trainer.data.verify import accepted, find_anomalies, require_sound


def test_a_table_meets_the_schema_inferred_from_it() -> None:
    """Inference and verification agree on columns and categories."""
    data = make_table()
    assert find_anomalies(data, infer_schema(data)) == []


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (0, 400.0, "'heat': 1 rows hold values outside"),
        (1, 3.0, "'colour': 1 rows hold values that are no codes of its 3 categories"),
        (1, 0.5, "'colour': 1 rows hold values that are no codes"),
    ],
    ids=["out of range", "code beyond the vocabulary", "no code"],
)
def test_a_wrong_value_is_named_with_its_column_and_row(column: int, value: float, words: str) -> None:
    """A value within the range of another column is found all the same."""
    data = make_table()
    (anomaly,) = find_anomalies(with_value(data, 7, column, value), infer_schema(data))
    assert words in anomaly.words
    assert (anomaly.kind, anomaly.count, anomaly.rows, anomaly.fatal) == ("range", 1, (7,), True)


def test_missing_values_are_judged_by_the_column_that_may_have_them() -> None:
    """A column with an allowance of its own does not count against whole rows."""
    data = make_table()
    gaps = with_value(with_value(data, 3, 0, np.nan), 9, 0, np.inf)
    (refused,) = find_anomalies(gaps, infer_schema(data))
    assert (refused.kind, refused.count, refused.rows, refused.fatal) == ("missing", 2, (3, 9), True)
    assert "'heat' (2)" in refused.words
    allowing = infer_schema(gaps, allow_missing=True)
    assert allowing.features[0].max_missing_fraction == 0.02
    (told,) = find_anomalies(gaps, allowing)
    assert (told.kind, told.fatal) == ("missing", False)
    assert any(one.fatal for one in find_anomalies(with_value(gaps, 5, 2, np.nan), allowing))


def test_other_features_or_categories_are_found_before_values() -> None:
    """Columns that changed places would be trained on as if they had not."""
    data = make_table()
    schema = infer_schema(data)
    (renamed,) = find_anomalies(replace(data, features=data.features[::-1]), schema)
    assert (renamed.kind, renamed.waivable) == ("features", False)
    colour = Feature(name="colour", categories=("red", "green", "pink"))
    (recoded,) = find_anomalies(replace(data, features=(data.features[0], colour, data.features[2])), schema)
    assert "new categories ['pink']" in recoded.words
    assert recoded.fatal


def test_a_wide_table_that_is_all_wrong_stays_readable() -> None:
    """Twenty columns are named, the others counted."""
    rng = np.random.default_rng(1)
    data = make_dataset(90, inputs_B=rng.normal(size=(90, 50)).astype(np.float32))
    schema = infer_schema(data)
    found = find_anomalies(replace(data, inputs_B=data.inputs_B + 100), schema)
    assert len(found) == 21
    assert found[-1].words == "30 more features have the same anomaly"


def test_constant_columns_and_copies_are_told() -> None:
    """Both stop nothing."""
    data = make_table()
    inputs_B = data.inputs_B.copy()
    inputs_B[:, 2] = 1.0
    inputs_B[2], inputs_B[5] = inputs_B[0], inputs_B[4]
    found = find_anomalies(replace(data, inputs_B=inputs_B), infer_schema(data))
    assert {(one.kind, one.rows, one.fatal) for one in found} == {
        ("constant", (), False),
        ("copies", (2,), False),
        ("conflicting labels", (4, 5), False),
    }


def test_each_channel_of_a_series_has_its_range() -> None:
    """A value that suits another channel is out of range, and its row is named."""
    rng = np.random.default_rng(2)
    series_BTC = (rng.normal(size=(90, 10, 2)) * (1.0, 100.0)).astype(np.float32)
    data = make_dataset(90, inputs_B=series_BTC)
    schema = infer_schema(data)
    assert find_anomalies(data, schema) == []
    spoiled_BTC = series_BTC.copy()
    spoiled_BTC[4, 3, 0] = 90.0
    (anomaly,) = find_anomalies(make_dataset(90, inputs_B=spoiled_BTC), schema)
    assert anomaly.rows == (4,)
    assert "'channel 0'" in anomaly.words


def test_accepting_names_who_why_and_what() -> None:
    """The record holds the anomalies that were accepted; sound data need no acceptance."""
    data = make_table()
    schema = infer_schema(data)
    hot = find_anomalies(with_value(data, 7, 0, 400.0), schema)
    record = accepted(hot, "table", "ada: a heat wave")
    assert record.startswith("ada: a heat wave (range: 'heat': 1 rows")
    assert accepted([], "table", "ada: to be safe") == ""
    with pytest.raises(DataError, match="'heat'"):
        accepted(hot, "table", "")


def test_nobody_can_accept_data_of_another_form() -> None:
    """A shape that the schema does not know stops a training whoever wants it."""
    data = make_table()
    schema = msgspec.structs.replace(infer_schema(data), shape=(4,), features=())
    with pytest.raises(DataError, match="shape"):
        accepted(find_anomalies(data, schema), "table", "ada: please")


def test_a_column_that_counts_the_rows_is_told() -> None:
    """Row numbers in any order, not a column with gaps, and not a category."""
    data = make_table(240)
    order_B = np.random.default_rng(0).permutation(240)
    numbered = replace(data, inputs_B=data.inputs_B.copy())
    numbered.inputs_B[:, 2] = 1000 + order_B
    (told,) = find_anomalies(numbered, infer_schema(numbered))
    assert (told.kind, told.fatal) == ("identifier", False)
    assert "'length' counts the rows from 1000 to 1239" in told.words
    numbered.inputs_B[7, 2] = 1000 + order_B[8]
    assert find_anomalies(numbered, infer_schema(numbered)) == []


def test_the_hint_for_missing_values_lets_them_through() -> None:
    """An update without the option would refuse them again."""
    data = make_table()
    found = find_anomalies(with_value(data, 3, 0, np.nan), infer_schema(data))
    with pytest.raises(DataError) as refused:
        require_sound(found, "table")
    assert str(refused.value.hint).endswith("--update --allow-missing")
