"""TFLite through TensorFlow's own converter, which gives the same bytes in every process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from converter.backends.translate import tool_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def convert_float(saved_model: Path) -> bytes:
    """Float weights and activations, built-in ops only."""
    with tool_errors("TFLite converter"):
        data: bytes = _converter(saved_model).convert()
    return data


def convert_int8(saved_model: Path, calibration_B: NDArray[np.float32]) -> bytes:
    """Full int8 with int8 edges; activation ranges are the minima and maxima over `calibration_B`."""

    def rows() -> Iterator[list[NDArray[np.float32]]]:
        for index in range(len(calibration_B)):
            yield [calibration_B[index : index + 1]]

    with tool_errors("TFLite converter"):
        converter = _converter(saved_model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = rows
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        data: bytes = converter.convert()
    return data


def _converter(saved_model: Path) -> Any:
    return tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
