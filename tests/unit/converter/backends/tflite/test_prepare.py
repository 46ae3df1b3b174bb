"""Preparing foreign TFLite models: what litert-quantizer would silently get wrong is mended or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converter.backends.tflite.interpreter import scores
from converter.backends.tflite.prepare import prepare
from converter.backends.tflite.schema import name_of, read_model
from fleet_contract.errors import ModelError
from tests.fakes.converter_tflite_models import edited, halved, rows, small_cnn


def names_of(data: bytes) -> list[str]:
    """The names of all tensors."""
    return [name_of(tensor) for tensor in read_model(data).subgraphs[0].tensors]


def test_a_model_without_signature_gets_one() -> None:
    """Over its input and output."""
    signature = read_model(prepare(small_cnn(signature=False), one_graph=True)).signatureDefs[0]
    assert (signature.signatureKey, signature.inputs[0].name) == (b"serving_default", b"input")


def same_names(model: Any) -> None:
    """Every tensor has the same name, one has none."""
    for tensor in model.subgraphs[0].tensors:
        tensor.name = b"t"
    model.subgraphs[0].tensors[2].name = None


def test_tensors_of_the_same_name_get_names_of_their_own() -> None:
    """The first keeps its name."""
    names = names_of(prepare(edited(small_cnn(), same_names), one_graph=True))
    assert len(set(names)) == len(names)
    assert names[0] == "t"


def test_names_that_are_alone_stay() -> None:
    """Layers are called after them in plans and reports."""
    assert names_of(prepare(small_cnn(), one_graph=True)) == names_of(small_cnn())


def test_half_precision_weights_are_widened() -> None:
    """The operators that did it at run time are gone, and the outputs are the same."""
    data = halved(small_cnn())
    wide = prepare(data, one_graph=True)
    assert len(read_model(wide).subgraphs[0].operators) == 5
    assert scores(wide, rows(4)).tobytes() == scores(data, rows(4)).tobytes()


def test_operator_codes_of_old_files_are_put_where_new_tools_look() -> None:
    """Before 2020 the code was in the field that is now deprecated."""

    def old(model: Any) -> None:
        for code in model.operatorCodes:
            code.builtinCode = 0

    codes = read_model(prepare(edited(small_cnn(), old), one_graph=True)).operatorCodes
    assert [code.builtinCode for code in codes] == [code.builtinCode for code in read_model(small_cnn()).operatorCodes]


def quantized(model: Any) -> None:
    """A tensor in int8."""
    tensor = model.subgraphs[0].tensors[1]
    tensor.type, tensor.quantization = schema.TensorType.INT8, schema.QuantizationParametersT()
    tensor.quantization.scale = np.array([0.1], np.float32)


def test_a_quantized_model_is_refused_with_the_tensor() -> None:
    """Quantizing it again would do nothing, in silence."""
    with pytest.raises(ModelError, match="quantized already: tensor 'first/weights' is INT8") as caught:
        prepare(edited(small_cnn(), quantized), one_graph=True)
    assert "float model" in caught.value.hint


def second_graph(model: Any) -> None:
    """A graph as a loop has."""
    model.subgraphs.append(schema.SubGraphT())
    model.subgraphs[1].tensors, model.subgraphs[1].operators = [], []


def test_control_flow_is_refused_where_calibration_is_needed_only() -> None:
    """Weights can be quantized all the same."""
    data = edited(small_cnn(), second_graph)
    prepare(data, one_graph=False)
    with pytest.raises(ModelError, match="got 2 graphs"):
        prepare(data, one_graph=True)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not a model", small_cnn()[:200], b"\0\0\0\0TFL3"])
def test_what_is_not_a_tflite_file_is_refused(data: bytes) -> None:
    """Truncated files too."""
    with pytest.raises(ModelError, match="TFLite file"):
        prepare(data, one_graph=True)
