"""The rubric's section "features and data" (Breck et al. 2017, table I)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet_contract.release import MIN_GOLDEN_VECTORS
from trainer.ci.checks import Outcome
from trainer.ci.user_tests import SUITE as USER_SUITE
from trainer.score.scoring import AUTOMATED, BY_HAND, NOTHING, Finding, Test, found

if TYPE_CHECKING:
    from trainer.score.evidence import Evidence


def schema(evidence: Evidence) -> Finding:
    """Expectations of features are in a schema that every training enforces."""
    file, kept = evidence.project.schema_path.name, evidence.candidate
    if not evidence.schema_sha256:
        return found(NOTHING, f"{file}: there is none")
    if kept is None or kept.candidate.lineage.schema_sha256 != evidence.schema_sha256:
        return found(BY_HAND, f"{file}: no candidate was trained under it yet")
    where = "tracked by git" if file in evidence.tracked else "not in git"
    return found(AUTOMATED, f"{file} ({where}): {kept.folder.name} was trained on data that meet it")


def beneficial(evidence: Evidence) -> Finding:
    """What each feature brings is measured at every training."""
    kept = evidence.candidate
    if kept is None or kept.evaluation is None or not kept.evaluation.importances:
        return found(NOTHING)
    parts = kept.evaluation.importances
    idle = sum(part.accuracy_drop <= 0.0 for part in parts)
    words = f"{kept.folder.name}/evaluation.json: {len(parts)} parts of the input shuffled, {idle} bring nothing"
    return found(AUTOMATED, words)


def cost(evidence: Evidence) -> Finding:
    """Cost on the device is measured for each variant, and limited."""
    bundle, gates = evidence.bundle, evidence.project.settings.convert.gates
    if bundle is None:
        return found(NOTHING)
    variant = bundle.manifest.variants[0]
    measured = (
        f"{bundle.folder.name}/release.json: {variant.id}: {variant.blob.size_bytes} bytes, "
        f"{variant.evidence.latency_p50_ms:.3f} ms, {variant.evidence.host_rss_mb:.0f} MB"
    )
    limits = {name: getattr(gates, name) for name in ("max_size_bytes", "max_latency_p50_ms", "max_ram_mb")}
    limited = ", ".join(f"{name} = {value}" for name, value in limits.items() if value)
    return found(AUTOMATED if limited else BY_HAND, measured, f"[convert.gates] {limited}" if limited else "")


def policy(evidence: Evidence) -> Finding:
    """Requirements on data as such are a policy that every training enforces."""
    rules = evidence.project.settings.data.policy
    if not rules.sources and not rules.forbidden_features:
        return found(NOTHING)
    words = f"[data.policy] sources = {list(rules.sources)}, forbidden_features = {list(rules.forbidden_features)}"
    return found(AUTOMATED if evidence.candidates else BY_HAND, words)


def privacy(evidence: Evidence) -> Finding:
    """Columns that say who somebody is are refused; the rest is for people to state."""
    forbidden = evidence.project.settings.data.policy.forbidden_features
    return found(BY_HAND, f"[data.policy] forbidden_features = {list(forbidden)}") if forbidden else found(NOTHING)


def quick(evidence: Evidence) -> Finding:
    """How quickly a new feature reaches devices: people know; the machine knows how long its part took."""
    kept = evidence.candidate
    wall_s = (kept.candidate.lineage.resources or {}).get("wall_s") if kept else None
    return found(NOTHING, f"the machine's part: {wall_s:.0f} s from data to candidate" if wall_s else "")


def tested(evidence: Evidence) -> Finding:
    """Code that makes inputs is tested: golden vectors through every variant, and behaviour tests or the user's own."""
    bundle = evidence.bundle
    if bundle is None:
        return found(NOTHING)
    golden = (
        f"{bundle.folder.name}: at least {MIN_GOLDEN_VECTORS} golden vectors go raw through the shipped preprocessing "
        f"in {len(bundle.manifest.variants)} variants"
    )
    behaviour = [gate.gate for gate in bundle.manifest.verdict.gates if gate.gate.startswith(BEHAVIOUR)]
    own = evidence.ci.suite(USER_SUITE) if evidence.ci else []
    passed = sum(check.outcome is Outcome.PASSED for check in own) > 1
    more = f"verdict: {', '.join(behaviour)}" if behaviour else ""
    ran = f"the last CI run: {len(own) - 1} of the project's own tests" if passed else ""
    return found(AUTOMATED if behaviour or passed else BY_HAND, golden, more, ran)


BEHAVIOUR: Final = ("invariance ", "directional ")
DATA_TESTS: Final = (
    Test(
        "data-1", "Feature expectations are captured in a schema", schema, "train once, review schema.json, commit it"
    ),
    Test("data-2", "All features are beneficial", beneficial, "train: each training measures what parts bring"),
    Test(
        "data-3",
        "No feature's cost is too much",
        cost,
        "convert, and set limits in [convert.gates]: max_size_bytes, max_latency_p50_ms or max_ram_mb",
    ),
    Test(
        "data-4",
        "Features adhere to meta-level requirements",
        policy,
        "say in [data.policy] which sources are allowed and which features are not",
    ),
    Test(
        "data-5",
        "The data pipeline has appropriate privacy controls",
        privacy,
        "list forbidden_features in [data.policy], and state in score.toml who may see collected samples, and how long",
    ),
    Test(
        "data-6",
        "New features can be added quickly",
        quick,
        "measure once how long a new feature takes to reach devices, and state it in score.toml",
    ),
    Test(
        "data-7",
        "All input feature code is tested",
        tested,
        "convert for golden vectors; declare [[validate.invariance]] tests or write tests that `edgeferry ci` runs",
    ),
)
