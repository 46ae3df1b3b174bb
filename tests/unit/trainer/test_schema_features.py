"""Versions of the schema, and what changes between two in words."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from fleet_contract.errors import ConfigError, DataError
from tests.fakes.trainer_projects import make_dataset
from trainer.data.schema import infer_schema, read_schema, schema_sha256, write_schema
from trainer.data.schema_diff import carry_over, schema_diff

if TYPE_CHECKING:
    from pathlib import Path

FIRST = (
    b'{"schema":1,"dtype":"uint8","shape":[4,4,1],"low":0.0,"high":255.0,"max_missing_fraction":0.0,'
    b'"labels":["low","middle","high"],"class_shares":[0.333333,0.333333,0.333333],'
    b'"max_share_change":0.1,"min_rows_per_class":10}'
)


def table(seed: int = 0, scale: float = 1.0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Ninety rows of two columns."""
    return (np.random.default_rng(seed).normal(size=(90, 2)) * scale).astype(np.float32)


def test_a_file_of_the_first_version_is_read_and_hashed_as_it_was(tmp_path: Path) -> None:
    """Lineage of older releases still names this schema."""
    path = tmp_path / "schema.json"
    path.write_bytes(FIRST)
    schema = read_schema(path)
    assert schema is not None
    assert schema.features == ()
    assert schema_sha256(schema) == hashlib.sha256(FIRST).hexdigest()
    write_schema(path, schema)
    assert msgspec.json.decode(path.read_bytes()) == msgspec.json.decode(FIRST)


def test_features_survive_the_file(tmp_path: Path) -> None:
    """What was written of a table is what is read."""
    schema = infer_schema(make_dataset(inputs_B=table()), allow_missing=True)
    write_schema(tmp_path / "schema.json", schema)
    assert read_schema(tmp_path / "schema.json") == schema
    assert [feature.name for feature in schema.features] == ["feature 0", "feature 1"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"schema":1', b'"schema":3'),
        (b'"low":0.0', b'"low":256.0'),
        (b'"min_rows', b'"features":[{"name":"a","low":0,"high":1},{"name":"a","low":0,"high":1}],"min_rows'),
        (b'"min_rows', b'"features":[{"name":"a","low":2,"high":1}],"min_rows'),
    ],
    ids=["of a later version", "low above high", "a name twice", "a feature's low above its high"],
)
def test_a_contradictory_schema_stops_everything(tmp_path: Path, before: bytes, after: bytes) -> None:
    """It is never taken for a lenient one."""
    path = tmp_path / "schema.json"
    path.write_bytes(FIRST.replace(before, after))
    with pytest.raises(ConfigError, match=r"schema\.json"):
        read_schema(path)


def test_nothing_can_be_inferred_from_no_rows() -> None:
    """The error is one of the data."""
    with pytest.raises(DataError, match="no rows"):
        infer_schema(make_dataset().rows(np.zeros(0, np.int64)))


def test_the_difference_is_told_in_words() -> None:
    """Each change is a sentence that names what changed and how."""
    old = infer_schema(make_dataset(inputs_B=table()))
    wider = infer_schema(make_dataset(inputs_B=table(scale=10.0)))
    words = schema_diff(old, wider)
    assert any(line.startswith("feature 'feature 1': range [") and line.endswith("(wider)") for line in words)
    assert schema_diff(old, old) == []
    renamed = msgspec.structs.replace(old, labels=("low", "middle", "top"))
    assert {"class 'top' is new", "class 'high' is gone"} <= set(schema_diff(old, renamed))


def test_an_update_keeps_what_a_person_decided() -> None:
    """Data cannot tell how far shares may move or how much may be missing."""
    old = infer_schema(make_dataset(inputs_B=table()))
    allowing = msgspec.structs.replace(old.features[0], max_missing_fraction=0.3)
    old = msgspec.structs.replace(old, max_share_change=0.4, features=(allowing, old.features[1]))
    new = carry_over(old, infer_schema(make_dataset(inputs_B=table(1))))
    assert new.max_share_change == 0.4
    assert [feature.max_missing_fraction for feature in new.features] == [0.3, None]
