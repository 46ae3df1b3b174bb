"""Small foreign models of every kind, untrained, built once a session in one child process that may hold TensorFlow.

model = foreign("keras2.h5")
samples = digit_rows(tmp_path / "rows.npz", labels=True)
"""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.archive import encode_npz
from converter.process.sandbox import environment
from fleet_contract.errors import ModelError
from tests.fakes.converter_candidates import digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ROWS = 160
DIGITS = tuple("0123456789")
_ROOT = Path(__file__).resolve().parents[2]


def foreign(name: str) -> Path:
    """The model of that name: each builder below says which it makes."""
    path = _models("onnx" if name.endswith(".onnx") else "tensorflow") / name
    if not path.exists():
        raise LookupError(f"no foreign model {name}, only {sorted(each.name for each in path.parent.iterdir())}")
    return path


def refusals(*names: str) -> dict[str, str]:
    """Why each of those models is not opened, from one process for all of them, as TensorFlow takes seconds to load."""
    paths = [str(foreign(name)) for name in names]
    answer = subprocess.run(
        [sys.executable, "-m", "tests.fakes.converter_foreign", "open", *paths],
        check=True,
        cwd=_ROOT,
        capture_output=True,
        timeout=240,
        env=dict(environment(single_thread=False)),
    )
    found: dict[str, str] = json.loads(answer.stdout.splitlines()[-1])
    return found


def digit_rows(path: Path, *, labels: bool = False, count: int = ROWS, **changes: NDArray[Any]) -> Path:
    """An NPZ at `path` of `count` digits as float images (B, 8, 8, 1) from 0 to 1; `changes` replace arrays."""
    images, classes = digits()
    arrays: dict[str, NDArray[Any]] = {"inputs": images[:count].astype(np.float32) / 16}
    if labels:
        arrays["labels"] = classes[:count]
    path.write_bytes(encode_npz({**arrays, **changes}))
    return path


@cache
def _models(group: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="edgeferry-test-foreign-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [sys.executable, "-m", "tests.fakes.converter_foreign", group, str(folder)]
    subprocess.run(command, check=True, cwd=_ROOT, capture_output=True, timeout=240)
    return folder


def _build_tensorflow(folder: Path) -> None:
    _build_keras2(folder)
    _build_keras3(folder)
    _build_hostile(folder)


def _build_keras2(folder: Path) -> None:
    """keras2.h5 (Keras 3 cannot read it), saved_model, wide.tflite (fully connected on rank 3), and what it becomes."""
    import tensorflow as tf
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(7)
    model = tf_keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu", bias_initializer="random_normal"),
            layers.DepthwiseConv2D(3, padding="same", bias_initializer="random_normal"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax", bias_initializer="random_normal"),
        ]
    )
    model.save(folder / "keras2.h5")
    model.export(folder / "saved_model")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
    signed = converter.convert()
    (folder / "signed.tflite").write_bytes(signed)
    (folder / "truncated.tflite").write_bytes(signed[: len(signed) // 2])
    (folder / "unsigned.tflite").write_bytes(_without_signature(signed))
    images, _ = digits()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([images[row : row + 1].astype(np.float32) / 16] for row in range(20))
    (folder / "int8.tflite").write_bytes(converter.convert())


def _without_signature(data: bytes) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    model.signatureDefs = None
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _build_keras3(folder: Path) -> None:
    """lstm.keras, autoencoder.keras, any_size.keras, two_outputs.keras, truncated.keras."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(7)
    rolled = [keras.Input((8, 8, 1)), layers.Reshape((8, 8)), layers.LSTM(8), layers.Dense(10, activation="softmax")]
    keras.Sequential(rolled).save(folder / "lstm.keras")
    whole = (folder / "lstm.keras").read_bytes()
    (folder / "truncated.keras").write_bytes(whole[: len(whole) // 2])
    coder = [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(16, activation="relu"), layers.Dense(64)]
    keras.Sequential(coder).save(folder / "autoencoder.keras")
    anything = [keras.Input((None, None, 1)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(10)]
    keras.Sequential(anything).save(folder / "any_size.keras")
    image = keras.Input((8, 8, 1))
    flat = layers.Flatten()(image)
    keras.Model(image, [layers.Dense(10)(flat), layers.Dense(2)(flat)]).save(folder / "two_outputs.keras")


def _build_hostile(folder: Path) -> None:
    """lambda.h5, whose layer carries code; reading, a SavedModel that reads a file."""
    import tensorflow as tf
    import tf_keras

    shout = tf_keras.layers.Lambda(lambda inputs: inputs * 2)
    tf_keras.Sequential([tf_keras.layers.Input((8, 8, 1)), shout, tf_keras.layers.Flatten()]).save(folder / "lambda.h5")
    reader: Any = tf.Module()
    reader.serve = tf.function(
        lambda inputs: tf.reshape(inputs, (-1, 64)) + float(tf.io.read_file("/etc/hostname") == ""),
        input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32)],
    )
    tf.saved_model.save(reader, str(folder / "reading"), signatures=reader.serve)


def _build_onnx(folder: Path) -> None:
    """dynamic.onnx (batch open), two_inputs.onnx, custom.onnx (an operator no runtime has), nan.onnx, random.onnx."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(7)
    (folder / "random.onnx").write_bytes(np.random.default_rng(7).bytes(4096))
    weights = [
        numpy_helper.from_array(np.array([-1, 64], np.int64), "flat"),
        numpy_helper.from_array(rng.normal(size=(64, 10)).astype(np.float32), "kernel"),
        numpy_helper.from_array(rng.normal(size=10).astype(np.float32), "bias"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 8, 8, 1])
    other = helper.make_tensor_value_info("other", TensorProto.FLOAT, ["N", 10])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10])
    head = [helper.make_node("Reshape", ["image", "flat"], ["rows"])]
    dense = [*head, helper.make_node("Gemm", ["rows", "kernel", "bias"], ["logits"])]
    graphs = {
        "dynamic": ([*dense, helper.make_node("Softmax", ["logits"], ["scores"])], [image]),
        "two_inputs": ([*dense, helper.make_node("Add", ["logits", "other"], ["scores"])], [image, other]),
        "custom": ([*dense, helper.make_node("Frobnicate", ["logits"], ["scores"], domain="acme")], [image]),
        "nan": ([*dense, helper.make_node("Sqrt", ["logits"], ["scores"])], [image]),
    }
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("acme", 1)]
    for name, (nodes, inputs) in graphs.items():
        graph = helper.make_graph(nodes, name, inputs, [scores], weights)
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), folder / f"{name}.onnx")


def _open_all(paths: Sequence[Path]) -> dict[str, str]:
    from converter.backends.forms import open_model
    from converter.sources.foreign import read_foreign

    found = {}
    for path in paths:
        try:
            open_model(read_foreign(path).kind, path)
            found[path.name] = "opened"
        except ModelError as error:
            found[path.name] = error.message
    return found


def _main(task: str, *paths: str) -> None:
    if task == "open":
        print(json.dumps(_open_all([Path(path) for path in paths])))  # noqa: T201  the answer to the parent
    elif task == "onnx":
        _build_onnx(Path(paths[0]))
    else:
        _build_tensorflow(Path(paths[0]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
