"""Declared runtime versions and RAM, judged with the contract's own fitting rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from converter.proof.compatibility import OldRuntime, declare, required_ram_mb
from fleet_contract.device_profile import Runtime, RuntimeInfo, fitting_variants
from tests.fakes.contract_documents import profile, variant

if TYPE_CHECKING:
    from converter.proof.compatibility import Declared
    from fleet_contract.release import Variant

LITERT = "ai-edge-litert"
OLD = "tflite-runtime"


def proofs(**outcomes: str) -> list[OldRuntime]:
    """Proofs by package (`litert`, `old`, `onnx`): versions with commas, one that failed with a minus in front."""
    packages = {"litert": LITERT, "old": OLD, "onnx": "onnxruntime"}
    return [
        OldRuntime(packages[name], version.strip("- "), ok=not version.strip().startswith("-"))
        for name, versions in outcomes.items()
        for version in versions.split(",")
    ]


def admitted(declared: Declared | None, package: str, version: str) -> bool:
    """Whether a device with that runtime takes a TFLite variant that is declared so."""
    assert declared is not None
    info = RuntimeInfo(runtime=Runtime.TFLITE, implementation=package, version=version)
    fitting, _ = fitting_variants([_declaring(declared)], profile(runtimes=(info,)))
    return bool(fitting)


def _declaring(declared: Declared) -> Variant:
    return variant(
        min_runtime_version=declared.min_runtime_version,
        implementations=declared.implementations or msgspec.UNSET,
    )


CASES = {
    "the installed runtime alone": ("2.3.0", "2.3.0"),
    "the oldest in which it ran": ("2.3.0, 1.4.0, 2.1.0", "1.4.0"),
    "nothing older than one in which it failed": ("2.3.0, 1.4.0, -2.1.0", "2.3.0"),
    "not the oldest where only that failed": ("2.3.0, 2.1.0, -1.4.0", "2.1.0"),
    "versions as numbers, not as text": ("1.10.0, 1.9.0", "1.9.0"),
}


@pytest.mark.parametrize(("versions", "floor"), CASES.values(), ids=CASES.keys())
def test_the_least_version_is_one_in_which_it_ran(versions: str, floor: str) -> None:
    """What is claimed was seen, without a gap."""
    declared = declare(Runtime.TFLITE, proofs(litert=versions))
    assert declared is not None
    assert declared.min_runtime_version == floor
    assert declared.implementations == {LITERT: floor}


@pytest.mark.parametrize("versions", ["2.3.0, -2.4.0", "-2.3.0", "2.3.0, -2.3.0"])
def test_nothing_is_declared_where_the_newest_known_fails(versions: str) -> None:
    """A least version cannot shut out a newer one."""
    assert declare(Runtime.TFLITE, proofs(litert=versions)) is None


def test_a_package_that_was_not_tried_is_refused() -> None:
    """tflite-runtime 2.14 counts as newer than LiteRT 2.3, but nobody saw the variant run in it."""
    declared = declare(Runtime.TFLITE, proofs(litert="2.3.0, 1.4.0"))
    assert admitted(declared, LITERT, "1.4.0")
    assert admitted(declared, LITERT, "2.9.0")
    assert not admitted(declared, LITERT, "1.3.0")
    assert not admitted(declared, OLD, "2.14.0")


def test_a_package_in_which_it_failed_is_refused() -> None:
    """What gives NaN in tflite-runtime is not sent to a device that has it."""
    declared = declare(Runtime.TFLITE, proofs(litert="2.3.0", old="-2.14.0"))
    assert admitted(declared, LITERT, "2.3.0")
    assert not admitted(declared, OLD, "2.14.0")


def test_each_package_has_its_own_least_version() -> None:
    """Proven in both: both are admitted, each from its own number on."""
    declared = declare(Runtime.TFLITE, proofs(litert="2.3.0, 1.4.0", old="2.14.0, -2.13.0"))
    assert admitted(declared, LITERT, "1.4.0")
    assert admitted(declared, OLD, "2.14.0")
    assert not admitted(declared, OLD, "2.13.0")


def test_onnx_is_declared_by_one_number_for_every_package() -> None:
    """Both onnxruntime and onnxruntime-gpu count alike."""
    declared = declare(Runtime.ONNX, proofs(onnx="1.32.0, 1.19.2"))
    assert declared is not None
    assert (declared.min_runtime_version, declared.implementations) == ("1.19.2", {})


def test_proofs_of_another_family_count_for_nothing() -> None:
    """An ONNX runtime says nothing of a TFLite file."""
    assert declare(Runtime.TFLITE, proofs(onnx="1.32.0")) is None


@pytest.mark.parametrize(("measured_mb", "asked_mb"), [(40.0, 56), (51.2, 64), (51.3, 72)])
def test_ram_is_asked_for_with_a_margin(measured_mb: float, asked_mb: int) -> None:
    """A quarter more than measured, rounded up to 8 MB."""
    assert required_ram_mb(measured_mb) == asked_mb
