"""Inference runtimes behind one Protocol; a runtime is imported only when a model for it is opened."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from device_agent.runtimes.session import check_specs
from fleet_contract.device_profile import Runtime, RuntimeInfo
from fleet_contract.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from device_agent.runtimes.session import Session
    from fleet_contract.release import Variant

_PACKAGES: Final = {
    Runtime.TFLITE: ("ai-edge-litert", "tflite-runtime"),
    Runtime.ONNX: ("onnxruntime", "onnxruntime-gpu"),
}
"""Distributions of each runtime, the preferred one first."""

_ADAPTERS: Final = {
    "ai-edge-litert": ("device_agent.runtimes.tflite", "ai_edge_litert.interpreter"),
    "tflite-runtime": ("device_agent.runtimes.tflite", "tflite_runtime.interpreter"),
    "onnxruntime": ("device_agent.runtimes.onnx", "onnxruntime"),
    "onnxruntime-gpu": ("device_agent.runtimes.onnx", "onnxruntime"),
}
"""For each distribution our adapter and the module that it drives."""


def installed_runtimes() -> tuple[RuntimeInfo, ...]:
    """The runtimes that models would be opened with, at most one of each kind, without importing any."""
    found: list[RuntimeInfo] = []
    for runtime, packages in _PACKAGES.items():
        for package in packages:
            installed = _version(package)
            if installed:
                found.append(RuntimeInfo(runtime=runtime, implementation=package, version=installed))
                break
    return tuple(found)


def open_session(variant: Variant, path: Path, *, threads: int, implementation: str = "") -> Session:
    """Opens the model file of `variant` at `path` and checks it against the variant's tensors.

    Args:
        variant: what the manifest says of the file.
        path: the verified file.
        threads: that the runtime may compute with.
        implementation: a distribution to use instead of the preferred one.

    Raises:
        MissingExtraError: no runtime for the variant is installed.
        ModelError: the runtime cannot load the file, or the file's tensors are not those of the variant.
    """
    name = implementation or _preferred(variant.runtime)
    adapter, module = _ADAPTERS[name]
    session: Session = import_module(adapter).open_file(path, variant, threads=threads, module=module)
    check_specs(session, variant)
    return session


def _preferred(runtime: Runtime) -> str:
    for package in _PACKAGES[runtime]:
        if find_spec(_ADAPTERS[package][1].partition(".")[0]):
            return package
    extra = "tflite" if runtime is Runtime.TFLITE else "onnx"
    raise MissingExtraError.for_extra(extra, _PACKAGES[runtime][0])


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # 2 MB that a model host does without

    try:
        return version(package)
    except PackageNotFoundError:
        return ""
