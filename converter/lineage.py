"""Which versions of the tools made a variant."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

_TOOLS: Final = (
    "ai-edge-litert", "edgeferry", "keras", "litert-quantizer", "numpy", "onnx", "onnxconverter-common", "onnxruntime",
    "tensorflow", "tf-keras", "tf2onnx",
)  # fmt: skip


def tool_versions() -> dict[str, str]:
    """Every installed conversion tool, and Python."""
    found = {name: _installed(name) for name in _TOOLS}
    return {**{name: each for name, each in found.items() if each}, "python": platform.python_version()}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
