"""Users' own data end to end: TFRecord in a child process, hostile sizes, and runs that must leave nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fleet_contract.candidate import CANDIDATE_FILE, Candidate
from fleet_contract.codec import decode
from fleet_contract.errors import DataError
from fleet_contract.release import Feature
from tests.fakes.trainer_files import load, table_columns, write_csv, write_image_folder, write_parquet
from tests.fakes.trainer_projects import write_test_project
from tests.fakes.trainer_work import NOW
from trainer.pipeline import run
from trainer.progress import Silent
from trainer.project import load_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainer.project import Project

MIB = 1024**2

WITHOUT_ROLES = {"categories": [], "slices": [""], "groups": None, "times": None}

TFRECORD = """
import io, json, sys
from pathlib import Path

import numpy as np
from PIL import Image

from fleet_contract.errors import EdgeferryError
from fleet_contract.release import Feature as ColumnFeature
from trainer.training.keras_runtime import import_keras, prepare
from trainer.settings import DataSection
from trainer.sources.uri import load_source

import_keras()
import tensorflow as tf

folder, found = Path(sys.argv[1]), {}
Feature = tf.train.Feature


def floats(*values):
    return Feature(float_list=tf.train.FloatList(value=values))


def ints(*values):
    return Feature(int64_list=tf.train.Int64List(value=values))


def text(*values):
    return Feature(bytes_list=tf.train.BytesList(value=values))


def write(name, rows, packing=""):
    (folder / name).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / name), options=packing) as file:
        for row in rows:
            file.write(tf.train.Example(features=tf.train.Features(feature=row)).SerializeToString())
    return (folder / name).read_bytes()


