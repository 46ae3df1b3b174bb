"""Slimming: what no runtime reads goes, what others may read stays, and the runtime computes the same."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converter.backends.tflite.interpreter import scores
from converter.backends.tflite.schema import BUFFER_ALIGNMENT, add_buffer, name_of, read_model
from converter.backends.tflite.slim import slim
from tests.fakes.converter_tflite_models import edited, rows, single_dense, small_cnn


def with_metadata(name: bytes, content: bytes) -> bytes:
    """The small CNN with one metadata entry."""

    def change(model: Any) -> None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, add_buffer(model, np.frombuffer(content, np.uint8))
        model.metadata = [*(model.metadata or []), entry]

    return edited(small_cnn(), change)


def metadata_of(data: bytes) -> dict[bytes, bytes]:
    """Metadata by name."""
    model = read_model(data)
    return {entry.name: model.buffers[entry.buffer].data.tobytes() for entry in model.metadata or []}


def test_a_slim_model_is_smaller_and_computes_the_same() -> None:
    """The outputs are the same bits."""
    data = small_cnn()
    slimmed = slim(data)
    assert len(slimmed) < len(data)
    assert scores(slimmed, rows(8)).tobytes() == scores(data, rows(8)).tobytes()


def test_slimming_twice_changes_nothing_more() -> None:
    """A slim model is returned as it is."""
    slimmed = slim(small_cnn())
    assert slim(slimmed) == slimmed


def test_edges_keep_their_names_and_other_tensors_lose_theirs() -> None:
    """What is asked for by name is still there."""
    model = read_model(slim(small_cnn()))
    assert {name_of(tensor) for tensor in model.subgraphs[0].tensors} - {""} == {"image", "scores"}
    assert model.signatureDefs[0].inputs[0].name == b"input"


def test_a_tensor_that_a_signature_speaks_of_keeps_its_name() -> None:
    """A signature may give out a tensor inside the graph."""

    def speak_of_it(model: Any) -> None:
        entry = schema.TensorMapT()
        entry.name = b"embedding"
        entry.tensorIndex = [name_of(tensor) for tensor in model.subgraphs[0].tensors].index("flat")
        model.signatureDefs[0].outputs.append(entry)

    model = read_model(slim(edited(small_cnn(), speak_of_it)))
    assert "flat" in {name_of(tensor) for tensor in model.subgraphs[0].tensors}


@pytest.mark.parametrize("name", [b"CONVERSION_METADATA", b"min_runtime_version"])
def test_the_converters_notes_on_itself_go(name: bytes) -> None:
    """They are read by no runtime."""
    assert metadata_of(slim(with_metadata(name, b"x" * 100))) == {}


@pytest.mark.parametrize("name", [b"TFLITE_METADATA", b"somebody's own"])
def test_other_metadata_stay(name: bytes) -> None:
    """Labels and normalization of TFLite Metadata, for one, are read by apps."""
    assert metadata_of(slim(with_metadata(name, b"content"))) == {name: b"content"}


def test_equal_weights_are_stored_once() -> None:
    """Two operators with the same weights share their buffer."""
    data = small_cnn()

    def repeat(model: Any) -> None:
        graph = model.subgraphs[0]
        weights = next(tensor for tensor in graph.tensors if name_of(tensor) == "logits/weights")
        weights.buffer = add_buffer(model, model.buffers[weights.buffer].data.copy())
        spare = schema.TensorT()
        spare.name, spare.shape, spare.type, spare.buffer = b"spare", [4, 512], 0, add_buffer(model, np.zeros(2048))
        spare.buffer = add_buffer(model, model.buffers[weights.buffer].data.copy())
        graph.tensors.append(spare)

    assert len(slim(edited(data, repeat))) < len(data) + 100


def test_weights_stand_on_boundaries_of_sixteen_bytes() -> None:
    """The schema asks for it, and some processors fault without it."""
    data = slim(small_cnn())
    for buffer in read_model(data).buffers[1:]:
        assert data.index(buffer.data.tobytes()) % BUFFER_ALIGNMENT == 0


def test_weights_behind_the_flatbuffer_are_brought_inside() -> None:
    """Runtimes before 2.14 do not follow them there."""
    inside = single_dense(np.arange(64, dtype=np.float32).reshape(4, 16), np.zeros(4, np.float32))
    weights = np.arange(64, dtype=np.float32).tobytes()

    def outside(model: Any, offset: int) -> None:
        buffer = next(each for each in model.buffers if each.data is not None and each.data.tobytes() == weights)
        buffer.data, buffer.offset, buffer.size = None, offset, len(weights)

    size_bytes = len(edited(inside, lambda model: outside(model, 1 << 20)))
    start = -(-size_bytes // 16) * 16
    data = edited(inside, lambda model: outside(model, start)).ljust(start, b"\0") + weights
    model = read_model(slim(data))
    assert all(buffer.offset == 0 for buffer in model.buffers)
    assert any(buffer.data is not None and buffer.data.tobytes() == weights for buffer in model.buffers)


def test_a_model_with_attached_files_is_not_touched() -> None:
    """TFLite Metadata appends label files as a ZIP archive."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("labels.txt", "cat\ndog\n")
    data = small_cnn() + archive.getvalue()
    assert slim(data) == data


def make_sparse(model: Any) -> None:
    """Gives a tensor sparse weights."""
    model.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()


def make_blockwise(model: Any) -> None:
    """Gives a tensor a quantization of a newer kind."""
    quantization = schema.QuantizationParametersT()
    quantization.detailsType, quantization.details = 2, schema.BlockwiseQuantizationT()
    model.subgraphs[0].tensors[1].quantization = quantization


def fill_the_sentinel(model: Any) -> None:
    """Puts data into buffer 0, which stands for none."""
    model.buffers[0].data = np.ones(4, np.uint8)


@pytest.mark.parametrize("change", [make_sparse, make_blockwise, fill_the_sentinel])
def test_what_is_not_understood_is_not_touched(change: Any) -> None:
    """The bytes come back as they were."""
    data = edited(small_cnn(), change)
    assert slim(data) == data


def test_a_field_of_a_newer_schema_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a schema with one field fewer in Tensor, the model is of a newer one, and it is left alone."""

    def quantized(model: Any) -> None:
        model.subgraphs[0].tensors[0].externalBuffer = 0
        model.subgraphs[0].tensors[0].hasRank = True

    data = edited(small_cnn(), quantized)
    assert slim(data) != data
    from converter.backends.tflite import known_fields as tflite_known_fields

    monkeypatch.setattr(tflite_known_fields, "_known_count", lambda name: 5 if name == "Tensor" else 99)
    assert slim(data) == data


def test_ranges_left_by_quantizing_go_and_scales_stay() -> None:
    """`min` and `max` are notes, `scale` and `zero_point` are read."""

    def ranged(model: Any) -> None:
        quantization = schema.QuantizationParametersT()
        quantization.min, quantization.max = np.array([0.0], np.float32), np.array([6.0], np.float32)
        quantization.scale, quantization.zeroPoint = np.array([0.5], np.float32), np.array([3], np.int64)
        model.subgraphs[0].tensors[0].quantization = quantization

    quantization = read_model(slim(edited(small_cnn(), ranged))).subgraphs[0].tensors[0].quantization
    assert (quantization.min, quantization.max) == (None, None)
    assert (quantization.scale.tolist(), quantization.zeroPoint.tolist()) == ([0.5], [3])
