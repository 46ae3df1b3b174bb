"""The rubric's section "monitoring" (Breck et al. 2017, table IV). What a release arms counts half until it is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trainer.records.lineage import tool_versions
from trainer.score.model import MIN_LABELLED, gate
from trainer.score.scoring import AUTOMATED, BY_HAND, NOTHING, Finding, Test, found

if TYPE_CHECKING:
    from trainer.score.evidence import Evidence


def dependencies(evidence: Evidence) -> Finding:
    """Changes of sources and tools are told."""
    kept, pin = evidence.candidate, evidence.project.settings.data.snapshot
    if kept is None:
        return found(NOTHING)
    then, now = kept.candidate.lineage.tool_versions, tool_versions()
    changed = ", ".join(
        f"{tool} {then[tool]} to {now[tool]}" for tool in then if tool in now and then[tool] != now[tool]
    )
    tools = f"tools since {kept.folder.name}: {changed or 'unchanged'}"
    if pin not in evidence.tracked:
        return found(BY_HAND, tools, f"{pin} is not in git")
    return found(AUTOMATED, tools, f"{pin}, tracked by git: every training tells which files and rows changed")


def invariants(evidence: Evidence) -> Finding:
    """Devices compare what they see with what the release expects."""
    seen = _windows(evidence)
    if seen:
        return found(AUTOMATED, seen)
    bundle = evidence.bundle
    if bundle is None:
        return found(NOTHING)
    profile = bundle.manifest.reference_profile
    return found(BY_HAND, f"{bundle.folder.name}: input types and {profile.name} travel with it; no device seen")


def _windows(evidence: Evidence) -> str:
    server = evidence.server
    if server is None or server.windows == 0:
        return ""
    return f"{server.url}: {server.windows} telemetry windows of {server.running_devices} devices"


def unskewed(evidence: Evidence) -> Finding:
    """Training and serving compute the same: shown on held-out rows in the runtimes that devices have."""
    bundle = evidence.bundle
    if bundle is None:
        return found(NOTHING)
    rows = ", ".join(
        f"{each.id} agrees on {each.evidence.top1_agreement:.2%} of {each.evidence.sample_count} rows"
        for each in bundle.manifest.variants
    )
    steps = len(bundle.manifest.preprocessing)
    return found(AUTOMATED, f"{bundle.folder.name}: {steps} preprocessing steps are shipped; raw rows: {rows}")


def fresh(evidence: Evidence) -> Finding:
    """The age of what is served is watched."""
    server = evidence.server
    if server is None or not server.released_versions:
        return found(NOTHING)
    if server.retrain_requests:
        return found(AUTOMATED, f"{server.url}: {server.retrain_requests} requests to train anew")
    return found(BY_HAND, f"{server.url}: v{max(server.released_versions)} is the newest; no request to train anew yet")


def stable(evidence: Evidence) -> Finding:
    """No NaN and no infinity in training, evaluation and serving."""
    result = gate(evidence, "finite-scores")
    if result is None or not result.passed:
        return found(NOTHING, result.detail if result else "")
    server = evidence.server
    served = f"; {server.invalid_inferences} invalid inferences in serving" if server and server.windows else ""
    converted = "every variant" if evidence.bundles else ""
    points = AUTOMATED if evidence.bundles or served else BY_HAND
    return found(points, f"gate {result.gate}: {result.detail}{served}", converted and "likewise of every variant")


def performing(evidence: Evidence) -> Finding:
    """Latency and memory of each release, and of what is served."""
    seen = _windows(evidence)
    if seen:
        return found(AUTOMATED, f"{seen}, each with latency and memory")
    bundle = evidence.bundle
    if bundle is None:
        return found(NOTHING)
    limit = evidence.project.settings.convert.gates.max_latency_p50_ms
    times = ", ".join(f"{each.id} {each.evidence.latency_p50_ms:.3f} ms" for each in bundle.manifest.variants)
    gated = f"[convert.gates] max_latency_p50_ms = {limit:g}" if limit else ""
    return found(BY_HAND, f"{bundle.folder.name}: {times}; not seen in serving", gated)


def predicting(evidence: Evidence) -> Finding:
    """Quality of what is served: by labels that come late, or by an estimate from confidence."""
    server, bundle = evidence.server, evidence.bundle
    if server is not None:
        labelled = sum(each.sample_count for each in server.online)
        if labelled >= MIN_LABELLED:
            return found(AUTOMATED, f"{server.url}: {labelled} labelled samples of served inputs")
        if server.windows:
            return found(BY_HAND, f"{_windows(evidence)}: accuracy is only estimated from confidence")
    if bundle is None:
        return found(NOTHING)
    profile = bundle.manifest.reference_profile.name
    return found(BY_HAND, f"{bundle.folder.name}: {profile} holds what the estimate needs; no device seen")


MONITORING_TESTS: Final = (
    Test(
        "monitor-1",
        "Dependency changes result in notification",
        dependencies,
        "train once more, so that the source is pinned, and commit the pin",
    ),
    Test("monitor-2", "Data invariants hold for inputs", invariants, "serve it on devices, and give --server"),
    Test("monitor-3", "Training and serving are not skewed", unskewed, "convert"),
    Test(
        "monitor-4", "Models are not too stale", fresh, "serve it, let requests to train anew come, and give --server"
    ),
    Test("monitor-5", "Models are numerically stable", stable, "train and convert"),
    Test("monitor-6", "Computing performance has not regressed", performing, "serve it on devices, and give --server"),
    Test(
        "monitor-7",
        "Prediction quality has not regressed",
        predicting,
        "label at least 30 samples that devices send, and give --server",
    ),
)
