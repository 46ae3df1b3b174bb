"""Run as a script, in a child process: makes a tiny digits classifier as TFLite (float, int8) and ONNX files.

Writes into the folder that its one argument names: `tflite-f32.tflite`, `tflite-int8.tflite`, `onnx-f32.onnx`,
`held_out.npz` (raw `inputs`, reference `outputs`, `labels`) and `int8.json` (scales of the int8 file's edges).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HIDDEN = 24


def build(folder: Path) -> None:
    """Trains, converts, and keeps what tests compare with."""
    import keras
    from sklearn.datasets import load_digits

    keras.utils.set_random_seed(7)
    digits = load_digits()
    raw = digits.images[..., np.newaxis].astype(np.uint8)
    scaled = raw.astype(np.float32) * np.float32(1 / 16)
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(HIDDEN, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(scaled[:1400], digits.target[:1400], epochs=12, batch_size=64, verbose=0)
    outputs = model.predict(scaled[1400:], verbose=0).astype(np.float32)
    np.savez(folder / "held_out.npz", inputs=raw[1400:], outputs=outputs, labels=digits.target[1400:])
    _tflite(model, folder, scaled[:200])
    _onnx(model.get_weights(), folder / "onnx-f32.onnx")


def _tflite(model: Any, folder: Path, calibration: NDArray[np.float32]) -> None:
    import tensorflow as tf

    exported = folder / "exported"
    model.export(exported, verbose=False, input_signature=[tf.TensorSpec((1, 8, 8, 1), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported))
    (folder / "tflite-f32.tflite").write_bytes(converter.convert())
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[np.newaxis]] for row in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    content = converter.convert()
    (folder / "tflite-int8.tflite").write_bytes(content)
    interpreter = tf.lite.Interpreter(model_content=content)
    edges = {
        "input": interpreter.get_input_details()[0]["quantization"],
        "output": interpreter.get_output_details()[0]["quantization"],
    }
    (folder / "int8.json").write_text(
        json.dumps({side: [float(scale), int(zero)] for side, (scale, zero) in edges.items()})
    )


def _onnx(weights: list[NDArray[np.float32]], path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    names = ("w1", "b1", "w2", "b2")
    initializers = [numpy_helper.from_array(value, name) for name, value in zip(names, weights, strict=True)]
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w1", "b1"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
        ],
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["B", 8, 8, 1])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", 10])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


if __name__ == "__main__":
    build(Path(sys.argv[1]))
