"""A trial: one built variant run in its real runtime and held against the gates.

Legend: B held-out rows, K classes, G golden rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan
from typing import TYPE_CHECKING, Final

import numpy as np

from converter import golden
from converter.process.jobs import PROOF_FILE, SCORES_FILE, Proof, ProveJob
from converter.process.sandbox import Limits, run_job
from converter.proof.gates import EDGES_GATE, FINITE_GATE, RUNS_GATE, VARIES_GATE, fact, gate_in_words, judge_parity
from converter.proof.oldest import Subject, oldest_gate, prove_elsewhere
from converter.proof.parity import Parity, compare, constant
from fleet_contract.codec import decode
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.building import Build
    from converter.environments.known import Environment
    from converter.material import Material
    from converter.proof.budgets import TargetVerdict
    from converter.proof.compatibility import OldRuntime
    from converter.proof.pareto import Standing
    from converter.recipe import Recipe
    from fleet_contract.release import GateResult

TIMED_RUNS: Final = 300


@dataclass(frozen=True, slots=True)
class Trial:
    """What is known of a variant. `parity` and the golden bounds are there when it ran and gave finite scores.

    `ran_in` is how it fared in the installed runtime and in every other runtime environment.
    `facts` are gates on the variant itself, `judged` those that the user sets. What only all trials together tell
    (`converter.proof.verdicts`) is filled in last: the latency measured in turn with the others, the verdict for each
    target, the architectures that it is limited to, and where it stands among those that passed.
    """

    build: Build
    size_bytes: int
    facts: tuple[GateResult, ...]
    judged: tuple[GateResult, ...] = ()
    proof: Proof | None = None
    parity: Parity | None = None
    ran_in: tuple[OldRuntime, ...] = ()
    golden_tolerance: float = 0.0
    golden_agreement: float = 0.0
    side_by_side_p50_ms: float = nan
    targets: tuple[TargetVerdict, ...] = ()
    archs: tuple[str, ...] = ()
    standing: Standing | None = None

    @property
    def name(self) -> str:
        """The variant's id."""
        return self.build.recipe.name

    @property
    def gates(self) -> tuple[GateResult, ...]:
        """All gates."""
        return self.facts + self.judged

    @property
    def passed(self) -> bool:
        """Whether every gate held."""
        return all(gate.passed for gate in self.gates)

    @property
    def reason(self) -> str:
        """The gates that did not hold, in words; empty when all did."""
        return "; ".join(gate_in_words(gate) for gate in self.gates if not gate.passed)


def prove_variant(
    material: Material,
    build: Build,
    reference_BK: NDArray[np.float32],
    *,
    limits: Limits,
    environments: Sequence[Environment] = (),
) -> Trial:
    """The trial of `build`, also in each of `environments`; one that cannot be built or run fails its first gate."""
    if build.path is None:
        return Trial(build, 0, (fact("built", holds=False, detail=build.error),))
    size_bytes = build.path.stat().st_size
    try:
        proof, scores_BK = run_variant(
            build.recipe, build.path, material.holdout, material.folder / f"prove-{build.recipe.name}", limits=limits
        )
    except ModelError as error:
        return Trial(build, size_bytes, (fact(RUNS_GATE, holds=False, detail=error.message),))
    trial = _held_against(material, build, reference_BK, proof, scores_BK)
    if trial.parity is None or not all(gate.passed for gate in trial.facts):
        return trial
    subject = Subject(
        recipe=build.recipe,
        artifact=build.path,
        inputs_B=material.model_inputs,
        proof=proof,
        scores_BK=scores_BK,
        classes=bool(material.candidate.labels),
    )
    folder = material.folder / f"elsewhere-{build.recipe.name}"
    ran_in = prove_elsewhere(environments, subject, folder=folder, limits=limits)
    return replace(trial, ran_in=ran_in, facts=(*trial.facts, oldest_gate(build.recipe, ran_in)))


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
        return Trial(build, size_bytes, facts, proof=proof)
    classes = bool(material.candidate.labels)
    parity = compare(scores_BK, reference_BK, material.labels, material.slices, classes=classes)
    scores_GK, reference_GK = scores_BK[material.golden], reference_BK[material.golden]
    recipe, output = build.recipe, proof.output
    return Trial(
        build=build,
        size_bytes=size_bytes,
        facts=facts,
        judged=judge_parity(recipe, material.candidate.gates, parity),
        proof=proof,
        parity=parity,
        golden_tolerance=golden.tolerance(recipe, output, scores_GK, reference_GK),
        golden_agreement=golden.least_agreement(recipe, output, scores_GK, reference_GK) if classes else 0.0,
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
