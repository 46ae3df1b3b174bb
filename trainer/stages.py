"""The stages of a run up to its verdict, each from what the one before it made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fleet_contract.preprocessing import Transform, apply, output_shape
from trainer.data.leakage import remove_leakage
from trainer.data.near_removal import act_on_near_duplicates
from trainer.data.parts import NOTHING_REMOVED, Removed, absent_classes
from trainer.data.schema import infer_schema, read_schema, write_schema
from trainer.data.split import split_rows
from trainer.data.verify import accepted, find_anomalies
from trainer.judging.baseline import MAX_ROWS, evenly, simple_models
from trainer.judging.evaluate import evaluate
from trainer.judging.policy import require_allowed_features, require_allowed_source
from trainer.judging.user_tests import behaviour_results
from trainer.judging.validate import Judged, compare, validate
from trainer.sources.fleet import merge_fleet
from trainer.sources.pinned import PinnedSource
from trainer.training.train import LabelledInputs, score
from trainer.tuning.importance import part_importances
from trainer.wrangling.transforms import fit_transforms, usable_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fleet_contract.release import Verdict
    from trainer.data.anomaly import Anomaly
    from trainer.data.dataset import Dataset, FleetSamples, Indices, RawInputs
    from trainer.data.parts import Split
    from trainer.data.schema import DataSchema
    from trainer.judging.validate import Champion
    from trainer.progress import Progress
    from trainer.project import Project
    from trainer.training.train_stage import Trained


@dataclass(frozen=True, slots=True)
class Verified:
    """The schema of the data, what is odd about them, and who took them all the same; empty where nobody had to."""

    schema: DataSchema
    anomalies: tuple[Anomaly, ...]
    override: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Verified data, split, with the preprocessing fitted on the training part."""

    data: Dataset
    schema: DataSchema
    parts: Split
    steps: tuple[Transform, ...]
    removed: Removed = NOTHING_REMOVED

    @property
    def model_shape(self) -> tuple[int, ...]:
        """Shape of one input as the model eats it, without the batch axis."""
        return output_shape(self.steps, self.data.sample_shape)

    def inputs(self, rows_I: Indices) -> LabelledInputs:
        """These rows as the model eats them."""
        return LabelledInputs(apply(self.steps, self.data.inputs_B[rows_I]), self.data.labels_B[rows_I])


def ingest(
    project: Project, extra: FleetSamples | None, progress: Progress, source: PinnedSource | None = None
) -> Dataset:
    """The project's own data from `source`, by default its pinned one, followed by the fleet's samples if any."""
    settings = project.settings.data
    require_allowed_source(settings.policy, settings.source)
    data = (source or PinnedSource(project)).read(progress)
    require_allowed_features(settings.policy, (feature.name for feature in data.features), data.source)
    progress.remark(f"{len(data)} rows of {list(data.sample_shape)} from {data.source}")
    if extra is None or len(extra.labels) == 0:
        return data
    progress.remark(f"{len(extra.labels)} labelled samples from {extra.source}")
    return merge_fleet(data, extra)


def verify(project: Project, data: Dataset, progress: Progress, *, accept: str = "") -> Verified:
    """The schema that `data` meet: the reviewed one, or one inferred now and left for review.

    Args:
        project: says where the schema is.
        data: all rows, those from the fleet included.
        progress: hears of anomalies that stop nothing.
        accept: who takes data that do not meet it, and why; empty refuses them.

    Raises:
        DataError: they do not meet it, and nobody takes them or nobody can; an inferred schema is then not written.
    """
    reviewed = read_schema(project.schema_path)
    schema = reviewed or infer_schema(data.rows(np.flatnonzero(~data.fleet_mask)))
    anomalies = find_anomalies(data, schema)
    override = accepted(anomalies, data.source, accept)
    for anomaly in anomalies:
        progress.remark(str(anomaly))
    if override:
        progress.remark(f"trains all the same: {override}")
    if reviewed is None:
        write_schema(project.schema_path, schema)
        progress.remark(f"wrote {project.schema_path.name}: review it and keep it under version control")
    return Verified(schema, tuple(anomalies), override)


def clean_split(project: Project, data: Dataset) -> tuple[Split, Removed]:
    """The split that training uses, without unusable rows and copies, and how many rows were taken out as such.

    Raises:
        ConfigError: the split is by time, and the data have no times.
        DataError: a class with too few rows, or copies or near duplicates where the project refuses them.
    """
    settings = project.settings.data
    usable_B = usable_rows(project.settings.preprocessing.transforms, data.inputs_B)
    parts = split_rows(data, settings.split).rows_where(usable_B)
    parts, copies = remove_leakage(data, parts, refuse=settings.duplicates == "refuse")
    parts, near = act_on_near_duplicates(data, parts, settings.near_duplicates, seed=settings.split.seed)
    return parts, Removed(copies=copies, near=near)


def split_and_fit(project: Project, data: Dataset, schema: DataSchema, progress: Progress) -> Prepared:
    """Splits without leakage; fits the declared transforms on the training part."""
    parts, removed = clean_split(project, data)
    if removed.copies:
        progress.remark(f"took {removed.copies} copies of validation or test rows out of training and validation")
    if removed.near:
        progress.remark(f"took {removed.near} near duplicates of validation or test rows out of training")
    progress.remark(f"{len(parts.train_I)} train, {len(parts.validation_I)} validation, {len(parts.test_I)} test rows")
    for remark in absent_classes(data, parts):
        progress.remark(remark)
    transforms = project.settings.preprocessing.transforms
    steps = fit_transforms(transforms, data.inputs_B[parts.train_I], data.features)
    return Prepared(data=data, schema=schema, parts=parts, steps=steps, removed=removed)


def judge(project: Project, prepared: Prepared, trained: Trained) -> Judged:
    """Scores of the test part and what they are worth, beside simple models and under the user's behaviour tests."""

    def score_raw(raw_B: RawInputs) -> NDArray[np.float32]:
        return score(trained.model, apply(prepared.steps, raw_B))

    test_I, train_I = prepared.parts.test_I, prepared.parts.train_I
    test = prepared.inputs(test_I)
    scores_BK = score(trained.model, test.inputs_B)
    data, seed = prepared.data, project.settings.data.split.seed
    raw_B, features = data.inputs_B[test_I], tuple(feature.name for feature in data.features)
    return Judged(
        scores_BK=scores_BK,
        labels_B=test.labels_B,
        label_names=data.label_names,
        train_labels_B=data.labels_B[train_I],
        evaluation=evaluate(scores_BK, test.labels_B, data.label_names, data.slices_B[test_I]),
        simple_models=simple_models(prepared.inputs(train_I[evenly(len(train_I), MAX_ROWS)]), test),
        behaviour=behaviour_results(
            project.settings.validate,
            score_raw,
            raw_B,
            data.label_names,
            folder=project.folder,
            seed=seed,
            features=features,
        ),
        importances=part_importances(score_raw, raw_B, test.labels_B, np.random.default_rng(seed), features),
    )


def decide(project: Project, prepared: Prepared, judged: Judged, champion: Champion | None) -> Verdict:
    """The verdict, after the champion, if there is one, has seen the same test rows."""
    raw_B = prepared.data.inputs_B[prepared.parts.test_I]
    paired = compare(champion, raw_B, judged) if champion else None
    return validate(judged, project.settings.validate, paired)
