"""What a user would do instead, with the same model and the same calibration rows: `python .../rivals.py FOLDER`.

FOLDER holds `job.json`, a build job. Writes `tf-float.tflite` and `tf-int8.tflite` (the full int8 of the TFLite
converter, as it comes) and `ort-int8.onnx` (onnxruntime's quantize_static, its defaults).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from converter.backends.forms import open_forms
from converter.process.jobs import JOB_FILE, BuildJob
from fleet_contract.codec import decode
from fleet_contract.errors import ModelError


class _Rows:
    """Calibration rows in the form of onnxruntime's CalibrationDataReader."""

    def __init__(self, name: str, inputs_B: Any) -> None:
        self._rows = iter({name: inputs_B[row : row + 1]} for row in range(len(inputs_B)))

    def get_next(self) -> Any:
        """The next row, None at the end."""
        return next(self._rows, None)


def main(folder: Path) -> None:
    """Makes the three files; one that its tool cannot make is left out, with the reason on stderr."""
    import onnxruntime
    from onnxruntime.quantization import quantize_static

    job = decode((folder / JOB_FILE).read_bytes(), BuildJob)
    forms, calibration_B = open_forms(job, folder), np.load(job.calibration)
    (folder / "tf-float.tflite").write_bytes(forms.tflite().read_bytes())
    try:
        (folder / "tf-int8.tflite").write_bytes(forms.tf_int8(calibration_B))
    except ModelError as error:
        print(f"TFLite converter: {error.message}", file=sys.stderr)
    float_onnx = forms.onnx()
    name = onnxruntime.InferenceSession(float_onnx, providers=["CPUExecutionProvider"]).get_inputs()[0].name
    quantize_static(float_onnx, folder / "ort-int8.onnx", _Rows(name, calibration_B))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
