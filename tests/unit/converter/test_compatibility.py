"""Declared runtime versions and RAM, judged with the contract's own fitting rule."""

from __future__ import annotations

import pytest

from converter.compatibility import min_runtime_version, required_ram_mb
from fleet_contract.device_profile import Runtime, version_tuple


@pytest.mark.parametrize("device", ["1.4.0", "2.3.0", "2.14.0"])
def test_built_in_operators_run_on_every_tflite_implementation(device: str) -> None:
    """ai-edge-litert 1.4 and 2.3 and tflite-runtime 2.14 are all admitted to a plain model."""
    declared = min_runtime_version(Runtime.TFLITE, stated="1.14.0", proven="2.3.0")
    assert version_tuple(device) >= version_tuple(declared)


@pytest.mark.parametrize("stated", ["2.17.0", "", "UNKNOWN"])
def test_newer_or_unstated_operators_ask_for_what_was_proven(stated: str) -> None:
    """An older ai-edge-litert is not trusted with operators that nobody saw it run."""
    declared = min_runtime_version(Runtime.TFLITE, stated=stated, proven="2.3.0")
    assert declared == "2.3.0"
    assert version_tuple("1.4.0") < version_tuple(declared)


def test_onnx_declares_the_first_onnxruntime_with_its_operator_set() -> None:
    """The version that converts does not matter."""
    assert min_runtime_version(Runtime.ONNX, stated="", proven="1.32.0") == "1.13.0"


@pytest.mark.parametrize(("measured_mb", "asked_mb"), [(40.0, 56), (51.2, 64), (51.3, 72)])
def test_ram_is_asked_for_with_a_margin(measured_mb: float, asked_mb: int) -> None:
    """A quarter more than measured, rounded up to 8 MB."""
    assert required_ram_mb(measured_mb) == asked_mb
