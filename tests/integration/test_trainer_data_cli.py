"""`edgeferry data` on real files: figures, schema with review, verification with exit codes, a page without assets."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from fleet_contract.errors import DataError, NotFoundError
from tests.fakes.trainer_progress import RecordingProgress
from tests.fakes.trainer_projects import LABELS, make_images, write_test_project
from trainer.cli_data import app
from trainer.data.parts import Removed
from trainer.data.schema import read_schema
from trainer.pages.data_html import DATA_REPORT_FILE, data_files
from trainer.records.record import describe_lineage
from trainer.stages import ingest, split_and_fit, verify

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from trainer.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three hundred images of three classes."""
    return write_test_project(tmp_path / "project")


def call(project: Project, *arguments: str) -> Result:
    """What `edgeferry data ARGUMENTS` prints; errors of ours are in `.exception`."""
    return CliRunner().invoke(app, [*arguments, "--project", str(project.folder)])


def write_images(project: Project, name: str, *, inverted: bool) -> Path:
    """Another sample beside the project."""
    images_B, labels_B = make_images(240, seed=7, inverted=inverted)
    path = project.folder / name
    np.savez(path, inputs=images_B, labels=labels_B, label_names=np.asarray(LABELS))
    return path


def test_inspect_tells_figures_and_balance(project: Project) -> None:
    """For people as a table, for programs as JSON."""
    assert "middle" in call(project, "inspect").stdout
    found = json.loads(call(project, "inspect", "--json").stdout)
    assert (found["rows"], found["kind"], found["features"][0]["high"]) == (300, "images", 255.0)


def test_a_rare_class_is_hinted_at_and_stops_nothing(project: Project) -> None:
    """A line of inspect and verify that names the class and the settings for it; none where classes are even."""
    assert not any("hint" in call(project, command).stdout for command in ("inspect", "verify"))
    images_B, labels_B = make_images(600)
    kept_I = np.flatnonzero((labels_B != 2) | (np.arange(600) < 48))
    np.savez(project.folder / "data.npz", inputs=images_B[kept_I], labels=labels_B[kept_I], label_names=LABELS)
    for command in ("inspect", "verify"):
        told = call(project, command)
        assert told.exit_code == 0
        assert "hint   class 'high' is 3.8% of the rows" in told.stdout
        assert "[train] class_weight" in told.stdout


def test_the_page_needs_nothing_else_and_shows_images(project: Project, tmp_path: Path) -> None:
    """No script, no address to fetch from; examples and plots are inside."""
    page = tmp_path / "report.html"
    result = call(project, "inspect", "--html", str(page))
    assert result.exit_code == 0, result.exception
    text = page.read_text()
    assert "<script" not in text
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text) == []
    assert text.count("data:image/png;base64,") >= len(LABELS)
    assert "Labels worth a second look" in text
    assert "<svg" in text


def test_a_schema_is_shown_only_after_it_was_written_for_review(project: Project) -> None:
    """Before that the error says how; inferring writes nothing."""
    assert isinstance(call(project, "schema").exception, NotFoundError)
    inferred = call(project, "schema", "--infer").stdout
    assert not project.schema_path.exists()
    assert call(project, "schema", "--update").exit_code == 0
    assert json.loads(call(project, "schema").stdout) == json.loads(inferred)


def test_an_update_tells_what_changes_and_keeps_decisions(project: Project) -> None:
    """Another range is named; the share that a person allowed stays."""
    call(project, "schema", "--update")
    schema = read_schema(project.schema_path)
    assert schema is not None
    edited = msgspec.structs.replace(schema, high=200.0, max_share_change=0.33)
    project.schema_path.write_bytes(msgspec.json.encode(edited))
    assert "range [0, 200] becomes [0, 255] (wider)" in call(project, "schema", "--update").stdout
    updated = read_schema(project.schema_path)
    assert updated is not None
    assert (updated.high, updated.max_share_change) == (255.0, 0.33)
    assert "nothing changes" in call(project, "schema", "--update").stdout


def test_rows_of_one_class_are_data_to_mend(project: Project) -> None:
    """Not a setting: the exit code says so."""
    images_B, _ = make_images(300)
    np.savez(
        project.folder / "data.npz", inputs=images_B, labels=np.zeros(300, np.int64), label_names=np.asarray(["a"])
    )
    assert isinstance(call(project, "schema", "--update").exception, DataError)
    assert not project.schema_path.exists()


