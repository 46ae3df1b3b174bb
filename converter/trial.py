"""A trial: one built variant run in its real runtime and held against the gates.

Legend: B held-out rows, K classes, G golden rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from converter import golden
from converter.gates import EDGES_GATE, FINITE_GATE, RUNS_GATE, VARIES_GATE, fact, judge
from converter.jobs import PROOF_FILE, SCORES_FILE, Proof, ProveJob
from converter.parity import Parity, compare, constant
from converter.sandbox import Limits, run_job
from fleet_contract.codec import decode
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.building import Build
    from converter.material import Material
    from converter.recipe import Recipe
    from fleet_contract.release import GateResult

TIMED_RUNS: Final = 300


@dataclass(frozen=True, slots=True)
class Trial:
    """What is known of a variant. `parity` and the golden bounds are there when it ran and gave finite scores."""

    build: Build
    size_bytes: int
    gates: tuple[GateResult, ...]
    proof: Proof | None = None
    parity: Parity | None = None
    golden_tolerance: float = 0.0
    golden_agreement: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every gate held."""
        return all(gate.passed for gate in self.gates)

    @property
    def reason(self) -> str:
        """The gates that did not hold, in words; empty when all did."""
        return "; ".join(_words(gate) for gate in self.gates if not gate.passed)


def _words(gate: GateResult) -> str:
    if gate.threshold == 1.0 and gate.measured == 0.0:
        return f"{gate.gate}: {gate.detail}"
    return f"{gate.gate}: got {gate.measured:.6g}, expected {gate.threshold:.6g}" + (
        f" ({gate.detail})" if gate.detail else ""
    )


def prove_variant(material: Material, build: Build, reference_BK: NDArray[np.float32], *, limits: Limits) -> Trial:
    """The trial of `build`; a variant that cannot be built or run fails its first gate."""
    if build.path is None:
        return Trial(build, 0, (fact("built", holds=False, detail=build.error),))
    size_bytes = build.path.stat().st_size
    try:
        proof, scores_BK = run_variant(
            build.recipe, build.path, material.holdout, material.folder / f"prove-{build.recipe.name}", limits=limits
        )
    except ModelError as error:
        return Trial(build, size_bytes, (fact(RUNS_GATE, holds=False, detail=error.message),))
    return _held_against(material, build, reference_BK, proof, scores_BK)


def run_variant(
    recipe: Recipe, artifact: Path, inputs: Path, folder: Path, *, limits: Limits
) -> tuple[Proof, NDArray[np.float32]]:
    """What running `artifact` on the NPY file `inputs` in a child process showed, and its scores.

    Raises:
        ModelError: the runtime cannot load or run it, or the child died.
    """
    job = ProveJob(runtime=recipe.runtime, artifact=str(artifact), inputs=str(inputs), timed_runs=TIMED_RUNS)
    run_job(job, folder, what=f"variant {recipe.name}", limits=limits, single_thread=True)
    scores_BK: NDArray[np.float32] = np.load(folder / SCORES_FILE)
    return decode((folder / PROOF_FILE).read_bytes(), Proof), scores_BK


def _held_against(
    material: Material,
    build: Build,
    reference_BK: NDArray[np.float32],
    proof: Proof,
    scores_BK: NDArray[np.float32],
) -> Trial:
    size_bytes = build.path.stat().st_size if build.path else 0
    facts = _facts(build.recipe, proof, scores_BK, reference_BK)
    if not np.isfinite(scores_BK).all() or scores_BK.shape != reference_BK.shape:
        return Trial(build, size_bytes, facts, proof)
    parity = compare(scores_BK, reference_BK, material.labels, material.slices)
    judged = judge(
        build.recipe,
        material.candidate.gates,
        parity,
        size_bytes=size_bytes,
        latency_p50_ms=proof.latency_p50_ms,
    )
    scores_GK, reference_GK = scores_BK[material.golden], reference_BK[material.golden]
    return Trial(
        build=build,
        size_bytes=size_bytes,
        gates=facts + judged,
        proof=proof,
        parity=parity,
        golden_tolerance=golden.tolerance(build.recipe, proof.output, scores_GK, reference_GK),
        golden_agreement=golden.least_agreement(build.recipe, scores_GK, reference_GK),
    )


def _facts(
    recipe: Recipe, proof: Proof, scores_BK: NDArray[np.float32], reference_BK: NDArray[np.float32]
) -> tuple[GateResult, ...]:
    dtypes = (proof.input.dtype, proof.output.dtype)
    bad_rows = int((~np.isfinite(scores_BK)).any(axis=1).sum())
    shape = scores_BK.shape == reference_BK.shape
    return (
        fact(RUNS_GATE, holds=shape, detail=f"gave scores of shape {scores_BK.shape}"),
        fact(
            EDGES_GATE,
            holds=set(dtypes) <= recipe.edge_dtypes,
            detail=f"input {dtypes[0]}, output {dtypes[1]}, recipe asks for {' or '.join(sorted(recipe.edge_dtypes))}",
        ),
        fact(FINITE_GATE, holds=bad_rows == 0, detail=f"{bad_rows} of {len(scores_BK)} rows hold NaN or infinity"),
        fact(VARIES_GATE, holds=not constant(scores_BK), detail="the same scores for every input is refused"),
    )
