"""The workflow, without a runtime: order, resumption, what stops it, what it writes."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from converter.predict.predicting import MAX_CHUNK_ROWS, chunk_rows, predict
from converter.predict.request import OnError, Request, Summary
from fleet_contract.errors import ConfigError, ConflictError, DataError, ModelError
from fleet_contract.preprocessing import Impute, StandardizeEach
from fleet_contract.release import Feature
from tests.fakes.converter_predict import InProcessEngine, SilentProgress, released

if TYPE_CHECKING:
    from converter.predict.engine import Engine

COUNT = 23


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    """COUNT rows of two numbers, in chunks of 4."""
    rows = np.linspace(-1, 1, 2 * COUNT, dtype=np.float32).reshape(COUNT, 2)
    np.save(tmp_path / "data.npy", rows)
    return Request(released=released(), data=tmp_path / "data.npy", out=tmp_path / "out.parquet", rows_per_chunk=4)


def run(request: Request, engine: Engine | None = None, progress: SilentProgress | None = None) -> Summary:
    """A prediction that takes no time."""
    return predict(request, engine or InProcessEngine(), progress=progress or SilentProgress(), elapsed_s=lambda: 0.0)


def with_nan(request: Request) -> Request:
    """The request on data whose rows 6 and 9 hold NaN."""
    rows = np.load(request.data)
    rows[6, 1] = rows[9, 0] = np.nan
    np.save(request.data, rows)
    return request


def test_every_row_is_predicted_in_order(request_: Request) -> None:
    """Rows are numbered, labelled by the highest score, and the unfinished folder is gone."""
    summary = run(request_)
    table = pq.read_table(request_.out).to_pydict()
    sums = np.load(request_.data).sum(axis=1)
    assert table["row"] == list(range(COUNT))
    assert table["label"] == ["yes" if total > 0 else "no" for total in sums]
    np.testing.assert_allclose(table["confidence"], np.maximum(sums, 0), rtol=1e-6)
    assert (summary.rows, summary.skipped_rows, summary.resumed_rows) == (COUNT, 0, 0)
    assert sum(summary.labels.values()) == COUNT
    assert not request_.out.with_name("out.parquet.partial").exists()


@pytest.mark.parametrize("ending", ["parquet", "csv", "npz"])
@pytest.mark.parametrize("fail_at", [0, 1, 5])
def test_an_interrupted_run_ends_with_the_bytes_of_an_uninterrupted_one(
    request_: Request, ending: str, fail_at: int
) -> None:
    """What was finished is not scored again, and the result does not tell that there was an interruption."""
    through = replace(request_, out=request_.out.with_name(f"through.{ending}"), all_scores=True)
    run(through)
    broken = replace(through, out=request_.out.with_name(f"broken.{ending}"))
    with pytest.raises(ModelError, match="SIGSEGV"):
        run(broken, InProcessEngine(fail_at=fail_at))
    assert not broken.out.exists()
    again, progress = InProcessEngine(), SilentProgress()
    summary = run(broken, again, progress)
    assert again.scored == list(range(fail_at, 6))
    assert progress.finished_rows == summary.resumed_rows == 4 * fail_at
    assert broken.out.read_bytes() == through.out.read_bytes()


def test_a_damaged_chunk_is_scored_again(request_: Request) -> None:
    """A chunk whose bytes are not those that were noted counts for nothing, nor does what follows it."""
    with pytest.raises(ModelError):
        run(request_, InProcessEngine(fail_at=5))
    folder = request_.out.with_name("out.parquet.partial")
    chunks, lines = (
        bytearray((folder / "chunks.bin").read_bytes()),
        (folder / "finished.jsonl").read_text().splitlines(),
    )
    chunks[json.loads(lines[2])["begin_byte"] + 99] ^= 1
    (folder / "chunks.bin").write_bytes(chunks)
    engine = InProcessEngine()
    assert run(request_, engine).resumed_rows == 8
    assert engine.scored == [2, 3, 4, 5]


def test_a_torn_line_is_no_finished_chunk(request_: Request) -> None:
    """A power cut in the middle of a line costs that chunk only."""
    with pytest.raises(ModelError):
        run(request_, InProcessEngine(fail_at=3))
    lines = request_.out.with_name("out.parquet.partial") / "finished.jsonl"
    lines.write_bytes(lines.read_bytes()[:-5])
    assert run(request_).resumed_rows == 8


def test_a_bad_row_stops_and_is_named(request_: Request) -> None:
    """The row and the element are told, and nothing is written to the result."""
    with pytest.raises(DataError, match=r"row 6, column element \[1\]: got nothing") as caught:
        run(with_nan(request_))
    assert "got 1 rows that cannot be scored" in caught.value.message
    assert "--on-error skip" in caught.value.hint
    assert not request_.out.exists()


def test_skipping_goes_on_where_stopping_ended(request_: Request) -> None:
    """What was scored before the stop is kept, and the bad rows are left without a prediction and listed."""
    with pytest.raises(DataError):
        run(with_nan(request_))
    summary = run(replace(request_, on_error=OnError.SKIP))
    assert (summary.rows, summary.skipped_rows, summary.resumed_rows) == (COUNT, 2, 8)
    table = pq.read_table(request_.out).to_pydict()
    assert [row for row, label in enumerate(table["label"]) if label is None] == [6, 9]
    assert table["confidence"][6] is None
    with Path(summary.skipped_list).open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["row", "column", "reason"],
            ["6", "element [1]", "got nothing, expected a number, for the preprocessing fills none in"],
            ["9", "element [0]", "got nothing, expected a number, for the preprocessing fills none in"],
        ]


def test_stopping_does_not_pass_over_what_skipping_left(request_: Request) -> None:
    """A run that stops at bad rows also stops at those that an unfinished, skipping run met."""
    with pytest.raises(ModelError):
        run(replace(with_nan(request_), on_error=OnError.SKIP), InProcessEngine(fail_at=5))
    with pytest.raises(DataError, match="row 6"):
        run(request_)


def test_a_row_without_a_finite_input_is_named(request_: Request) -> None:
    """Preprocessing that divides by nothing leaves no prediction, and says so."""
    rows = np.load(request_.data)
    rows[3] = 0.5
    np.save(request_.data, rows)
    steps = (StandardizeEach(epsilon=0.0),)
    with pytest.raises(DataError, match="row 3: got no finite value after preprocessing"):
        run(replace(request_, released=released(preprocessing=steps)))


def test_a_missing_value_costs_a_row_only_where_no_step_fills_it(request_: Request) -> None:
    """Of two that are missing, the one that is needed is named."""
    data = request_.data.with_suffix(".csv")
    data.write_text("label,b,a\nyes,1,\nno,,\nno,2,2\nno,,3\n")
    steps = (Impute(values=(7.0,), columns=(0,)),)
    table = released(preprocessing=steps, features=(Feature(name="a"), Feature(name="b")))
    summary = run(replace(request_, released=table, data=data, on_error=OnError.SKIP, all_scores=True))
    words = "got nothing, expected a number, for the preprocessing fills none in"
    assert [(row.key, row.column, row.reason) for row in summary.skipped] == [("1", "b", words), ("3", "b", words)]
    assert pq.read_table(request_.out).to_pydict()["score_yes"] == [8, None, 4, None]


def write_files(folder: Path) -> Path:
    """COUNT rows in two files, with a word among the numbers of the second."""
    folder.mkdir()
    lines = [f"{row},{row / 2}\n" for row in range(COUNT)]
    lines[20] = "20,twenty\n"
    for name, part in (("a.csv", lines[:9]), ("b.csv", lines[9:])):
        (folder / name).write_text("a,b\n" + "".join(part))
    return folder


def test_a_fault_in_one_of_several_files_is_named_by_file_and_row(request_: Request, tmp_path: Path) -> None:
    """The result's row number alone would have to be counted out."""
    request = replace(request_, data=write_files(tmp_path / "files"))
    with pytest.raises(DataError, match=r"row 20, column b: b\.csv row 11: got 'twenty', expected a number"):
        run(request)


