"""Small ONNX models with random weights, as exporters of several kinds might write them.

    model = conv_net(seed=1, batch="N", opset=13)

Legend: B rows, C channels, H height, W width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

IMAGE_SHAPE = (8, 8, 3)
CLASSES = 5


def images(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Random images (B, H, W, C) with values 0 to 1, of different brightness."""
    rng = np.random.default_rng(seed)
    bright_B = rng.uniform(0.3, 1.0, (count, 1, 1, 1))
    return (rng.uniform(0.0, 1.0, (count, *IMAGE_SHAPE)) * bright_B).astype(np.float32)


def weight(name: str, *shape: int, rng: np.random.Generator) -> Any:
    """A weight of that shape, scaled so that activations keep their size."""
    values = rng.normal(size=shape) / np.sqrt(float(np.prod(shape[1:])))
    return numpy_helper.from_array(values.astype(np.float32), name)


def conv_net(*, seed: int = 1, batch: int | str = 1, opset: int = 17, channels: int = 24, prefix: str = "") -> Any:
    """Transpose, two convolutions with Relu and a shortcut, global pooling, a fully connected layer, softmax."""
    rng = np.random.default_rng(seed)
    name = prefix.__add__
    weights = [
        weight(name("k0"), channels, 3, 3, 3, rng=rng),
        weight(name("b0"), channels, rng=rng),
        weight(name("k1"), channels, channels, 3, 3, rng=rng),
        weight(name("d"), CLASSES, channels, rng=rng),
        weight(name("e"), CLASSES, rng=rng),
    ]
    nodes = [
        helper.make_node("Transpose", [name("x")], [name("t")], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", [name("t"), name("k0"), name("b0")], [name("c0")], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", [name("c0")], [name("r0")]),
        helper.make_node("Conv", [name("r0"), name("k1")], [name("c1")], pads=[1, 1, 1, 1]),
        helper.make_node("Add", [name("c1"), name("r0")], [name("a")]),
        helper.make_node("Relu", [name("a")], [name("r1")]),
        helper.make_node("GlobalAveragePool", [name("r1")], [name("p")]),
        helper.make_node("Flatten", [name("p")], [name("f")]),
        helper.make_node("Gemm", [name("f"), name("d"), name("e")], [name("g")], transB=1),
        helper.make_node("Softmax", [name("g")], [name("y")], axis=-1),
    ]
    return model_of(nodes, (name("x"), (batch, *IMAGE_SHAPE)), (name("y"), (batch, CLASSES)), weights, opset=opset)


def looped(features: int = 64) -> Any:
    """Three times the same fully connected layer, as an exporter writes a recurrent one: a loop around its weights."""
    rng = np.random.default_rng(1)
    body = helper.make_graph(
        [helper.make_node("MatMul", ["state", "w"], ["m"]), helper.make_node("Tanh", ["m"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, ()),
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, (1, features)),
        ],
        [
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, (1, features)),
        ],
    )
    weights = [
        numpy_helper.from_array(np.array(3, np.int64), "times"),
        numpy_helper.from_array(np.array([1], bool).reshape(()), "yes"),
        weight("w", features, features, rng=rng),
    ]
    nodes = [helper.make_node("Loop", ["times", "yes", "x"], ["y"], body=body)]
    return model_of(nodes, ("x", (1, features)), ("y", (1, features)), weights)


def dense_net(*, seed: int = 1, features: int = 64) -> Any:
    """One fully connected layer with many weights, for rows of `features` values."""
    rng = np.random.default_rng(seed)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return model_of(nodes, ("x", (1, features)), ("y", (1, 64)), [weight("w", features, 64, rng=rng)])


def model_of(
    nodes: Sequence[Any],
    source: tuple[str, Sequence[int | str]],
    result: tuple[str, Sequence[int | str]],
    weights: Sequence[Any] = (),
    *,
    opset: int = 17,
    ir_version: int = 8,
) -> Any:
    """A model of one float input and one float output, each given by name and shape."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(source[0], TensorProto.FLOAT, list(source[1]))],
        [helper.make_tensor_value_info(result[0], TensorProto.FLOAT, list(result[1]))],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def saved(model: Any, folder: Path, name: str = "exported.onnx") -> Path:
    """The model as a file in `folder`."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path
