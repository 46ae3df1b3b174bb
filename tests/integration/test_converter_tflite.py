"""TFLite models quantized by litert-quantizer and run by ai-edge-litert: what the port `Quantizer` promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.backends.tflite import check as tflite_check
from converter.backends.tflite.interpreter import edges, open_interpreter, scores
from converter.backends.tflite.layers import INPUT_LAYER, OUTPUT_LAYER
from converter.backends.tflite.litert import TfliteQuantizer, dynamic_int8, half
from converter.backends.tflite.schema import dtype_of, kind_of, read_model
from converter.plan import Plan, Quantizer
from converter.proof.parity import sqnr_db
from converter.recipe import Ranges
from converter.search import Goal, Search, calibration_plans
from fleet_contract.errors import ModelError
from fleet_contract.tensors import DType
from tests.fakes.converter_tflite_models import (
    LAYER_COUNT,
    edited,
    halved,
    rows,
    single_dense,
    small_cnn,
    split_with_unread_part,
    square_root,
)

CALIBRATION_B = rows(48)
UNSEEN_B = rows(128, seed=9)
ROOT = Path(__file__).resolve().parents[2]
PLANS = calibration_plans(
    Plan(), {"calibration_rows": (0, 16), "ranges": (Ranges.MINMAX, Ranges.MSE), "bias": (False, True)}
)


@pytest.fixture(scope="module")
def quantizer() -> TfliteQuantizer:
    """Of the small CNN."""
    return TfliteQuantizer(small_cnn(), CALIBRATION_B)


def nearness_db(quantizer: TfliteQuantizer, artifact: bytes) -> float:
    """To the float model, on rows that did not calibrate."""
    return sqnr_db(quantizer.scores(artifact, UNSEEN_B), quantizer.float_scores(UNSEEN_B))


def kinds_and_dtypes(artifact: bytes) -> list[tuple[str, str]]:
    """Of every operator: its kind and the type of its output."""
    model = read_model(artifact)
    graph = model.subgraphs[0]
    return [(kind_of(model, each), dtype_of(graph.tensors[each.outputs[0]])) for each in graph.operators]


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_plan_gives_int8_near_float_and_smaller(quantizer: TfliteQuantizer, plan: Plan) -> None:
    """All operators in int8, int8 edges, 30 dB or better."""
    artifact = quantizer.quantize(plan)
    assert {dtype for _, dtype in kinds_and_dtypes(artifact)} == {"INT8"}
    assert {spec.dtype for spec in edges(open_interpreter(artifact))} == {DType.INT8}
    assert len(artifact) < 0.5 * len(small_cnn())
    assert nearness_db(quantizer, artifact) > 30.0


def test_the_same_plan_gives_the_same_bytes(quantizer: TfliteQuantizer) -> None:
    """Also after other plans."""
    plan = Plan(ranges=Ranges.MSE, bias=True)
    first = quantizer.quantize(plan)
    quantizer.quantize(Plan(float_layers=("first",)))
    assert quantizer.quantize(plan) == first


def test_another_process_gives_the_same_bytes() -> None:
    """With another hash seed."""
    program = """
