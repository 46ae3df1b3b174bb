"""Builds all variants in child processes: one for all of them, and when that one dies, one for each that is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converter.process.jobs import REFERENCE_FILE, BuildJob, Built
from converter.process.sandbox import Limits, run_job
from converter.proof.gates import search_goal
from fleet_contract.codec import decode
from fleet_contract.errors import ModelError
from fleet_contract.preprocessing import model_input

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.material import Material
    from converter.progress import Progress
    from converter.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Build:
    """One recipe's outcome; `path` is None where `error` says why there is no artifact."""

    recipe: Recipe
    path: Path | None = None
    resolved: str = ""
    float_layers: tuple[str, ...] = ()
    int4_layers: tuple[str, ...] = ()
    search_complete: bool = True
    duration_s: float = 0.0
    error: str = ""


def build_variants(
    material: Material, recipes: Sequence[Recipe], *, limits: Limits, progress: Progress
) -> tuple[NDArray[np.float32], list[Build]]:
    """The float scores of the held-out rows, shape (B, K), and every recipe's outcome in the order given.

    Raises:
        ModelError: the float model itself cannot be loaded or run.
        ContractError: its shapes are not those that the candidate promises.
    """
    shared = material.folder / "build-all"
    try:
        run_job(_job(material, recipes, reference=True), shared, what="conversion", limits=_scaled(limits, recipes))
    except ModelError as error:
        progress.remark(f"{error.message}; trying what is missing one by one")
    reference_BK = _reference(material, shared, limits)
    return reference_BK, [
        _outcome(shared, recipe) or build_alone(material, recipe, limits=limits, progress=progress)
        for recipe in recipes
    ]


def _scaled(limits: Limits, recipes: Sequence[Recipe]) -> Limits:
    return Limits(timeout_s=limits.timeout_s * (len(recipes) + 1), memory_mb=limits.memory_mb)


def _job(material: Material, recipes: Sequence[Recipe], *, reference: bool) -> BuildJob:
    candidate = material.candidate
    min_top1_agreement, min_sqnr_db = search_goal(candidate.gates, classes=bool(candidate.labels))
    return BuildJob(
        model=str(material.model),
        kind=material.kind,
        input=model_input(candidate.inputs[0], candidate.preprocessing),
        output=candidate.outputs[0],
        recipes=tuple(recipe.name for recipe in recipes),
        calibration=str(material.calibration),
        selection=str(material.selection),
        holdout=str(material.holdout),
        reference=reference,
        min_top1_agreement=min_top1_agreement,
        min_sqnr_db=min_sqnr_db,
        max_size_bytes=candidate.gates.max_size_bytes,
        trials=str(material.trials),
    )


def _reference(material: Material, shared: Path, limits: Limits) -> NDArray[np.float32]:
    path = shared / REFERENCE_FILE
    if not _whole(path):
        alone = material.folder / "reference"
        run_job(_job(material, (), reference=True), alone, what="float model", limits=limits)
        path = alone / REFERENCE_FILE
    reference_BK: NDArray[np.float32] = np.load(path)
    return reference_BK


def _whole(path: Path) -> bool:
    try:
        np.load(path)
    except (OSError, ValueError, EOFError):
        return False
    return True


def build_alone(material: Material, recipe: Recipe, *, limits: Limits, progress: Progress) -> Build:
    """One recipe's outcome, from a child process of its own."""
    folder = material.folder / f"build-{recipe.name}"
    try:
        run_job(_job(material, (recipe,), reference=False), folder, what=f"recipe {recipe.name}", limits=limits)
    except ModelError as error:
        progress.remark(error.message)
        return Build(recipe, error=error.message)
    return _outcome(folder, recipe) or Build(recipe, error=f"recipe {recipe.name}: the child left no result")


def _outcome(folder: Path, recipe: Recipe) -> Build | None:
    path = folder / f"{recipe.name}.result.json"
    if not path.is_file():
        return None
    built = decode(path.read_bytes(), Built)
    return Build(
        recipe=recipe,
        path=folder / built.artifact if built.artifact else None,
        resolved=built.resolved,
        float_layers=built.float_layers,
        int4_layers=built.int4_layers,
        search_complete=built.search_complete,
        duration_s=built.duration_s,
        error=f"recipe {recipe.name}: {built.error}" if built.error else "",
    )
