"""Small real float TFLite models for the converter's tests, written field by field, without TensorFlow.

data = small_cnn()                      conv, depthwise conv, reshape, dense (2,048 weights), softmax
data = edited(data, lambda model: ...)  the same, with something changed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter.backends.tflite.schema import add_buffer, pack, read_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

INPUT_SHAPE = (8, 8, 3)
CLASS_COUNT = 4
LAYER_COUNT = 7
"""What a plan may name of the small CNN: its five operators and two edges."""


def rows(count: int, seed: int = 5) -> NDArray[np.float32]:
    """Inputs for the small CNN, shape (B, 8, 8, 3), of different brightness and contrast."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((count, *INPUT_SHAPE))
    return (noise * rng.uniform(0.2, 1.5, (count, 1, 1, 1)) + rng.standard_normal((count, 1, 1, 3))).astype(np.float32)


def small_cnn(*, seed: int = 3, dead_channel_bias: float | None = None, signature: bool = True) -> bytes:
    """A classifier of 8 x 8 images with 3 channels, as the TFLite converter would write it.

    `dead_channel_bias`: channel 0 of the first convolution gets (all but) no weights, and that bias.
    """
    rng = np.random.default_rng(seed)
    conv = rng.standard_normal((8, 3, 3, 3)).astype(np.float32) * 0.3
    bias = rng.standard_normal(8).astype(np.float32) * 0.2
    if dead_channel_bias is not None:
        conv[0], bias[0] = 1e-12, dead_channel_bias
    maker = _Maker()
    image = maker.tensor("image", (1, *INPUT_SHAPE))
    first = maker.convolution("first", image, conv, bias)
    second = maker.depthwise("second", first, rng.standard_normal((1, 3, 3, 8)).astype(np.float32) * 0.3)
    flat = maker.reshape("flat", second, (1, 512))
    dense = rng.standard_normal((CLASS_COUNT, 512)).astype(np.float32) * 0.05
    logits = maker.dense("logits", flat, dense, rng.standard_normal(CLASS_COUNT).astype(np.float32))
    return maker.finish(image, maker.softmax("scores", logits, (1, CLASS_COUNT)), signature=signature)


def single_dense(weights: NDArray[np.float32], bias: NDArray[np.float32]) -> bytes:
    """One fully connected layer; `weights` are outputs x inputs."""
    maker = _Maker()
    features = maker.tensor("features", (1, weights.shape[1]))
    return maker.finish(features, maker.dense("logits", features, weights, bias), signature=True)


