"""The data report as one HTML page that needs nothing else: no script, no outside asset. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np

from trainer.data.feature_view import DataKind
from trainer.pages.data import study
from trainer.pages.data_plots import (
    MOST_FEATURES,
    examples_by_class,
    images_strip,
    plot_classes,
    plot_features,
    plot_series,
    plot_skew,
)
from trainer.pages.page import figure, heading, page, paragraph, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer.data.dataset import Dataset
    from trainer.data.label_errors import LabelReview
    from trainer.data.near_duplicates import NearDuplicates
    from trainer.data.parts import Removed
    from trainer.data.skew import SkewReport
    from trainer.data.statistics import FeatureStatistics
    from trainer.pages.data import DataReport
    from trainer.project import Project
    from trainer.stages import Prepared, Verified

DATA_REPORT_FILE: Final = "data_report.html"
MOST_TABLE_ROWS: Final = 200
MOST_PICTURES: Final = 8
LOOK_CLOSER: Final = "edgeferry data verify --html FILE"


def data_files(project: Project, prepared: Prepared, verified: Verified) -> dict[str, bytes]:
    """The page to keep beside a candidate, under its file name; nothing where the project wants none.

    It leaves to `edgeferry data verify` what takes long.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if not project.settings.data.report:
        return {}
    seed = project.settings.data.split.seed
    report = study(
        prepared.data,
        verified.anomalies,
        prepared.parts,
        seed=seed,
        removed=prepared.removed,
        override=verified.override,
        thorough=False,
    )
    return {DATA_REPORT_FILE: render(report, prepared.data, title=f"Data of {project.name}", seed=seed).encode()}


def render(report: DataReport, data: Dataset, *, title: str, seed: int) -> str:
    """The page; `data` are those of the report, `seed` picks examples."""
    return page(title, _parts(report, data, np.random.default_rng(seed)))


def _parts(report: DataReport, data: Dataset, rng: np.random.Generator) -> Iterator[str]:
    statistics = report.statistics
    yield paragraph(_summary(report))
    yield from _verdict(report)
    yield heading("Classes")
    yield figure(plot_classes(statistics.classes), "Rows of each class.")
    if statistics.kind is DataKind.IMAGES and statistics.rows:
        yield from (figure(strip, name) for name, strip in examples_by_class(data, rng))
    yield heading("Values")
    yield from _features(report, data)
    if report.near is not None:
        yield from _near(report.near, report.removed, data)
    if report.labels is not None:
        yield from _labels(report.labels, data)
    else:
        yield paragraph(f"Near duplicates and labels worth a second look: {LOOK_CLOSER}.")
    for name, skew in (
        ("Training and test rows", report.split_skew),
        ("Samples from the fleet", report.fleet_skew),
        ("Another sample", report.against),
    ):
        if skew is not None:
            yield from _skew(name, skew)


def _summary(report: DataReport) -> str:
    statistics = report.statistics
    fleet = f", {statistics.fleet_rows} of them from the fleet" if statistics.fleet_rows else ""
    return (
        f"{statistics.rows} rows{fleet} of {statistics.dtype} {list(statistics.shape)} ({statistics.kind.value}) in "
        f"{len(statistics.classes)} classes, from {statistics.source}. {statistics.missing_rows} rows hold NaN or "
        f"infinity, {statistics.copies} are equal to an earlier row."
    )


def _verdict(report: DataReport) -> Iterator[str]:
    yield heading("Verdict")
    if report.fatal:
        yield '<p class="bad">These data do not meet their schema.</p>'
        if report.override:
            yield f'<p class="bad">They were trained on all the same: {escape(report.override)}</p>'
    else:
        yield '<p class="good">These data meet their schema.</p>'
    yield from (f'<p class="bad">{escape(str(anomaly))}</p>' for anomaly in report.fatal)
    remarks = list(report.worth_a_look())
    if remarks:
        yield paragraph("Worth a look; none of it stops a training:")
        yield f"<ul>{''.join(f'<li>{escape(remark)}</li>' for remark in remarks[:MOST_TABLE_ROWS])}</ul>"


