"""A project's source with its pin, from the first run to a changed source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fleet_contract.errors import DataError
from tests.fakes.trainer_files import table_columns, write_csv
from tests.fakes.trainer_progress import RecordingProgress
from tests.fakes.trainer_projects import write_test_project
from trainer.data.snapshot import snapshot_sha256
from trainer.project import Project, load_project
from trainer.sources.pin import read_pin
from trainer.sources.pinned import PinnedSource

if TYPE_CHECKING:
    from pathlib import Path


def table_project(folder: Path, count: int = 60) -> Project:
    """A project on a table of `count` rows."""
    project = write_test_project(folder, rows=30)
    settings = folder / "edgeferry.toml"
    settings.write_text(settings.read_text().replace("npz:data.npz", "csv:d.csv"))
    write_csv(folder / "d.csv", table_columns(count))
    return load_project(project.folder)


def read_and_keep(project: Project, *, frozen: bool = False) -> list[str]:
    """What a run says of its source."""
    progress = RecordingProgress()
    source = PinnedSource(project, frozen=frozen)
    source.read(progress)
    source.keep(progress)
    return progress.remarks


def test_the_first_run_pins_what_it_read(tmp_path: Path) -> None:
    """The pin names the rows by the hash that lineage records, and the file by its name in the source."""
    project = table_project(tmp_path)
    source = PinnedSource(project)
    data = source.read(RecordingProgress())
    assert not (tmp_path / "snapshot.json").exists()
    source.keep(RecordingProgress())
    pin = read_pin(tmp_path / "snapshot.json")
    assert pin is not None
    assert pin.snapshot_sha256 == snapshot_sha256(data)
    assert (pin.row_count, list(pin.files)) == (60, ["d.csv"])


def test_a_source_at_rest_says_nothing(tmp_path: Path) -> None:
    """Neither does it write the pin again, frozen or not."""
    project = table_project(tmp_path)
    assert read_and_keep(project) == ["pinned 60 rows in snapshot.json"]
    before = (tmp_path / "snapshot.json").stat().st_mtime_ns
    assert read_and_keep(project) == []
    assert read_and_keep(project, frozen=True) == []
    assert (tmp_path / "snapshot.json").stat().st_mtime_ns == before


def test_a_changed_source_is_told_and_pinned_anew(tmp_path: Path) -> None:
    """In words: how many rows more, which file."""
    project = table_project(tmp_path)
    read_and_keep(project)
    write_csv(tmp_path / "d.csv", table_columns(72))
    assert read_and_keep(project) == [
        "the source changed: 72 rows, 12 more than before; files: 1 changed (d.csv)",
        "pinned 72 rows in snapshot.json",
    ]


def test_frozen_refuses_a_changed_source_and_keeps_the_pin(tmp_path: Path) -> None:
    """Also after a change of one value."""
    project = table_project(tmp_path)
    read_and_keep(project)
    pin = (tmp_path / "snapshot.json").read_bytes()
    columns = table_columns()
    columns["width"][7] += 1
    write_csv(tmp_path / "d.csv", columns)
    with pytest.raises(DataError, match=r"60 rows as before, not the same; files: 1 changed \(d\.csv\); expected the"):
        read_and_keep(project, frozen=True)
    assert (tmp_path / "snapshot.json").read_bytes() == pin


def test_frozen_needs_a_pin(tmp_path: Path) -> None:
    """Nothing to hold the source against is no reason to pass."""
    with pytest.raises(DataError, match="got no pinned snapshot"):
        read_and_keep(table_project(tmp_path), frozen=True)


def test_the_same_rows_rewritten_pass_frozen(tmp_path: Path) -> None:
    """An archive compressed anew has other bytes and the same rows."""
    project = write_test_project(tmp_path, rows=30)
    read_and_keep(project)
    with np.load(tmp_path / "data.npz") as archive:
        arrays = dict(archive)
    np.savez_compressed(tmp_path / "data.npz", **arrays)
    assert read_and_keep(project, frozen=True) == ["pinned 30 rows in snapshot.json"]


def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """What was read would be neither the old rows nor the new."""
    project = table_project(tmp_path / "p")
    write_csv(project.folder / "d.csv", table_columns())

    class Meddler(PinnedSource):
        """Somebody who writes while we read."""

        def _known_features(self) -> tuple[()]:
            write_csv(project.folder / "d.csv", table_columns(61))
            return ()

    with pytest.raises(DataError, match="changed while it was read"):
        Meddler(project).read(RecordingProgress())