def split_with_unread_part(weights: NDArray[np.float32]) -> bytes:
    """A dense layer whose outputs are split in two, of which only the second is read."""
    maker = _Maker()
    features = maker.tensor("features", (1, weights.shape[1]))
    width = len(weights)
    whole = maker.dense("whole", features, weights, np.zeros(width, np.float32))
    axis = maker.tensor("axis", (), np.array(1, np.int32))
    parts = [maker.tensor(f"part{number}", (1, width // 2)) for number in range(2)]
    options = schema.SplitOptionsT()
    options.numSplits = 2
    maker.operator("SPLIT", [axis, whole], parts, options)
    return maker.finish(features, maker.softmax("scores", parts[1], (1, width // 2)), signature=True)


def square_root(size: int) -> bytes:
    """A model that is not finite on negative inputs."""
    maker = _Maker()
    values = maker.tensor("values", (1, size))
    root = maker.tensor("root", (1, size))
    maker.operator("SQRT", [values], [root], None)
    return maker.finish(values, root, signature=True)


def edited(data: bytes, change: Callable[[Any], object]) -> bytes:
    """The model after `change` was called with it as a `ModelT`."""
    model = read_model(data)
    change(model)
    return pack(model)


def halved(data: bytes) -> bytes:
    """The model with its weights in float16, each widened by an operator, as the TFLite converter writes them."""

    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        code = _code(model, "DEQUANTIZE")
        for index, tensor in enumerate(list(graph.tensors)):
            if model.buffers[tensor.buffer].data is None or tensor.type != schema.TensorType.FLOAT32:
                continue
            values = np.frombuffer(np.asarray(model.buffers[tensor.buffer].data).tobytes(), np.float32)
            source = schema.TensorT()
            source.name, source.shape, source.type = tensor.name + b"_half", tensor.shape, schema.TensorType.FLOAT16
            source.buffer = add_buffer(model, values.astype(np.float16))
            graph.tensors.append(source)
            tensor.buffer = 0
            graph.operators.insert(0, _operator(code, [len(graph.tensors) - 1], [index]))

    return edited(data, change)


class _Maker:
    """Puts a model together."""

    def __init__(self) -> None:
        self._model = schema.ModelT()
        self._model.version, self._model.operatorCodes, self._model.buffers = 3, [], [schema.BufferT()]
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators, self._graph.name = [], [], b"main"
        self._model.description = b"made by a test"

    def tensor(self, name: str, shape: tuple[int, ...], values: NDArray[np.generic] | None = None) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name.encode(), list(shape)
        tensor.type = schema.TensorType.INT32 if values is not None and values.dtype == np.int32 else 0
        tensor.buffer = 0 if values is None else add_buffer(self._model, values)
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def operator(self, kind: str, inputs: list[int], outputs: list[int], options: Any) -> None:
        operator = _operator(_code(self._model, kind), inputs, outputs)
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self._graph.operators.append(operator)

    def convolution(self, name: str, source: int, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> int:
        options = schema.Conv2DOptionsT()
        options.strideH = options.strideW = options.fusedActivationFunction = 1
        constants = weights, bias
        return self._weighted("CONV_2D", name, [source], constants, shape=(1, 8, 8, len(weights)), options=options)

    def depthwise(self, name: str, source: int, weights: NDArray[np.float32]) -> int:
        options = schema.DepthwiseConv2DOptionsT()
        options.strideH = options.strideW = options.depthMultiplier = options.fusedActivationFunction = 1
        channels = weights.shape[-1]
        bias = np.linspace(-0.3, 0.3, channels).astype(np.float32)
        constants = weights, bias
        shape = 1, 8, 8, channels
        return self._weighted("DEPTHWISE_CONV_2D", name, [source], constants, shape=shape, options=options)

    def dense(self, name: str, source: int, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> int:
        options = schema.FullyConnectedOptionsT()
        constants = weights, bias
        return self._weighted("FULLY_CONNECTED", name, [source], constants, shape=(1, len(weights)), options=options)

    def reshape(self, name: str, source: int, shape: tuple[int, ...]) -> int:
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        target = self.tensor(f"{name}_shape", (len(shape),), np.array(shape, np.int32))
        output = self.tensor(name, shape)
        self.operator("RESHAPE", [source, target], [output], options)
        return output

    def softmax(self, name: str, source: int, shape: tuple[int, ...]) -> int:
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        output = self.tensor(name, shape)
        self.operator("SOFTMAX", [source], [output], options)
        return output

    def finish(self, source: int, output: int, *, signature: bool) -> bytes:
        self._graph.inputs, self._graph.outputs = [source], [output]
        self._model.subgraphs = [self._graph]
        if signature:
            entries = [schema.TensorMapT(), schema.TensorMapT()]
            entries[0].name, entries[0].tensorIndex = b"input", source
            entries[1].name, entries[1].tensorIndex = b"output", output
            definition = schema.SignatureDefT()
            definition.signatureKey = b"serving_default"
            definition.inputs, definition.outputs = entries[:1], entries[1:]
            self._model.signatureDefs = [definition]
        return pack(self._model)

    def _weighted(
        self,
        kind: str,
        name: str,
        inputs: list[int],
        constants: tuple[NDArray[np.float32], NDArray[np.float32]],
        *,
        shape: tuple[int, ...],
        options: Any,
    ) -> int:
        for part, values in zip(("weights", "bias"), constants, strict=True):
            inputs.append(self.tensor(f"{name}/{part}", values.shape, values))
        output = self.tensor(name, shape)
        self.operator(kind, inputs, [output], options)
        return output


def _operator(code: int, inputs: list[int], outputs: list[int]) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, outputs
    return operator


def _code(model: Any, kind: str) -> int:
    value = getattr(schema.BuiltinOperator, kind)
    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == value:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = value, min(value, 127), 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
