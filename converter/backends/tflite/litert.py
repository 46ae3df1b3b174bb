"""Quantizing float TFLite models by litert-quantizer, with our own ranges, bias correction and checks.

    quantizer = TfliteQuantizer(float_model, calibration_B)
    artifact = quantizer.quantize(Plan(ranges=Ranges.MSE, bias=True))

litert-quantizer fails in silence in several ways (docs/measurements.md), so every result is looked at: operators have
the types that were asked for, and the file is smaller than the float one.
"""

from __future__ import annotations

import re
import warnings
from contextlib import redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from litert_quantizer import qtyping
from litert_quantizer.quantizer import AlgorithmName, Quantizer

from converter.backends.tflite import bias_correction
from converter.backends.tflite import check as tflite_check
from converter.backends.tflite import interpreter as tflite_interpreter
from converter.backends.tflite import unread as tflite_unread
from converter.backends.tflite.activations import observe
from converter.backends.tflite.layers import INPUT_LAYER, OUTPUT_LAYER, int4_layers_of, layers_of
from converter.backends.tflite.prepare import prepare
from converter.backends.tflite.ranges import bounds
from converter.backends.tflite.schema import read_model
from converter.backends.tflite.slim import pack_slim, slim
from converter.backends.tflite.versions import raise_versions
from converter.backends.tflite.weights import widened
from converter.backends.translate import tool_errors
from converter.calibration import spread_rows
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from converter.plan import Layer, Plan
    from converter.recipe import Ranges

MIN_WEIGHTS: Final = 1024
"""Smaller weights stay in float in a dynamic variant: what they would save is less than what quantizing costs."""
DYNAMIC_KINDS: Final = ("FULLY_CONNECTED", "CONV_2D", "CONV_2D_TRANSPOSE", "BATCH_MATMUL", "EMBEDDING_LOOKUP")
"""Operators that XNNPACK runs with int8 weights and float activations; depthwise convolutions are not among them."""
_EVERYWHERE: Final = ".*"
_EDGES: Final = "^"
"""Matches everywhere too, but is a scope of its own: rules for the model's edges come after all others."""
_Op = qtyping.TFLOperationName
_TOOL: Final = "litert-quantizer"


def half(data: bytes) -> bytes:
    """The model with float16 weights, which the runtime widens when it loads the model.

    Raises:
        ModelError: it cannot be done, or has no weights to halve.
    """
    float_model = _prepared(data)
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )

    def everywhere(tool: Quantizer) -> None:
        tool.update_quantization_recipe(_EVERYWHERE, _Op.ALL_SUPPORTED, config, AlgorithmName.FLOAT_CASTING)

    result = _run_tool(Quantizer(float_model), everywhere)
    tflite_check.check_weights(result, "FLOAT16")
    return _smaller(pack_slim(result), len(slim(float_model)))


def dynamic_int8(data: bytes) -> bytes:
    """The model with int8 weights where they are many; activations are quantized as they come.

    Raises:
        ModelError: it cannot be done, or no operator has enough weights.
    """
    float_model = _prepared(data)
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=8, symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
        ),
        compute_precision=qtyping.ComputePrecision.INTEGER,
        explicit_dequantize=False,
        min_weight_elements=MIN_WEIGHTS,
    )

    def weighty(tool: Quantizer) -> None:
        for kind in DYNAMIC_KINDS:
            tool.update_quantization_recipe(_EVERYWHERE, _Op(kind), config)

    result = _run_tool(Quantizer(float_model), weighty)
    tflite_check.check_weights(result, "INT8", hint=f"no operator has {MIN_WEIGHTS} weights or more")
    return _smaller(pack_slim(result), len(slim(float_model)))


def _prepared(data: bytes) -> bytes:
    with tool_errors("TFLite model"):
        return prepare(data, one_graph=False)


def _run_tool(tool: Quantizer, rules: Callable[[Quantizer], None], ranges: Any = None) -> Any:
    with tool_errors(_TOOL), warnings.catch_warnings(), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")  # it opens interpreters that warn of their own use of memory, and draws bars
        tool.load_quantization_recipe([])
        rules(tool)
        result = tool.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
        data = bytes(result.quantized_model or b"")
    model = read_model(data)
    raise_versions(model)
    return model


def _smaller(artifact: bytes, float_bytes: int) -> bytes:
    if len(artifact) >= float_bytes:
        raise ModelError(
            f"{_TOOL}: got {len(artifact)} bytes, expected fewer than the float model's {float_bytes}",
            hint="the model has so few weights that quantizing does not pay; ship it in float",
        )
    return artifact