import hashlib
from converter.backends.tflite.litert import TfliteQuantizer
from converter.plan import Plan
from tests.fakes.converter_tflite_models import rows, small_cnn
print(hashlib.sha256(TfliteQuantizer(small_cnn(), rows(48)).quantize(Plan(ranges="mse", bias=True))).hexdigest())
"""
    prints = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(prints) == 1


def test_each_layer_can_be_left_in_float_alone_and_quantized_alone(quantizer: TfliteQuantizer) -> None:
    """The search does both; a layer that silently stays as it was would be an error."""
    names = [layer.name for layer in quantizer.layers]
    assert len(names) == LAYER_COUNT
    for name in names:
        others = tuple(sorted(set(names) - {name}))
        assert quantizer.quantize(Plan(float_layers=(name,)))
        assert quantizer.quantize(Plan(float_layers=others))


def test_a_layer_left_in_float_is_float_and_the_others_are_not(quantizer: TfliteQuantizer) -> None:
    """The fully connected layer computes in float between operators that widen and narrow."""
    made = kinds_and_dtypes(quantizer.quantize(Plan(float_layers=("logits",))))
    assert ("FULLY_CONNECTED", "FLOAT32") in made
    assert {("CONV_2D", "INT8"), ("DEPTHWISE_CONV_2D", "INT8"), ("SOFTMAX", "INT8")} <= set(made)


def test_with_every_layer_in_float_the_model_is_the_float_model(quantizer: TfliteQuantizer) -> None:
    """Bit for bit, with float edges."""
    artifact = quantizer.quantize(Plan(float_layers=tuple(sorted(layer.name for layer in quantizer.layers))))
    assert quantizer.scores(artifact, UNSEEN_B).tobytes() == quantizer.float_scores(UNSEEN_B).tobytes()


@pytest.mark.parametrize(("layer", "edge"), [(INPUT_LAYER, 0), (OUTPUT_LAYER, 1)])
def test_an_edge_can_stay_float(quantizer: TfliteQuantizer, layer: str, edge: int) -> None:
    """The other edge is int8."""
    specs = edges(open_interpreter(quantizer.quantize(Plan(float_layers=(layer,)))))
    assert (specs[edge].dtype, specs[1 - edge].dtype) == (DType.FLOAT32, DType.INT8)


def test_int4_makes_the_dense_layer_smaller(quantizer: TfliteQuantizer) -> None:
    """By nearly half a byte for each of its 2,048 weights."""
    assert quantizer.int4_layers == ("logits",)
    int8, int4 = quantizer.quantize(Plan()), quantizer.quantize(Plan(int4_layers=("logits",)))
    assert len(int8) - len(int4) >= 1000
    assert nearness_db(quantizer, int4) > 15.0


def test_a_channel_without_weights_keeps_its_bias() -> None:
    """litert-quantizer alone loses it and 15 dB with it."""
    dead = TfliteQuantizer(small_cnn(dead_channel_bias=1.0), CALIBRATION_B)
    assert nearness_db(dead, dead.quantize(Plan())) > 35.0


def test_an_output_that_nothing_reads_is_quantized_with_the_others() -> None:
    """XNNPACK refuses the model otherwise, as the first step of an unrolled LSTM showed."""
    weights = np.random.default_rng(2).standard_normal((16, 64)).astype(np.float32)
    inputs_B = np.random.default_rng(3).standard_normal((32, 64)).astype(np.float32)
    split = TfliteQuantizer(split_with_unread_part(weights), inputs_B)
    artifact = split.quantize(Plan(bias=True))
    assert sqnr_db(split.scores(artifact, inputs_B), split.float_scores(inputs_B)) > 25.0


def test_the_search_runs_on_it(quantizer: TfliteQuantizer) -> None:
    """A goal that int8 misses is held by leaving some layers, not all, in float."""
    port: Quantizer = quantizer
    search = Search(port, UNSEEN_B, Goal(min_sqnr_db=48.0), record=lambda _: None)
    found = search.rescue(search.calibration(PLANS).plan)
    assert found.holds
    assert 0 < len(found.plan.float_layers) < LAYER_COUNT


@pytest.mark.parametrize("made", [half, dynamic_int8])
def test_half_and_dynamic_are_smaller_near_float_and_the_same_each_time(made: Any) -> None:
    """Float edges, as their recipes say."""
    data = small_cnn()
    artifact = made(data)
    assert artifact == made(data)
    assert len(artifact) < 0.7 * len(data)
    assert {spec.dtype for spec in edges(open_interpreter(artifact))} == {DType.FLOAT32}
    assert sqnr_db(scores(artifact, UNSEEN_B), scores(data, UNSEEN_B)) > 40.0


def dense_version(artifact: bytes) -> int:
    """The version of the fully connected operator."""
    model = read_model(artifact)
    (operator,) = (each for each in model.subgraphs[0].operators if kind_of(model, each) == "FULLY_CONNECTED")
    return int(model.operatorCodes[operator.opcodeIndex].version)


def test_dense_layers_that_old_runtimes_misread_have_a_version_that_they_refuse(quantizer: TfliteQuantizer) -> None:
    """tflite-runtime 2.14 computed nonsense from them in silence; plain int8 it runs."""
    assert dense_version(dynamic_int8(small_cnn())) == 12
    assert dense_version(quantizer.quantize(Plan(int4_layers=("logits",)))) == 12
    assert dense_version(quantizer.quantize(Plan())) < 12


def test_dynamic_leaves_depthwise_convolutions_and_small_layers_in_float() -> None:
    """XNNPACK does not take the former; the latter would not pay."""
    model = read_model(dynamic_int8(small_cnn()))
    quantized = [tuple(each.shape) for each in model.subgraphs[0].tensors if dtype_of(each) == "INT8"]
    assert quantized == [(4, 512)]


def test_dynamic_without_a_large_layer_is_refused() -> None:
    """It would be the float model."""
    with pytest.raises(ModelError, match="got no INT8 weights") as caught:
        dynamic_int8(single_dense(np.ones((4, 16), np.float32), np.zeros(4, np.float32)))
    assert "1024" in caught.value.hint


def test_int8_that_would_not_be_smaller_is_refused() -> None:
    """Four weights do not pay for their scales."""
    tiny = TfliteQuantizer(single_dense(np.eye(2, dtype=np.float32), np.ones(2, np.float32)), np.ones((8, 2), "f4"))
    with pytest.raises(ModelError, match="expected fewer than the float model's"):
        tiny.quantize(Plan())


def without_signature_or_names(model: Any) -> None:
    """As some foreign models come."""
    model.signatureDefs = None
    for tensor in model.subgraphs[0].tensors:
        tensor.name = b"same"


def test_foreign_forms_of_a_model_quantize_as_well() -> None:
    """Without signature, with all names the same, with float16 weights."""
    for data in (edited(small_cnn(), without_signature_or_names), halved(small_cnn())):
        foreign = TfliteQuantizer(data, CALIBRATION_B)
        assert len(foreign.layers) == LAYER_COUNT
        assert nearness_db(foreign, foreign.quantize(Plan(bias=True))) > 30.0
        assert len(half(data)) < 0.7 * len(small_cnn())


def test_a_quantized_model_is_refused(quantizer: TfliteQuantizer) -> None:
    """By all three ways."""
    artifact = quantizer.quantize(Plan())
    for again in (half, dynamic_int8, lambda data: TfliteQuantizer(data, CALIBRATION_B)):
        with pytest.raises(ModelError, match="quantized already"):
            again(artifact)


def test_a_model_without_weights_is_refused() -> None:
    """There is nothing that int8 would make smaller."""
    quantizer = TfliteQuantizer(square_root(4), np.ones((8, 4), np.float32))
    with pytest.raises(ModelError, match="expected fewer than the float model's"):
        quantizer.quantize(Plan())


@pytest.mark.parametrize("plan", [Plan(float_layers=("frist",)), Plan(int4_layers=("first",))], ids=str)
def test_a_plan_that_names_what_is_not_there_is_refused(quantizer: TfliteQuantizer, plan: Plan) -> None:
    """To litert-quantizer a pattern that matches nothing is no error."""
    with pytest.raises(ModelError, match="plan: got layer"):
        quantizer.quantize(plan)


def test_what_the_tool_did_not_do_is_noticed(quantizer: TfliteQuantizer) -> None:
    """A float model handed in as the result of quantizing fails the look at it."""
    with pytest.raises(ModelError, match=r"layer '\(input\)': got the edge in FLOAT32, expected INT8"):
        tflite_check.check_layers(read_model(small_cnn()), quantizer.layers, Plan())


@pytest.mark.parametrize("calibration_B", [rows(8)[:, :4], np.zeros((0, 8, 8, 3), np.float32)])
def test_calibration_rows_of_another_shape_are_refused(calibration_B: Any) -> None:
    """None at all is another shape too."""
    with pytest.raises(ModelError, match="model input: got"):
        TfliteQuantizer(small_cnn(), calibration_B)


def pointing_nowhere(model: Any) -> None:
    """An operator reads a tensor that is not there."""
    model.subgraphs[0].operators[1].inputs = [99, 5, 6]


def test_a_hostile_model_is_a_model_error() -> None:
    """Whatever the tools raise on it."""
    for made in (half, dynamic_int8, lambda data: TfliteQuantizer(data, CALIBRATION_B)):
        with pytest.raises(ModelError):
            made(edited(small_cnn(), pointing_nowhere))


def test_an_artifact_that_does_not_load_is_a_model_error(quantizer: TfliteQuantizer) -> None:
    """The runtime's words are in it."""
    with pytest.raises(ModelError, match="ai-edge-litert cannot load the model"):
        quantizer.scores(b"not a model" * 10, UNSEEN_B)
