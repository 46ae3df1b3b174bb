"""Parquet files: types, batches, and damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fleet_contract.errors import DataError
from fleet_rows.parquet_file import open_parquet
from tests.fakes.trainer_files import table_columns, write_parquet

if TYPE_CHECKING:
    from pathlib import Path


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    """Not in that of the file."""
    table = open_parquet(write_parquet(tmp_path / "d.parquet", table_columns(10)))
    assert table.columns == ("width", "colour", "label")
    (batch,) = table.batches(["label", "width"])
    assert batch.schema.names == ["label", "width"]
    assert str(table.kind("width")) == "double"


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    """A file cut anywhere is named at once: its end says where everything is."""
    path = write_parquet(tmp_path / "d.parquet", table_columns(1000))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(DataError, match=r"d\.parquet: got"):
        open_parquet(path)


def test_damaged_pages_are_named_with_how_far_reading_got(tmp_path: Path) -> None:
    """A page whose checksum fails stops the reading."""
    columns = {"x": np.random.default_rng(0).random(200_000)}
    path = write_parquet(tmp_path / "d.parquet", columns, row_group_size=100_000, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 0xFF
    path.write_bytes(content)
    table = open_parquet(path)
    with pytest.raises(DataError, match=r"d\.parquet: got .* after [1-9][\d,]+ rows"):
        for _ in table.batches(["x"]):
            pass


def test_a_footer_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    """It is not even read."""
    path = tmp_path / "d.parquet"
    path.write_bytes(b"PAR1" + b"\0" * 64 + (2**31).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(DataError, match=r"got a footer of 2,147,483,648 bytes"):
        open_parquet(path)


def test_a_column_twice_and_too_many_columns_are_refused(tmp_path: Path) -> None:
    """Parquet allows both; a model of them would be ambiguous, or absurd."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "twice")
    write_parquet(tmp_path / "wide", {f"c{index}": [0] for index in range(16_385)})
    with pytest.raises(DataError, match=r"got columns \['a'\] more than once"):
        open_parquet(tmp_path / "twice")
    with pytest.raises(DataError, match="got 16,385 columns"):
        open_parquet(tmp_path / "wide")
