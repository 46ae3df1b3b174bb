"""The rubric's section "features and data" (Breck et al. 2017, table I)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from fleet_contract.release import MIN_GOLDEN_VECTORS
from trainer.ci.user_tests import SUITE as USER_SUITE
from trainer.score.ci_run import passed_in_ci
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
    met = f"{kept.folder.name} was trained on data that meet it"
    if evidence.project.settings.data.schema.path not in evidence.tracked:
        return found(BY_HAND, f"{file}: {met}; it is not in git, so nobody sees when it changes")
    return found(AUTOMATED, f"{file}, tracked by git: {met}")


def beneficial(evidence: Evidence) -> Finding:
    """What each feature brings is measured at every training; parts that bring nothing are left to people."""
    kept = evidence.candidate
    if kept is None or kept.evaluation is None or not kept.evaluation.importances:
        return found(NOTHING)
    parts = kept.evaluation.importances
    idle = [part.part for part in parts if part.accuracy_drop <= 0.0]
    named = f", among them {idle[0]}" if idle else ""
    words = f"{kept.folder.name}/evaluation.json: {len(parts)} parts of the input shuffled, {len(idle)} bring nothing"
    return found(BY_HAND if idle else AUTOMATED, words + named)


def cost(evidence: Evidence) -> Finding:
    """What an inference costs is measured for each variant; time and memory, which the rubric names, are limited."""
    bundle, gates = evidence.bundle, evidence.project.settings.convert.gates
    if bundle is None:
        return found(NOTHING)
    measured = "; ".join(
        f"{each.id} {each.blob.size_bytes} bytes, {each.evidence.latency_p50_ms:.3f} ms, "
        f"{each.evidence.host_rss_mb:.0f} MB"
        for each in bundle.manifest.variants
    )
    limits = {name: getattr(gates, name) for name in ("max_size_bytes", "max_latency_p50_ms", "max_ram_mb")}
    limited = ", ".join(f"{name} = {value:g}" for name, value in limits.items() if value)
    enough = gates.max_latency_p50_ms and gates.max_ram_mb
    return found(
        AUTOMATED if enough else BY_HAND,
        f"{bundle.folder.name}/release.json: {measured}",
        limited and f"[convert.gates] {limited}",
    )


def policy(evidence: Evidence) -> Finding:
    """Requirements on data as such are a policy that every training enforces."""
    rules, kept = evidence.project.settings.data.policy, evidence.candidate
    source = evidence.project.settings.data.source
    if not rules.sources and not rules.forbidden_features:
        return found(NOTHING)
    words = f"[data.policy] sources = {list(rules.sources)}, forbidden_features = {list(rules.forbidden_features)}"
    refused = rules.sources and not any(fnmatchcase(source, pattern) for pattern in rules.sources)
    if kept is None or refused:
        return found(BY_HAND, words, f"{source} was not trained on under it")
    return found(AUTOMATED, words, f"{kept.folder.name} was trained on {source}")


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
    """Code that makes inputs is tested: golden vectors through every variant, and the user's own tests in CI."""
    bundle = evidence.bundle
    if bundle is None:
        return found(NOTHING)
    golden = (
        f"{bundle.folder.name}: at least {MIN_GOLDEN_VECTORS} golden vectors go raw through the shipped preprocessing "
        f"in {len(bundle.manifest.variants)} variants"
    )
    own = passed_in_ci(evidence, USER_SUITE, "::")
    return found(AUTOMATED if own else BY_HAND, golden, own)


DATA_TESTS: Final = (
    Test(
        "data-1", "Feature expectations are captured in a schema", schema, "train once, review schema.json, commit it"
    ),
    Test(
        "data-2",
        "All features are beneficial",
        beneficial,
        "train: each training measures what parts bring; then leave out those that bring nothing",
    ),
    Test(
        "data-3",
        "No feature's cost is too much",
        cost,
        "convert, with the limits max_latency_p50_ms and max_ram_mb in [convert.gates]",
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
        "convert for golden vectors, and write tests of the declared preprocessing that `edgeferry ci` runs",
    ),
)
