"""What a device is and can run, and which variants of a release fit it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import UNSET, Struct

from fleet_contract.names import NameStr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet_contract.release import Variant


class Runtime(StrEnum):
    """Families of inference runtimes that a variant can be for."""

    TFLITE = "tflite"
    ONNX = "onnx"


class RuntimeInfo(Struct, frozen=True, kw_only=True):
    """One runtime that a device has: `implementation` is the package, for instance `ai-edge-litert`."""

    runtime: Runtime
    implementation: str
    version: str
    providers: tuple[str, ...] = ()


class DeviceProfile(Struct, frozen=True, kw_only=True):
    """A device's hardware and runtimes, as the device itself reports them (retained on `profile`).

    `memory_budget_mb` is the RAM that a model host may use, 0 for no limit; `hardware` a word that operators
    stratify canaries by, for instance `pi5`.
    """

    schema: int = 1
    device_id: NameStr
    hardware: str
    arch: str
    ram_mb: int
    memory_budget_mb: int = 0
    runtimes: tuple[RuntimeInfo, ...] = ()
    accelerators: tuple[str, ...] = ()
    agent_version: str = ""


class Unfit(Struct, frozen=True, kw_only=True):
    """Why a variant does not fit a device, in words for a person."""

    variant: str
    reason: str


def fitting_variants(variants: Iterable[Variant], profile: DeviceProfile) -> tuple[list[Variant], list[Unfit]]:
    """The variants that `profile` can run, the smallest blob first, and for each other one the reason."""
    fitting: list[Variant] = []
    unfit: list[Unfit] = []
    for variant in variants:
        reason = _obstacle(variant, profile)
        if reason:
            unfit.append(Unfit(variant=variant.id, reason=reason))
        else:
            fitting.append(variant)
    fitting.sort(key=lambda variant: (variant.blob.size_bytes, variant.id))
    return fitting, unfit


def _obstacle(variant: Variant, profile: DeviceProfile) -> str:
    needs = variant.requirements
    available = [info for info in profile.runtimes if info.runtime == variant.runtime]
    if not available:
        return f"runtime {variant.runtime} is not installed"
    if not any(_admits(variant, info) for info in available):
        return f"runtime {variant.runtime} is {_installed(variant, available[0])}, needs {_needed(variant)}"
    if needs.archs and profile.arch not in needs.archs:
        return f"architecture {profile.arch} is not among {', '.join(needs.archs)}"
    if profile.memory_budget_mb and needs.ram_mb > profile.memory_budget_mb:
        return f"needs {needs.ram_mb} MB of RAM, the budget is {profile.memory_budget_mb} MB"
    return ""


def _admits(variant: Variant, info: RuntimeInfo) -> bool:
    """Whether the variant is declared for that runtime, of its family; a package that is not named is not."""
    if variant.implementations is UNSET:
        return version_tuple(info.version) >= version_tuple(variant.min_runtime_version)
    least = variant.implementations.get(info.implementation)
    return least is not None and version_tuple(info.version) >= version_tuple(least)


def _installed(variant: Variant, info: RuntimeInfo) -> str:
    return info.version if variant.implementations is UNSET else f"{info.implementation} {info.version}"


def _needed(variant: Variant) -> str:
    if variant.implementations is UNSET:
        return variant.min_runtime_version
    return " or ".join(f"{package} {version}" for package, version in variant.implementations.items()) or "none"


def version_tuple(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, for comparison: `2.14.0rc1` gives (2, 14, 0)."""
    numbers: list[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
