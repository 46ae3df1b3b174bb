"""Kinds of devices that variants are made for, as data, and what makes sense on each. Pure.

A target says what a device of that kind has: architecture, cores, RAM, which runtime packages have wheels for it, and
which accelerators they reach. It proposes recipes, each with its reason, and refuses those that cannot run there or
only cost. Where the figures come from: docs/reference/targets.md.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from converter.recipe import Precision, Recipe, parse_recipe
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = tuple[Runtime, Precision]
"""A recipe without its options."""


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of device.

    `arch` is as `platform.machine` has it. `ram_mb` is of the smallest board of that kind; `memory_budget_mb` what one
    model host may use of it, where a second one runs beside it while a model is swapped. `threads` are for inference.
    `packages` are, for each runtime, the packages with wheels for it; a runtime that is missing cannot be used there.
    `reasons` are the recipes that are proposed, in the order of preference, and why; `refused` those that make no
    sense, and why.
    """

    name: str
    title: str
    arch: str
    cores: int
    threads: int
    ram_mb: int
    memory_budget_mb: int
    packages: Mapping[Runtime, tuple[str, ...]]
    providers: tuple[str, ...]
    reasons: Mapping[str, str]
    refused: Mapping[Kind, str] = field(default_factory=dict)


_BOTH: Final = {Runtime.TFLITE: ("ai-edge-litert",), Runtime.ONNX: ("onnxruntime",)}
_TFLITE: Final = ("XNNPACK",)
_ON_CPU: Final = ("XNNPACK", "CPUExecutionProvider")

_SMALLEST: Final = "a quarter of the size, integers throughout; the usual choice on a Cortex-A processor"
_HALF: Final = "half the size with the float model's answers, where int8 loses too much"
_WHOLE: Final = "the float model itself: what int8 is held against, and the way out where it is quicker"
_SIGNED: Final = "signed activations, for which onnxruntime's ARM kernels and TensorRT are made"
_UNSIGNED: Final = "unsigned activations, up to three times quicker on x86 than signed ones"

_FOUR_BITS: Final = "tflite-runtime 2.14 gives NaN or dies on int4 weights"
_DYNAMIC: Final = "tflite-runtime 2.14 gives other scores for it without an error, or does not know its operators"
_SIGNED_X86: Final = "signed activations take up to three times as long on x86: use onnx-int8"
_UNSIGNED_TENSORRT: Final = "TensorRT takes signed, symmetric activations only: use onnx-int8-signed"
_NO_INT8_GPU: Final = "the Maxwell GPU has no int8 arithmetic: use onnx-f16 on the GPU, tflite-int8 on the CPU"

_TFLITE_REASONS: Final = {"tflite-int8": _SMALLEST, "tflite-f16": _HALF, "tflite-f32": _WHOLE}

