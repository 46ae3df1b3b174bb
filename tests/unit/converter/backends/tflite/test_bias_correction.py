"""Bias correction: after it, no channel of a layer is off on average, whatever the layers before it do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from converter.backends.tflite import bias_correction
from converter.backends.tflite.activations import observe
from converter.backends.tflite.interpreter import edges, open_interpreter, run_rows
from converter.backends.tflite.layers import layer_name
from converter.backends.tflite.litert import TfliteQuantizer
from converter.backends.tflite.schema import constant_of, pack, read_model
from converter.plan import Plan
from converter.proof.parity import sqnr_db
from fleet_contract.tensors import quantize
from tests.fakes.converter_tflite_models import rows, small_cnn

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATION_B = rows(32)
ALL_ROWS = np.arange(32)


def off_on_average(model: Any, layer: str) -> NDArray[np.float64]:
    """By how much each channel of a layer of the quantized model is off, in steps of its output."""
    data = pack(model)
    graph = model.subgraphs[0]
    index = next(int(each.outputs[0]) for each in graph.operators if layer_name(graph, each) == layer)
    interpreter = open_interpreter(data, inspect=True)
    stored_B = quantize(CALIBRATION_B, edges(interpreter)[0])
    taken = [interpreter.get_tensor(index).copy() for _ in run_rows(interpreter, stored_B)]
    quantization = graph.tensors[index].quantization
    scale, zero = float(quantization.scale[0]), int(quantization.zeroPoint[0])
    means_C = (np.stack(taken).reshape(-1, taken[0].shape[-1]).mean(axis=0) - zero) * scale
    wanted = observe(small_cnn(), CALIBRATION_B)[layer].means_BC
    assert wanted is not None
    off_C: NDArray[np.float64] = (means_C - wanted.mean(axis=0)) / scale
    return off_C


def shifted(model: Any, layer: str, steps: int) -> None:
    """Spoils the bias of a layer."""
    graph = model.subgraphs[0]
    operator = next(each for each in graph.operators if layer_name(graph, each) == layer)
    bias = graph.tensors[operator.inputs[2]]
    values = constant_of(model, bias)
    assert values is not None
    model.buffers[bias.buffer].data = np.frombuffer((values + steps).astype(np.int32).tobytes(), np.uint8)


def quantized() -> Any:
    """The small CNN in int8, without correction."""
    return read_model(TfliteQuantizer(small_cnn(), CALIBRATION_B).quantize(Plan()))


def named(model: Any) -> Any:
    """The names that slimming dropped, put back in the order of the float model's operators."""
    for operator, name in zip(
        model.subgraphs[0].operators, ("first", "second", "flat", "logits", "scores"), strict=True
    ):
        model.subgraphs[0].tensors[operator.outputs[0]].name = name.encode()
    return model


def before_and_after(layer: str) -> tuple[float, float]:
    """By how much the worst channel of a layer with a spoiled bias is off, before and after correction."""
    model = named(quantized())
    shifted(model, layer, 2000)
    before = float(np.abs(off_on_average(model, layer)).max())
    bias_correction.correct(model, observe(small_cnn(), CALIBRATION_B), CALIBRATION_B, ALL_ROWS)
    return before, float(np.abs(off_on_average(model, layer)).max())


def test_after_correction_no_channel_is_off_on_average() -> None:
    """Within a fifth of a step, where a spoiled bias had put it several steps off."""
    before, after = before_and_after("logits")
    assert before > 1.0
    assert after < 0.2


@pytest.mark.parametrize("layer", ["first", "second"])
def test_a_layer_that_clips_at_zero_comes_nearer(layer: str) -> None:
    """Only the values above zero follow the bias, so that one step takes a part of the error."""
    before, after = before_and_after(layer)
    assert before > 1.0
    assert after < 0.7 * before


def test_a_layer_is_corrected_for_what_the_layers_before_it_do() -> None:
    """The last layer is right on average although the first one, which feeds it, was spoiled too."""
    model = named(quantized())
    shifted(model, "first", 2000)
    shifted(model, "logits", -900)
    bias_correction.correct(model, observe(small_cnn(), CALIBRATION_B), CALIBRATION_B, ALL_ROWS)
    assert np.abs(off_on_average(model, "logits")).max() < 0.2


def test_two_layers_that_share_a_bias_are_corrected_apart() -> None:
    """The operator gets a bias of its own; the other keeps what both had."""
    model = named(quantized())
    first, second = model.subgraphs[0].operators[:2]
    second.inputs = [*second.inputs[:2], first.inputs[2]]
    bias_correction.correct(model, observe(small_cnn(), CALIBRATION_B), CALIBRATION_B, ALL_ROWS)
    assert first.inputs[2] != second.inputs[2]


def test_correction_brings_the_outputs_nearer_to_float() -> None:
    """On rows that it did not see."""
    quantizer = TfliteQuantizer(small_cnn(seed=11), CALIBRATION_B)
    unseen_B = rows(128, seed=77)
    reference_BK = quantizer.float_scores(unseen_B)
    plain, corrected = (
        sqnr_db(quantizer.scores(quantizer.quantize(Plan(bias=bias)), unseen_B), reference_BK) for bias in (False, True)
    )
    assert corrected > plain
