"""Which runtime versions a variant is declared for. Pure.

`min_runtime_version` is one number per runtime family, but the TFLite family has two implementations that count
differently: tflite-runtime counts as TensorFlow does and ended at 2.14.0; ai-edge-litert started anew at 1.0 and has
reached 2.3. The TFLite converter states, in the file, the least TensorFlow version that has the operator versions used.

- Stated and at most 2.14.0 (built-in float and int8 operators): tflite-runtime 2.14.0 has them, and so has every
  ai-edge-litert; declared is 1.4.0, the oldest ai-edge-litert that was tried (41 of 42 files ran on it). Both
  tflite-runtime 2.14.0 and ai-edge-litert 1.4.0 or newer are therefore admitted.
- Stated above 2.14.0, or not stated: declared is the ai-edge-litert version in which the variant was proven.
  tflite-runtime 2.14.0 counts as newer than that and cannot be shut out by this number; the device's preflight, which
  runs the golden vectors in a child process, refuses it there.
- ONNX: operator set 17 with IR version 8; onnxruntime reads both since 1.12, declared is 1.13.0.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from fleet_contract.device_profile import Runtime, version_tuple

LAST_TFLITE_RUNTIME: Final = "2.14.0"
OLDEST_LITERT: Final = "1.4.0"
OLDEST_ONNXRUNTIME: Final = "1.13.0"
RAM_MARGIN: Final = 1.25
RAM_STEP_MB: Final = 8


def min_runtime_version(runtime: Runtime, *, stated: str, proven: str) -> str:
    """The least version to declare, from what the tool stated and in which version the variant was proven."""
    if runtime is Runtime.ONNX:
        return OLDEST_ONNXRUNTIME
    if stated and () < version_tuple(stated) <= version_tuple(LAST_TFLITE_RUNTIME):
        return OLDEST_LITERT
    return proven


def required_ram_mb(peak_rss_mb: float) -> int:
    """The RAM to ask of a device: the measured peak of a process with runtime and model, a quarter more, rounded up."""
    return ceil(peak_rss_mb * RAM_MARGIN / RAM_STEP_MB) * RAM_STEP_MB
