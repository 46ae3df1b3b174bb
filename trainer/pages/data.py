"""Everything that is known about a project's data, gathered once for the terminal, JSON and the page. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from trainer.data.anomaly import Anomaly
from trainer.data.label_errors import LabelReview, review_labels
from trainer.data.near_duplicates import NearDuplicates, find_near_duplicates
from trainer.data.parts import NOTHING_REMOVED, Removed
from trainer.data.skew import SkewReport, find_skew, fleet_skew
from trainer.data.statistics import DataStatistics, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer.data.dataset import Dataset
    from trainer.data.parts import Split


class DataReport(Struct, frozen=True, kw_only=True):
    """Findings of a data set.

    `split_skew` compares test with training rows, `fleet_skew` samples from the fleet with the project's own,
    `against` another sample with them; None where there is nothing to compare. `override` says who trained in spite of
    fatal anomalies.
    """

    statistics: DataStatistics
    anomalies: tuple[Anomaly, ...]
    removed: Removed = NOTHING_REMOVED
    near: NearDuplicates | None = None
    labels: LabelReview | None = None
    split_skew: SkewReport | None = None
    fleet_skew: SkewReport | None = None
    against: SkewReport | None = None
    override: str = ""

    @property
    def fatal(self) -> tuple[Anomaly, ...]:
        """What stops a training."""
        return tuple(anomaly for anomaly in self.anomalies if anomaly.fatal)

    def worth_a_look(self) -> Iterator[str]:
        """What stops nothing and a person would want to know, a line each."""
        yield from (str(anomaly) for anomaly in self.anomalies if not anomaly.fatal)
        if self.removed.copies:
            yield f"leakage: {self.removed.copies} copies of held-out rows are taken out of training and validation"
        if self.removed.near:
            yield f"leakage: {self.removed.near} near duplicates of held-out rows are taken out of training"
        if self.near is not None and (self.near.count or self.near.remark):
            yield str(self.near)
        if self.labels is not None and (self.labels.count or self.labels.remark):
            yield str(self.labels)
        for name, skew in (("split", self.split_skew), ("fleet", self.fleet_skew), ("against", self.against)):
            if skew is not None:
                yield from (f"{name} skew: {feature}" for feature in skew.shifted)


def study(
    data: Dataset,
    anomalies: tuple[Anomaly, ...],
    parts: Split | None,
    *,
    seed: int,
    removed: Removed = NOTHING_REMOVED,
    against: Dataset | None = None,
    override: str = "",
    thorough: bool = True,
) -> DataReport:
    """Looks at `data`, from every side when `thorough`: near duplicates and labels take as long as some trainings.

    Args:
        data: all rows, at least one.
        anomalies: what verification against the schema found.
        parts: the split that training uses; None where there is none, so that nothing is said of it.
        seed: decides which rows are looked at where not all are, and the folds of the simple model.
        removed: what was taken out of the split as copies.
        against: another sample, to compare with the project's own rows.
        override: who trained in spite of fatal anomalies, and why.
        thorough: looks for near duplicates and suspicious labels as well.

    Raises:
        DataError: `against` has other features or classes.
        MissingExtraError: scikit-learn is not installed.
    """
    base = data.rows(np.flatnonzero(~data.fleet_mask))
    return DataReport(
        statistics=describe(data),
        anomalies=anomalies,
        removed=removed,
        near=find_near_duplicates(data, parts, rng=np.random.default_rng(seed)) if parts and thorough else None,
        labels=review_labels(data, seed=seed) if thorough else None,
        split_skew=_split_skew(data, parts) if parts else None,
        fleet_skew=fleet_skew(data),
        against=find_skew(base, against) if against is not None else None,
        override=override,
    )


def _split_skew(data: Dataset, parts: Split) -> SkewReport | None:
    """Test against training, the project's own rows alone: the fleet's have shares of their own."""
    train_I, test_I = (rows_I[~data.fleet_mask[rows_I]] for rows_I in (parts.train_I, parts.test_I))
    if len(train_I) == 0 or len(test_I) == 0:
        return None
    return find_skew(data.rows(train_I), data.rows(test_I))
