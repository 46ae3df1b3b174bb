"""A tiny digits CNN as TFLite (float, int8, dynamic int8, int4) and ONNX files, for tests that run them.

Run as a script, in a child process, it makes them in the folder that its one argument names. `model_folder()` has them
made once, and keeps them in the system's folder for temporary files under the digest of this script.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_FILE = "rows.npy"
TRAIN_ROWS = 1400


@cache
def model_folder() -> Path:
    """Where `tflite-f32.tflite`, `tflite-int8.tflite`, `tflite-dyn-int8.tflite`, `tflite-int4.tflite`, `onnx-f32.onnx`
    and the held-out rows (ROWS_FILE, float32, as the models eat them) are.
    """  # noqa: D205  one sentence
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"edgeferry-runtime-models-{os.getuid()}-{digest}"
    if not folder.exists():
        making = Path(tempfile.mkdtemp(prefix="edgeferry-making-"))
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        subprocess.run([sys.executable, __file__, str(making)], check=True, capture_output=True, env=quiet, timeout=240)
        try:
            making.rename(folder)
        except OSError:  # another test process was faster
            shutil.rmtree(making)
    return folder


def _build(folder: Path) -> None:
    import keras
    from keras import layers
    from sklearn.datasets import load_digits

    keras.utils.set_random_seed(7)
    digits = load_digits()
    rows_B = digits.images[..., np.newaxis].astype(np.float32) / np.float32(16)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.Conv2D(32, 1, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(rows_B[:TRAIN_ROWS], digits.target[:TRAIN_ROWS], epochs=6, verbose=0)
    np.save(folder / ROWS_FILE, rows_B[TRAIN_ROWS:])
    _tflite(model, folder, rows_B[:100])
    _int4(folder)
    _onnx(model, folder)


def _tflite(model: Any, folder: Path, calibration_B: NDArray[np.float32]) -> None:
    import tensorflow as tf

    exported = folder / "exported"
    model.export(exported, verbose=False, input_signature=[tf.TensorSpec((1, 8, 8, 1), tf.float32)])
    for name in ("tflite-f32", "tflite-dyn-int8", "tflite-int8"):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(exported))
        if name != "tflite-f32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if name == "tflite-int8":
            converter.representative_dataset = lambda: ([row[np.newaxis]] for row in calibration_B)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        (folder / f"{name}.tflite").write_bytes(converter.convert())


def _int4(folder: Path) -> None:
    from litert_quantizer import quantizer, recipe

    four_bits = quantizer.Quantizer(str(folder / "tflite-f32.tflite"), recipe.dynamic_wi4_afp32())
    four_bits.quantize().export_model(str(folder / "tflite-int4.tflite"), overwrite=True)


def _onnx(model: Any, folder: Path) -> None:
    model.export(folder / "onnx-f32.onnx", format="onnx", verbose=False, opset_version=17)


if __name__ == "__main__":
    _build(Path(sys.argv[1]))
