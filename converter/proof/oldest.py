"""A variant run in every runtime environment that is known, and held against what it gave in the installed runtime.

An old runtime may refuse a newer file, die of it, or give NaN or other scores with exit code 0; all of these are
failures. What fails elsewhere fails no variant: it is not declared for there.
Legend: B rows, K scores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from converter.calibration import spread_rows
from converter.golden import FLOAT_MARGIN, INT8_MARGIN_STEPS, SCORE_STEP
from converter.process.jobs import PROOF_FILE, SCORES_FILE, Proof, ProveJob
from converter.process.sandbox import run_job
from converter.proof.compatibility import OldRuntime, declare
from converter.proof.gates import fact
from converter.proof.parity import agreement
from fleet_contract.codec import decode
from fleet_contract.errors import EdgeferryError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.environments.known import Environment
    from converter.process.sandbox import Limits
    from converter.recipe import Recipe
    from fleet_contract.release import GateResult

OLDEST_GATE: Final = "runs-in-oldest"
MAX_ROWS: Final = 256
MAX_REASON: Final = 300
MIN_AGREEMENT: Final = 0.97
"""The least share of rows with the same best class; rows near a tie may differ by a rounding."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A variant that ran in the installed runtime: `proof` and `scores_BK` are what it gave for `inputs_B`.

    `classes`: the scores are of classes, so that the best one matters.
    """

    recipe: Recipe
    artifact: Path
    inputs_B: NDArray[np.float32]
    proof: Proof
    scores_BK: NDArray[np.float32]
    classes: bool = True


def prove_elsewhere(
    environments: Sequence[Environment], subject: Subject, *, folder: Path, limits: Limits
) -> tuple[OldRuntime, ...]:
    """How the variant fared in the installed runtime, which comes first, and in each environment of its family.

    Args:
        environments: all that are known; those of other families are left out.
        subject: the variant; up to MAX_ROWS of its rows are run.
        folder: for the jobs; made.
        limits: of each child.
    """
    here = OldRuntime(subject.proof.runtime_package, subject.proof.runtime_version, ok=True)
    family = [each for each in environments if each.pin.runtime is subject.recipe.runtime]
    others = [each for each in family if (each.pin.package, each.pin.version) != (here.package, here.version)]
    if not others:
        return (here,)
    rows = spread_rows(len(subject.inputs_B), MAX_ROWS)
    few = replace(subject, inputs_B=subject.inputs_B[rows], scores_BK=subject.scores_BK[rows])
    folder.mkdir(parents=True, exist_ok=True)
    inputs = folder / "rows.npy"
    np.save(inputs, few.inputs_B)
    return (here, *(_prove_in(each, few, inputs, folder / each.pin.folder_name, limits) for each in others))


def _prove_in(environment: Environment, subject: Subject, inputs: Path, folder: Path, limits: Limits) -> OldRuntime:
    pin = environment.pin
    job = ProveJob(
        runtime=pin.runtime, artifact=str(subject.artifact), inputs=str(inputs), timed_runs=0, package=pin.package
    )
    try:
        run_job(job, folder, what=str(pin), limits=limits, single_thread=True, python=environment.python)
        proof = decode((folder / PROOF_FILE).read_bytes(), Proof)
        scores_BK: NDArray[np.float32] = np.load(folder / SCORES_FILE)
    except (EdgeferryError, OSError, ValueError) as error:  # whatever it was, nothing was proven
        reason = " ".join(str(error).removeprefix(f"{pin}: ").split())
        return OldRuntime(pin.package, pin.version, ok=False, reason=reason[:MAX_REASON])
    ran_in = (proof.runtime_package, proof.runtime_version)
    if ran_in != (pin.package, pin.version):
        return OldRuntime(pin.package, pin.version, ok=False, reason=f"ran in {' '.join(ran_in)} instead")
    reason = difference(subject, scores_BK)
    return OldRuntime(pin.package, pin.version, ok=not reason, reason=reason)


def difference(subject: Subject, scores_BK: NDArray[np.float32]) -> str:
    """Why scores are not those of the installed runtime, up to what kernels of another version round otherwise."""
    expected_BK = subject.scores_BK
    if scores_BK.shape != expected_BK.shape:
        return f"got scores of shape {scores_BK.shape}, expected {expected_BK.shape}"
    bad_rows = int((~np.isfinite(scores_BK)).any(axis=1).sum())
    if bad_rows:
        return f"{bad_rows} of {len(scores_BK)} rows hold NaN or infinity"
    limit = _margin(subject)
    largest = float(np.abs(scores_BK - expected_BK).max())
    if largest > limit:
        return f"a score differs by {largest:.3g} from the installed runtime's, expected at most {limit:.3g}"
    share = agreement(scores_BK, expected_BK) if subject.classes else 1.0
    if share < MIN_AGREEMENT:
        return f"the best class is the same in {share:.3f} of the rows, expected at least {MIN_AGREEMENT}"
    return ""


def _margin(subject: Subject) -> float:
    """The largest difference that rounding explains; scores that are no probabilities are measured by their span."""
    span = max(1.0, float(np.ptp(subject.scores_BK)))
    if subject.recipe.exact:
        return FLOAT_MARGIN * span
    output = subject.proof.output
    return INT8_MARGIN_STEPS * (output.scale if output.quantized else SCORE_STEP * span)


def oldest_gate(recipe: Recipe, proofs: Sequence[OldRuntime]) -> GateResult:
    """Whether there is a least version to declare; the detail says where the variant ran and where it did not."""
    ran = ", ".join(str(proof) for proof in proofs if proof.ok)
    failed = "; ".join(f"not in {proof}: {proof.reason}" for proof in proofs if not proof.ok)
    alone = "" if len(proofs) > 1 else "; no other runtime environment was there (edgeferry runtimes add)"
    detail = "; ".join(part for part in (f"ran in {ran or 'none'}{alone}", failed) if part)
    return fact(OLDEST_GATE, holds=declare(recipe.runtime, proofs) is not None, detail=detail)
