"""Data that packages bring for the templates: basic motions and breast cancer."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fleet_contract.errors import DataError, MissingExtraError
from trainer.data.split import split_rows
from trainer.settings import DataSection, SplitSection
from trainer.sources.bundled_breast_cancer import breast_cancer_path, load_breast_cancer
from trainer.sources.bundled_motions import load_basic_motions, motion_files
from trainer.sources.uri import load_source

if TYPE_CHECKING:
    from pathlib import Path


def write_motions(folder: Path, *, channels: int = 6, label: str = "Walking", mark: str = "@data") -> Path:
    """A file of two recordings whose values count the steps."""
    channel = ",".join(str(step) for step in range(100))
    line = ":".join([*[channel] * channels, label])
    path = folder / "BasicMotions_TRAIN.ts"
    path.write_text(f"#comment\n@problemName BasicMotions\n{mark}\n{line}\n{line}\n")
    return path


def test_recordings_become_overlapping_windows_in_groups(tmp_path: Path) -> None:
    """Four windows of 40 steps each, time before channels, all of one group."""
    data = load_basic_motions([write_motions(tmp_path)])
    assert data.inputs_B.shape == (8, 40, 6)
    assert data.inputs_B.dtype == np.float32
    assert data.inputs_B[:4, 0, 5].tolist() == [0.0, 20.0, 40.0, 60.0]
    assert data.groups_B is not None
    assert data.groups_B.tolist() == ["recording 0"] * 4 + ["recording 1"] * 4
    assert {data.label_names[label] for label in data.labels_B} == {"Walking"}


DAMAGE: dict[str, tuple[dict[str, object], str]] = {
    "a channel too few": ({"channels": 5}, r"line 4: got shape \[5, 100\], expected \[6, 100\]"),
    "a label of something else": ({"label": "Flying"}, "line 4: got label 'Flying'"),
    "no data at all": ({"mark": "@date"}, "got no line @data"),
}


@pytest.mark.parametrize(("changes", "words"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_recording_is_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    """File, line, what was got and what was expected."""
    with pytest.raises(DataError, match=rf"BasicMotions_TRAIN\.ts.*{words}"):
        load_basic_motions([write_motions(tmp_path, **changes)])  # type: ignore[arg-type]  # a table of keywords


def test_without_aeon_the_hint_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one package of the templates that no extra installs."""

    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", absent)
    with pytest.raises(MissingExtraError) as caught:
        motion_files()
    assert "pip install --no-deps aeon" in caught.value.hint


def test_no_recording_is_in_two_parts_of_a_split(tmp_path: Path) -> None:
    """The real data: 320 windows of 80 recordings, every class in every part."""
    try:
        motion_files()
    except MissingExtraError as error:
        pytest.skip(error.hint)
    settings = DataSection(source="builtin:basic-motions", split=SplitSection(train=0.6, validation=0.15, test=0.25))
    data = load_source(settings, tmp_path)
    assert data.inputs_B.shape == (320, 40, 6)
    parts = split_rows(data, settings.split)
    assert data.groups_B is not None
    names = [set(data.groups_B[rows_I].tolist()) for rows_I in (parts.train_I, parts.validation_I, parts.test_I)]
    assert [len(part) for part in names] == [48, 12, 20]
    assert len(set().union(*names)) == 80


def test_breast_cancer_has_named_columns(tmp_path: Path) -> None:
    """scikit-learn's file gives 569 rows of 30 columns; its own names, checked against a published row."""
    data = load_source(DataSection(source="builtin:breast-cancer"), tmp_path)
    assert data.inputs_B.shape == (569, 30)
    first = dict(zip((feature.name for feature in data.features), data.inputs_B[0].tolist(), strict=True))
    assert first["mean radius"] == pytest.approx(17.99)
    assert first["area error"] == pytest.approx(153.4)
    assert first["worst fractal dimension"] == pytest.approx(0.1189)
    assert np.bincount(data.labels_B).tolist() == [212, 357]
    assert data.label_names == ("malignant", "benign")


@pytest.mark.parametrize(
    "text", ["569,30\n1,2,0\n", "569,30\n", "569,30\n" + "1," * 30 + "2\n", "569,30\n" + "x," * 31]
)
def test_a_damaged_table_is_named(tmp_path: Path, text: str) -> None:
    """Columns missing, no rows, another label, or no numbers."""
    path = tmp_path / breast_cancer_path().name
    path.write_text(text)
    with pytest.raises(DataError, match=r"breast_cancer\.csv: got .*expected"):
        load_breast_cancer(path)