@pytest.mark.parametrize("fail_at", [2, 3, 5])
def test_several_files_go_on_where_they_were_interrupted(request_: Request, tmp_path: Path, fail_at: int) -> None:
    """Within a file and between two; the result has the same bytes, and its rows are numbered through."""
    request = replace(request_, data=write_files(tmp_path / "files"), on_error=OnError.SKIP)
    run(request)
    broken = replace(request, out=request.out.with_name("broken.parquet"))
    with pytest.raises(ModelError):
        run(broken, InProcessEngine(fail_at=fail_at))
    again = InProcessEngine()
    run(broken, again)
    assert again.scored == list(range(fail_at, 7))
    assert broken.out.read_bytes() == request.out.read_bytes()
    assert pq.read_table(request.out).to_pydict()["row"] == list(range(COUNT))


def test_a_release_without_labels_gives_its_numbers(request_: Request) -> None:
    """A regressor has no label and no confidence."""
    run(replace(request_, released=released(labels=())))
    table = pq.read_table(request_.out)
    assert table.column_names == ["row", "output_0", "output_1"]


@pytest.mark.parametrize("on_error", OnError)
def test_all_formats_say_the_same(request_: Request, on_error: OnError) -> None:
    """Parquet, CSV and NPZ hold the same rows, labels, confidences and scores."""
    request = replace(request_, all_scores=True, on_error=on_error)
    if on_error is OnError.SKIP:
        with_nan(request)
    for ending in ("parquet", "csv", "npz"):
        run(replace(request, out=request.out.with_suffix(f".{ending}")))
    table = pq.read_table(request.out).to_pydict()
    with request.out.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with np.load(request.out.with_suffix(".npz")) as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert [row["label"] for row in rows] == [label or "" for label in table["label"]] == arrays["label"].tolist()
    scores = [np.nan if score is None else score for score in table["score_yes"]]
    np.testing.assert_array_equal(arrays["scores"][:, 1], np.array(scores, np.float32))
    texts = [row["score_yes"] for row in rows]
    np.testing.assert_array_equal(
        np.array([float(text or "nan") for text in texts], np.float32), arrays["scores"][:, 1]
    )
    assert arrays["row"].tolist() == table["row"] == [int(row["row"]) for row in rows]