class TfliteQuantizer:
    """A `converter.plan.Quantizer` for a float TFLite model with one input and one output."""

    def __init__(self, float_model: bytes, calibration_B: NDArray[np.float32]) -> None:
        """Runs the model on the calibration rows.

        Raises:
            ModelError: the model cannot be quantized or run, or has an activation that is not finite.
        """
        self._calibration_B = calibration_B
        self._ranges: dict[tuple[Ranges, int], dict[str, dict[str, NDArray[np.float32]]]] = {}
        with tool_errors("TFLite model"):
            self._float_model = prepare(float_model, one_graph=True)
            self._float_bytes = len(slim(self._float_model))
            self._model = read_model(self._float_model)
            self._activations = observe(self._float_model, calibration_B)
            self._tool = Quantizer(self._float_model)
            self.layers: tuple[Layer, ...] = layers_of(self._model)
            self.int4_layers: tuple[str, ...] = int4_layers_of(self._model)

    def quantize(self, plan: Plan) -> bytes:
        """The artifact, slim; the same plan gives the same bytes.

        Raises:
            ModelError: the plan names what the model does not have, or litert-quantizer cannot do it or did not.
        """
        self._check_names(plan)
        result = _run_tool(self._tool, lambda tool: _static_rules(tool, plan), self._tool_ranges(plan))
        tflite_unread.mend(result)
        tflite_check.check_layers(result, self.layers, plan)
        if plan.bias:
            rows = self._spread(plan, bias_correction.MAX_ROWS)
            bias_correction.correct(result, self._activations, self._calibration_B, rows)
        artifact = pack_slim(result)
        return artifact if plan.float_layers else _smaller(artifact, self._float_bytes)

    def scores(self, artifact: bytes, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (B, K) of an artifact, dequantized."""
        return tflite_interpreter.scores(artifact, inputs_B)

    def float_scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (B, K) of the float model."""
        return tflite_interpreter.scores(self._float_model, inputs_B)

    def _check_names(self, plan: Plan) -> None:
        for named, known in (
            (plan.float_layers, {layer.name for layer in self.layers}),
            (plan.int4_layers, set(self.int4_layers)),
        ):
            unknown = sorted(set(named) - known)
            if unknown:
                raise ModelError(
                    f"plan: got layer {unknown[0]!r}, expected one of {', '.join(sorted(known)) or 'none'}"
                )

    def _spread(self, plan: Plan, limit: int) -> NDArray[np.intp]:
        count = len(self._calibration_B)
        rows = spread_rows(count, plan.calibration_rows or count)
        return rows[spread_rows(len(rows), limit)]

    def _tool_ranges(self, plan: Plan) -> dict[str, dict[str, NDArray[np.float32]]]:
        """The ranges as litert-quantizer keeps its own: by tensor, in arrays of the tensor's rank."""
        key = (plan.ranges, plan.calibration_rows)
        if key not in self._ranges:
            found = bounds(self._activations, plan.ranges, self._spread(plan, len(self._calibration_B)))
            weights = widened(self._model, found)
            self._ranges[key] = {
                **{name: _tool_range(*ends, self._activations[name].rank) for name, ends in found.items()},
                **{name: {"min": -magnitude, "max": magnitude} for name, magnitude in weights.items()},
            }
        return self._ranges[key]


def _tool_range(low: float, high: float, rank: int) -> dict[str, NDArray[np.float32]]:
    return {name: np.full((1,) * rank, end, np.float32) for name, end in (("min", low), ("max", high))}


def _static_rules(tool: Quantizer, plan: Plan) -> None:
    """Later rules win over earlier ones."""
    tool.add_static_config(_EVERYWHERE, _Op.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    if plan.int4_layers:
        tool.add_static_config(_scopes(plan.int4_layers), _Op.FULLY_CONNECTED, activation_num_bits=8, weight_num_bits=4)
    inner = [name for name in plan.float_layers if name not in {INPUT_LAYER, OUTPUT_LAYER}]
    if inner:
        tool.update_quantization_recipe(_scopes(inner), _Op.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE)
    for layer, operation in ((INPUT_LAYER, _Op.INPUT), (OUTPUT_LAYER, _Op.OUTPUT)):
        if layer in plan.float_layers:
            tool.update_quantization_recipe(_EDGES, operation, algorithm_key=AlgorithmName.NO_QUANTIZE)
        else:
            tool.add_static_config(_EDGES, operation, activation_num_bits=8, weight_num_bits=8)


def _scopes(names: Iterable[str]) -> str:
    """A pattern for exactly those operators: to litert-quantizer they are called as their outputs, each with `;`."""
    return "^(?:" + "|".join(re.escape(name) for name in names) + ");$"