def png(value):
    buffer = io.BytesIO()
    Image.fromarray(np.full((3, 2), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def attempt(name, known=(), **settings):
    try:
        data = load_source(DataSection(source="tfrecord:" + name, **settings), folder, known=known)
    except EdgeferryError as error:
        found[name] = f"{type(error).__name__}: {error.message} | {error.hint}"
        return
    found[name] = {
        "shape": list(data.inputs_B.shape), "dtype": data.inputs_B.dtype.name, "labels": list(data.label_names),
        "last": data.inputs_B[-1].reshape(-1).tolist(), "index": data.labels_B.tolist(),
        "features": [feature.name for feature in data.features],
        "categories": [list(feature.categories) for feature in data.features if feature.categories],
        "slices": sorted(set(data.slices_B.tolist())), "place": data.places.name(len(data) - 1),
        "groups": None if data.groups_B is None else data.groups_B.tolist(),
        "times": None if data.times_B is None else data.times_B.tolist(),
    }


series = [{"x": floats(n, n + 0.5, 2, 3), "label": ints(n % 2)} for n in range(6)]
content = write("series", series)
attempt("series", shape=(2, 2))
write("named", [{"b": ints(n), "a": floats(n / 2), "kind": text(b"uv"[n % 2 : n % 2 + 1])} for n in range(6)])
attempt("named", label="kind")
write("images", [{"image": text(png(40 + n)), "label": text([b"cat", b"dog"][n % 2])} for n in range(6)])
attempt("images")
(folder / "short").write_bytes(content[:-5])
attempt("short")
(folder / "stub").write_bytes(content[: len(content) // 6 + 5])
attempt("stub")
(folder / "flipped").write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
attempt("flipped")
(folder / "empty").write_bytes(b"")
attempt("empty")
with tf.io.TFRecordWriter(str(folder / "foreign")) as file:
    file.write(b"\\xff\\xff not an example")
attempt("foreign")
write("unequal", [*series, {"x": floats(1, 2), "label": ints(0)}])
attempt("unequal")
write("unlabelled", [*series, {"x": floats(1, 2, 3, 4)}])
attempt("unlabelled")
write("broken-image", [{"image": text(png(1)), "label": ints(0)}, {"image": text(b"\\x89PNG"), "label": ints(1)}])
attempt("broken-image")
packed = write("packed", series, "GZIP")
attempt("packed")
(folder / "packed-short").write_bytes(packed[:-12])
attempt("packed-short")
(folder / "cut-inside").write_bytes(packed[:len(packed) // 2])
attempt("cut-inside")


def visit(n, **changed):
    row = {
        "age": ints(20 + n), "kind": text(b"uvw"[n % 3 : n % 3 + 1]), "x": floats(n, -n),
        "label": text(b"yn"[n % 2 : n % 2 + 1]),
        "site": text("Köln".encode() if n % 2 else b""), "machine": ints(n // 2), "at": text(b"2026-01-0%d" % (n + 1)),
    }
    return {**row, **changed}


roles = {"slices": "site", "group": "machine", "time": "at"}
write("parts/1.tfrecord.gz", [visit(n) for n in range(4)], "GZIP")
write("parts/2.tfrecord", [visit(4, age=ints()), visit(5)])
attempt("parts", **roles)
write("unknown", [visit(n) for n in range(6)])
attempt("unknown", known=(ColumnFeature(name="kind", categories=("u", "v")),), features=("age", "kind"))
write("nameless", [visit(n) for n in range(6)])
attempt("nameless", label="Lable")
write("no-label", [visit(0), visit(1, label=text()), visit(2)])
attempt("no-label", features=("age",))
write("mixed", [visit(0), visit(1, kind=floats(1)), visit(2, age=text(b"old")), visit(3, kind=text(b"\\xff"))])
attempt("mixed", features=("age", "kind"))
write("timeless", [visit(0), visit(1, at=text(b"noon"))])
attempt("timeless", features=("age",), time="at")
prepare(seed=1, threads=1)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def tfrecords(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a child process, which may import TensorFlow, read of TFRecord files it wrote."""
    folder = tmp_path_factory.mktemp("tfrecord")
    done = subprocess.run(
        [sys.executable, "-c", TFRECORD, str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_tfrecords_of_numbers_and_of_images_are_read(tfrecords: dict[str, object]) -> None:
    """Lists become rows of the shape asked for, scalars named features, encoded images arrays of bytes.

    The number of TensorFlow's threads can still be chosen afterwards: the child does so at its end.
    """
    assert tfrecords["series"] == {
        "shape": [6, 2, 2], "dtype": "float32", "labels": ["0", "1"], "last": [5.0, 5.5, 2.0, 3.0],
        "index": [0, 1, 0, 1, 0, 1], "features": [], **WITHOUT_ROLES, "place": "series row 5",
    }  # fmt: skip
    assert tfrecords["named"] == {
        "shape": [6, 2], "dtype": "float32", "labels": ["u", "v"], "last": [2.5, 5.0],
        "index": [0, 1, 0, 1, 0, 1], "features": ["a", "b"], **WITHOUT_ROLES, "place": "named row 5",
    }  # fmt: skip
    assert tfrecords["images"] == {
        "shape": [6, 3, 2, 1], "dtype": "uint8", "labels": ["cat", "dog"], "last": [45] * 6,
        "index": [0, 1, 0, 1, 0, 1], "features": [], **WITHOUT_ROLES, "place": "images row 5",
    }  # fmt: skip


@pytest.mark.slow
def test_text_in_tfrecords_is_what_columns_of_text_are(tfrecords: dict[str, object]) -> None:
    """Categories beside numbers and lists, slices, groups and times, over a folder of which one file is gzipped."""
    assert tfrecords["parts"] == {
        "shape": [6, 4], "dtype": "float32", "labels": ["n", "y"], "last": [25.0, 2.0, 5.0, -5.0],
        "index": [1, 0, 1, 0, 1, 0], "features": ["age", "kind", "x[0]", "x[1]"], "categories": [["u", "v", "w"]],
        "slices": ["", "Köln"], "groups": ["0", "0", "1", "1", "2", "2"], "place": "2.tfrecord row 1",
        "times": [1767225600.0 + 86400.0 * day for day in range(6)],
    }  # fmt: skip
    packed = tfrecords["packed"]
    assert isinstance(packed, dict)
    assert (packed["shape"], packed["last"]) == ([6, 4], [5.0, 5.5, 2.0, 3.0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("packed-short", "got Compressed file ended before the end-of-stream marker"),
        ("cut-inside", "expected a whole gzip file"),
        ("unknown", "got 2 rows with categories that the schema does not know ('w' in unknown row 2)"),
        ("nameless", "expected one named 'Lable'"),
        ("nameless", "did you mean 'label'?"),
        ("no-label", "got 1 rows without one, the first in no-label row 1"),
        ("mixed", "got 3 faults"),
        ("mixed", "mixed record 1: feature 'kind': got a number, expected text as in the first record"),
        ("mixed", "mixed record 2: feature 'age': got text, expected a number"),
        ("mixed", "mixed record 3: feature 'kind': got bytes that are no PNG, JPEG or text"),
        ("timeless", "timeless: row 1, column 'at': got"),
        ("short", "truncated record"),
        ("stub", "got a record cut short"),
        ("flipped", "corrupted record"),
        ("empty", "got no records"),
        ("foreign", "expected whole records of tf.train.Example"),
        ("unequal", "record 6: feature 'x': got 2 values, expected 4 as in the first record"),
        ("unlabelled", "record 6: got features ['x'], expected one named 'label'"),
        ("broken-image", "record 1: got no image that can be read"),
    ],
)
def test_broken_tfrecords_are_refused(tfrecords: dict[str, object], name: str, words: str) -> None:
    """Truncation, damage and records unlike the others are named with file and record."""
    message = tfrecords[name]
    assert isinstance(message, str)
    assert message.startswith("DataError")
    assert words in message
    assert name in message


PEAK = """
import resource, sys, time
from pathlib import Path
from fleet_contract.errors import DataError
from trainer.settings import DataSection
from trainer.sources.uri import load_source
folder, source = Path(sys.argv[1]), sys.argv[2]
load_source(DataSection(source="csv:small.csv"), folder)
before_kib, started_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    print(len(load_source(DataSection(source=source), folder)))
except DataError as error:
    print(error.message)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib, time.process_time() - started_s)
"""


def measure(folder: Path, source: str) -> tuple[str, float, float]:
    """What a child said of `source`, how much memory it took beyond that for a small table (MiB), and CPU seconds."""
    write_csv(folder / "small.csv", table_columns())
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder), source], capture_output=True, text=True, timeout=120, check=True
    )
    said, _, figures = done.stdout.strip().rpartition("\n")
    grown_kib, cpu_s = figures.split()
    return said, int(grown_kib) / 1024, float(cpu_s)


def test_a_million_columns_are_refused_in_a_moment(tmp_path: Path) -> None:
    """The header alone is looked at, and of it no more than its limit."""
    with (tmp_path / "wide.csv").open("w") as file:
        file.write(",".join(f"column{index}" for index in range(10**6)))
        for _ in range(5):
            file.write("\n" + ",".join(["1.5"] * 10**6))
    said, grown_mib, cpu_s = measure(tmp_path, "csv:wide.csv")
    assert "columns, expected at most 16,384" in said
    assert grown_mib < 32
    assert cpu_s < 1.0


def test_a_table_takes_little_more_memory_than_its_array(tmp_path: Path) -> None:
    """Of 300,000 rows and 9 columns, 16 MB of file, only the array of 11 MB and a batch are held."""
    rng = np.random.default_rng(0)
    columns = {f"x{index}": np.round(rng.random(300_000), 4) for index in range(9)}
    write_parquet(tmp_path / "big.parquet", {**columns, "label": rng.integers(0, 3, 300_000)})
    said, grown_mib, _ = measure(tmp_path, "parquet:big.parquet")
    assert said == "300000"
    assert grown_mib < 120


@pytest.mark.slow
def test_one_unreadable_file_among_ten_thousand_is_named(tmp_path: Path) -> None:
    """All are read within seconds, by several threads, and the one is found."""
    folder = write_image_folder(tmp_path / "i", each=1)
    for name in ("cat", "dog"):
        content = (folder / name / "00000.png").read_bytes()
        for index in range(1, 5000):
            (folder / name / f"{index:05}.png").write_bytes(content)
    started_s = time.perf_counter()
    assert len(load(tmp_path, "images:i")) == 10_000
    took_s = time.perf_counter() - started_s
    assert took_s < 30
    (folder / "dog" / "03456.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match=r"i: dog/03456\.png: got no image that can be read, expected PNG or JPEG"):
        load(tmp_path, "images:i")


TRAIN_TWICE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from fleet_contract.errors import DataError
from tests.fakes.trainer_progress import RecordingProgress
from trainer.pipeline import run
from trainer.project import load_project

folder, now = Path(sys.argv[1]), datetime(2026, 5, 4, tzinfo=UTC)
for name in ("first", "second"):
    progress = RecordingProgress()
    run(load_project(folder), out=folder / name, now=now, progress=progress, frozen=name == "second")
    print([remark for remark in progress.remarks if "snapshot" in remark])
table = folder / "d.csv"
table.write_text(table.read_text() + "1.5,red,no\\n")
try:
    run(load_project(folder), out=folder / "third", now=now, progress=RecordingProgress(), frozen=True)
except DataError as error:
    print(error.message)
print((folder / "third").exists())
"""


@pytest.mark.slow
def test_a_table_is_trained_pinned_and_held_against_its_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The candidate names its features; the same rows train again frozen, with the same hash; one row more does not."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_test_project(tmp_path, rows=30, epochs=1, min_accuracy=0.1, trained=True)
    columns = table_columns(120)
    columns["width"] = [row % 2 + row / 1000 for row in range(120)]
    write_csv(tmp_path / "d.csv", columns)
    on_source(tmp_path, "csv:d.csv")
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_TWICE, str(tmp_path)], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    first_said, second_said, refusal, third_there = done.stdout.strip().splitlines()
    assert first_said == "['pinned 120 rows in snapshot.json']"
    assert (second_said, third_there) == ("[]", "False")
    assert "121 rows, 1 more than before; files: 1 changed (d.csv)" in refusal
    first, second = (
        decode((tmp_path / name / CANDIDATE_FILE).read_bytes(), Candidate, max_bytes=MIB)
        for name in ("first", "second")
    )
    assert first.features == (Feature(name="width"), Feature(name="colour", categories=("blue", "green", "red")))
    assert first.lineage.data_snapshot_sha256 == second.lineage.data_snapshot_sha256


def truncate(path: Path) -> None:
    """Leaves half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def csv_project(folder: Path, *, bad: Callable[[dict[str, list[object]]], None]) -> Project:
    """A project on a table that `bad` spoiled."""
    write_test_project(folder, rows=30)
    columns = table_columns(90)
    bad(columns)
    write_csv(folder / "d.csv", columns)
    return on_source(folder, "csv:d.csv")


def on_source(folder: Path, source: str) -> Project:
    """The project in `folder`, on another source."""
    settings = folder / "edgeferry.toml"
    settings.write_text(settings.read_text().replace("npz:data.npz", source))
    return load_project(folder)


def refused_run(project: Project) -> str:
    """The words with which a run is refused; proves that it left nothing and changed nothing."""
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    with pytest.raises(DataError) as caught:
        run(project, out=project.folder / "candidate", now=NOW, progress=Silent())
    after = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    left = {path.relative_to(project.folder).as_posix() for path in set(after) - set(before)}
    assert left <= {".edgeferry/file-hashes.json"}
    assert {path: after.get(path) for path in before} == before
    return caught.value.message


SPOILED: dict[str, tuple[Callable[[dict[str, list[object]]], None], str]] = {
    "a word among numbers": (lambda columns: columns["width"].__setitem__(50, "wide"), "'wide' in d.csv row 50"),
    "NaN": (lambda columns: columns["width"].__setitem__(50, "NaN"), "1 of 90 rows"),
    "a class with one row": (lambda columns: columns["label"].__setitem__(50, "maybe"), "'maybe'"),
    "a row without a label": (lambda columns: columns["label"].__setitem__(50, ""), "d.csv row 50"),
}


@pytest.mark.parametrize(("bad", "words"), SPOILED.values(), ids=SPOILED)
def test_a_run_on_a_spoiled_table_leaves_nothing(
    tmp_path: Path, bad: Callable[[dict[str, list[object]]], None], words: str
) -> None:
    """Neither candidate nor schema nor pin, and what was there stays as it was."""
    assert words in refused_run(csv_project(tmp_path, bad=bad))


def test_a_run_on_a_truncated_file_leaves_nothing(tmp_path: Path) -> None:
    """Parquet and NPZ alike."""
    project = write_test_project(tmp_path / "npz", rows=30)
    truncate(project.folder / "data.npz")
    assert "data.npz" in refused_run(project)
    write_test_project(tmp_path / "parquet", rows=30)
    truncate(write_parquet(tmp_path / "parquet" / "d.parquet", table_columns(500)))
    assert "d.parquet" in refused_run(on_source(tmp_path / "parquet", "parquet:d.parquet"))