def _features(report: DataReport, data: Dataset) -> Iterator[str]:
    features = report.statistics.features
    if any(one.histogram for one in features):
        more = f" The first {MOST_FEATURES} of {len(features)}." if len(features) > MOST_FEATURES else ""
        yield figure(plot_features(features), f"How the values are distributed.{more}")
    if report.statistics.kind is DataKind.SERIES and report.statistics.rows:
        yield figure(plot_series(data), "The first series of each class.")
    head = ("feature", "values", "missing", "zeros", "distinct", "low", "1 %", "median", "99 %", "high", "mean", "std")
    yield table(head, [_feature_row(one) for one in features[:MOST_TABLE_ROWS]])
    if len(features) > MOST_TABLE_ROWS:
        yield paragraph(f"{len(features) - MOST_TABLE_ROWS} more features are in the JSON form.")


def _feature_row(one: FeatureStatistics) -> list[str]:
    figures = (one.low, one.q01, one.median, one.q99, one.high, one.mean, one.std)
    counts = (one.count, one.missing, one.zeros, one.distinct)
    return [one.name, *map(str, counts), *(f"{value:.5g}" for value in figures)]


def _near(near: NearDuplicates, removed: Removed, data: Dataset) -> Iterator[str]:
    yield heading("Leakage")
    yield paragraph(
        f"{removed.copies} exact copies of held-out rows were taken out of training and validation, "
        f"{removed.near} near duplicates out of training. {near}. A pair's ratio is "
        f"its distance over that of the 20th nearest training row."
    )
    if near.pairs:
        rows = [
            [str(pair.row), str(pair.train_row), f"{pair.ratio:.3f}", "same" if pair.same_label else "other"]
            for pair in near.pairs
        ]
        yield table(("held-out row", "training row", "ratio", "label"), rows)
    if _drawable(data):
        for pair in near.pairs[:MOST_PICTURES]:
            yield figure(images_strip(data, np.asarray([pair.row, pair.train_row])), f"{pair.row} and {pair.train_row}")


def _labels(review: LabelReview, data: Dataset) -> Iterator[str]:
    yield heading("Labels worth a second look")
    yield paragraph(
        f"{review}. Rows of which a logistic regression that has not seen them is as sure of another class as it "
        f"usually is of that class (Northcutt, Jiang and Chuang 2021). Hard and rare rows are among them."
    )
    if review.rows:
        rows = [
            [str(one.row), one.label, one.suggested, f"{one.confidence:.3f}", f"{one.label_confidence:.3f}"]
            for one in review.rows
        ]
        yield table(("row", "label", "the simple model says", "with", "and the label"), rows)
    if _drawable(data):
        for one in review.rows[:MOST_PICTURES]:
            caption = f"row {one.row}: {one.label} or {one.suggested}?"
            yield figure(images_strip(data, np.asarray([one.row])), caption)


def _skew(name: str, skew: SkewReport) -> Iterator[str]:
    yield heading(f"{name}: skew")
    yield paragraph(
        f"{skew.other_rows} rows of {skew.other} against {skew.base_rows} of {skew.base}: "
        f"{len(skew.shifted)} of {len(skew.features)} features are beyond what sampling noise reaches."
    )
    yield figure(plot_skew(skew), "Red: shifted.")
    rows = [
        [
            one.name,
            "shifted" if one.shifted else "as before",
            f"{one.psi:.4f}",
            f"{one.psi_limit:.4f}",
            f"{one.greatest_difference:.4f}",
            f"{one.difference_limit:.4f}",
        ]
        for one in skew.features[:MOST_TABLE_ROWS]
    ]
    yield table(("feature", "verdict", "stability index", "noise", "greatest difference", "noise"), rows)


def _drawable(data: Dataset) -> bool:
    return len(data.sample_shape) >= 3
