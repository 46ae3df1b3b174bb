"""Schema: inferred, stored for review, read back strictly; and the anomalies of data against it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from fleet_contract.errors import ConfigError, DataError
from tests.fakes.trainer_projects import make_dataset, make_fleet_samples
from trainer.data.schema import infer_schema, read_schema, schema_sha256, write_schema
from trainer.data.verify import find_anomalies, require_sound
from trainer.sources.fleet import merge_fleet

if TYPE_CHECKING:
    from pathlib import Path


def test_data_meet_the_schema_inferred_from_them() -> None:
    """Inference and verification agree."""
    data = make_dataset()
    schema = infer_schema(data)
    assert find_anomalies(data, schema) == []
    assert (schema.low, schema.high, schema.shape) == (0.0, 255.0, (4, 4, 1))
    assert schema.class_shares == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=1e-5)


def test_a_schema_survives_the_file_and_its_hash_ignores_white_space(tmp_path: Path) -> None:
    """What was written is what is read."""
    schema = infer_schema(make_dataset())
    path = tmp_path / "schema.json"
    write_schema(path, schema)
    path.write_bytes(msgspec.json.format(path.read_bytes(), indent=8))
    read = read_schema(path)
    assert read == schema
    assert schema_sha256(schema) != schema_sha256(msgspec.structs.replace(schema, high=256.0))


@pytest.mark.parametrize(
    "text", ["{", '{"schema": 1}', '{"dtype": "uint8", "typo": 1}', "\xff"], ids=["half", "short", "typo", "bytes"]
)
def test_an_unreadable_schema_stops_everything(tmp_path: Path, text: str) -> None:
    """A reviewed schema that cannot be read is never taken for none."""
    path = tmp_path / "schema.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"schema\.json"):
        read_schema(path)


def test_each_anomaly_is_named_with_count_and_examples() -> None:
    """Values out of range are counted by row, and the first rows are named."""
    data = make_dataset()
    schema = msgspec.structs.replace(infer_schema(data), high=200.0)
    bad = int((data.inputs_B > 200).any(axis=(1, 2, 3)).sum())
    (anomaly,) = find_anomalies(data, schema)
    assert (anomaly.kind, anomaly.count) == ("range", bad)
    assert len(anomaly.rows) == min(bad, 5)
    assert "outside [0, 200]" in str(anomaly)


def test_nan_is_refused_unless_the_schema_allows_a_share() -> None:
    """Rows with NaN or infinity count as missing."""
    inputs_B = make_dataset().inputs_B.astype(np.float32)
    inputs_B[3, 0, 0, 0], inputs_B[8, 1, 1, 0] = np.nan, np.inf
    data = make_dataset(inputs_B=inputs_B)
    schema = infer_schema(data)
    (anomaly,) = find_anomalies(data, schema)
    assert (anomaly.kind, anomaly.count, anomaly.rows, anomaly.fatal) == ("missing", 2, (3, 8), True)
    lenient = msgspec.structs.replace(schema, max_missing_fraction=0.05)
    assert not any(anomaly.fatal for anomaly in find_anomalies(data, lenient))


def test_shape_dtype_and_labels_are_checked_first() -> None:
    """Data of another form are not looked at further."""
    schema = infer_schema(make_dataset())
    other = make_dataset(inputs_B=make_dataset().inputs_B.astype(np.float32).reshape(-1, 16))
    kinds = [anomaly.kind for anomaly in find_anomalies(replace(other, label_names=("a", "b", "c")), schema)]
    assert kinds == ["dtype", "shape", "labels"]


def test_a_class_that_vanishes_or_shifts_is_an_anomaly_of_base_data_only() -> None:
    """Class shares are judged without the fleet's samples."""
    data = make_dataset(120)
    schema = infer_schema(data)
    few = data.rows(np.flatnonzero((data.labels_B != 2) | (np.arange(120) < 12)))
    assert "class" in {anomaly.kind for anomaly in find_anomalies(few, schema)}
    shifted = data.rows(np.flatnonzero((data.labels_B != 2) | (np.arange(120) < 45)))
    assert "class share" in {anomaly.kind for anomaly in find_anomalies(shifted, schema)}
    one_sided = make_fleet_samples(90)
    fleet = merge_fleet(data, replace(one_sided, labels=["low"] * 90))
    assert not any(anomaly.fatal for anomaly in find_anomalies(fleet, schema))


def test_conflicting_labels_are_told_and_do_not_stop() -> None:
    """Two equal inputs with different labels are remarked on."""
    data = make_dataset()
    inputs_B = data.inputs_B.copy()
    inputs_B[1] = inputs_B[0]
    (anomaly,) = find_anomalies(replace(data, inputs_B=inputs_B), infer_schema(data))
    assert (anomaly.kind, anomaly.rows, anomaly.fatal) == ("conflicting labels", (0, 1), False)


def test_require_sound_names_the_anomalies() -> None:
    """The error tells what is wrong, not only that something is."""
    data = make_dataset()
    schema = msgspec.structs.replace(infer_schema(data), low=256.0)
    with pytest.raises(DataError, match="range: 90 rows"):
        require_sound(find_anomalies(data, schema), data.source)
