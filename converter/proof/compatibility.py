"""Which runtimes a variant is declared for: those in which it was loaded and run, and newer ones. Pure.

The rules:
1. A runtime package's least version is the oldest one in which the variant ran, where every newer known one ran it too.
   One that fails, though a newer one ran it, ends the list: what is older is not claimed.
2. A newest known version that fails cannot be shut out by a least version, so that package is not declared at all.
3. The TFLite family has two packages that count differently: tflite-runtime counts as TensorFlow does and ended at
   2.14.0; ai-edge-litert started anew at 1.0. `min_runtime_version` is ai-edge-litert's, and `implementations` names
   the least version of each package that was proven; a package that it does not name is refused by the device.
4. All packages of the ONNX family (onnxruntime, onnxruntime-gpu) count alike: one number says it all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Final

from fleet_contract.device_profile import Runtime, version_tuple

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES: Final = {Runtime.TFLITE: ("ai-edge-litert", "tflite-runtime"), Runtime.ONNX: ("onnxruntime",)}
"""The runtime packages of each family, the preferred one first."""
RAM_MARGIN: Final = 1.25
RAM_STEP_MB: Final = 8


@dataclass(frozen=True, slots=True)
class OldRuntime:
    """How a variant fared in one version of a runtime package; `reason` says what went wrong."""

    package: str
    version: str
    ok: bool
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


@dataclass(frozen=True, slots=True)
class Declared:
    """What a manifest says of a variant's runtimes. `implementations` empty: any package of the family."""

    min_runtime_version: str
    implementations: dict[str, str] = field(default_factory=dict)


def declare(runtime: Runtime, proofs: Sequence[OldRuntime]) -> Declared | None:
    """What `proofs`, the installed runtime's among them, allow to declare; None where that is nothing."""
    floors = {package: floor for package in PACKAGES[runtime] if (floor := _floor(package, proofs))}
    if not floors:
        return None
    least = next(iter(floors.values()))
    return Declared(least, floors if len(PACKAGES[runtime]) > 1 else {})


def _floor(package: str, proofs: Sequence[OldRuntime]) -> str:
    """The least version of `package` by rules 1 and 2; empty for none."""
    own = [proof for proof in proofs if proof.package == package]
    floor = ""
    for proof in sorted(own, key=lambda each: (version_tuple(each.version), not each.ok), reverse=True):
        if not proof.ok:
            break
        floor = proof.version
    return floor


def required_ram_mb(peak_rss_mb: float) -> int:
    """The RAM to ask of a device: the measured peak of a process with runtime and model, a quarter more, rounded up."""
    return ceil(peak_rss_mb * RAM_MARGIN / RAM_STEP_MB) * RAM_STEP_MB
