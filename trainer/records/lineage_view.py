"""The chain from data snapshot to device, as links that each say what is known: for a candidate, a bundle or a release.

Rules: pure; what the caller has is shown, nothing is guessed. A candidate ends with its verdict, a bundle with its
variants, a published release with its signature, rollouts and the devices that run it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet_contract.api import DeviceView, ReleaseView, RolloutView
    from fleet_contract.candidate import Candidate
    from fleet_contract.release import Evaluation, Lineage, ReleaseManifest, Variant, Verdict

MAX_NAMED_DEVICES = 20


class Link(Struct, frozen=True, kw_only=True):
    """One step of the chain, with its facts by name."""

    step: str
    facts: dict[str, str]


class LineageView(Struct, frozen=True, kw_only=True):
    """A model's chain; `version` is 0 while it is not published."""

    model: str
    version: int = 0
    links: tuple[Link, ...]


def candidate_lineage(candidate: Candidate) -> LineageView:
    """From data to verdict."""
    files = Link(
        step="candidate",
        facts={"made": f"{candidate.created_at:%Y-%m-%d %H:%M:%S} UTC", **candidate.files},
    )
    links = (*_origin(candidate.lineage), *_judgement(candidate.evaluation, candidate.verdict), files)
    return LineageView(model=candidate.model, links=links)


def bundle_lineage(manifest: ReleaseManifest, release_sha256: str) -> LineageView:
    """From data to variants; the manifest's version counts only once it is published."""
    release = Link(step="bundle", facts={"manifest": release_sha256, "golden vectors": manifest.golden.sha256})
    return LineageView(model=manifest.model, links=(*_manifest_links(manifest), release))


def release_lineage(
    view: ReleaseView,
    *,
    key_ids: Sequence[str],
    rollouts: Iterable[RolloutView],
    devices: Iterable[DeviceView],
) -> LineageView:
    """From data to the devices that run the release; `key_ids` are those that signed it, as TUF names keys."""
    release = Link(
        step="release",
        facts={
            "version": str(view.version),
            "manifest": view.release_sha256,
            "published": f"{view.published_at:%Y-%m-%d %H:%M:%S} UTC by {view.published_by}",
            "signed by key": ", ".join(key_ids) or "none",
            "aliases": ", ".join(view.aliases) or "none",
        },
    )
    own = [rollout for rollout in rollouts if (rollout.model, rollout.version) == (view.model, view.version)]
    links = (*_manifest_links(view.manifest), release, *map(_rollout, own), _devices(view, devices))
    return LineageView(model=view.model, version=view.version, links=links)


def _manifest_links(manifest: ReleaseManifest) -> tuple[Link, ...]:
    judged = _judgement(manifest.evaluation, manifest.verdict)
    return (*_origin(manifest.lineage), *judged, *map(_variant, manifest.variants))


def _origin(lineage: Lineage) -> tuple[Link, ...]:
    parameters = ", ".join(f"{name}={value}" for name, value in lineage.hyperparameters.items())
    tools = ", ".join(f"{tool} {version}" for tool, version in lineage.tool_versions.items())
    return (
        Link(
            step="data",
            facts={
                "source": lineage.data_source,
                "snapshot": lineage.data_snapshot_sha256,
                "schema": lineage.schema_sha256,
                **{f"rows taken out ({name})": str(count) for name, count in (lineage.data_removed or {}).items()},
                **({"accepted in spite of anomalies": lineage.data_override} if lineage.data_override else {}),
            },
        ),
        Link(step="code", facts={"git revision": lineage.git_revision or "not in git", "tools": tools}),
        Link(
            step="training",
            facts={
                "run": lineage.run_id,
                "seed": str(lineage.seed),
                "hyper-parameters": parameters,
                "champion compared with": f"v{lineage.champion_version}" if lineage.champion_version else "none",
                "retrain request": lineage.retrain_request_id or "none",
            },
        ),
    )


def _judgement(evaluation: Evaluation, verdict: Verdict) -> tuple[Link, ...]:
    overall = evaluation.overall
    accuracy = (
        f"{overall.accuracy:.4f} ({overall.low:.4f} to {overall.high:.4f}) on {overall.sample_count} rows"
        if evaluation.labelled
        else "no labels"
    )
    failed = ", ".join(gate.gate for gate in verdict.gates if not gate.passed)
    facts = {
        "accuracy": accuracy,
        "verdict": f"passed, {len(verdict.gates)} gates" if verdict.passed else f"FAILED: {failed}",
    }
    return (Link(step="validation", facts={**facts, **({"override": verdict.override} if verdict.override else {})}),)


def _variant(variant: Variant) -> Link:
    evidence = variant.evidence
    return Link(
        step=f"variant {variant.id}",
        facts={
            "blob": variant.blob.sha256,
            "size": f"{variant.blob.size_bytes} bytes",
            "accuracy": f"{evidence.accuracy:.4f} ({0.0 - evidence.accuracy_drop:+.4f})",
            "agreement": f"{evidence.top1_agreement:.4f} on {evidence.sample_count} rows",
            "latency": f"{evidence.latency_p50_ms:.3f} ms median",
        },
    )


def _rollout(rollout: RolloutView) -> Link:
    stages = ", ".join(f"{stage.name} {stage.state}" for stage in rollout.stages)
    facts = {
        "state": f"{rollout.state}{f' ({rollout.reason})' if rollout.reason else ''}",
        "started": f"{rollout.created_at:%Y-%m-%d %H:%M:%S} UTC by {rollout.created_by}",
        "stages": stages,
    }
    return Link(step=f"rollout {rollout.id}", facts=facts)


def _devices(view: ReleaseView, devices: Iterable[DeviceView]) -> Link:
    running = {
        device.device_id: slot.active.variant
        for device in devices
        for slot in device.slots
        if slot.active is not None and (slot.active.model, slot.active.version) == (view.model, view.version)
    }
    named = list(running.items())[:MAX_NAMED_DEVICES]
    more = {"and": f"{len(running) - len(named)} more"} if len(running) > len(named) else {}
    return Link(step="devices", facts={"running it": str(len(running)), **dict(named), **more})
