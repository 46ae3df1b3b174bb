"""The rubric's section "model development" (Breck et al. 2017, table II)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trainer.score.scoring import AUTOMATED, BY_HAND, NOTHING, Finding, Test, found

if TYPE_CHECKING:
    from fleet_contract.release import GateResult
    from trainer.score.evidence import Evidence

MIN_TRIALS: Final = 10
MIN_LABELLED: Final = 30
MIN_VERSIONS: Final = 2


def gate(evidence: Evidence, name: str) -> GateResult | None:
    """The gate of that name in the newest candidate's verdict."""
    kept = evidence.candidate
    gates = kept.candidate.verdict.gates if kept else ()
    return next((each for each in gates if each.gate == name), None)


def reviewed(evidence: Evidence) -> Finding:
    """The newest candidate comes from a clean commit, changes are checked by CI, and the newest one was reviewed."""
    kept = evidence.candidate
    revision = kept.candidate.lineage.git_revision if kept else ""
    if not revision:
        return found(NOTHING, "the newest candidate comes from no git revision")
    if revision.endswith("-dirty"):
        return found(NOTHING, f"the newest candidate comes from {revision}: files differ from the commit")
    seen = bool(evidence.ci and evidence.ci.passed and not evidence.ci.git_revision.endswith("-dirty"))
    return found(
        AUTOMATED if evidence.workflow and evidence.review and seen else BY_HAND,
        f"git revision {revision[:12]}",
        evidence.workflow and f"{evidence.workflow} is in git{', its checks passed here' if seen else ''}",
        evidence.review and f"git log of model and settings: {evidence.review}",
    )


def correlated(evidence: Evidence) -> Finding:
    """Accuracy offline and on labelled samples of devices, side by side for each version."""
    server = evidence.server
    if server is None:
        return found(NOTHING)
    both = [
        f"{server.url}: v{each.version}: offline {server.released_versions[each.version]:.3f}, "
        f"online {each.accuracy:.3f} on {each.sample_count} labelled samples"
        for each in server.online
        if each.sample_count >= MIN_LABELLED and each.version in server.released_versions
    ]
    points = AUTOMATED if len(both) >= MIN_VERSIONS else BY_HAND if both else NOTHING
    return found(points, *both)


def tuned(evidence: Evidence) -> Finding:
    """A study of the present question varied every hyperparameter, and the project trains with what it found."""
    search = evidence.search
    if search is None or search.finished == 0:
        return found(NOTHING)
    left_out = f"not searched: {', '.join(search.left_out)}" if search.left_out else ""
    whole = search.finished >= MIN_TRIALS and search.heeded and not search.left_out
    heeded = "in force" if search.heeded else "not in force"
    words = f".edgeferry/tune.db: {search.study}: {search.finished} finished trials, the best values are {heeded}"
    return found(AUTOMATED if whole else BY_HAND, words, left_out)


def staleness(evidence: Evidence) -> Finding:
    """An older version was replayed on newer data; or will be, at the next retraining."""
    for kept in evidence.candidates:
        version = kept.candidate.lineage.champion_version
        replayed = [each for each in kept.candidate.verdict.gates if each.gate == "max-champion-regression"]
        if version and replayed:
            return found(AUTOMATED, f"{kept.folder.name}: v{version} replayed on its test rows: {replayed[0].detail}")
    if not evidence.bundles or evidence.project.settings.validate.max_champion_regression >= 1.0:
        return found(NOTHING)
    limit = evidence.project.settings.validate.max_champion_regression
    return found(
        BY_HAND,
        f"[validate] max_champion_regression = {limit:g}: a retraining replays the version in service; none yet",
    )


def simpler(evidence: Evidence) -> Finding:
    """Simple models were trained on the same split and are not better."""
    result = gate(evidence, "min-gain-over-simple-model")
    if result is None:
        return found(NOTHING)
    words = f"gate {result.gate}: gain {result.measured:+.4f}, asked {result.threshold:+.4f}; {result.detail}"
    if not result.passed or result.measured < 0.0:
        return found(NOTHING, words)
    return found(AUTOMATED if result.threshold > -1.0 else BY_HAND, words)


def sliced(evidence: Evidence) -> Finding:
    """Slices have a floor, for the float model and after quantization."""
    result, gates = gate(evidence, "worst-slice"), evidence.project.settings.convert.gates
    if result is None or not result.passed:
        return found(NOTHING)
    floor = f"gate {result.gate}: {result.measured:.4f}, asked {result.threshold:.4f}; {result.detail}"
    drop = f"[convert.gates] max_slice_drop = {gates.max_slice_drop:g}" if gates.max_slice_drop < 1.0 else ""
    both = result.threshold > 0.0 and drop and evidence.bundles
    return found(AUTOMATED if both else BY_HAND, floor, drop)


def inclusive(evidence: Evidence) -> Finding:
    """The gap between declared groups is bounded; classes are no groups of people, and count nothing."""
    result, slices = gate(evidence, "max-slice-gap"), evidence.project.settings.data.slices
    if result is None or not result.passed or result.threshold >= 1.0:
        return found(NOTHING)
    words = f"gate {result.gate}: {result.measured:.4f}, asked {result.threshold:.4f}; {result.detail}"
    if not slices:
        return found(NOTHING, words, "the slices are the classes; no groups are declared in [data] slices")
    return found(AUTOMATED, words, f'[data] slices = "{slices}"')


MODEL_TESTS: Final = (
    Test(
        "model-1",
        "Model specs are reviewed and submitted",
        reviewed,
        "commit the project with the workflow of `edgeferry init --ci`, train from the commit, run `edgeferry ci`, and "
        "merge by change requests or with a Reviewed-by trailer",
    ),
    Test(
        "model-2",
        "Offline and online metrics correlate",
        correlated,
        "label samples of two versions in service (30 each), and give --server",
    ),
    Test(
        "model-3",
        "All hyperparameters have been tuned",
        tuned,
        "name all of them in [tune.space], and `edgeferry tune --apply` with at least 10 trials",
    ),
    Test(
        "model-4",
        "The impact of model staleness is known",
        staleness,
        "retrain with the worker once: it replays the version in service on the newest rows",
    ),
    Test(
        "model-5",
        "A simpler model is not better",
        simpler,
        "set [validate] min_gain_over_simple_model, and be better than the simple models",
    ),
    Test(
        "model-6",
        "Model quality is sufficient on important data slices",
        sliced,
        "set [validate] min_slice_accuracy, keep [convert.gates] max_slice_drop below 1, and convert",
    ),
    Test(
        "model-7",
        "The model is tested for considerations of inclusion",
        inclusive,
        "name groups in [data] slices and bound [validate] max_slice_gap, or state in score.toml why there are none",
    ),
)
