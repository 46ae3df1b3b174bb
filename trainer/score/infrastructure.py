"""The rubric's section "infrastructure" (Breck et al. 2017, table III)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trainer.ci.user_tests import SUITE as USER_SUITE
from trainer.score.ci_run import passed_in_ci
from trainer.score.model import gate
from trainer.score.scoring import AUTOMATED, BY_HAND, NOTHING, Finding, Test, found

if TYPE_CHECKING:
    from trainer.score.evidence import Evidence

SAME_ACCURACY: Final = 1e-6


def reproducible(evidence: Evidence) -> Finding:
    """The same training twice gives the same figures; or at least all that decides it is on record."""
    twice = passed_in_ci(evidence, "training", "second training")
    if twice:
        return found(AUTOMATED, twice)
    kept = evidence.candidate
    if kept is None:
        return found(NOTHING)
    lineage = kept.candidate.lineage
    pinned = f"seed {lineage.seed}, snapshot {lineage.data_snapshot_sha256[:12]}, {len(lineage.tool_versions)} tools"
    return found(BY_HAND, f"{kept.folder.name}: {pinned} on record; not trained twice")


def specified(evidence: Evidence) -> Finding:
    """The model's code has tests of its own; the checks that each training and conversion makes count half."""
    own = passed_in_ci(evidence, USER_SUITE, "::")
    if own:
        return found(AUTOMATED, own)
    kept, learns = evidence.candidate, gate(evidence, "min-gain-over-baseline")
    if kept is None or learns is None:
        return found(NOTHING)
    built = (
        f"{kept.folder.name}: build_model gave probabilities of the right shape; {learns.gate} {learns.measured:+.4f}"
    )
    return found(BY_HAND if learns.passed else NOTHING, built, _reloaded(evidence))


def _reloaded(evidence: Evidence) -> str:
    """That the saved model answers as the trained one did, if a conversion showed it."""
    for bundle in evidence.bundles:
        got, expected = bundle.float_accuracy, bundle.manifest.evaluation.overall.accuracy
        if got is not None and abs(got - expected) <= SAME_ACCURACY:
            return f"{bundle.folder.name}/report.json: the saved model, loaded anew, has the same accuracy {got:.4f}"
    return ""


def integrated(evidence: Evidence) -> Finding:
    """The whole pipeline runs as a test; or ran once, from this project's data to proven variants."""
    whole = passed_in_ci(evidence, "conversion")
    if whole and evidence.ci is not None and evidence.ci.passed:
        return found(AUTOMATED, f"{whole}, after data, training and gates")
    runs = {kept.candidate.lineage.run_id: kept.folder.name for kept in evidence.candidates}
    for bundle in evidence.bundles:
        made = runs.get(bundle.manifest.lineage.run_id)
        if made:
            return found(BY_HAND, f"run {bundle.manifest.lineage.run_id[:12]}: {made} became {bundle.folder.name}")
    return found(NOTHING)


def validated(evidence: Evidence) -> Finding:
    """No release without a verdict of all gates."""
    bundle, kept = evidence.bundle, evidence.candidate
    if bundle is not None and bundle.manifest.verdict.passed:
        count = len(bundle.manifest.verdict.gates)
        return found(
            AUTOMATED, f"{bundle.folder.name}/release.json: the verdict passed {count} gates, also per variant"
        )
    if kept is not None:
        return found(BY_HAND, f"{kept.folder.name}/candidate.json has a verdict; no release passed one yet")
    return found(NOTHING)


def debuggable(evidence: Evidence) -> Finding:
    """One input can be followed step by step; rows with the float model's answers are where to begin, and no steps."""
    bundle = evidence.bundle
    if bundle is None:
        return found(NOTHING)
    golden = bundle.manifest.golden
    return found(NOTHING, f"{bundle.folder.name}: {golden.name} holds raw inputs to begin with")


def canaried(evidence: Evidence) -> Finding:
    """Rollouts begin with few devices; before that, every variant answered in its runtime."""
    server, bundle = evidence.server, evidence.bundle
    if server is not None and server.canaried_rollouts:
        return found(
            AUTOMATED, f"{server.url}: {server.canaried_rollouts} of {server.rollouts} rollouts went in stages"
        )
    if bundle is None:
        return found(NOTHING)
    variants = ", ".join(f"{each.id} on {each.evidence.sample_count} rows" for each in bundle.manifest.variants)
    return found(BY_HAND, f"{bundle.folder.name}: loaded and asked in the real runtime: {variants}; no rollout seen")


def revertible(evidence: Evidence) -> Finding:
    """A rollout was rolled back, or would be."""
    server = evidence.server
    if server is None or server.rollouts == 0:
        return found(NOTHING)
    if server.rolled_back:
        return found(AUTOMATED, f"{server.url}: {server.rolled_back} rollouts were rolled back")
    if server.rollouts > 1:
        return found(BY_HAND, f"{server.url}: {server.rollouts} rollouts, none had to be rolled back")
    return found(NOTHING, f"{server.url}: one rollout, with nothing before it to go back to")


INFRASTRUCTURE_TESTS: Final = (
    Test("infra-1", "Training is reproducible", reproducible, "`edgeferry ci` trains twice and compares"),
    Test("infra-2", "Model specs are unit tested", specified, "write tests in tests/ and run `edgeferry ci`"),
    Test(
        "infra-3",
        "The ML pipeline is integration tested",
        integrated,
        "run `edgeferry ci`: it ends with the conversion",
    ),
    Test("infra-4", "Model quality is validated before serving", validated, "pass all gates and convert"),
    Test(
        "infra-5",
        "The model allows step-by-step debugging",
        debuggable,
        "follow one input through all transforms and layers by hand, and state in score.toml how",
    ),
    Test("infra-6", "Models are canaried before serving", canaried, "roll a release out in stages, and give --server"),
    Test("infra-7", "Serving models can be rolled back", revertible, "roll back once as a drill, and give --server"),
)
