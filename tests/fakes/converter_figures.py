"""Figures of variants, made by hand: what parity, a trial and a budget look like where only one number matters."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.building import Build
from converter.process.jobs import Proof
from converter.proof.budgets import Budget
from converter.proof.compatibility import OldRuntime
from converter.proof.gates import Figures, fact
from converter.proof.parity import Accuracy, Agreement, Drop, Parity
from converter.proof.trial import Trial
from converter.recipe import parse_recipe
from fleet_contract.candidate import VariantGates
from fleet_contract.device_profile import Runtime
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from converter.recipe import Recipe

EDGE = TensorSpec(name="x", dtype=DType.FLOAT32, shape=(10,))
NO_DROP = Drop("all", 400, 0.0, 0.0067)


def accuracy(share: float = 0.95, drop: float = 0.0, **changes: Any) -> Accuracy:
    """Accuracy on 400 rows with one slice of 40."""
    plain = Accuracy(share, share - 0.02, share + 0.02, replace(NO_DROP, drop=drop), (Drop("class 3", 40, 0.0, 0.06),))
    return replace(plain, **changes)


def parity(**changes: Any) -> Parity:
    """A variant that is the float model."""
    plain = Parity(
        sample_count=400,
        max_abs_error=0.01,
        mean_abs_error=0.001,
        sqnr_db=130.0,
        agreement=Agreement(1.0, 0.99),
        accuracy=accuracy(),
    )
    return replace(plain, **changes)


def figures(**changes: Any) -> Figures:
    """A variant of 1,000 bytes that takes 2 ms and 64 MB."""
    return replace(Figures(parity=parity(), size_bytes=1000, latency_p50_ms=2.0, ram_mb=64.0), **changes)


def trial(name: str, *, size_bytes: int = 1000, latency_ms: float = 2.0, holds: bool = True, **changes: Any) -> Trial:
    """A variant that ran in the newest runtime; `holds` False: it was stuck."""
    recipe = parse_recipe(name)
    package = "onnxruntime" if recipe.runtime is Runtime.ONNX else "ai-edge-litert"
    proof = Proof(
        input=EDGE,
        output=EDGE,
        runtime_version="2.3.0",
        latency_p50_ms=latency_ms,
        latency_p95_ms=2 * latency_ms,
        rss_mb=45.0,
        peak_rss_mb=50.0,
    )
    plain = Trial(
        build=Build(recipe, Path(recipe.file_name), resolved=name),
        size_bytes=size_bytes,
        facts=(fact("varies", holds=holds, detail="the same scores for every input"),),
        proof=proof,
        parity=parity(),
        ran_in=(OldRuntime(package, "2.3.0", ok=True),),
        side_by_side_p50_ms=nan,
    )
    return replace(plain, **changes)


def budget(target: str = "pi-4", arch: str = "aarch64", *, here: bool = False, **changes: Any) -> Budget:
    """A target that refuses nothing by itself."""

    def nothing(_recipe: Recipe) -> str:
        return ""

    def proven(_runtime: Runtime, _implementations: Mapping[str, str]) -> str:
        return ""

    plain = Budget(
        target=target, arch=arch, ram_mb=0.0, here=here, gates=VariantGates(), refusal=nothing, unproven=proven
    )
    return replace(plain, **changes)
