"""What kind a foreign model is, and what is safe in the description of one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from converter.backends.keras2_description import check_description
from converter.process.jobs import Edge, ModelKind
from converter.sources import foreign
from converter.sources.foreign import kind_of, lay_model, read_foreign
from converter.sources.shapes import check_edges, check_rows
from fleet_contract.errors import DataError, ModelError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

CONTENTS = {
    "model.keras": (b"PK\x03\x04rest", ModelKind.KERAS),
    "model.h5": (b"\x89HDF\r\n\x1a\nrest", ModelKind.KERAS),
    "model.tflite": (b"\x1c\x00\x00\x00TFL3rest", ModelKind.TFLITE),
    "model.onnx": (b"\x08\x08\x12\x04rest", ModelKind.ONNX),
}
ROW = Edge(name="in", dtype="float32", shape=(None, 8))


@pytest.mark.parametrize("name", CONTENTS)
def test_the_kind_is_told_by_the_content(name: str, tmp_path: Path) -> None:
    """A file without a telling suffix is recognized, and laid out under the name that its loader wants."""
    data, kind = CONTENTS[name]
    path = tmp_path / "thing.bin"
    path.write_bytes(data)
    model = read_foreign(path)
    assert (model.kind, model.name, dict(model.files)) == (kind, "thing", {name: data})
    assert model.sha256 == hashlib.sha256(data).hexdigest()
    assert lay_model(model.files, tmp_path / "laid").read_bytes() == data


def test_a_name_that_contradicts_the_content_is_refused(tmp_path: Path) -> None:
    """A TFLite file that calls itself ONNX is named as what it is."""
    path = tmp_path / "model.onnx"
    path.write_bytes(CONTENTS["model.tflite"][0])
    with pytest.raises(ModelError, match="kind tflite, expected onnx"):
        read_foreign(path)


@pytest.mark.parametrize("data", [b"", b"\x08", b"\x08\xff\x01", b"garbage that is no model", b"\x80\x04pickle"])
def test_content_of_no_known_kind_is_refused(data: bytes, tmp_path: Path) -> None:
    """Nothing is guessed from the name alone."""
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    assert kind_of(data) is None
    with pytest.raises(ModelError, match="expected the content of a model of kind tflite"):
        read_foreign(path)


def test_a_saved_model_is_all_of_its_regular_files(tmp_path: Path) -> None:
    """They come back as they were; the digest is over all of them."""
    folder = tmp_path / "speech"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    model = read_foreign(folder)
    laid = lay_model(model.files, tmp_path / "laid")
    assert (model.kind, model.name) == (ModelKind.SAVED_MODEL, "speech")
    assert (laid / "variables" / "variables.index").read_bytes() == b"index"
    (folder / "variables" / "variables.index").write_bytes(b"other")
    assert read_foreign(folder).sha256 != model.sha256


def test_a_saved_model_that_links_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    """A link could carry a secret of this machine into a release."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "assets").symlink_to("/etc")
    with pytest.raises(DataError, match="assets: got a link"):
        read_foreign(folder)


def test_what_is_not_there_or_no_model_is_named(tmp_path: Path) -> None:
    """A missing path and a folder of something else are told apart."""
    with pytest.raises(NotFoundError, match="no model"):
        read_foreign(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"without saved_model\.pb"):
        read_foreign(tmp_path)


def test_a_model_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on the file, before its bytes are in memory."""
    monkeypatch.setattr(foreign, "MAX_MODEL_BYTES", 10)
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(11))
    with pytest.raises(DataError, match="over 10 bytes"):
        read_foreign(path)


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ((Edge(name="in", dtype="int8", shape=(1, 8)), ROW), "got int8, expected float32"),
        ((Edge(name="in", dtype="string", shape=(None, 1)), ROW), "got string, expected float32"),
        ((Edge(name="in", dtype="float32", shape=(None, None, 3)), ROW), r"\[\?, \?, 3\], expected fixed sizes"),
        ((Edge(name="in", dtype="float32", shape=(32, 8)), ROW), r"\[32, 8\], expected a batch axis that is open or 1"),
        ((Edge(name="in", dtype="float32", shape=(8,)), ROW), "expected a batch axis and at least one more"),
        ((ROW, Edge(name="out", dtype="float32", shape=(None, 8, 8))), r"output 'out': got shape \[\?, 8, 8\]"),
    ],
)
def test_edges_that_cannot_be_carried_are_refused(edges: tuple[Edge, Edge], words: str) -> None:
    """The message says what the model has, and what it would need."""
    with pytest.raises(ModelError, match=words):
        check_edges(*edges)


def test_edges_and_rows_that_fit_pass() -> None:
    """An open batch and a batch of 1 are both fine; rows must have the model's own sizes."""
    check_edges(ROW, Edge(name="out", dtype="float32", shape=(1, 3)))
    check_rows(ROW, (160, 8))
    with pytest.raises(DataError, match=r"rows of shape \[9\], expected \[8\]"):
        check_rows(ROW, (160, 9))


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"class_name": "Lambda", "config": {}}, "a Lambda layer"),
        ({"class_name": "Dense", "config": {"kernel_initializer": {"module": "os", "class_name": "x"}}}, "module 'os'"),
        ({"class_name": "TFOpLambda", "config": {"function": "io.write_file"}}, "a call of 'io.write_file'"),
        ({"class_name": "TFOpLambda", "config": {}}, "a call of None"),
        ({"class_name": "InstanceMethod", "config": {}}, "an InstanceMethod|a InstanceMethod"),
    ],
)
def test_a_keras_2_model_that_carries_code_is_refused(layer: dict[str, object], words: str) -> None:
    """At any depth, by what is known to be harmless rather than by what is known to harm."""
    with pytest.raises(ModelError, match=words):
        check_description({"class_name": "Sequential", "config": {"layers": [[layer]]}})


def test_a_keras_2_model_of_plain_layers_passes() -> None:
    """Layers of Keras and arithmetic of TensorFlow are fine."""
    layers = [
        {"class_name": "Dense", "config": {"units": 3}, "module": "keras.layers"},
        {"class_name": "TFOpLambda", "config": {"function": "math.add"}},
        {"class_name": "TFOpLambda", "config": {"function": "__operators__.add"}},
    ]
    check_description({"class_name": "Functional", "config": {"layers": layers}})