def test_verify_passes_sound_data_and_fails_others_by_name(project: Project) -> None:
    """The error counts the rows; the JSON form has them as well."""
    call(project, "schema", "--update")
    assert call(project, "verify").exit_code == 0
    schema = read_schema(project.schema_path)
    assert schema is not None
    project.schema_path.write_bytes(msgspec.json.encode(msgspec.structs.replace(schema, high=200.0)))
    result = call(project, "verify", "--json")
    assert isinstance(result.exception, DataError)
    assert "outside [0, 200]" in str(result.exception)
    assert json.loads(result.stdout)["anomalies"][0]["kind"] == "range"


def test_another_sample_is_compared_and_only_strict_fails_on_skew(project: Project) -> None:
    """A like sample passes, an inverted one is told, and fails where asked for."""
    write_images(project, "like.npz", inverted=False)
    like = json.loads(call(project, "verify", "--json", "--against", "like.npz").stdout)["against"]
    assert not any(feature["shifted"] for feature in like["features"])
    other = str(write_images(project, "other.npz", inverted=True))
    told = call(project, "verify", "--against", other)
    assert told.exit_code == 0
    assert "against skew: 'mean of channel 0' is strongly shifted" in told.stdout
    assert isinstance(call(project, "verify", "--strict", "--against", other).exception, DataError)


def test_what_cannot_be_split_is_told_with_the_rest(project: Project) -> None:
    """A class of one row is an anomaly among others, not the end of the report."""
    images_B, labels_B = make_images(300)
    labels_B[labels_B == 2] = 0
    labels_B[1] = 2
    np.savez(project.folder / "data.npz", inputs=images_B, labels=labels_B, label_names=np.asarray(LABELS))
    result = call(project, "verify", "--json")
    assert isinstance(result.exception, DataError)
    assert {"class", "split"} <= {anomaly["kind"] for anomaly in json.loads(result.stdout)["anomalies"]}


def test_a_training_takes_failing_data_only_with_a_reason(project: Project) -> None:
    """Who, why and what are recorded; without a reason the schema stays as it is and nothing goes on."""
    call(project, "schema", "--update")
    schema = read_schema(project.schema_path)
    assert schema is not None
    project.schema_path.write_bytes(msgspec.json.encode(msgspec.structs.replace(schema, high=200.0)))
    progress = RecordingProgress()
    data = ingest(project, None, progress)
    with pytest.raises(DataError, match="outside"):
        verify(project, data, progress)
    verified = verify(project, data, progress, accept="ada: the sensor was renewed")
    assert verified.override.startswith("ada: the sensor was renewed (range: ")
    assert any("trains all the same" in remark for remark in progress.remarks)


def test_what_was_taken_out_is_in_the_lineage(project: Project) -> None:
    """Copies and near duplicates by their number; nothing where nothing was."""
    images_B, labels_B = make_images(300)
    images_B[200:] = images_B[:100]
    np.savez(project.folder / "data.npz", inputs=images_B, labels=labels_B[np.r_[:200, :100]], label_names=LABELS)
    progress = RecordingProgress()
    data = ingest(project, None, progress)
    prepared = split_and_fit(project, data, verify(project, data, progress).schema, progress)
    lineage = describe_lineage(
        project, prepared, run_id="r", champion_version=0, retrain_request_id="", learned_with={}
    )
    assert lineage.data_removed == {"copies": prepared.removed.copies}
    assert prepared.removed.copies > 20
    assert Removed(near=3).figures() == {"near_duplicates": 3}
    assert Removed().figures() == {}


def test_a_training_keeps_the_page_unless_the_project_wants_none(project: Project) -> None:
    """The page beside the candidate names who took failing data, and what it leaves to a command."""
    call(project, "schema", "--update")
    schema = read_schema(project.schema_path)
    assert schema is not None
    project.schema_path.write_bytes(msgspec.json.encode(msgspec.structs.replace(schema, high=200.0)))
    progress = RecordingProgress()
    data = ingest(project, None, progress)
    verified = verify(project, data, progress, accept="ada: all is well <here>")
    prepared = split_and_fit(project, data, verified.schema, progress)
    page = data_files(project, prepared, verified)[DATA_REPORT_FILE].decode()
    assert "Training and test rows: skew" in page
    assert "edgeferry data verify --html FILE" in page
    assert "regression" not in page
    assert "ada: all is well &lt;here&gt; (range: " in page
    section = msgspec.structs.replace(project.settings.data, report=False)
    silent = replace(project, settings=msgspec.structs.replace(project.settings, data=section))
    assert data_files(silent, prepared, verified) == {}