_ALL: Final = (
    Target(
        name="pi-zero-2w",
        title="Raspberry Pi Zero 2 W, 64-bit system",
        arch="aarch64",
        cores=4,
        threads=1,
        ram_mb=512,
        memory_budget_mb=112,
        packages=_BOTH,
        providers=_ON_CPU,
        reasons=_TFLITE_REASONS,
    ),
    Target(
        name="pi-4",
        title="Raspberry Pi 4, 64-bit system",
        arch="aarch64",
        cores=4,
        threads=2,
        ram_mb=1024,
        memory_budget_mb=256,
        packages=_BOTH,
        providers=_ON_CPU,
        reasons=_TFLITE_REASONS,
    ),
    Target(
        name="pi-5",
        title="Raspberry Pi 5, 64-bit system",
        arch="aarch64",
        cores=4,
        threads=2,
        ram_mb=2048,
        memory_budget_mb=512,
        packages=_BOTH,
        providers=_ON_CPU,
        reasons=_TFLITE_REASONS,
    ),
    Target(
        name="jetson-nano",
        title="NVIDIA Jetson Nano (Maxwell GPU)",
        arch="aarch64",
        cores=4,
        threads=2,
        ram_mb=4096,
        memory_budget_mb=1024,
        packages=_BOTH | {Runtime.ONNX: ("onnxruntime-gpu", "onnxruntime")},
        providers=("TensorrtExecutionProvider", "CUDAExecutionProvider", *_ON_CPU),
        reasons={
            "onnx-f16": "the GPU computes in half precision at twice the rate, by TensorRT or CUDA",
            "onnx-f32": _WHOLE,
            "tflite-int8": _SMALLEST,
            "tflite-f32": _WHOLE,
        },
        refused={
            (Runtime.ONNX, Precision.INT8): _NO_INT8_GPU,
            (Runtime.ONNX, Precision.INT8_MIXED): _NO_INT8_GPU,
            (Runtime.ONNX, Precision.INT8_SIGNED): _NO_INT8_GPU,
        },
    ),
    Target(
        name="jetson-orin",
        title="NVIDIA Jetson Orin (Ampere GPU)",
        arch="aarch64",
        cores=6,
        threads=2,
        ram_mb=4096,
        memory_budget_mb=1024,
        packages=_BOTH | {Runtime.ONNX: ("onnxruntime-gpu", "onnxruntime")},
        providers=("TensorrtExecutionProvider", "CUDAExecutionProvider", *_ON_CPU),
        reasons={
            "onnx-int8-signed": _SIGNED,
            "onnx-f16": "the GPU's tensor cores compute in half precision, by TensorRT or CUDA",
            "onnx-f32": _WHOLE,
            "tflite-int8": _SMALLEST,
            "tflite-f32": _WHOLE,
        },
        refused={
            (Runtime.ONNX, Precision.INT8): _UNSIGNED_TENSORRT,
            (Runtime.ONNX, Precision.INT8_MIXED): _UNSIGNED_TENSORRT,
        },
    ),
    Target(
        name="x86-64",
        title="64-bit PC or server with Linux",
        arch="x86_64",
        cores=2,
        threads=2,
        ram_mb=2048,
        memory_budget_mb=512,
        packages=_BOTH,
        providers=_ON_CPU,
        reasons={
            "tflite-int8": "a quarter of the size; on small convolutional models it can be slower than float here",
            "tflite-f32": _WHOLE,
            "onnx-int8": _UNSIGNED,
            "onnx-f32": _WHOLE,
        },
        refused={(Runtime.ONNX, Precision.INT8_SIGNED): _SIGNED_X86},
    ),
    Target(
        name="aarch64",
        title="64-bit ARM board with Linux",
        arch="aarch64",
        cores=4,
        threads=2,
        ram_mb=1024,
        memory_budget_mb=256,
        packages=_BOTH,
        providers=_ON_CPU,
        reasons={
            "tflite-int8": _SMALLEST,
            "tflite-f32": _WHOLE,
            "onnx-int8-signed": _SIGNED,
            "onnx-f32": _WHOLE,
        },
    ),
    Target(
        name="armv7",
        title="32-bit ARM board with Linux and tflite-runtime 2.14",
        arch="armv7l",
        cores=4,
        threads=1,
        ram_mb=512,
        memory_budget_mb=112,
        packages={Runtime.TFLITE: ("tflite-runtime",)},
        providers=_TFLITE,
        reasons={"tflite-int8": _SMALLEST, "tflite-f16": _HALF, "tflite-f32": _WHOLE},
        refused={
            (Runtime.TFLITE, Precision.INT4): _FOUR_BITS,
            (Runtime.TFLITE, Precision.DYNAMIC_INT8): _DYNAMIC,
        },
    ),
)
TARGETS: Final[dict[str, Target]] = {target.name: target for target in _ALL}


def parse_target(name: str) -> Target:
    """The target of that name.

    Raises:
        ConfigError: there is none; the hint names the nearest.
    """
    if name in TARGETS:
        return TARGETS[name]
    near = get_close_matches(name, TARGETS, n=1, cutoff=0.4)
    raise ConfigError(
        f"target: got {name!r}, expected one of {', '.join(TARGETS)}",
        hint=f"did you mean {near[0]!r}?" if near else "",
    )


def recipes_for(target: Target) -> tuple[Recipe, ...]:
    """The recipes that are proposed for the target, the preferred one first."""
    return tuple(parse_recipe(name) for name in target.reasons)


def refusals(target: Target, recipe: Recipe) -> str:
    """Why the recipe makes no sense on the target; empty when it does."""
    if recipe.runtime not in target.packages:
        return f"there is no {recipe.runtime} runtime for {target.name} ({target.arch}) that could be installed"
    return target.refused.get((recipe.runtime, recipe.precision), "")


def is_this_machine(target: Target, machine: str = "") -> bool:
    """Whether latency measured on this machine (or on `machine`) is evidence for the target: the same architecture."""
    return target.arch == (machine or platform.machine())


def undeclared(target: Target, runtime: Runtime, implementations: Mapping[str, str]) -> str:
    """Why a variant that is declared for `implementations` (none: any) could not be used on the target; else empty."""
    packages = target.packages.get(runtime, ())
    if packages and (not implementations or any(package in implementations for package in packages)):
        return ""
    wanted = " or ".join(packages) or f"a {runtime} runtime"
    return f"{target.name} has {wanted}, in which it was not proven: edgeferry runtimes add"