def test_an_older_result_is_kept_unless_told_otherwise(request_: Request) -> None:
    """Nothing is overwritten by chance."""
    request_.out.write_text("precious")
    with pytest.raises(ConflictError, match="is there already"):
        run(request_)
    assert request_.out.read_text() == "precious"
    run(replace(request_, overwrite=True))
    assert pq.read_table(request_.out).num_rows == COUNT


def test_another_job_does_not_take_over_an_unfinished_one(request_: Request) -> None:
    """What differs is told; --restart drops what was done."""
    with pytest.raises(ModelError):
        run(request_, InProcessEngine(fail_at=2))
    other = replace(request_, rows_per_chunk=5)
    with pytest.raises(ConflictError, match="another rows per chunk"):
        run(other)
    engine = InProcessEngine()
    assert run(replace(other, restart=True), engine).resumed_rows == 0
    assert engine.scored == [0, 1, 2, 3, 4]


def test_data_that_change_meanwhile_are_no_result(request_: Request) -> None:
    """Half of old data and half of new data is nothing."""

    class Meddler(SilentProgress):
        def advance(self, rows: int, fraction: float) -> None:
            np.save(request_.data, np.zeros((COUNT, 2), np.float32))
            super().advance(rows, fraction)

    with pytest.raises(DataError, match="changed while it was read"):
        run(request_, progress=Meddler())
    assert not request_.out.exists()
    assert not request_.out.with_name("out.parquet.partial").exists()


def test_only_one_process_works_on_a_result(request_: Request) -> None:
    """A second run into the same file is turned away."""
    with pytest.raises(ModelError):
        run(request_, InProcessEngine(fail_at=1))

    class Rival(SilentProgress):
        def advance(self, rows: int, fraction: float) -> None:
            with pytest.raises(ConflictError, match="another process"):
                run(request_)
            super().advance(rows, fraction)

    assert run(request_, progress=Rival()).rows == COUNT


def test_data_without_rows_are_no_result(tmp_path: Path, request_: Request) -> None:
    """A table with a header and nothing else is refused."""
    (tmp_path / "data.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="got no row"):
        run(replace(request_, data=tmp_path / "data.csv"))


def test_the_ending_of_the_result_says_its_format(request_: Request) -> None:
    """An ending that nobody knows is refused before anything is scored."""
    with pytest.raises(ConfigError, match=r"'\.txt'"):
        run(replace(request_, out=request_.out.with_suffix(".txt")))


def test_a_chunk_suits_the_variant() -> None:
    """Quick rows come in many, large rows in few, and there is always one."""
    quick = released()
    assert chunk_rows(quick.manifest, quick.variant) == MAX_CHUNK_ROWS
    large = released((4096, 4096))
    assert chunk_rows(large.manifest, large.variant) == 1


def test_the_partial_folder_is_named_after_the_result(request_: Request) -> None:
    """A user who looks at the folder sees what belongs together."""
    with pytest.raises(ModelError):
        run(request_, InProcessEngine(fail_at=1))
    names = {path.name for path in request_.out.parent.iterdir()}
    assert names == {"data.npy", "out.parquet.partial"}
